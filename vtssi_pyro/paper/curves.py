"""Error curves of the models of a comparison: each measured once, in a file of its own, by the same code for all."""

import time
from typing import Any

import torch

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import MovingDigits, load_digits, moving_digits
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.curves import ErrorCurve
from vtssi_pyro.evaluation.judge import compare, find
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.paper.cells import chain, start_of, starts
from vtssi_pyro.paper.contenders import Contender, Setting
from vtssi_pyro.paper.recorded import CurveFile, Judged, only, read
from vtssi_pyro.paper.reproducing import Order
from vtssi_pyro.paper.statements import PREDICTION, SPANS, TRACKING, Curve
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.system.provenance import provenance
from vtssi_pyro.train.checks import check_data
from vtssi_pyro.train.presets import OBJECTS
from vtssi_pyro.train.splits import COMPARISON_SEED

LENGTH = 100  # frames of a sequence: as far as the paper's figures 5 and 7 (reading D27)


def sequences_of(setting: Setting, digits: str, number: int, seed: int = COMPARISON_SEED) -> MovingDigits:
    """Draw the held-out sequences of a comparison, the same for all its models."""
    sprites = load_digits(digits, "test")
    return moving_digits(setting.flavour, sprites, sequences=number, length=LENGTH, seed=seed)


def judged(tracker: SomeTracker, observe: int) -> ModelTracker:
    """A tracker to be judged: the first ``observe`` frames decide the objects, by its own procedure at test time.

    Raises:
        UsageError: it needs more frames for that, and would see more than others.
    """
    own = ModelTracker(tracker, settle=observe if isinstance(tracker, Tracker) else None)
    if (needed := own.count_frames(LENGTH)) > observe:
        raise UsageError(
            f"a tracker that decides the objects on {needed} frames cannot be compared on {observe} observed ones: "
            "take a run of one of the presets for this comparison"
        )
    return own


def tracker_of(run: Run, device: torch.device, bare: bool) -> SomeTracker:
    """A run's tracker; a ``bare`` one without its motion, so that positions are those of the search (section 5.2)."""
    tracker = run.tracker(device=device)
    if bare:
        assert isinstance(tracker, Tracker)
        tracker.motion = tracker.walk()
    return tracker


def curve_of(
    order: Order, setting: Setting, contender: Contender, run: Run, sequences: int, bare: bool = False
) -> dict[str, Any]:
    """The error curves of a finished run; they are measured unless their file has them.

    Args:
        order: folders and device.
        setting: the data on which it is judged.
        contender: the run's place in the comparison.
        run: the run.
        sequences: number of held-out sequences.
        bare: whether its motion is left out.

    Returns:
        the content of the file: names; ``tracking`` and ``prediction``, each an :class:`ErrorCurve` as a mapping, None
        without predictions; ``metrics``; ``parameters``; the ``training`` with its steps and hours; the ``evaluation``.
    """
    tracker = tracker_of(run, order.device, bare)
    name = contender.name + "-without-motion" * bare
    path = order.out / "curves" / contender.preset / f"{name}.json"
    same = {
        "sequences": sequences,
        "frames": LENGTH,
        "digits": order.digits,
        "weights": digest(tracker.state_dict()),
    }
    if path.exists():
        made = read(path, CurveFile)
        if all(made.get(key) == value for key, value in same.items()):
            order.report.say(f"curves of {contender.preset}/{name} are there")
            return made
    order.report.say(f"curves of {contender.preset}/{name}: judging on {sequences} sequences")
    data, since = sequences_of(setting, order.digits, sequences), time.monotonic()
    check_data(run.config, data)
    observe = setting.comparison.observe
    with order.report.watched(data, "judging") as watched:
        found = find(judged(tracker, observe), watched, observe)
    metrics = compare(data, found, observe).as_dict()
    curves = {TRACKING: ErrorCurve.of(data.truth, found.tracks, observe, SPANS).as_dict()}
    if tracker.predicts:
        curves[PREDICTION] = ErrorCurve.of(data.truth, found.ahead, observe, SPANS).as_dict()
    curve = {
        "model": contender.title + ", without motion" * bare,
        "variant": contender.key.variant,
        "preset": contender.preset,
        "flavour": setting.flavour,
        "seed": contender.key.seed,
        "partner": contender.partner,
        "without_motion": bare,
        **same,
        "observe": observe,
        "trained_length": run.config.data.train_length or run.config.data.length,
        TRACKING: curves[TRACKING],
        PREDICTION: curves.get(PREDICTION),
        "metrics": only(Judged, metrics),
        "parameters": _parameters(tracker),
        "training": training_of(run),
        "evaluation": {"minutes": round((time.monotonic() - since) / 60, 2), **provenance(order.device)},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, curve)
    return curve


def training_of(run: Run) -> dict[str, Any]:
    """Steps, minutes and hardware of a finished training, and of those that it starts from.

    ``hours`` are by the clock, times the threads on CPUs; their ``unit`` is core-hours or GPU-hours.
    """
    summary, machine = run.read_summary(), run.machine
    cuda = machine.get("device") == "cuda"
    factor = machine.get("processes", 1) * (1 if cuda else machine.get("threads", 1))
    start = start_of(run)
    minutes = sum(each["minutes"] for each in chain({"minutes": summary["minutes"], "start": start}))
    return {
        "run": run.folder.name,  # whose folder is of this machine alone
        "steps": summary["steps"],
        "minutes": summary["minutes"],
        "hours": minutes * factor / 60,
        "unit": "GPU-hours" if cuda else "core-hours",
        "machine": machine,
        "start": start,
        "starts": starts(run),
    }


def label(curve: Curve) -> str:
    """A curve's line in a legend: its model, and the steps and hours of its training and of those it starts from."""
    training = curve["training"]
    steps = sum(each.get("steps") or 0 for each in chain(training))
    hours = f"{training['hours']:.1f} {training['unit']}"
    return f"{curve['model']}, {curve['preset']}: {steps:,} steps, {hours}"


def _parameters(tracker: SomeTracker) -> dict[str, int]:
    """Number of all parameters, and of AIR's, as far as the tracker has such slots."""
    sizes = {name: parameter.numel() for name, parameter in tracker.named_parameters()}
    own = isinstance(tracker, Tracker)
    air = sum(number for name, number in sizes.items() if own and name.partition(".")[0] in OBJECTS)
    return {"all": sum(sizes.values()), "air": air}
