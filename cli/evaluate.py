"""``vtssi-pyro evaluate``."""

from typing import Any

import click

from vtssi_pyro.config.ranges import FRAMES

from .options import command, json_option, machine_options, option, stored_options, whole_number


@command(
    "vtssi-pyro generate linear --out test.npz",
    "vtssi-pyro evaluate runs/ours-linear-0001 test.npz --json",
    "vtssi-pyro evaluate pretrained:moving-mnist test.npz --mot",
    "vtssi-pyro evaluate pretrained:moving-mnist test.npz --settle 5",
    "vtssi-pyro evaluate tracks.csv test.npz --mot",
)
@click.argument("tracker", metavar="RUN_OR_TRACKS", type=click.Path())
@click.argument("data", type=click.Path(), metavar="DATA.npz")
@option("--observe", type=whole_number(FRAMES), section="Metrics",
        help="Frames seen before the rest is predicted.  [default: the run's, 5]")  # fmt: skip
@option("--settle", type=whole_number(FRAMES), section="Metrics",
        help="First frames that decide the objects, such as the paper's 5, for which positions in all frames are then "
             "inferred.  [default: all]")  # fmt: skip
@option("--mot", is_flag=True, section="Metrics",
        help="Also HOTA, MOTA, IDF1 and identity switches, of boxes; needs the extra named mot.")  # fmt: skip
@json_option
@stored_options
@machine_options
def evaluate(
    tracker: str, data: str, observe: int | None, settle: int | None, mot: bool, as_json: bool,
    stored: dict[str, Any], device: str, threads: int | None,
) -> None:  # fmt: skip
    """Evaluate a tracker, or tracks of any program, on sequences with known positions.

    RUN_OR_TRACKS is the folder of a run, pretrained:NAME (vtssi-pyro info lists the names), or the file of a
    checkpoint, RUN/checkpoints/best.pt; or a table of tracks, .csv with the columns frame, object, x, y and perhaps
    further columns of tracks.csv; or MOTChallenge text, a file .txt for each sequence, or a folder of these. Objects
    are matched on the frames of --observe. Finished tracks predict nothing.

    The output holds the share of sequences with the right count, with the number of frames that it rests on and, beside
    it, the share by the frames of --observe alone; and the mean distance in pixels between objects and
    tracks in observed and in predicted frames, overall and frame by frame, also in the units of DATA that options, or
    results beside the tracks, tell. --mot adds metrics of the boxes in all
    frames; an object of which a frame shows less than half, as far as the truth tells, is not judged there.

    If objects come and go, hide or turn, objects and tracks are also paired frame by frame: the output then holds the
    share of frames with the right count, where an object of which the frame shows less than a tenth may count or not;
    of entrances that are found within one frame; of occlusions after which an object has another track; and the error
    of angles, if the tracks have any.
    """
    from vtssi_pyro import api
    from vtssi_pyro.movies import Stored
    from vtssi_pyro.system.machine import prepare

    from .arguments import weights
    from .progress import results
    from .tables import by_frame, of_boxes, overall

    tracker, checkpoint = weights(tracker)
    prepare(threads)
    with results(as_json) as report:
        found = api.evaluate(
            tracker, data, observe=observe, settle=settle, stored=Stored(**stored), mot=mot, device=device,
            checkpoint=checkpoint, report=report,
        )  # fmt: skip
        metrics, seen, units = found.metrics, found.observe, found.units
        boxes = of_boxes(metrics["mot"]) if mot else []
        lines = [*overall(metrics, seen, units), *boxes, "", *by_frame(metrics, seen, units)]
        report.show({**metrics, "units": units.as_dict(), "made": found.made}, lines)
