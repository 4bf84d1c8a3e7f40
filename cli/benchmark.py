"""``vtssi-pyro benchmark``."""

import click

from .options import POSITIVE, PRESETS, VARIANTS, command, machine_options, option


@command(
    "vtssi-pyro benchmark",
    "vtssi-pyro benchmark --preset paper --batch 64 --length 20 --threads 1 --json",
    "vtssi-pyro benchmark --set train.compile=true --set train.bfloat16=true",
)
@option("--variant", type=click.Choice(VARIANTS), section="Model",
        help="Which blocks.  [default: vtssi; find-mot for paper-sqair]")  # fmt: skip
@option("--preset", type=click.Choice(PRESETS), default="standard", show_default=True, section="Model",
        help="Sizes of the model.")  # fmt: skip
@option("--batch", type=POSITIVE, default=16, show_default=True, section="Data",
        help="Sequences of a training step.")  # fmt: skip
@option("--length", type=POSITIVE, default=10, show_default=True, section="Data",
        help="Frames of each sequence that is trained on.")  # fmt: skip
@option("--frame", type=click.IntRange(min=32), section="Data",
        help="Side of the frames, pixels.  [default: the preset's, 50 or 64]")  # fmt: skip
@option("--objects", type=POSITIVE, default=2, show_default=True, section="Data",
        help="At most so many digits a frame.")  # fmt: skip
@option("--set", "sets", multiple=True, metavar="KEY=VALUE", section="Model",
        help="Change any key of the configuration; repeatable.")  # fmt: skip
@machine_options
@option("--repeats", type=POSITIVE, default=10, show_default=True, section="Output",
        help="Of everything; medians are told.")  # fmt: skip
@option("--json", "as_json", is_flag=True, section="Output", help="Print one JSON object instead of a table.")
def benchmark(
    variant: str | None, preset: str, batch: int, length: int, frame: int | None, objects: int,
    sets: tuple[str, ...], device: str, threads: int | None, repeats: int, as_json: bool,
) -> None:  # fmt: skip
    """Measure how fast this machine trains, tracks and predicts.

    Training steps of the full ELBO on moving digits that are drawn as in vtssi-pyro fit; tracking of whole
    sequences and frame by frame; sampled futures; the peak of memory; and, to compare machines by, the
    speed of matrix products. What cannot be measured is null, or "-".
    """
    import json

    from vtssi_pyro.benchmark import measure, workload
    from vtssi_pyro.config import override
    from vtssi_pyro.system.machine import available_device, prepare
    from vtssi_pyro.train.presets import DEFAULT_VARIANTS

    from .tables import speed

    where = available_device(device)
    prepare(threads)
    variant = variant or DEFAULT_VARIANTS.get(preset, "vtssi")
    config = workload(variant, preset, batch=batch, length=length, frame=frame, objects=objects)
    found = measure(override(config, list(sets)), where, repeats)
    click.echo(json.dumps(found, allow_nan=False) if as_json else "\n".join(speed(found)))
