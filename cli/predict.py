"""``vtssi-pyro predict``."""

from typing import Any

import click

from vtssi_pyro.config.ranges import AHEAD, DRAWN, FRAMES

from .options import (
    command,
    film_option,
    formats_option,
    json_option,
    machine_options,
    option,
    say,
    stored_options,
    whole_number,
)

WHOLE = "all"  # in place of a number of observed frames


class Observed(click.ParamType):
    """A number of observed frames, or all."""

    name = "observed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a text but ``all`` to a number."""
        return value if value == WHOLE else whole_number(FRAMES).convert(value, param, ctx)


@command(
    "vtssi-pyro predict runs/ours-linear-0001 test.npz",
    "vtssi-pyro predict runs/ours-beads-0001 beads.mp4 --observe all",
    "vtssi-pyro predict runs/ours-beads-0001 beads.mp4 --horizon 100 --out predictions",
)
@click.argument("arguments", nargs=-1, required=True, type=click.Path(), metavar="[RUN] DATA...")
@option("--observe", type=Observed(), metavar="K", section="Prediction",
        help="Number of observed first frames of every sequence, or all.  "
             "[default: as RUN is calibrated, 5]")  # fmt: skip
@option("--horizon", type=whole_number(AHEAD), metavar="H", section="Prediction",
        help="Number of frames to predict beyond them.  [default: as RUN is calibrated, 15]")  # fmt: skip
@option("--samples", "num_samples", type=whole_number(DRAWN), default=50, show_default=True, metavar="S",
        section="Prediction", help="Number of sampled futures, for spreads and intervals; 0: none.")  # fmt: skip
@option("--out", default="predictions", show_default=True, metavar="DIR", type=click.Path(), section="Output",
        help="Folder for the results; each of several DATA has a folder of its name there.")  # fmt: skip
@formats_option
@film_option
@json_option
@stored_options
@machine_options
def predict(
    arguments: tuple[str, ...], observe: int | str | None, horizon: int | None, num_samples: int, out: str,
    formats: tuple[str, ...], film: bool, as_json: bool, stored: dict[str, Any], device: str,
    threads: int | None,
) -> None:  # fmt: skip
    """Observe K frames of DATA and predict the next H.

    See vtssi-pyro track for RUN and DATA. Futures are calibrated by the calibration of fit, or of vtssi-pyro
    calibrate.

    The command writes predictions.csv (with 50 % and 90 % intervals), tracks.csv, tracks.json and the MOTChallenge
    folder mot/ of the observed frames, overlay.gif of the first sequences, and futures.png: observed paths, sampled
    futures, their means, and the regions that hold 50 % and 90 % of them.
    """
    from vtssi_pyro import api
    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.movies import Stored
    from vtssi_pyro.system.machine import prepare

    from .arguments import places, run_and_data
    from .progress import results

    run, checkpoint, data = run_and_data(arguments)
    prepare(threads)
    usual = find(run).usual
    if observe is None or horizon is None:
        observe, horizon = observe or usual.observe, horizon or usual.horizon
        seen = "all frames" if observe == WHOLE else f"the first {observe} frames"
        say(f"observing {seen}, predicting {horizon} more; {usual.why} (--observe and --horizon change it)")
    for each, folder in places(out, data):
        with results(as_json) as report:
            api.forecast(
                run, each, horizon, num_samples, observe=None if observe == WHOLE else int(observe),
                stored=Stored(**stored), out=folder, device=device, checkpoint=checkpoint, formats=formats,
                film=film, report=report,
            )  # fmt: skip
