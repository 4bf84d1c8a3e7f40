"""``vtssi-pyro predict``."""

import click

from .options import POSITIVE, anew_option, checkpoint_option, command, film_option, machine_options, option


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
    from vtssi_pyro import api
    from vtssi_pyro.system.machine import prepare

    from .progress import reporter

    prepare(threads)
    api.forecast(
        run, frames, horizon, samples, observe=observe, seed=seed, raw=raw, out=out, device=device,
        checkpoint=checkpoint, anew=prepare_anew, film=mp4, report=reporter(),
    )  # fmt: skip
