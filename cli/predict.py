"""``vtssi-pyro predict``."""

from typing import Any

import click

from vtssi_pyro.config.ranges import AHEAD, DRAWN, FRAMES, SAMPLED

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
    workers_options,
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
@option("--samples", "num_samples", type=whole_number(DRAWN), metavar="S", section="Prediction",
        help="Number of sampled futures, for spreads and intervals; 0: none.  "
             f"[default: as RUN is calibrated, {SAMPLED}]")  # fmt: skip
@option("--out", default="predictions", show_default=True, metavar="DIR", type=click.Path(), section="Output",
        help="Folder for the results; each of several DATA has a folder of its name there.")  # fmt: skip
@formats_option
@film_option
@json_option
@stored_options
@machine_options
@workers_options
def predict(
    arguments: tuple[str, ...], observe: int | str | None, horizon: int | None, num_samples: int | None, out: str,
    formats: tuple[str, ...], film: bool, as_json: bool, stored: dict[str, Any], device: str,
    threads: int | None, workers: int | None, scheduler: str | None,
) -> None:  # fmt: skip
    """Observe K frames of DATA and predict the next H.

    See vtssi-pyro track for RUN and DATA. Futures are calibrated by the calibration of fit, or of vtssi-pyro
    calibrate.

    The command writes predictions.csv (with 50 % and 90 % intervals), tracks.csv, tracks.json and the MOTChallenge
    folder mot/ of the observed frames, overlay.gif of the first sequences, and futures.png: observed paths, sampled
    futures, their means, and the regions that hold 50 % and 90 % of them.

    Of several DATA, or a pattern such as 'movies/*.tif', none stops the others: those that cannot be predicted are
    listed at the end, and the exit code is that of the worst. The same command continues after an interruption.
    """
    from vtssi_pyro import api, many
    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.movies import Stored
    from vtssi_pyro.system.machine import prepare

    from .arguments import run_and_data, several
    from .conclusion import conclude
    from .progress import reporter

    run, checkpoint, data = run_and_data(arguments)
    prepare(threads)
    usual = find(run).usual
    if observe is None or horizon is None:
        observe, horizon = observe or usual.observe, horizon or usual.horizon
        seen = "all frames" if observe == WHOLE else f"the first {observe} frames"
        say(f"observing {seen}, predicting {horizon} more; {usual.why} (--observe and --horizon change it)")
    report = reporter(as_json)
    options: dict[str, Any] = {
        "horizon": horizon, "num_samples": usual.samples if num_samples is None else num_samples,
        "observe": None if observe == WHOLE else int(observe), "stored": Stored(**stored), "device": device,
        "checkpoint": checkpoint, "formats": formats, "film": film, "report": report,
    }  # fmt: skip
    if not (several(data) or workers or scheduler):
        api.forecast(run, data[0], out=out, **options)
        report.close()
        return
    shared = {"workers": workers, "scheduler": scheduler, "threads": threads}
    conclude(many.forecast_all(run, data, out, **options, **shared), report)
