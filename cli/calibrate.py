"""``vtssi-pyro calibrate``."""

import click

from .options import POSITIVE, checkpoint_option, command, machine_options, mnist_option, option


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

    from vtssi_pyro import api
    from vtssi_pyro.system.machine import prepare

    from .progress import reporter
    from .tables import honesty

    prepare(threads)
    found = api.calibrate(
        run, fit_on, test=data, count=sequences, observe=observe, samples=samples, seed=seed, mnist=mnist,
        device=device, checkpoint=checkpoint, report=reporter(),
    )  # fmt: skip
    assert found.before is not None
    told = {"before": found.before, "after": found.after}
    click.echo(json.dumps(told, allow_nan=False) if as_json else "\n".join(honesty(**told)))
