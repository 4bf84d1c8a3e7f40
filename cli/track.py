"""``vtssi-pyro track``."""

import click

from .options import checkpoint_option, command, device_option, film_option, option


@command(
    "vtssi-pyro track pretrained:moving-mnist test.npz --out tracks",
    "vtssi-pyro track runs/vtssi-beads-0001 beads.mp4 --out tracks --mp4",
)
@click.argument("run", type=click.Path())
@click.argument("frames", type=click.Path())
@option(
    "--out", required=True, metavar="DIR", type=click.Path(), section="Output", help="Folder for the results."
)
@film_option
@checkpoint_option
@device_option
def track(run: str, frames: str, out: str, mp4: bool, checkpoint: str, device: str) -> None:
    """Track the objects in FRAMES with the tracker of RUN.

    RUN is the folder of a run, or pretrained:NAME; vtssi-pyro info lists what ships.
    FRAMES is a .npz or .npy file, or a movie: GIF, WebP, TIFF stack, folder of pictures, mp4 and others. A
    run of vtssi-pyro fit MOVIE prepares movies as it did the one it learned from; tracks are in a movie's own pixels.

    Writes tracks.csv, MOTChallenge text in mot/ and overlay.gif of the first sequences. Positions are centres
    of tight boxes in pixels; the centre of a frame's top-left pixel is (0.5, 0.5). Frames and objects count
    from 0 in tracks.csv, from 1 in MOTChallenge text.
    """
    from vtssi_pyro import predict
    from vtssi_pyro.machine import available_device, default_threads, prepare
    from vtssi_pyro.movies.film import writer
    from vtssi_pyro.plots import Panel, overlay_film, overlay_gif
    from vtssi_pyro.trained import find

    from .reading import folder, open_for, read_all, read_movie, warn_if_short, write_tracks

    if mp4:
        writer()
    trained = find(run)
    opened = open_for(frames, trained)
    data, footage = opened.data, opened.footage
    where = available_device(device)
    prepare(default_threads())
    tracker = trained.tracker(checkpoint, where)
    warn_if_short(tracker, data.length)
    target = folder(out)
    if footage:
        tracks, rendered = read_movie(tracker, footage, where), None
    else:
        tracks, rendered = read_all(data, data.length, where, lambda x, first: predict.track(tracker, x))
    paths = [*write_tracks(target, tracks), target / "overlay.gif"]
    seen, drawn = opened.shown(tracks, data.length)
    panels = [Panel("frames", seen), Panel("tracked", seen, drawn)]
    if rendered is not None:
        panels.append(Panel("reconstruction", rendered))
    overlay_gif(paths[-1], panels)
    if mp4:
        paths.append(target / "overlay.mp4")
        overlay_film(paths[-1], panels)
    for path in paths:
        click.echo(path)
