"""``vtssi-pyro evaluate``."""

import click

from .options import POSITIVE, checkpoint_option, command, device_option, option


@command(
    "vtssi-pyro generate linear --out test.npz",
    "vtssi-pyro evaluate runs/vtssi-linear-0001 test.npz --json",
)
@click.argument("run", type=click.Path())
@click.argument("data", type=click.Path(), metavar="DATA.npz")
@option("--observe", type=POSITIVE, section="Metrics",
        help="Frames seen before the rest is predicted.  [default: the run's, 5]")  # fmt: skip
@option("--json", "as_json", is_flag=True, section="Metrics", help="Print one JSON object instead of tables.")
@checkpoint_option
@option("--without-mot", is_flag=True, section="Model",
        help="Positions as FIND sees them, without the motion model and without prediction.")  # fmt: skip
@device_option
def evaluate(
    run: str, data: str, observe: int | None, as_json: bool, checkpoint: str, without_mot: bool, device: str
) -> None:
    """Judge the tracker of RUN on sequences whose positions are known.

    RUN is the folder of a run, or pretrained:NAME; vtssi-pyro info lists what ships.

    The share of sequences whose objects are counted right, and the mean distance in pixels between objects
    and tracks, of frames that were seen and of frames that were predicted; overall and frame by frame.
    """
    import json

    from vtssi_pyro.blocks import RandomWalk
    from vtssi_pyro.errors import DataError
    from vtssi_pyro.evaluation import judge
    from vtssi_pyro.machine import prepare
    from vtssi_pyro.runs import available_device, default_threads
    from vtssi_pyro.trained import find

    from .progress import watched
    from .reading import open_for, warn_if_short
    from .tables import by_frame, overall

    trained = find(run)
    config = trained.config
    dataset = open_for(data, config)
    if dataset.truth is None:
        raise DataError(
            f"{data}: has no positions to judge by; expected an .npz file with positions (S, T, N, 2), as "
            "vtssi-pyro generate writes it; vtssi-pyro track needs none"
        )
    prepare(default_threads())
    tracker = trained.tracker(checkpoint, available_device(device))
    warn_if_short(tracker, dataset.length)
    if without_mot:
        tracker.motion = RandomWalk(config.model.mot.walk_scale)
    observe = min(observe or config.observe, dataset.length)
    with watched(dataset, "judging") as sequences:
        metrics = judge(tracker, sequences, observe).as_dict()
    if as_json:
        click.echo(json.dumps(metrics, allow_nan=False))
    else:
        click.echo("\n".join([*overall(metrics, observe), "", *by_frame(metrics, observe)]))
