"""``vtssi-pyro calibrate``."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import POSITIVE, checkpoint_option, command, machine_options, mnist_option, option, say

if TYPE_CHECKING:
    from vtssi_pyro.artifacts.loading import Trained
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.data import Dataset
    from vtssi_pyro.evaluation.calibration import Calibration
    from vtssi_pyro.model.program import Tracker


@command(
    "vtssi-pyro calibrate runs/vtssi-linear-0001",
    "vtssi-pyro calibrate pretrained:moving-mnist test.npz --json",
)
@click.argument("run", type=click.Path())
@click.argument("data", type=click.Path(), metavar="[DATA.npz]", required=False)
@option("--fit-on", metavar="FILE.npz", type=click.Path(), section="Data",
        help="Sequences to fit on.  [default: of a run on moving digits, its validation digits]")  # fmt: skip
@option("--sequences", type=POSITIVE, default=1000, show_default=True, section="Data",
        help="Moving digits to fit on, and to judge by without DATA.")  # fmt: skip
@mnist_option
@option("--observe", type=POSITIVE, section="Prediction",
        help="Frames seen before the rest is predicted.  [default: the run's, 5]")  # fmt: skip
@option("--samples", type=click.IntRange(min=10), default=50, show_default=True, metavar="S",
        section="Prediction", help="Futures to draw.")  # fmt: skip
@option("--seed", type=int, default=0, show_default=True, section="Prediction", help="Of the draws.")
@option("--json", "as_json", is_flag=True, section="Output", help="Print one JSON object instead of a table.")
@checkpoint_option
@machine_options
def calibrate(
    run: str, data: str | None, fit_on: str | None, sequences: int, mnist: str | None, observe: int | None,
    samples: int, seed: int, as_json: bool, checkpoint: str, device: str, threads: int | None,
) -> None:  # fmt: skip
    """Tell how honest the sampled predictions of RUN are, and mend them.

    RUN is the folder of a run, or pretrained:NAME, whose calibration is only judged.

    The share of the objects that are found within the regions that should hold 50 % and 90 % of them, the continuous
    ranked probability score (px) and the negative log-likelihood (nats), horizon by horizon, before and
    after; then the share of their x and of their y within the intervals that predict writes. The calibration is
    fitted on sequences other than those that judge it, is kept in RUN with the weights' SHA-256, and is what
    predict uses from then on; figures/reliability.png shows the shares at all levels.
    """
    import json

    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.errors import UsageError
    from vtssi_pyro.evaluation.recalibration import recalibrate
    from vtssi_pyro.system.machine import available_device, prepare
    from vtssi_pyro.train.splits import CALIBRATION_SEED, TABLE_SEED, digits, is_flavour

    from .progress import watched
    from .tables import honesty

    trained = find(run)
    config, where = trained.config, available_device(device)
    prepare(threads)
    seen = observe or config.observe
    own = isinstance(trained, Run)
    if fit_on and not own:
        raise UsageError(f"--fit-on: {run} ships with the calibration it has; leave it out")
    if fit_on and data and Path(fit_on).resolve() == Path(data).resolve():
        raise UsageError(f"--fit-on: {fit_on} also judges; fit on other sequences")
    if not (data and (fit_on or not own)) and not is_flavour(config.data.source):
        raise UsageError(f"{run}: was trained on a file; give DATA.npz and --fit-on FILE.npz, with positions")
    with trained.lock() if isinstance(trained, Run) else nullcontext():
        tracker = trained.tracker(checkpoint, where)
        if not tracker.motion.predicts:
            raise UsageError(
                f"{run}: variant {config.variant} has no model of motion, so it predicts nothing"
            )
        test = _sequences(data or digits(config, mnist, "test", sequences, TABLE_SEED), trained, seen)
        if own:
            source = fit_on or digits(config, mnist, "validation", sequences, CALIBRATION_SEED)
            with watched(_sequences(source, trained, seen), "fitting") as known:
                calibration = recalibrate(tracker, known, seen, samples, seed, known.truth)
        else:
            calibration = trained.calibration
        with watched(test, "judging", times=1 + bool(calibration)) as watched_test:
            before, after = _judged(tracker, watched_test, calibration, seen, samples, seed + 1)
        if isinstance(trained, Run):
            _keep(trained, calibration, before, after)
    found = {"before": before, "after": after}
    click.echo(json.dumps(found, allow_nan=False) if as_json else "\n".join(honesty(before, after)))


def _judged(
    tracker: "Tracker", test: "Dataset", calibration: "Calibration | None", seen: int, samples: int, seed: int
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Assessments before and after a calibration."""
    from vtssi_pyro.evaluation.calibration import assess
    from vtssi_pyro.evaluation.recalibration import futures

    assert test.truth is not None
    before = assess(test.truth, futures(tracker, test, seen, samples, seed=seed), seen).as_dict()
    if calibration is None:
        return before, None
    drawn = futures(tracker, test, seen, samples, calibration.temperature, seed)
    return before, assess(test.truth, calibration(drawn, seen), seen).as_dict()


def _keep(
    run: "Run", calibration: "Calibration", before: dict[str, Any], after: dict[str, Any] | None
) -> None:
    """In the run, with a picture of what it does."""
    from vtssi_pyro.plots import reliability

    run.keep(calibration)
    reliability(run.figures / "reliability.png", before, after)
    say(f"calibration kept in {run.calibration_file}; predict uses it")


def _sequences(source: "str | Dataset", trained: "Trained", seen: int) -> "Dataset":
    """Sequences with truth, and with frames to predict."""
    from vtssi_pyro.artifacts.reading import open_sequences
    from vtssi_pyro.errors import DataError

    found = open_sequences(source, trained) if isinstance(source, str) else source
    if found.truth is None:
        raise DataError(f"{source}: has no positions to judge by; expected positions (S, T, N, 2)")
    if found.length <= seen:
        raise DataError(
            f"{found.length} frames a sequence, of which {seen} are seen: none is left to predict"
        )
    return found
