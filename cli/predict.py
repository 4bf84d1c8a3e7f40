"""``vtssi-pyro predict``."""

from typing import Any

import click

from vtssi_pyro.config.ranges import AHEAD, DRAWN, FRAMES

from .options import (
    command,
    film_option,
    formats_option,
    machine_options,
    option,
    stored_options,
    whole_number,
)


@command(
    "vtssi-pyro predict runs/ours-linear-0001 test.npz --observe 5",
    "vtssi-pyro predict runs/ours-beads-0001 beads.mp4 --horizon 100 --out predictions",
)
@click.argument("arguments", nargs=-1, required=True, type=click.Path(), metavar="[RUN] DATA...")
@option("--observe", type=whole_number(FRAMES), metavar="K", section="Prediction",
        help="Number of observed frames of every sequence.  [default: all]")  # fmt: skip
@option("--horizon", type=whole_number(AHEAD), default=30, show_default=True, metavar="H", section="Prediction",
        help="Number of frames to predict beyond them.")  # fmt: skip
@option("--samples", "num_samples", type=whole_number(DRAWN), default=50, show_default=True, metavar="S",
        section="Prediction", help="Number of sampled futures, for spreads and intervals; 0: none.")  # fmt: skip
@option("--out", default="predictions", show_default=True, metavar="DIR", type=click.Path(), section="Output",
        help="Folder for the results; each of several DATA has a folder of its name there.")  # fmt: skip
@formats_option
@film_option
@stored_options
@machine_options
def predict(
    arguments: tuple[str, ...], observe: int | None, horizon: int, num_samples: int, out: str,
    formats: tuple[str, ...], film: bool,
    stored: dict[str, Any], device: str, threads: int | None,
) -> None:  # fmt: skip
    """Observe K frames of DATA and predict the next H.

    See vtssi-pyro track for RUN and DATA. Futures are calibrated by the calibration of fit, or of vtssi-pyro
    calibrate.

    The command writes predictions.csv (with 50 % and 90 % intervals), tracks.csv, tracks.json and the MOTChallenge
    folder mot/ of the observed frames, overlay.gif of the first sequences, and futures.png: observed paths, sampled
    futures, their means, and the regions that hold 50 % and 90 % of them.
    """
    from vtssi_pyro import api
    from vtssi_pyro.movies import Stored
    from vtssi_pyro.system.machine import prepare

    from .arguments import results, run_and_data
    from .progress import reporter

    run, checkpoint, data = run_and_data(arguments)
    prepare(threads)
    for each, folder in results(out, data):
        api.forecast(
            run, each, horizon, num_samples, observe=observe, stored=Stored(**stored), out=folder, device=device,
            checkpoint=checkpoint, formats=formats, film=film, report=reporter(),
        )  # fmt: skip
