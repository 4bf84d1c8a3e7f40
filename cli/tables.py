"""Metrics as text, and the next commands."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vtssi_pyro.tracks.units import NO_UNITS, Units

if TYPE_CHECKING:
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.config import Key
    from vtssi_pyro.train.config import Config


def overall(metrics: Mapping[str, Any], observe: int, units: Units = NO_UNITS) -> list[str]:
    """Lines of the metrics over all sequences, and over those whose count is right."""
    first, last = observe + 1, observe + len(metrics["prediction_error_by_frame"])
    lines = [
        f"sequences          {metrics['sequences']}",
        f"count accuracy     {_counted(metrics, observe)}  "
        f"({metrics['counted_right']} sequences right in every frame)",
        f"inference error    {_row(metrics, 'inference_error', units)}",
    ]
    if last >= first:
        span = f"frames {first} to {last} after observing {observe}"
        lines.append(f"prediction error   {_row(metrics, 'prediction_error', units)}; {span}")
    return [*lines, *_events(metrics.get("events") or {}, units)]


def _events(found: Mapping[str, Any], units: Units) -> list[str]:
    """Lines of the metrics of objects that come and go, hide or turn; those that are not known are left out."""
    error = found.get("found_error")
    off = "" if error is None else f", {units.length(error)} off"  # of none found
    shown = [
        ("count per frame", "count_per_frame", "right, with or without those less than a tenth visible"),
        ("objects found", "found", f"of those that a frame shows{off}"),
        ("entrances found", "entrances_found", "of {entrances}, within 1 frame"),
        ("occlusions found", "occlusions_found", "of {occlusions}, before and after"),
        ("identity switches", "switches_per_occlusion", "of these occlusions"),
    ]
    lines = [
        f"{name:<18} {_percent(found[key])} {text.format_map(found)}"
        for name, key, text in shown
        if found.get(key) is not None
    ]
    if found.get("hidden_error") is not None:
        text = "{} off, straight paths {}".format(
            *(units.length(found[name]) for name in ("hidden_error", "hidden_straight"))
        )
        lines.append(f"{'while hidden':<18} {text}; {_percent(found['hidden_found']).strip()} followed")
    if found.get("angle_error") is not None:
        lines.append(f"{'angle error':<18} {found['angle_error']:.1f} degrees")
    return lines


def by_frame(metrics: Mapping[str, Any], observe: int, units: Units = NO_UNITS) -> list[str]:
    """Lines of the errors frame by frame, frames counted from 1; behind them the same in known units."""
    inferred, predicted = metrics["inference_error_by_frame"], metrics["prediction_error_by_frame"]
    expected = [None] * observe + list(predicted)
    side, known = units.pixel_size, units.pixel_size is not None
    lines = [
        "frame  inference  prediction error, px" + f"  inference  prediction error, {units.unit}" * known
    ]
    for t, error in enumerate(inferred):
        both = error, expected[t] if t < len(expected) else None
        row = f"{t + 1:5}  {_number(both[0]):>9}  {_number(both[1]):>10}"
        if side is not None:
            own = ["-" if each is None else f"{each * side:.3g}" for each in both]
            row += f"{own[0]:>21}  {own[1]:>10}"
        lines.append(row)
    return lines


def of_boxes(metrics: Mapping[str, float]) -> list[str]:
    """Lines of the metrics of multi-object tracking."""
    shares = {"HOTA": "hota", "MOTA": "mota", "IDF1": "idf1"}
    numbers = {"identity switches": "identity_switches", "fragmentations": "fragmentations"}
    return [
        *(f"{name:<18} {metrics[key]:.4f}" for name, key in shares.items()),
        *(f"{name:<18} {metrics[key]:.0f}" for name, key in numbers.items()),
    ]


def honesty(before: Mapping[str, Any], after: Mapping[str, Any] | None) -> list[str]:
    """Lines of the assessments of forecasts before and after calibration: regions and scores, then intervals."""
    regions = [("in 50 % region", "coverage", 0.5), ("in 90 % region", "coverage", 0.9)]
    scores = [("CRPS, px", "crps", None), ("NLL, nats", "nll", None)]
    intervals = [(f"{axis} in {100 * p:.0f} %", f"coverage_{axis}", p) for axis in "xy" for p in (0.5, 0.9)]
    tables = [*_compared(before, after, [*regions, *scores]), "", *_compared(before, after, intervals)]
    each = [found for found in (before, after) if found]
    there = _reliable("that an object is there", *(found["presence"] for found in each))
    met = _reliable("that two objects meet within 15 frames", *(found["meetings"] for found in each))
    return [*tables, *there, *met]


def _reliable(what: str, *found: Mapping[str, Any] | None) -> list[str]:
    """Lines of the probabilities of something, before and after calibration; none if there are none."""
    known = [each for each in found if each and each["forecasts"]]
    if not known:
        return []
    gaps = " -> ".join(f"{100 * each['gap']:.1f}" for each in known)
    text = "probabilities {what}: {gaps} points off in ten equally filled bins of {number:,}, {share} true"
    return ["", text.format(
        what=what, gaps=gaps, number=known[0]["forecasts"], share=_percent(known[0]["happened"]).strip(),
    )]  # fmt: skip


def _compared(
    before: Mapping[str, Any], after: Mapping[str, Any] | None, columns: list[tuple[str, str, float | None]]
) -> list[str]:
    """Make a table by horizon; a column is a heading, a key of an assessment and, for shares, a level."""
    lines = ["  ".join(["horizon", "objects", *(heading.ljust(17) for heading, *_ in columns)]).rstrip()]
    for h, objects in enumerate(before["objects"]):
        cells = []
        for _, key, level in columns:
            values = [found[key][h] for found in (before, after) if found]
            if level is None:
                shown = map(_number, values)
            else:
                place = before["levels"].index(level)
                shown = (_percent(row and row[place]) for row in values)
            cells.append(" -> ".join(shown).ljust(17))
        lines.append(f"{h + 1:7}  {objects:7}  {'  '.join(cells)}".rstrip())
    return lines


def about(found: Mapping[str, Any]) -> list[str]:
    """Lines of the description of a run or a card."""
    recipe = found["recipe"]
    rows = {key: value for key, value in found.items() if value is not None and not isinstance(value, dict)}
    rows |= {key: recipe[key] for key in ("variant", "preset")}
    parts = [part for part in recipe["model"].values() if isinstance(part, dict) and "kind" in part]
    if parts:
        rows["blocks"] = ", ".join(part["kind"] for part in parts)
    rows["trained on"] = recipe["data"]["source"]
    rows["minutes"] = f"{found['minutes']:.1f}"
    if calibration := found.get("calibration"):
        rows["calibrated"] = (
            f"temperature {calibration['temperature']:g}, {calibration['samples']} futures of "
            f"{len(calibration['factors'])} frames after {calibration['observed']}"
        )
    lines = [f"{name:<18} {value}" for name, value in rows.items()]
    for precision, metrics in found["metrics"].items():
        lines += ["", f"on held-out sequences, in {precision}:", *overall(metrics, found["observe"])]
    if found.get("held_out"):
        lines += ["", *unseen(found["held_out"], found["observe"])]
    return lines


def speed(found: Mapping[str, Any]) -> list[str]:
    """Lines of the results of a benchmark, and of its machine and sizes."""
    latency = found["stream_latency_seconds"]
    step, draw = (1e3 * found[key] for key in ("train_step_seconds", "draw_seconds"))
    rows = [
        ("training", found["train_sequences_per_second"], "sequences/s",
         f"{step:.1f} ms a step, {draw:.1f} ms of them to draw frames"),
        ("tracking, all frames at once", found["track_frames_per_second"], "frames/s", ""),
        ("tracking, frame by frame", 1 / latency, "frames/s", f"{1e3 * latency:.1f} ms a frame"),
        ("sampled futures", found["sample_frames_per_second"], "frames/s", ""),
        ("memory, training", _megabytes(found["train_memory_bytes"]), "MB",
         f"at most, {_megabytes(found['start_memory_bytes']) or 0:.0f} MB of them before the first step"),
        ("memory, everything", _megabytes(found["peak_memory_bytes"]), "MB", "at most"),
        ("matrix products", found["gflops"], "GFLOP/s", "fp32, 1024x1024"),
    ]  # fmt: skip
    threads = f"{found['threads']} thread{'s' * (found['threads'] > 1)}"
    lines = [
        f"{found['variant']}, {found['weights'] or 'preset ' + found['preset']}: batch {found['batch']}, "
        f"{found['length']} frames of {found['frame']}x{found['frame']} px, at most {found['objects']} objects",
        f"{found['device']}, {threads}, torch {found['torch']}; median of {found['repeats']}",
        "",
    ]
    for name, value, unit, detail in rows:
        known = value is not None
        shown = f"{value:,.{0 if value >= 100 else 1}f}" if known else "-"
        lines.append(f"{name:<28}  {shown:>8} {unit:<11}  {detail if known else ''}".rstrip())
    return lines


def _megabytes(size: int | None) -> float | None:
    return None if size is None else size / 1e6


def _counted(metrics: Mapping[str, Any], observe: int) -> str:
    """The share of right counts, the frames that it rests on, and beside it the share on the observed frames alone."""
    share, frames = _percent(metrics["count_accuracy"]), metrics.get("count_frames")
    length = len(metrics["inference_error_by_frame"])
    if metrics.get("per_frame_count"):
        return f"{share} of frames, each counted by itself"
    if frames is None:  # tracks, a tracker that does not say, or metrics of a former version
        return share
    if frames > observe and metrics["count_accuracy_observed"] is not None:
        beside = f", {_percent(metrics['count_accuracy_observed'])} on the first {observe}"
    else:
        beside = ""
    which = "all" if frames == length else "the first" if frames <= observe else f"{frames} of"
    return f"{share} on {which} {length if frames > observe else frames} frames{beside}"


def _row(metrics: Mapping[str, Any], key: str, units: Units) -> str:
    every, right = (
        "- px" if value is None else units.length(value)
        for value in (metrics[key], metrics[f"{key}_counted_right"])
    )
    return f"{every}  ({right} where the count is right)"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def unseen(held_out: dict[str, Any], observe: int, units: Units = NO_UNITS) -> list[str]:
    """Lines of the metrics of a movie's held-out frames: shares explained and predicted."""
    lines = [
        f"{held_out['frames']} held-out frames: {held_out['objects']:.0f} objects of "
        f"{held_out.get('most', '?')} at most explain {held_out['explained']:.1%} of what stands out",
        f"objects seen: {held_out['visible']:.1%} of objects and frames",
    ]
    if "drift" in held_out:
        drift, straight = held_out["drift"], held_out.get("straight")
        lines.append(
            f"{held_out['ahead']} frames ahead, after {observe}: {held_out['explained_ahead']:.1%} explained, "
            f"predictions {units.length(drift[0])} off after 1 frame, {units.length(drift[-1])} after {len(drift)}"
            + (f" ({units.length(straight[-1])} had objects gone straight on)" if straight else "")
        )
    return lines


def reached(run: "Run") -> list[str]:
    """Lines of the final metrics of a finished run."""
    from vtssi_pyro.artifacts.recorded import told_units

    summary, observe = run.read_summary(), run.config.observe
    units = told_units(summary)
    if summary["metrics"]:
        lines = overall(summary["metrics"], observe, units)
    elif summary.get("held_out"):
        lines = unseen(summary["held_out"], observe, units)
    else:
        lines = ["no metrics: the data have no positions"]
    return [*lines, f"trained in {summary['minutes']:.1f} minutes"]


def next_commands(run: "Run") -> list[str]:
    """Lines of the next commands."""
    from vtssi_pyro.train.splits import is_flavour

    summary, config = run.read_summary(), run.config
    data, model = config.data, config.model
    folder, frames, lines = shlex.quote(str(run.folder)), shlex.quote(data.source), []
    if is_flavour(data.source):
        frames, size, objects = "test.npz", model.frame_size, model.num_objects
        extra = f" --frame-size {size}" * (size != 50) + f" --objects {objects}" * (objects != 2)
        extra += f" --digits {data.digits}" * (data.digits != "embedded")
        lines.append(f"generate {data.source} --out {frames}{extra}")
    if summary["metrics"] is not None:
        lines.append(f"evaluate {folder} {frames}")
    lines.append(f"track {folder} {frames}")
    if summary["predicts"]:
        lines.append(f"predict {folder} {frames} --observe {config.observe}")
    return [f"  vtssi-pyro {line}" for line in lines]


def every_key(config: "Config") -> list[str]:
    """Lines of all keys of a configuration: value, sentence and range; then those of other kinds of its parts."""
    from vtssi_pyro.artifacts.planning import CHOSEN_ELSEWHERE
    from vtssi_pyro.config.describing import keys, kinds
    from vtssi_pyro.config.schedules import SCHEDULES

    *most, last = CHOSEN_ELSEWHERE
    lines = [
        f"# Preset {config.preset}, variant {config.variant}, before DATA. --set changes all keys but "
        f"{', '.join(most)} and {last}, which have options of their own.",
        *(line for key in keys(config) for line in _key(key)),
    ]
    for part, others in kinds(config).items():
        for name, own in others.items():
            title = f'{{"kind": "{name}", ...}}, a schedule' if name in SCHEDULES.names else f"{part}={name}"
            lines += ["", f"# {title}", *(line for key in own for line in _key(key))]
    return lines


def _key(key: "Key") -> list[str]:
    """Two lines about a key."""
    typed = key.name if key.value is None else f"{key.name}={key.value}"
    return [typed, f"    {key.declaration.sentence}  [{key.declaration.expected()}]"]
