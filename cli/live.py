"""``vtssi-pyro live``."""

import sys

import click

from vtssi_pyro.config.ranges import PATIENCE

from .options import Decimal, command, json_option, machine_options, option, size_of


@command(
    "vtssi-pyro live runs/ours-beads-0001 pictures/ --out tracks",
    "camera | vtssi-pyro live runs/ours-beads-0001 - --size 640x480 --out tracks",
)
@click.argument("tracker", metavar="RUN", type=click.Path())
@click.argument("source", type=click.Path())
@option("--out", default="tracks", show_default=True, metavar="DIR", type=click.Path(), section="Output",
        help="Folder for tracks.csv.")  # fmt: skip
@option("--patience", type=Decimal(PATIENCE), default=10.0, show_default=True, metavar="SECONDS",
        section="Source", help="Time to wait for another picture.")  # fmt: skip
@option("--size", metavar="WIDTHxHEIGHT", section="Source",
        help="Size of frames on standard input.  [default: that of the run's movie]")  # fmt: skip
@json_option
@machine_options
def live(
    tracker: str, source: str, out: str, patience: float, size: str | None, as_json: bool, device: str,
    threads: int | None,
) -> None:  # fmt: skip
    """Track frames of SOURCE as they come, in constant memory, with the tracker of RUN.

    RUN is the folder of a run, pretrained:NAME, or the file of a checkpoint, RUN/checkpoints/best.pt. A run of
    vtssi-pyro fit MOVIE takes frames from the same camera.
    SOURCE is a folder to which pictures are added, until a file called end appears or no picture comes for --patience,
    or - for raw frames on standard input (8-bit grey). Ctrl-C ends both properly.

    The rows of tracks.csv, the only file, are written frame by frame. They are those of vtssi-pyro track, except that
    the first frames alone decide the number of objects. The times from frames to rows are printed at the end.
    """
    from vtssi_pyro import api
    from vtssi_pyro.system.machine import prepare

    from .arguments import weights
    from .progress import results

    tracker, checkpoint = weights(tracker)
    shape = size_of(size)
    prepare(threads)
    frames = sys.stdin.buffer if source == "-" else source
    with results(as_json) as report:
        api.track_live(
            tracker, frames, out, patience=patience, size=shape, device=device, checkpoint=checkpoint,
            report=report,
        )  # fmt: skip
