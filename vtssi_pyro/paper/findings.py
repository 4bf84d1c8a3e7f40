"""The paper's sentences beside the findings, and the numbers of a figure's curves, in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vtssi_pyro.paper.statements import BARE, OTHER, OWN, Curve, Statement

SHOWN = (1, 2, 5, 10, 20, 50, 100)  # frames whose errors the table holds
_MISSING = "-"
_NOTES = """
Held-out sequences, the same for all models, which are judged by the same code: mean distance between an object's centre
and its track's, px, by frame; ± is one standard error over sequences. The observed frames decide what the objects are,
and to which tracks they are matched, once for all frames; later frames are predicted, or tracked. Matched: share of the
objects that have a track, on whose errors the means rest. Count: share of sequences, or of a model that counts each
frame by itself of frames, counted right. Hours are by the clock, times the threads. Each of the
paper's sentences holds if a condition that was set beforehand does; its first, second and third number are those of the
column "found", in this order.
"""


def source(curve: Curve) -> tuple[str, str]:
    """The training of a curve: its model and its preset."""
    return curve["variant"], curve["preset"]


def decided(statements: Iterable[Statement], curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Decide sentences by the curves of one kind of data, for each VTSSI beside the other model.

    Returns:
        rows, ready for JSON: ``sentence``, ``vtssi``, ``statistic``, ``found`` and ``holds``; the last two are None if
        a curve is missing.
    """
    others = [(OTHER, curve) for curve in curves if not curve["partner"]]
    rows = []
    for training in dict.fromkeys(source(curve) for curve in curves if curve["partner"]):
        own = {
            BARE if curve["without_motion"] else OWN: curve for curve in curves if source(curve) == training
        }
        for statement in statements:
            finding = statement.decide({**dict(others), **own})
            rows.append({
                "sentence": statement.sentence,
                "vtssi": f"{own[OWN]['model']}, {own[OWN]['preset']}",
                "statistic": statement.statistic,
                "found": finding.found if finding else None,
                "holds": finding.holds if finding else None,
            })  # fmt: skip
    return rows


def markdown(figure: Mapping[str, Any]) -> str:
    """Write the content of a figure's JSON in Markdown."""
    title = f"# Figure {figure['figure'].removeprefix('figure')}"
    parts = [title, f"`{figure['command']}`", _NOTES.strip()]
    for panel in (panel for panel in figure["panels"] if panel["curves"]):
        parts += [f"## {panel['title']}", _table(_HEAD, [_row(curve, panel) for curve in panel["curves"]])]
        rows = panel["statements"]
        if rows:
            head = ("the paper", "VTSSI here", "holds if", "found", "holds")
            parts.append(_table(head, [_sentence(row) for row in rows]))
    if figure["missing"]:
        parts += [
            "## Missing",
            _table(("training", "why", "command"), [_lacking(one) for one in figure["missing"]]),
        ]
    return "\n\n".join(parts) + "\n"


_HEAD = ("curve", "sequences", "count", "matched", *(f"frame {frame}" for frame in SHOWN), "code", "hardware")


def _row(curve: Curve, panel: Mapping[str, Any]) -> list[str]:
    errors = curve[panel["kind"]]
    metrics, hardware = curve["metrics"], curve["evaluation"]["hardware"]
    levels = [
        f"{errors['mean'][frame - 1]:.2f} ± {errors['sem'][frame - 1] or 0:.2f}"
        if frame <= min(len(errors["mean"]), panel["frames"]) and errors["mean"][frame - 1] is not None
        else _MISSING
        for frame in SHOWN
    ]
    matched = [share for share in errors["matched"] if share is not None]
    count = f"{metrics['count_accuracy']:.2%}" + " of frames" * bool(metrics["per_frame_count"])
    return [
        curve["label"], str(curve["sequences"]), count, f"{min(matched):.2%}" if matched else _MISSING, *levels,
        curve["evaluation"]["commit"] or curve["evaluation"]["versions"]["vtssi-pyro"],
        hardware["gpu"] or hardware["processor"],
    ]  # fmt: skip


def _sentence(row: Mapping[str, Any]) -> list[str]:
    verdict = {True: "yes", False: "no", None: "not decided"}[row["holds"]]
    return [f"*{row['sentence']}*", row["vtssi"], row["statistic"], row["found"] or _MISSING, verdict]


def _lacking(one: Mapping[str, str | None]) -> list[str]:
    return [str(one["training"]), str(one["why"]), f"`{one['command']}`" if one["command"] else _MISSING]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
