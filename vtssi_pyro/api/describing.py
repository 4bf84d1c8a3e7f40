"""Describe trainings, weights and this installation."""

import tempfile
from pathlib import Path
from typing import Any

from vtssi_pyro.artifacts.figures import curves
from vtssi_pyro.artifacts.installation import installation
from vtssi_pyro.artifacts.loading import Fitted, kept_by, run_of
from vtssi_pyro.artifacts.opening import File
from vtssi_pyro.artifacts.report import is_report, understood, write_report
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import checked
from vtssi_pyro.errors import UsageError
from vtssi_pyro.system.atomic import refuse_existing, writable_folder


@checked
def page(run: File | Run, out: File | None = None, *, force: bool = False) -> list[Path]:
    """Draw the learning curves of a run and write one self-contained page, also during its training.

    Args:
        run: the run or its folder.
        out: the file of the page; the run's folder then stays as it is. None: ``report.html`` in the run's folder.
        force: whether ``out`` may replace a file that is no report.

    Returns:
        the files, the page last.

    Example:
        >>> from vtssi_pyro import page
        >>> [path.name for path in page("runs/ours-linear-0001", "page.html")]
        ['page.html']
    """
    run = run if isinstance(run, Run) else run_of(run)
    begun = bool(run.config.train.steps and run.records())
    if out is None:
        run.refuse_links()
        writable_folder(run.folder, "run", files=("report.html",))
        with understood(run.summary):
            drawn = curves(run) if begun else []
        return [*drawn, write_report(run)]
    path = Path(out)
    if not force and not is_report(path):  # which a report replaces, since a training goes on
        refuse_existing(path, force, but=", and is no report")
    writable_folder(path.parent, files=(path.name,))
    with tempfile.TemporaryDirectory(prefix="vtssi-pyro-") as scratch:
        if begun:
            with understood(run.summary):
                curves(run, Path(scratch))
        return [write_report(run, path, Path(scratch))]


@checked
def info(tracker: Fitted | Trained | File | None = None) -> dict[str, Any]:
    """Describe a training and its metrics, or versions, devices, extras and the weights that ship; ready for JSON.

    Args:
        tracker: a run or the name of weights that ship; None: this installation and its machine.

    Example:
        >>> from vtssi_pyro import info
        >>> info("moving-mnist")["observe"]
        5
    """
    if tracker is None:
        return installation()
    kept = kept_by(tracker)
    if kept is None:
        raise UsageError("a tracker without a run has no description but itself: print it")
    return kept.about()
