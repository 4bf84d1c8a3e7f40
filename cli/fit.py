"""``vtssi-pyro fit``."""

from typing import TYPE_CHECKING, Any

import click

from vtssi_pyro.config.ranges import OBJECTS
from vtssi_pyro.config.variants import NAMES, OURS, PAPER

from .options import (
    BASELINES,
    LOGS,
    PRESETS,
    ROUTES,
    command,
    digits_option,
    json_option,
    machine_options,
    option,
    say,
    stored_options,
    whole_number,
    workers_options,
)

if TYPE_CHECKING:
    from vtssi_pyro.artifacts.loading import Fitted

    from .progress import Lines

OWN_PRESETS = tuple(dict.fromkeys(name for presets in BASELINES.values() for name in presets))


@command(
    "vtssi-pyro fit",
    "vtssi-pyro fit movies.npz --objects 3 --preset standard",
    "vtssi-pyro fit beads.mp4",
    "vtssi-pyro fit --prepared looked",
    "vtssi-pyro fit monday.tif tuesday.tif",
    "vtssi-pyro fit 'movies/*.tif' --each --workers 4",
    "vtssi-pyro fit --set train.budget=0.1 --out runs/trial",
    "vtssi-pyro fit movies.npz --config trial.toml",
    "vtssi-pyro fit --out runs/trial --resume",
    "vtssi-pyro fit --help-keys",
    "vtssi-pyro fit movies.npz --from runs/trial",
    "vtssi-pyro fit ddpae --model ddpae --digits mnist",
    "vtssi-pyro fit sqair-original --model sqair --digits mnist",
)
@click.argument("data", nargs=-1, type=click.Path(), metavar="[DATA]...")
@digits_option
@option("--objects", type=whole_number(OBJECTS), section="Data",
        help="Largest number of objects in a sequence.  [default: 2; for a movie, the most seen at once]")  # fmt: skip
@option("--prepared", metavar="LOOKED", type=click.Path(), section="Data",
        help="Folder that vtssi-pyro inspect MOVIE --out LOOKED wrote: prepare its movie, "
             "or DATA, accordingly.")  # fmt: skip
@option(
    "--variant",
    "--model",
    "tracker",
    type=click.Choice((*NAMES, *BASELINES)),
    metavar="NAME",
    section="Model",
    help=f"The blocks of the model. Of the presets quick and standard: {', '.join(OURS.names)}; of the paper's: "
    f"{', '.join(PAPER.names)}. Or a model of other people: {', '.join(BASELINES)}.  [default: the preset's whole "
    "system; of presets with -sqair, that without a consensus, such as find-mot]",
)
@option("--from", "start", metavar="RUN", type=click.Path(), section="Model",
        help="Start from the weights, variant and sizes of a run's folder or of pretrained:NAME; with --variant, "
             "from the weights of the blocks that are alike.")  # fmt: skip
@option("--preset", type=click.Choice((*PRESETS, *OWN_PRESETS)), metavar="NAME", section="Training",
        help=f"Sizes, recipe and budget: {', '.join(ROUTES)}; each of them with -ddpae or -sqair at its end is its "
             "variation for the paper's comparison with that model, on that model's data; of models of other people: "
             f"{', '.join(OWN_PRESETS)}.  [default: quick, five to ten minutes; of models of other people fast: hours "
             "of ddpae, days of sqair]")  # fmt: skip
@option("--config", metavar="FILE", type=click.Path(), section="Training",
        help="Take keys from a TOML file; options and --set count more. Or a run's config.json, as a "
             "whole.")  # fmt: skip
@option("--set", "changes", multiple=True, metavar="KEY=VALUE", section="Training",
        help="Change any key of the configuration; repeatable.")  # fmt: skip
@option("--help-keys", is_flag=True, section="Training",
        help="Print all keys for --set, with their values under the given options, their meanings and their ranges, "
             "and train nothing.")  # fmt: skip
@option("--log", type=click.Choice(LOGS), section="Output",
        help="Write the records of metrics.jsonl also for TensorBoard, into RUN/tensorboard; needs the extra of that "
             "name.")  # fmt: skip
@option("--each", is_flag=True, section="Output",
        help="Train a tracker of its own on each of several movies, in a folder of its name; finished ones are not "
             "done again.")  # fmt: skip
@option("--out", "run", metavar="RUN", type=click.Path(), section="Output",
        help="Folder of the run, with --each of all runs.  [default: runs/NAME-0001, counted up; with --each "
             "runs]")  # fmt: skip
@option("--resume", is_flag=True, section="Output",
        help="Continue the interrupted run in --out; RUN/checkpoints/best.pt goes on from that checkpoint if the last "
             "one is lost.")  # fmt: skip
@json_option
@stored_options
@machine_options
@workers_options
def fit(
    data: tuple[str, ...], digits: str | None, objects: int | None, prepared: str | None, tracker: str | None,
    start: str | None, preset: str | None, config: str | None, changes: tuple[str, ...], help_keys: bool,
    log: str | None, each: bool, run: str | None, resume: bool, as_json: bool, stored: dict[str, Any], device: str,
    threads: int | None, workers: int | None, scheduler: str | None,
) -> None:  # fmt: skip
    """Train a tracker on DATA, and write metrics and pictures at the end.

    DATA is a flavour of moving digits (linear, linear-overlap, elliptic, elliptic-overlap, linear-wide, or mixed, which
    is the first four in turns; ddpae, sqair, sqair-original or balls, the data of other models, see vtssi-pyro
    generate; default: the preset's, mostly linear), a file of sequences (.npz, .npy), of which the last tenth is held
    out, or one movie: mp4, mov, avi, mkv, webm, GIF, WebP, TIFF stack, folder of pictures, or an array (T, H, W). A
    movie is inspected first. If the findings are wrong, correct them with options of vtssi-pyro inspect, and pass its
    folder as --prepared. The training uses clips of the movie in every symmetry of a square. Its last frames (a tenth,
    but at least 20, or a quarter of a short movie) are held out.

    Of several movies, whose frames must have one size, a single tracker learns. With --each a tracker learns from each:
    those that cannot be learned from are listed at the end, and the exit code is that of the worst.
    """
    from vtssi_pyro import api, many
    from vtssi_pyro.artifacts.loading import find
    from vtssi_pyro.artifacts.run import RUNS
    from vtssi_pyro.errors import UsageError
    from vtssi_pyro.movies import Stored, movies_matched
    from vtssi_pyro.movies.prepared import PreparedMovie, was_kept
    from vtssi_pyro.system.machine import prepare

    from .arguments import weights
    from .conclusion import conclude
    from .options import speaks
    from .progress import reporter
    from .tables import every_key

    prepare(threads)
    report = reporter(as_json)
    source = find(start) if start else None
    if not each and (workers or scheduler):
        raise UsageError("--workers, --scheduler: share movies, each of which has a run; say --each, too")
    if each and not help_keys:
        if resume or prepared is not None or digits is not None:
            raise UsageError(
                "--each: goes with neither --resume, which it does by itself, --prepared nor --digits"
            )
        fitted_each = many.fit_each(
            data, run or RUNS, tracker=tracker, start=source, preset=preset, objects=objects,
            stored=Stored(**stored), config=config, changes=changes, log=log, device=device, workers=workers,
            scheduler=scheduler, threads=threads, report=report,
        )  # fmt: skip
        made = [str(outcome.value.folder) for outcome in fitted_each.outcomes if outcome.error is None]
        report.show({"runs": made}, made)
        conclude(fitted_each, report)
        return
    paths = movies_matched(data)
    frames = paths if len(paths) > 1 else next(iter(paths), None)
    if resume and not help_keys:
        if run is None:
            raise UsageError("--resume: say which run to go on with: --out RUN")
        if prepared is not None:
            raise UsageError("--prepared: the run keeps how its movie is prepared; leave it out")
        if stored:
            raise UsageError(f"--{next(iter(stored))}: the run keeps how its frames are stored; leave it out")
        run, checkpoint = weights(run)
        fitted = api.resume(
            run, frames, tracker=tracker, start=source, preset=preset, device=device, threads=threads,
            report=report, objects=objects, digits=digits, config=config, changes=changes, checkpoint=checkpoint,
            log=log,
        )  # fmt: skip
    else:
        whole = source is not None and tracker in (None, source.config.variant)
        if help_keys:
            known = api.configuration(
                source if whole else tracker, preset=preset, config=config, changes=changes
            )
            click.echo("\n".join(every_key(known)))
            return
        if prepared and len(paths) > 1:
            raise UsageError("--prepared: is of one movie, of several none; leave it out")
        # api.fit reads other data, after it has checked the options
        read = prepared and (data or stored or not was_kept(prepared))
        movie = PreparedMovie.load(prepared, next(iter(paths), None), Stored(**stored)) if read else prepared
        fitted = api.fit(
            movie or frames, source if whole else tracker, start=None if whole else source,
            preset=preset, run=run, runs=None if run else RUNS, device=device, report=report, objects=objects,
            digits=digits, config=config, changes=changes, log=log, stored=Stored() if prepared else Stored(**stored),
        )  # fmt: skip
    if speaks():
        _show(fitted, report)


def _show(fitted: "Fitted", report: "Lines") -> None:
    """Print metrics and files to stdout, and the next commands to stderr."""
    from vtssi_pyro.artifacts.report import understood

    from .tables import next_commands, reached

    with understood(fitted.run.summary):
        lines, following = reached(fitted.run), next_commands(fitted.run)
    summary = fitted.run.read_summary()
    report.show(
        {"run": str(fitted.run.folder), "metrics": fitted.metrics, "minutes": summary["minutes"]}, lines
    )
    for path in sorted(fitted.run.figures.iterdir()):
        report.wrote(path)
    report.close()
    say("\n".join(["next:", *following]))
