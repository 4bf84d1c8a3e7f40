"""``vtssi-pyro track``."""

import sys

import click

from .options import anew_option, checkpoint_option, command, film_option, machine_options, option


@command(
    "vtssi-pyro track pretrained:moving-mnist test.npz --out tracks",
    "vtssi-pyro track runs/vtssi-beads-0001 beads.mp4 --out tracks --mp4",
    "camera | vtssi-pyro track runs/vtssi-beads-0001 - --stream --out tracks",
)
@click.argument("run", type=click.Path())
@click.argument("frames", type=click.Path())
@option(
    "--out", required=True, metavar="DIR", type=click.Path(), section="Output", help="Folder for the results."
)
@option("--stream", is_flag=True, section="Live",
        help="FRAMES is still being made: track each frame as it comes, in constant memory.")  # fmt: skip
@option("--patience", type=click.FloatRange(min=0), default=10.0, show_default=True, metavar="SECONDS",
        section="Live", help="How long to wait for another picture.")  # fmt: skip
@option("--size", metavar="WIDTHxHEIGHT", section="Live",
        help="Of frames on standard input.  [default: as the run learned from]")  # fmt: skip
@option("--appearance", is_flag=True, section="Output",
        help="Also a vector of each object's looks, in tracks.json.")  # fmt: skip
@anew_option
@film_option
@checkpoint_option
@machine_options
def track(
    run: str, frames: str, out: str, stream: bool, patience: float, size: str | None, appearance: bool,
    prepare_anew: bool, mp4: bool, checkpoint: str, device: str, threads: int | None,
) -> None:  # fmt: skip
    """Track the objects in FRAMES with the tracker of RUN.

    RUN is the folder of a run, or pretrained:NAME; vtssi-pyro info lists what ships.
    FRAMES is a .npz or .npy file, or a movie: GIF, WebP, TIFF stack, folder of pictures, mp4 and others. A
    run of vtssi-pyro fit MOVIE takes one movie of the same camera, prepared as the one it learned from was, or
    with --prepare-anew as suits it; tracks are in a movie's own pixels.

    Writes tracks.csv, the same as tracks.json, a MOTChallenge folder mot/ and overlay.gif of the first
    sequences. Positions are centres of tight boxes in pixels, with their standard deviations; the centre of a
    frame's top-left pixel is (0.5, 0.5). Confidence is the share of the squared error around an object that it
    explains: near 0 in frames that do not show it, which the overlay draws dashed; its rings hold 90 % of where
    noise and a coarse picture let an object be, not what a wrong identity costs. Frames and objects count from 0,
    from 1 in mot/.

    With --stream, FRAMES is a folder to which pictures are added, until a file called end is or for --patience
    nothing, or - for raw frames on standard input (8-bit grey). Ctrl-C ends either well. A run of fit MOVIE
    takes frames from the same camera. Rows of tracks.csv, then the only file, are written frame by frame, as
    without --stream but for the first frames alone deciding what the objects are; how long each frame took is
    told at the end.
    """
    from vtssi_pyro import api
    from vtssi_pyro.errors import UsageError
    from vtssi_pyro.system.machine import prepare

    from .progress import reporter

    if size is not None and not stream:
        raise UsageError("--size is of frames on standard input, which --stream takes")
    if stream and (appearance or mp4 or prepare_anew):
        raise UsageError("--stream writes tracks.csv alone: leave out --appearance, --mp4, --prepare-anew")
    prepare(threads)
    if stream:
        source = sys.stdin.buffer if frames == "-" else frames
        api.track_live(
            run, source, out, patience=patience, size=_size(size), device=device, checkpoint=checkpoint,
            report=reporter(),
        )  # fmt: skip
    else:
        api.track(
            run, frames, out=out, device=device, checkpoint=checkpoint, anew=prepare_anew, appearance=appearance,
            film=mp4, report=reporter(),
        )  # fmt: skip


def _size(text: str | None) -> tuple[int, int] | None:
    """(H, W) of WIDTHxHEIGHT."""
    from vtssi_pyro.errors import UsageError

    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, such as 640x480")
    return int(height), int(width)
