"""Make the paper's tables and figures, and measure speed."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from vtssi_pyro.artifacts.loading import AnyTracker, Loaded, at_hand
from vtssi_pyro.artifacts.opening import File
from vtssi_pyro.config import checked, override
from vtssi_pyro.config.ranges import SEQUENCES
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.paper import comparisons, table1
from vtssi_pyro.paper.figures import FIGURES, draw
from vtssi_pyro.paper.items import SEEDS, refuse_unknown
from vtssi_pyro.paper.reproducing import Order, refuse_company
from vtssi_pyro.speed import measure, timed, workload
from vtssi_pyro.system.atomic import writable_folder
from vtssi_pyro.system.machine import available_device, threaded
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.jobs import Processes, Workers
from vtssi_pyro.train.reporting import Reporter, Silent


@checked
def reproduce(
    items: str | Iterable[str],
    *,
    preset: str | None = None,
    digits: str = "mnist",
    sequences: Annotated[int, SEQUENCES] = 10_000,
    out: File = "reproduction",
    runs: Mapping[str, File] | None = None,
    train: bool = True,
    device: str = "auto",
    threads: int | None = None,
    workers: Processes = None,
    scheduler: str | None = None,
    report: Reporter | None = None,
) -> list[Path]:
    """Make the paper's tables and figures, and their missing trainings.

    The same call continues after an interruption. Finished runs, cells and curves are used as they are.

    Args:
        items: ``"table1"``, cells of it such as ``"ours-linear-0"``, and figures such as ``"figure3"``.
        preset: preset of missing trainings; None: ``paper-fast`` for cells with the paper's names, both for figures 5
            to 9, else ``standard``. Figures 5 to 9 take its variation for their comparison.
        digits: source of the digits, see :func:`generate`.
        sequences: number of held-out sequences for each cell, and for each curve of figures 5 to 7.
        out: folder for runs, cells, curves, tables and figures.
        runs: finished runs that figures 4 to 9 take as trainings, by the trainings' names, such as ``ddpae-ddpae-0``;
            figure 4 takes SQAIR's, and is drawn without it if there is none.
        train: whether missing trainings are made; False: cells, curves and rows without a finished run are left out.
        device: see :func:`fit`.
        threads: number of CPU threads; None: for a run that continues that with which it began, else as many as set;
            of workers 1.
        workers: number of processes of this machine that share the trainings behind the table's cells, by Dask; None:
            this process makes one after another.
        scheduler: address of the scheduler of a running Dask cluster, in place of ``workers``.
        report: receives messages, progress and the files.

    Returns:
        the files of the table, if it or a cell of it is among the items, and of the figures.

    Raises:
        UsageError: an unknown item, or a folder with runs of another kind.
        CheckpointError: a figure without a finished run, if nothing is to be trained.
        Interrupted: on Ctrl-C, SIGTERM or SIGHUP during a training, after it was saved.

    Example:
        >>> from vtssi_pyro import reproduce
        >>> reproduce("figure3", preset="quick", digits="embedded")  # doctest: +SKIP
    """
    report, items = report or Silent(), list(dict.fromkeys([items] if isinstance(items, str) else items))
    refuse_unknown(items, preset)
    refuse_company()
    where = available_device(device)
    made: list[Path] = []
    with threaded(threads):
        wanted = table1.wanted(items, preset, SEEDS)
        given = {name: Path(folder) for name, folder in (runs or {}).items()}
        shared = Workers(workers, scheduler, threads)
        order = Order(preset or "standard", digits, Path(out), where, threads, train, report)
        comparing = comparisons.Comparing(order, preset, sequences, given)
        comparisons.refuse_unneeded(items, comparing)
        writable_folder(out)
        for name, keys in wanted.items():
            # one table, of all presets
            made = table1.make(order._replace(preset=name, threads=shared.each), keys, sequences, shared)
        for path in made:
            report.wrote(path)
        for item in items:
            if item in FIGURES:
                files = [draw(item, order, SEEDS[0], given=given)]
            elif item in comparisons.FIGURES:
                files = comparisons.make(item, comparing)
            else:
                continue
            made += files
            for path in files:
                report.wrote(path)
    return made


@checked
def benchmark(
    tracker: str | None = None,
    *,
    start: AnyTracker | None = None,
    preset: str = "standard",
    changes: Iterable[str] = (),
    device: str = "auto",
    threads: int | None = None,
) -> dict[str, Any]:
    """Measure the speed of training, tracking and prediction on this machine, and the memory that they take.

    Args:
        tracker: the variant; None: the preset's own.
        start: trained weights, which track and predict, and whose model is trained; None: untrained ones of the preset.
        preset: sizes of the model, unless ``start`` has them.
        changes: changes to single keys of the configuration, such as ``"train.stages.benchmark.batch=64"``; of
            ``start`` none to the model.
        device: see :func:`fit`.
        threads: number of CPU threads; None: as many as set.

    Returns:
        the values of :func:`vtssi_pyro.speed.measure`, ready for JSON, and ``weights``, the name of ``start``.

    Raises:
        UsageError: ``start`` does not read grey frames one by one, or its model is to be changed.

    Example:
        >>> from vtssi_pyro import benchmark
        >>> benchmark()["train_sequences_per_second"]  # doctest: +SKIP
    """
    where = available_device(device)
    with threaded(threads):
        if start is None:
            return measure(override(workload(tracker, preset), list(changes)), where) | {"weights": None}
        if tracker is not None:
            raise UsageError(
                Argument("tracker"), f" {tracker}: trained weights have blocks of their own; leave it out"
            )
        loaded = at_hand(start, device=where)
        trained = _streaming(loaded)
        own = loaded.source.config if loaded.source else Config(model=trained.config)
        config = override(timed(own), list(changes))
        if config.model != trained.config:
            raise UsageError(f"{loaded.name}: its weights are of another model; change no key of the model")
        return measure(config, where, tracker=trained) | {"weights": loaded.name}


def _streaming(loaded: Loaded) -> Tracker:
    """A loaded tracker that can track drawn digits, of which all is timed."""
    if not isinstance(loaded.tracker, Tracker):
        raise UsageError(f"{loaded.name}: reads sequences as a whole, and no frames as they come")
    if loaded.channels > 1:
        raise UsageError(f"{loaded.name}: reads colours; the digits that are drawn to be timed are grey")
    return loaded.tracker
