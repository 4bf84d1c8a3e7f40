"""``vtssi-pyro calibrate``."""

import click

from vtssi_pyro.config.ranges import FRAMES

from .options import command, json_option, machine_options, option, whole_number


@command(
    "vtssi-pyro calibrate runs/ours-linear-0001",
    "vtssi-pyro calibrate pretrained:moving-mnist test.npz --json",
)
@click.argument("tracker", metavar="RUN", type=click.Path())
@click.argument("test", type=click.Path(), metavar="[DATA.npz]", required=False)
@option("--fit-on", "data", metavar="FILE.npz", type=click.Path(), section="Data",
        help="Sequences to fit on.  [default: for a run on moving digits, its validation digits]")  # fmt: skip
@option("--observe", type=whole_number(FRAMES), section="Prediction",
        help="Frames seen before the rest is predicted.  [default: the run's, 5]")  # fmt: skip
@json_option
@machine_options
def calibrate(
    tracker: str, test: str | None, data: str | None, observe: int | None, as_json: bool, device: str,
    threads: int | None,
) -> None:  # fmt: skip
    """Calibrate the sampled predictions of RUN, and assess them before and after.

    RUN is the folder of a run, or pretrained:NAME, whose calibration is only assessed. RUN/checkpoints/best.pt selects
    another checkpoint than the last.

    The output holds, by horizon, before and after: the share of found objects within the regions that should hold
    50 % and 90 % of them, the continuous ranked probability score (px) and the negative log-likelihood (nats). The
    shares of x and of y within the intervals of predict follow. The calibration is fitted on other sequences than
    those of the assessment, is kept in RUN with the weights' SHA-256, and is used by predict from then on.
    figures/reliability.png shows the shares at all levels.
    """
    from vtssi_pyro import api
    from vtssi_pyro.system.machine import prepare

    from .arguments import weights
    from .progress import results
    from .tables import honesty

    tracker, checkpoint = weights(tracker)
    prepare(threads)
    with results(as_json) as report:
        found = api.calibrate(
            tracker, data, test=test, observe=observe, device=device, checkpoint=checkpoint, report=report
        )
        assert found.before is not None
        both = {"before": found.before, "after": found.after}
        report.show(both, honesty(**both))
