"""``vtssi-pyro track``."""

from typing import Any

import click

from .options import (
    command,
    film_option,
    formats_option,
    json_option,
    learning,
    machine_options,
    objects_options,
    option,
    say,
    stored_options,
    workers_options,
)


@command(
    "vtssi-pyro track untrained beads.mp4 --object-size 14",
    "vtssi-pyro track pretrained:moving-mnist test.npz",
    "vtssi-pyro track runs/ours-beads-0001 beads.mp4 --mp4",
    "vtssi-pyro track runs/ours-beads-0001 'movies/*.tif' --workers 4 --out tracks",
    "vtssi-pyro track cells.tif --pixel-size 0.106 --unit um --frame-rate 25 --format trackmate",
)
@click.argument("arguments", nargs=-1, required=True, type=click.Path(), metavar="[RUN] DATA...")
@option("--out", default="tracks", show_default=True, metavar="DIR", type=click.Path(), section="Output",
        help="Folder for the results; each of several DATA has a folder of its name there, and summary.csv has a row "
             "for each of their tracks.")  # fmt: skip
@formats_option
@film_option
@json_option
@objects_options
@stored_options
@machine_options
@workers_options
def track(
    arguments: tuple[str, ...], out: str, formats: tuple[str, ...], film: bool, as_json: bool, stored: dict[str, Any],
    device: str, threads: int | None, workers: int | None, scheduler: str | None, **hints: Any,
) -> None:  # fmt: skip
    """Track the objects in DATA with the tracker of RUN.

    RUN is the folder of a run, pretrained:NAME (vtssi-pyro info lists the names), or the file of a checkpoint,
    RUN/checkpoints/best.pt; by default it is the newest run in the folder runs.

    The word untrained in place of RUN, or no run at all, gives first tracks of a movie within seconds, without a
    training: vtssi-pyro inspect's findings say how many objects of which size there are, each is followed at constant
    velocity, and contact_sheet.png shows what was found. Correct that with --objects and --object-size.

    DATA is a .npz or .npy file, or a movie: GIF, WebP, TIFF stack, folder of pictures, mp4 and others. A run of
    vtssi-pyro fit MOVIE takes movies of the same camera, and prepares them like its training movie. For another camera
    or place, give the folder that vtssi-pyro inspect MOVIE --out wrote. Tracks are in a movie's own pixels.

    The command writes tracks.csv, the same as tracks.json with a vector of each object's looks, a MOTChallenge folder
    mot/, and overlay.gif of the first sequences. Positions are centres of tight boxes in pixels, with their standard
    deviations; the centre of a frame's top-left pixel is (0.5, 0.5). Confidence is the share of the squared error
    around an object that the object explains. It is near 0 in frames that do not show the object, which the overlay
    draws dashed. Rings in the overlay are 90 % regions under noise and errors of the picture, without the risk of a
    wrong identity. Frames and objects count from 0, from 1 in mot/. Lengths, speeds and times are also in the units
    that DATA note or options tell. docs/results.md describes each column and format.

    Of several DATA, or a pattern such as 'movies/*.tif', none stops the others: those that cannot be tracked are listed
    at the end, and the exit code is that of the worst. The same command continues after an interruption: a movie whose
    results are of the same frames, weights and options is not tracked again.
    """
    from vtssi_pyro import api, many
    from vtssi_pyro.artifacts.loading import UNTRAINED
    from vtssi_pyro.movies import Hints, Stored
    from vtssi_pyro.system.machine import prepare
    from vtssi_pyro.train.movies import FEWEST

    from .arguments import run_and_data, several
    from .conclusion import conclude
    from .progress import reporter

    run, checkpoint, data = run_and_data(arguments, UNTRAINED)
    prepare(threads)
    report = reporter(as_json)
    options: dict[str, Any] = {
        "hints": Hints(**hints), "stored": Stored(**stored), "device": device, "checkpoint": checkpoint,
        "formats": formats, "film": film, "report": report,
    }  # fmt: skip

    def tell_of(movie: str, folder: object, frames: int) -> None:
        if run == UNTRAINED:
            learn = (
                f"learn how they look and move, and what to expect: {learning(movie, hints, stored)}"
                if frames >= FEWEST
                else f"these are the tracks: {frames} frames are too few for vtssi-pyro fit, which needs {FEWEST}"
            )
            say(
                f"untrained: if {folder}/contact_sheet.png shows the right objects, {learn}; else say --objects or "
                "--object-size"
            )

    if not (several(data) or workers or scheduler):
        found = api.track(run, data[0], out=out, **options)
        report.close()
        tell_of(data[0], out, found.tracks.present.shape[1])
        return
    tracked = many.track_all(run, data, out, workers=workers, scheduler=scheduler, threads=threads, **options)
    for outcome in tracked.outcomes:
        if outcome.error is None:
            tell_of(outcome.name, outcome.value, tracked.frames[outcome.name])
    conclude(tracked, report)
