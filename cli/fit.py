"""``vtssi-pyro fit``."""

import json
from typing import TYPE_CHECKING, Any

import click

from .options import (
    DIGITS,
    POSITIVE,
    PRESETS,
    VARIANTS,
    command,
    machine_options,
    mnist_option,
    movie_options,
    option,
    say,
)

if TYPE_CHECKING:
    from vtssi_pyro.artifacts.loading import Fitted


@command(
    "vtssi-pyro fit",
    "vtssi-pyro fit movies.npz --objects 3 --preset standard",
    "vtssi-pyro fit beads.mp4 --objects 5 --object-size 20",
    "vtssi-pyro fit --set train.budget=0.1 --out runs/trial",
    "vtssi-pyro fit --out runs/trial --resume",
    "vtssi-pyro fit movies.npz --from runs/trial",
)
@click.argument("data", required=False)
@option(
    "--digits", type=click.Choice(DIGITS), section="Data", help="Source of the digits.  [default: embedded]"
)
@mnist_option
@option("--objects", type=POSITIVE, section="Data",
        help="At most so many objects a sequence.  [default: 2; of a movie as many as are seen at once]")  # fmt: skip
@movie_options
@option(
    "--variant",
    type=click.Choice(VARIANTS),
    section="Model",
    help="Which blocks.  [default: vtssi; find-mot for paper-sqair]",
)
@option("--from", "source", metavar="RUN", type=click.Path(), section="Model",
        help="Start from the weights, variant and sizes of a run's folder or of pretrained:NAME.")  # fmt: skip
@option("--preset", type=click.Choice(PRESETS), section="Training",
        help="Sizes, recipe and budget.  [default: quick, about five minutes]")  # fmt: skip
@option("--set", "sets", multiple=True, metavar="KEY=VALUE", section="Training",
        help="Change any key of the configuration; repeatable.")  # fmt: skip
@option("--seed", type=int, section="Training", help="Of data, weights and noise.  [default: 0]")
@option("--out", metavar="RUN", type=click.Path(), section="Output",
        help="Folder of the run.  [default: runs/NAME-0001, counted up]")  # fmt: skip
@option("--resume", is_flag=True, section="Output", help="Go on with the run in --out where it was stopped.")
@machine_options
@option("--compile", "compile_", is_flag=True, section="Machine",
        help="Compile the renderer and the search: a tenth faster, after a minute or two.")  # fmt: skip
def fit(
    data: str | None, digits: str | None, mnist: str | None, objects: int | None, said: dict[str, Any],
    variant: str | None, source: str | None, preset: str | None, sets: tuple[str, ...], seed: int | None,
    out: str | None, resume: bool, device: str, threads: int | None, compile_: bool,
) -> None:  # fmt: skip
    """Train a tracker on DATA; metrics and pictures at the end.

    DATA is a flavour of moving digits (linear, linear-overlap, elliptic, elliptic-overlap, linear-wide, or
    mixed, which is the first four in turns; default: linear), a file of sequences (.npz, .npy), of which the
    last tenth is held out, or one movie: mp4, mov, avi, mkv, webm, GIF, WebP, TIFF stack, folder of pictures, or
    an array (T, H, W). A movie is inspected first, see vtssi-pyro inspect; clips of it are learned from, in
    every symmetry of a square, and its last frames (a tenth; 20, or a quarter, of a short one) are held out.
    """
    from vtssi_pyro import api
    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.artifacts.run import Run
    from vtssi_pyro.errors import UsageError
    from vtssi_pyro.movies import Hints
    from vtssi_pyro.system.machine import prepare
    from vtssi_pyro.train.presets import DEFAULT_VARIANTS

    from .options import speaks
    from .progress import reporter

    start = find(source) if source else None
    changes = _assignments({
        "--digits": ("data.digits", digits),
        "--seed": ("seed", seed),
        "--compile": ("train.compile", compile_ or None),
    })  # fmt: skip
    changes |= {f"--set {assignment}": assignment for assignment in sets}
    if resume:
        if out is None:
            raise UsageError("--resume: say which run to go on with: --out RUN")
        prepare(threads or Run(out).machine.get("threads"))
        given = _assignments({
            "--variant": ("variant", variant),
            "--from": ("start", start and start.name),
            "--preset": ("preset", preset),
            "--objects": ("model.num_objects", objects),
        })  # fmt: skip
        fitted = api.resume(out, data, device=device, report=reporter(), changes=given | changes, mnist=mnist)
    else:
        if start and variant not in (None, start.config.variant):
            raise UsageError(
                f"--variant {variant}: {start.name} is of variant {start.config.variant}; leave it out"
            )
        preset = preset or "quick"
        prepare(threads)
        fitted = api.fit(
            data, start or variant or DEFAULT_VARIANTS.get(preset, "vtssi"), preset=preset, run=out, runs="runs",
            device=device, report=reporter(), objects=objects, hints=Hints(**said), changes=changes, mnist=mnist,
        )  # fmt: skip
    if speaks():
        _show(fitted)


def _assignments(options: dict[str, tuple[str, Any]]) -> dict[str, str]:
    """By the option's name, the assignment to a key of the configuration that it stands for."""
    return {name: f"{key}={json.dumps(value)}" for name, (key, value) in options.items() if value is not None}


def _show(fitted: "Fitted") -> None:
    """Metrics and files to stdout; what to try next to stderr."""
    from .tables import next_commands, reached

    click.echo("\n".join(reached(fitted.run)))
    for path in sorted(fitted.run.figures.iterdir()):
        click.echo(path)
    say("\n".join(["next:", *next_commands(fitted.run)]))
