"""A run as one self-contained page, without server, network or script."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import to_dict
from vtssi_pyro.system.atomic import atomic_write

# File, heading and caption, in the order of the page; files that a run lacks are left out.
PICTURES = (
    ("held_out.gif", "Tracks and forecasts",
     "Held-out sequences: the frames, their reconstructions, the inferred boxes, and the predictions."),
    ("film_strip.png", "Film strips", "The same sequences, frame by frame."),
    ("learning_curves.png", "Learning curves", "The course of the training; dashed lines mark where stages begin."),
    ("error_curves.png", "Errors by frame", "Mean distance of tracks and of predictions from the objects."),
    ("reliability.png", "Calibration",
     "The share of the truth within regions of sampled predictions, against the share that they should hold."),
)  # fmt: skip
_TYPES = {".png": "image/png", ".gif": "image/gif"}
_STYLE = """
:root { color-scheme: light dark; --ink: #222; --faint: #666; --line: #ddd; --page: #fff; --card: #f6f6f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --faint: #aaa; --line: #444; --page: #181818; --card: #242424; }
}
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; }
p, figcaption { color: var(--faint); } figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; image-rendering: auto; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 1rem; }
dl div { background: var(--card); border-radius: 6px; padding: .8rem 1rem; }
dt { color: var(--faint); font-size: .85rem; } dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } thead th { color: var(--faint); font-weight: normal; }
pre { background: var(--card); border-radius: 6px; padding: 1rem; overflow-x: auto; font-size: .85rem; }
summary { cursor: pointer; }
"""


def write_report(run: Run, path: str | Path | None = None) -> Path:
    """Write the page of a run.

    Args:
        run: a finished run, or one that still trains.
        path: the file; None: ``report.html`` in the run's folder.

    Returns:
        The file.
    """
    path = Path(path or run.folder / "report.html")
    with atomic_write(path) as temporary:
        Path(temporary).write_text(page(run), encoding="utf-8")
    return path


def page(run: Run) -> str:
    """The page, as HTML."""
    config, summary = run.config, run.read_summary()
    name = run.folder.resolve().name
    records = run.records()
    reached = records[-1]["step"] if records else 0
    state = (
        ""
        if summary
        else f" It is at step {reached} of {config.train.steps}: a look at an unfinished training."
    )
    intro = (
        f"{config.variant}, preset {config.preset}, trained on {config.data.source} "
        f"in {run.minutes:.1f} minutes.{state}"
    )
    metrics = summary.get("metrics") or {}
    parts = [
        f"<h1>{escape(name)}</h1>\n<p>{escape(intro)}</p>",
        _figures(metrics, config.observe) or _unseen(summary.get("held_out") or {}, config.observe),
        *(_picture(run.figures / file, title, text) for file, title, text in PICTURES),
        _by_objects(metrics),
        _coverage(run),
        _folded("Configuration", to_dict(config)),
        _folded("Versions and machine", {"versions": run.versions, "machine": run.machine}),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _figures(metrics: Mapping[str, Any], observe: int) -> str:
    """The numbers that matter most."""
    frames = metrics.get("count_frames")
    shown = {
        f"count accuracy, on {frames} frames" if frames else "count accuracy": _percent(
            metrics.get("count_accuracy")
        ),
        f"count accuracy, on the first {observe} alone": _percent(metrics.get("count_accuracy_observed")),
        "inference error": _pixels(metrics.get("inference_error")),
        f"prediction error after {observe} frames": _pixels(metrics.get("prediction_error")),
        "sequences with a switch of identities": _percent(metrics.get("identity_switches")),
    }
    cells = [f"<div><dt>{escape(key)}</dt><dd>{value}</dd></div>" for key, value in shown.items() if value]
    if not cells:
        return ""
    number = metrics["sequences"]
    return f"<h2>Metrics</h2>\n<p>On {number} held-out sequences.</p>\n<dl>{''.join(cells)}</dl>"


def _unseen(held_out: Mapping[str, Any], observe: int) -> str:
    """Metrics of a movie's held-out frames: shares explained and predicted."""
    if not held_out:
        return ""
    drift, straight = (held_out.get(name) or [None] for name in ("drift", "straight"))
    shown = {
        "explained share of the frames": _percent(held_out["explained"]),
        "share of objects and frames that show the object": _percent(held_out["visible"]),
        f"explained share of frames predicted after {observe}": _percent(held_out.get("explained_ahead")),
        "error of predictions after 1 frame": _pixels(drift[0]),
        f"error of predictions after {len(drift)} frames": _pixels(drift[-1]),
        f"error of straight paths after {len(drift)} frames": _pixels(straight[-1]),
    }
    cells = [f"<div><dt>{escape(key)}</dt><dd>{value}</dd></div>" for key, value in shown.items() if value]
    return f"<h2>Metrics</h2>\n<p>On {held_out['frames']} held-out frames.</p>\n<dl>{''.join(cells)}</dl>"


def _picture(path: Path, title: str, text: str) -> str:
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<h2>{escape(title)}</h2>\n<figure><img alt="{escape(text)}" src="data:{_TYPES[path.suffix]};base64,{data}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
    )


def _by_objects(metrics: Mapping[str, Any]) -> str:
    shares = metrics.get("by_objects")
    if not shares:
        return ""
    rows = [
        (number, share["sequences"], _percent(share["count_accuracy"]) or "-",
         _pixels(share["inference_error"]) or "-", _pixels(share["prediction_error"]) or "-")
        for number, share in shares.items()
    ]  # fmt: skip
    return "<h2>By number of objects</h2>\n" + _table(
        ("objects", "sequences", "count accuracy", "inference error", "prediction error"), rows
    )


def _coverage(run: Run) -> str:
    """The factors of the calibration, if there is one."""
    calibration = run.calibration
    if calibration is None:
        return ""
    half, most = (
        min(range(len(calibration.levels)), key=lambda i: abs(calibration.levels[i] - p)) for p in (0.5, 0.9)
    )
    rows = [(h + 1, f"{row[half]:.2f}", f"{row[most]:.2f}") for h, row in enumerate(calibration.factors)]
    text = "Factors by which predict widens (above 1) or narrows the regions of the model's own samples."
    return f"<h2>Recalibration</h2>\n<p>{text}</p>\n" + _table(
        ("horizon", "50 % region", "90 % region"), rows
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _folded(title: str, values: Mapping[str, Any]) -> str:
    text = escape(json.dumps(values, indent=1))
    return f"<h2>{escape(title)}</h2>\n<details><summary>all of it</summary><pre>{text}</pre></details>"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.1f} %"


def _pixels(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f} px"
