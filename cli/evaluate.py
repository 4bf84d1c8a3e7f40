"""``vtssi-pyro evaluate``."""

import click

from .options import POSITIVE, checkpoint_option, command, machine_options, option

OBSERVE = 5  # frames on which tracks that are made already are matched, as the paper's are


@command(
    "vtssi-pyro generate linear --out test.npz",
    "vtssi-pyro evaluate runs/vtssi-linear-0001 test.npz --json",
    "vtssi-pyro evaluate pretrained:moving-mnist test.npz --mot --export challenge",
    "vtssi-pyro evaluate tracks.csv test.npz --mot",
)
@click.argument("source", metavar="RUN_OR_TRACKS", type=click.Path())
@click.argument("data", type=click.Path(), metavar="DATA.npz")
@option("--observe", type=POSITIVE, section="Metrics",
        help="Frames seen before the rest is predicted.  [default: the run's, 5]")  # fmt: skip
@option("--mot", is_flag=True, section="Metrics",
        help="Also HOTA, MOTA, IDF1 and identity switches, of boxes; needs the extra named mot.")  # fmt: skip
@option("--json", "as_json", is_flag=True, section="Metrics", help="Print one JSON object instead of tables.")
@option("--export", metavar="DIR", type=click.Path(), section="Output",
        help="Folder for tracks and truth as TrackEval reads them.")  # fmt: skip
@checkpoint_option
@option("--without-mot", is_flag=True, section="Model",
        help="Positions as FIND sees them, without the motion model and without prediction.")  # fmt: skip
@machine_options
def evaluate(
    source: str, data: str, observe: int | None, mot: bool, as_json: bool, export: str | None, checkpoint: str,
    without_mot: bool, device: str, threads: int | None,
) -> None:  # fmt: skip
    """Judge a tracker, or tracks that any program has made, on sequences whose positions are known.

    RUN_OR_TRACKS is the folder of a run, or pretrained:NAME (vtssi-pyro info lists what ships); or a table of
    tracks, .csv with the columns frame, object, x, y and whatever more tracks.csv of vtssi-pyro track has; or
    MOTChallenge text, a file .txt for each sequence, or a folder of these. Objects are matched on the frames of
    --observe; tracks that are made already predict nothing.

    The share of sequences whose objects are counted right, and the mean distance in pixels between objects
    and tracks, of frames that were seen and of frames that were predicted; overall and frame by frame. --mot
    adds metrics of the boxes of all frames; the folder of --export has what TrackEval says the same of.
    """
    import json

    from vtssi_pyro.artifacts.loading import at_hand
    from vtssi_pyro.artifacts.reading import sequences as sequences_of
    from vtssi_pyro.artifacts.reading import warn_if_short
    from vtssi_pyro.data import open_frames
    from vtssi_pyro.errors import DataError
    from vtssi_pyro.evaluation.judge import compare, find
    from vtssi_pyro.evaluation.mot_metrics import library, mot_metrics
    from vtssi_pyro.inference.model_tracker import ModelTracker
    from vtssi_pyro.system.atomic import writable_folder
    from vtssi_pyro.system.machine import available_device, prepare
    from vtssi_pyro.tracks.export import write_mot_challenge
    from vtssi_pyro.tracks.importing import holds_tracks, read_tracks
    from vtssi_pyro.tracks.tracks import Tracks

    from .progress import reporter, watched
    from .tables import by_frame, of_boxes, overall

    if mot:
        library()
    loaded = None if holds_tracks(source) else at_hand(source, checkpoint, available_device(device))
    if loaded is None:
        _refuse_options_of_models(source)
    dataset = sequences_of(data, loaded) if loaded else open_frames(data)
    if dataset.truth is None:
        raise DataError(
            f"{data}: has no positions to judge by; expected an .npz file with positions (S, T, N, 2), as "
            "vtssi-pyro generate writes it; vtssi-pyro track needs none"
        )
    if (mot or export) and dataset.truth.box is None:
        raise DataError(f"{data}: --mot and --export need boxes; expected an array boxes (S, T, N, 2)")
    prepare(threads)
    judged: ModelTracker | Tracks
    if loaded:
        warn_if_short(loaded, dataset.length, reporter())
        if without_mot:
            loaded.tracker.motion = loaded.tracker.walk()
        judged, usual = ModelTracker(loaded.tracker), loaded.observe
    else:
        judged, usual = read_tracks(source, len(dataset), dataset.length), OBSERVE
        if (mot or export) and judged.box is None:
            raise DataError(f"{source}: --mot and --export need boxes; expected columns width and height")
    observe = min(observe or usual, dataset.length)
    target = writable_folder(export, "--export") if export else None
    with watched(dataset, "judging") as sequences:
        found = find(judged, sequences, observe)
    metrics = compare(dataset, found, observe).as_dict()
    if mot:
        metrics["mot"] = mot_metrics(dataset.truth, found.tracks)
    if target:
        write_mot_challenge(target, found.tracks, dataset.frame_size, truth=dataset.truth)
    if as_json:
        click.echo(json.dumps(metrics, allow_nan=False))
    else:
        boxes = of_boxes(metrics["mot"]) if mot else []
        click.echo("\n".join([*overall(metrics, observe), *boxes, "", *by_frame(metrics, observe)]))


def _refuse_options_of_models(source: str) -> None:
    """Refuse what says how a model tracks: these tracks are made already."""
    from vtssi_pyro.errors import UsageError

    context = click.get_current_context()
    for name in ("checkpoint", "without_mot", "device"):
        if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')}: {source} holds tracks, not a model; leave it out")
