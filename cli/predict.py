"""``vtssi-pyro predict``."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import (
    POSITIVE,
    anew_option,
    checkpoint_option,
    command,
    film_option,
    machine_options,
    option,
    warn,
)

if TYPE_CHECKING:
    from torch import Tensor

    from vtssi_pyro.artifacts.loading import Trained
    from vtssi_pyro.artifacts.reading import Opened
    from vtssi_pyro.evaluation.calibration import Calibration
    from vtssi_pyro.model.program import Tracker
    from vtssi_pyro.types import Tracks

FANS = 8  # sequences in the picture of futures


@command(
    "vtssi-pyro predict runs/vtssi-linear-0001 test.npz --observe 5 --horizon 30 --out predictions",
)
@click.argument("run", type=click.Path())
@click.argument("frames", type=click.Path())
@option(
    "--observe", type=POSITIVE, required=True, metavar="K", section="Prediction", help="Frames that are seen."
)
@option("--horizon", type=POSITIVE, required=True, metavar="H", section="Prediction",
        help="Frames to predict beyond them; any number.")  # fmt: skip
@option("--samples", type=click.IntRange(min=0), default=50, show_default=True, metavar="S",
        section="Prediction", help="Futures to draw, for spreads and intervals; 0: none.")  # fmt: skip
@option("--raw", is_flag=True, section="Prediction",
        help="Futures as the model draws them, even where a calibration is at hand.")  # fmt: skip
@option("--seed", type=int, default=0, show_default=True, section="Prediction", help="Of the draws.")
@option(
    "--out", required=True, metavar="DIR", type=click.Path(), section="Output", help="Folder for the results."
)
@anew_option
@film_option
@checkpoint_option
@machine_options
def predict(
    run: str, frames: str, observe: int, horizon: int, samples: int, raw: bool, seed: int, out: str,
    prepare_anew: bool, mp4: bool, checkpoint: str, device: str, threads: int | None,
) -> None:  # fmt: skip
    """See K frames of FRAMES, predict the next H.

    RUN is the folder of a run, or pretrained:NAME; vtssi-pyro info lists what ships.
    FRAMES is a .npz or .npy file, or a movie (GIF, WebP, TIFF stack, folder of pictures, mp4 and others); K
    frames of every sequence are seen. A run of vtssi-pyro fit MOVIE takes one movie; see vtssi-pyro track.

    Futures are calibrated as fit left them, or as vtssi-pyro calibrate made them; --raw leaves that out.

    Writes predictions.csv (with 50 % and 90 % intervals), tracks.csv, tracks.json and the MOTChallenge folder
    mot/ of the frames that were seen, overlay.gif of the first sequences, and futures.png: paths as seen and as
    drawn, their means, and the regions that hold 50 % and 90 % of them.
    """
    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.artifacts.reading import folder, head, open_for, read_all, warn_if_short, write_tracks
    from vtssi_pyro.errors import UsageError
    from vtssi_pyro.inference.filter import forecast
    from vtssi_pyro.movies.film import writer
    from vtssi_pyro.system.machine import available_device, prepare
    from vtssi_pyro.tracks.export import write_predictions_csv

    if mp4:
        writer()
    trained = find(run)
    config = trained.config
    opened = open_for(frames, trained, prepare_anew)
    data = opened.data
    where = available_device(device)
    prepare(threads)
    tracker = trained.tracker(checkpoint, where)
    if not tracker.motion.predicts:
        raise UsageError(
            f"{run}: variant {config.variant} has no model of motion; train find-mot or vtssi to predict"
        )
    if data.length < observe:
        warn(f"{frames} has {data.length} frames a sequence, fewer than --observe {observe}: all are seen")
    seen = min(observe, data.length)
    warn_if_short(tracker, seen)
    calibration = None if raw else _calibration(trained, run, tracker, checkpoint, seen, samples)
    target = folder(out)
    temperature = calibration.temperature if calibration else 1.0
    ahead = partial(forecast, tracker, horizon=horizon, num_samples=samples, temperature=temperature)
    found = read_all(data, seen, where, lambda x, first: ahead(x, seed=seed + first))
    tracks = found.tracks
    if calibration:
        tracks = calibration(tracks, seen)
    tracks = opened.to_source(tracks)
    csv = target / "predictions.csv"
    write_predictions_csv(csv, tracks, seen)
    pictures = _pictures(target, opened, tracks, found.rendered, seen, mp4)
    for path in (
        csv,
        *write_tracks(target, head(tracks, frames=seen), opened.frame_size, opened.rate),
        *pictures,
    ):
        click.echo(path)


def _calibration(
    trained: "Trained", run: str, tracker: "Tracker", checkpoint: str, seen: int, samples: int
) -> "Calibration | None":
    """The calibration of these weights, if there is one; a warning where the intervals may not be honest."""
    from vtssi_pyro.system.checkpoint import digest

    found = trained.calibration
    if samples < 2:
        return None
    if found is None:
        warn(f"{run}: its intervals are as the model has them; vtssi-pyro calibrate tells how honest that is")
    elif not found.is_of(digest(tracker.state_dict())):
        warn(
            f"{run}: its calibration is of other weights than checkpoint {checkpoint} and is left out; "
            f"vtssi-pyro calibrate {run} --checkpoint {checkpoint} makes one"
        )
        return None
    elif not found.fits(seen, samples):
        warn(
            f"{run}: was calibrated on {found.samples} futures after {found.observed} frames, "
            f"not {samples} after {seen}: its regions may hold less or more than they say"
        )
    return found


def _pictures(
    target: Path, opened: "Opened", tracks: "Tracks", rendered: "Tensor", seen: int, mp4: bool
) -> list[Path]:
    """The animation, and the fan of futures where some were drawn."""
    from vtssi_pyro.artifacts.reading import LONGEST, head
    from vtssi_pyro.plots import Panel, futures, overlay_film, overlay_gif

    first = max(0, seen - LONGEST // 2) if opened.footage else 0  # of a long movie what leads to the futures
    movie, drawn = opened.shown(tracks, tracks.present.shape[1], first)
    told = movie if opened.footage else rendered
    panels = [Panel("frames", movie, first=first), Panel("predicted", told, drawn, seen - first, first)]
    paths = [target / "overlay.gif"]
    overlay_gif(paths[0], panels)
    if mp4:
        paths.append(target / "overlay.mp4")
        overlay_film(paths[-1], panels)
    if tracks.samples is not None:
        paths.append(target / "futures.png")
        names = None
        if opened.footage:
            last, fans, names = movie[:, seen - first - 1], drawn, [Path(opened.footage.name).name]
        else:
            last, fans = (
                opened.data.frames(slice(0, FANS), length=1, start=seen - 1)[:, 0],
                head(tracks, FANS),
            )
        futures(paths[-1], last, fans, seen - first, names=names)
    return paths
