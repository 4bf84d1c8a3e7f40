"""``vtssi-pyro track``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import anew_option, checkpoint_option, command, film_option, machine_options, option

if TYPE_CHECKING:
    from vtssi_pyro.artifacts.reading import Opened, Read


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
    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.artifacts.reading import (
        folder,
        open_for,
        read_all,
        read_movie,
        warn_if_short,
        write_tracks,
    )
    from vtssi_pyro.errors import UsageError
    from vtssi_pyro.inference import filter as predict
    from vtssi_pyro.movies.film import writer
    from vtssi_pyro.system.machine import available_device, prepare

    from .live import follow

    if mp4:
        writer()
    trained = find(run)
    if size is not None and not stream:
        raise UsageError("--size is of frames on standard input, which --stream takes")
    if stream and (appearance or mp4 or prepare_anew):
        raise UsageError("--stream writes tracks.csv alone: leave out --appearance, --mp4, --prepare-anew")
    if stream:
        prepare(threads)
        tracker = trained.tracker(checkpoint, available_device(device))
        click.echo(follow(trained, tracker, frames, folder(out), patience, size))
        return
    opened = open_for(frames, trained, prepare_anew)
    data = opened.data
    prepare(threads)
    tracker = trained.tracker(checkpoint, where := available_device(device))
    warn_if_short(tracker, data.length)
    target = folder(out)
    if opened.footage:
        found = read_movie(tracker, opened.footage, where)
    else:
        found = read_all(data, data.length, where, lambda x, first: predict.track(tracker, x))
    looks = found.appearance if appearance else None
    paths = write_tracks(target, found.tracks, opened.frame_size, opened.rate, looks)
    for path in (*paths, *_overlays(target, opened, found, mp4)):
        click.echo(path)


def _overlays(target: Path, opened: "Opened", found: "Read", mp4: bool) -> list[Path]:
    """The animation, and the same as a film."""
    from vtssi_pyro.plots import Panel, overlay_film, overlay_gif

    seen, drawn = opened.shown(found.tracks, opened.data.length)
    panels = [Panel("frames", seen), Panel("tracked", seen, drawn)]
    if found.rendered is not None:
        panels.append(Panel("reconstruction", found.rendered))
    paths = [target / "overlay.gif"]
    overlay_gif(paths[0], panels)
    if mp4:
        paths.append(target / "overlay.mp4")
        overlay_film(paths[-1], panels)
    return paths
