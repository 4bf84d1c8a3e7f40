"""A run as one self-contained page, without server or network.

All that a run holds may come from somebody else. The template engine escapes every value where it enters the page, the
page itself forbids all scripts but that of the player, which makes no markup of what it plays, and its pictures are the
run's own, not files that links in its folder lead to.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from vtssi_pyro.artifacts.figures import BEFORE, PLAYED
from vtssi_pyro.artifacts.recorded import told_units
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import to_dict
from vtssi_pyro.errors import Argument, CheckpointError, DataError, UsageError
from vtssi_pyro.plots import player
from vtssi_pyro.system.atomic import write_bytes
from vtssi_pyro.system.files import belongs, regular
from vtssi_pyro.system.markup import policy
from vtssi_pyro.system.plain import parsed
from vtssi_pyro.tracks.units import Units

# File, heading and caption, in the order of the page; files that a run lacks are left out.
PICTURES = (
    ("held_out.gif", "Tracks and forecasts",
     "Held-out sequences: the frames, their reconstructions, the inferred boxes, and the predictions."),
    ("film_strip.png", "Film strips", "The same sequences, frame by frame."),
    (BEFORE, "First tracks", "Held-out frames of the movie, tracked before any training, and after it."),
    ("learning_curves.png", "Learning curves", "The course of the training; dashed lines mark where stages begin."),
    ("error_curves.png", "Errors by frame", "Mean distance of tracks and of predictions from the objects."),
    ("reliability.png", "Calibration",
     "The share of the truth within regions of sampled predictions, against the share that they should hold."),
)  # fmt: skip
GENERATOR = "vtssi-pyro report"  # the page's name for its maker, by which a report is known
_HEAD = 2**12  # bytes in which a report has named its maker: its head up to the style
_TYPES = {".png": "image/png", ".gif": "image/gif"}
_TEMPLATE, _STYLE = (Path(__file__).with_name(f"report.{suffix}") for suffix in ("html.jinja", "css"))

Shown = Sequence[tuple[str, str | None]]  # a term and its value; None: it is unknown, and left out


class _Picture(NamedTuple):
    title: str
    text: str
    source: str  # a data URL


class _Table(NamedTuple):
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: str = ""


def write_report(run: Run, path: str | Path | None = None, drawn: Path | None = None) -> Path:
    """Write the page of a run.

    Args:
        run: a finished run, or one that still trains.
        path: the file; None: ``report.html`` in the run's folder.
        drawn: a folder of pictures that take the place of the run's own; None: there are none.

    Returns:
        The file.

    Raises:
        CheckpointError: a file of the run is damaged.
    """
    path = Path(path or run.folder / "report.html")
    write_bytes(path, page(run, drawn).encode())
    return path


def is_report(path: Path) -> bool:
    """Whether a file is a page that :func:`write_report` has written.

    Raises:
        UsageError: it cannot be read, or is something else than a file.
    """
    try:
        with regular(path).open("rb") as file:
            return f'content="{GENERATOR}"'.encode() in file.read(_HEAD)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(Argument("out"), f" {path}: cannot be replaced ({error.strerror})") from error


@contextmanager
def understood(summary: Path) -> Iterator[None]:
    """Turn errors of a block that shows a summary into one that names the file, which may lack what others have."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{summary}: damaged, it has not the form of a summary ({error!r})") from error


def page(run: Run, drawn: Path | None = None) -> str:
    """The page, as HTML; see :func:`write_report`."""
    from jinja2 import Environment, StrictUndefined  # here alone, so that no other command waits for it

    with understood(run.summary):
        values = _content(run, drawn)
    style = _STYLE.read_text(encoding="utf-8") + player.STYLE
    script = player.SCRIPT if values["film"] else None
    engine = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = engine.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        policy=policy(style, script), generator=GENERATOR, style=style, script=script, **values
    )


def _content(run: Run, drawn: Path | None) -> dict[str, Any]:
    """The values of the template."""
    config, summary, records = run.config, run.read_summary(), run.records()
    reached = max((record["step"] for record in records), default=0)
    state = (
        ""
        if summary
        else f" It is at step {reached} of {config.train.steps}: a look at an unfinished training."
    )
    metrics, held_out = summary.get("metrics") or {}, summary.get("held_out") or {}
    units = told_units(summary)
    figures = _metrics(metrics, config.observe, units)
    judged_on = f"{metrics.get('sequences')} held-out sequences"
    if not figures and held_out:
        figures = _unseen(held_out, config.observe, units)
        judged_on = f"{held_out['frames']} held-out frames"
    return {
        "name": run.folder.resolve().name,
        "intro": f"{config.variant}, preset {config.preset}, trained on {config.data.source} "
        f"in {run.minutes:.1f} minutes.{state}",
        "figures": figures,
        "judged_on": judged_on,
        "film": _film(run),
        "pictures": list(_pictures(run, drawn)),
        "tables": [*_by_objects(metrics, units), *_recalibration(run)],
        "folded": [
            ("Configuration", json.dumps(to_dict(config), indent=1)),
            (
                "Versions and machine",
                json.dumps({"versions": run.versions, "machine": run.machine}, indent=1),
            ),
        ],
    }


def _known(shown: Shown) -> list[tuple[str, str]]:
    return [(term, value) for term, value in shown if value is not None]


def _metrics(metrics: Mapping[str, Any], observe: int, units: Units) -> list[tuple[str, str]]:
    """The numbers that matter most."""
    frames = metrics.get("count_frames")
    on = f", on {frames} frames" if frames else ""
    return _known(
        [
            (f"count accuracy{on}", _percent(metrics.get("count_accuracy"))),
            (
                f"count accuracy, on the first {observe} alone",
                _percent(metrics.get("count_accuracy_observed")),
            ),
            ("inference error", _pixels(metrics.get("inference_error"), units)),
            (f"prediction error after {observe} frames", _pixels(metrics.get("prediction_error"), units)),
            ("sequences with a switch of identities", _percent(metrics.get("identity_switches"))),
        ]
    )


def _unseen(held_out: Mapping[str, Any], observe: int, units: Units) -> list[tuple[str, str]]:
    """Metrics of a movie's held-out frames: shares explained and predicted, errors also in the movie's units."""
    drift, straight = (held_out.get(name) or [None] for name in ("drift", "straight"))
    return _known(
        [
            ("explained share of the frames", _percent(held_out["explained"])),
            ("share of objects and frames that show the object", _percent(held_out["visible"])),
            (
                f"explained share of frames predicted after {observe}",
                _percent(held_out.get("explained_ahead")),
            ),
            ("error of predictions after 1 frame", _pixels(drift[0], units)),
            (f"error of predictions after {len(drift)} frames", _pixels(drift[-1], units)),
            (f"error of straight paths after {len(drift)} frames", _pixels(straight[-1], units)),
        ]
    )


def _pictures(run: Run, drawn: Path | None) -> Iterator[_Picture]:
    """The run's own pictures; a link in its folder may lead to any file, whose contents must not go into a page."""
    for name, title, text in PICTURES:
        own, anew = run.figures / name, drawn / name if drawn else None
        path = anew if anew and anew.exists() else own if belongs(own, run.folder) else None
        if path:
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            yield _Picture(title, text, f"data:{_TYPES[path.suffix]};base64,{data}")


def _film(run: Run) -> str | None:
    """The piece of the page that plays held-out sequences; None: the run, of a former version perhaps, has none."""
    path = run.figures / PLAYED
    if not belongs(path, run.folder):
        return None
    try:
        return player.markup(player.Film.checked(parsed(path.read_bytes())))
    except (DataError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error}); remove it") from error


def _by_objects(metrics: Mapping[str, Any], units: Units) -> Iterator[_Table]:
    rows = [
        (number, f"{share['sequences']}", _percent(share["count_accuracy"]) or "-",
         _pixels(share["inference_error"], units) or "-", _pixels(share["prediction_error"], units) or "-")
        for number, share in (metrics.get("by_objects") or {}).items()
    ]  # fmt: skip
    if rows:
        header = ("objects", "sequences", "count accuracy", "inference error", "prediction error")
        yield _Table("By number of objects", header, rows)


def _recalibration(run: Run) -> Iterator[_Table]:
    """The factors of the calibration, if there is one."""
    calibration = run.calibration
    if calibration is None:
        return
    half, most = (
        min(range(len(calibration.levels)), key=lambda i: abs(calibration.levels[i] - p)) for p in (0.5, 0.9)
    )
    rows = [(f"{h + 1}", f"{row[half]:.2f}", f"{row[most]:.2f}") for h, row in enumerate(calibration.factors)]
    text = "Factors by which predict widens (above 1) or narrows the regions of the model's own samples."
    yield _Table("Recalibration", ("horizon", "50 % region", "90 % region"), rows, text)


def _percent(value: Any) -> str | None:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else _as_it_is(value)


def _pixels(value: Any, units: Units) -> str | None:
    return units.length(value) if isinstance(value, int | float) else _as_it_is(value)


def _as_it_is(value: Any) -> str | None:
    """A value that is no number, for people to see; None stays."""
    return None if value is None else str(value)
