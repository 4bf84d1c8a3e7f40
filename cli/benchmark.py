"""``vtssi-pyro benchmark``."""

import click

from .options import PRESETS, command, json_option, machine_options, option


@command(
    "vtssi-pyro benchmark",
    "vtssi-pyro benchmark --from pretrained:moving-mnist --threads 1",
    "vtssi-pyro benchmark --preset paper --threads 1 --json",
    "vtssi-pyro benchmark --set train.stages.benchmark.batch=64 --set train.compile=true",
    hidden=True,
)
@option("--preset", type=click.Choice(PRESETS), metavar="NAME", default="standard", show_default=True, section="Model",
        help="Sizes of the model, see vtssi-pyro fit.")  # fmt: skip
@option("--from", "start", metavar="RUN", type=click.Path(), section="Model",
        help="Trained weights: a run or pretrained:NAME, with their own sizes.  [default: untrained ones]")  # fmt: skip
@option("--set", "changes", multiple=True, metavar="KEY=VALUE", section="Model",
        help="Change any key of the configuration; repeatable.")  # fmt: skip
@machine_options
@json_option
def benchmark(
    preset: str, start: str | None, changes: tuple[str, ...], device: str, threads: int | None, as_json: bool
) -> None:
    """Measure the speed of training, tracking and prediction on this machine.

    The command times training steps of the full ELBO on moving digits, drawn as in vtssi-pyro fit, 16 sequences of 10
    frames per step; tracking of whole sequences and frame by frame; sampled futures; and, for the comparison of
    machines, matrix products. Times are medians of ten. It also measures the peak of memory. A value that cannot be
    measured is null, or "-". How long tracking takes depends on what a tracker sees: trained weights take longer than
    untrained ones.
    """
    from vtssi_pyro import api
    from vtssi_pyro.system.machine import prepare

    from .progress import results
    from .tables import speed

    prepare(threads)
    with results(as_json) as report:
        found = api.benchmark(preset=preset, start=start, changes=changes, device=device)
        report.show(found, speed(found))
