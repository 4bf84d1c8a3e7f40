"""Loading of trained trackers: from a run folder, or from weights that ship with the package."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.artifacts.recorded import identity_of
from vtssi_pyro.artifacts.run import RUNS, Run
from vtssi_pyro.artifacts.shipped import PREFIX, Pretrained, available
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.config import checked, to_dict
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.inference.estimate import seeded
from vtssi_pyro.inference.novelty import Familiar
from vtssi_pyro.inference.standalone import SomeTracker, WholeModel, build
from vtssi_pyro.movies import Preparation
from vtssi_pyro.system.checkpoint import array_digest, digest
from vtssi_pyro.system.files import is_name
from vtssi_pyro.system.machine import available_device
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.reporting import Reporter

UNTRAINED = "untrained"  # in place of a tracker: that of a movie of which the inspection alone is known


@dataclass(frozen=True)
class InMemory(Trained):
    """A tracker made in Python, from whose weights a training can start."""

    own: SomeTracker
    recipe: Config

    name = "a tracker in memory"

    @property
    def config(self) -> Config:
        """Its recipe."""
        return self.recipe

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> SomeTracker:
        """The tracker itself, on its own device."""
        del checkpoint_name, device
        return self.own

    def about(self) -> dict[str, Any]:
        """Its name and its recipe."""
        return {"name": self.name, "recipe": to_dict(self.recipe)}


def rebuildable(tracker: SomeTracker) -> WholeModel:
    """The configuration from which a tracker can be built again.

    Raises:
        UsageError: a part of the tracker was swapped, and its configuration does not hold the new part.
    """
    config = tracker.config
    again = build(config)
    for (name, own), (_, built) in zip(tracker.named_modules(), again.named_modules(), strict=False):
        if type(own) is not type(built):
            raise UsageError(
                f"{name}: a run could not build this {type(own).__name__} again; give the block it is in a "
                "configuration of its own, see vtssi_pyro.register, or train this tracker with SVI(tracker.model, "
                "tracker.guide, optimizer, Trace_ELBO())"
            )
    built_buffers = dict(again.named_buffers())
    for name, own in tracker.named_buffers():
        if name not in built_buffers or not torch.equal(own.cpu(), built_buffers[name].to(own.dtype)):
            raise UsageError(
                f"{name}: was changed, and a run would not keep it; change its key in the configuration"
            )
    return config


def find(source: str | os.PathLike[str]) -> Trained:
    """Find trained weights by name: ``pretrained:NAME``, a run folder, or NAME alone without such a folder.

    No file is read yet, so that a wrong name may show only in a later call.
    """
    if not is_name(source):
        return Run(source)  # which refuses it
    name = os.fspath(source)
    if name.startswith(PREFIX):
        return Pretrained(name.removeprefix(PREFIX))
    if name == UNTRAINED and not (Path(name) / "config.json").exists():  # a folder may hold its results
        raise UsageError(
            f"{name}: nothing is learned yet; track takes it, for one movie, and fit learns from it"
        )
    if not Path(name).is_dir():
        if name in available():
            return Pretrained(name)
        near = difflib.get_close_matches(name, available(), 1)
        if near:
            raise CheckpointError(f"{name}: not a run folder; did you mean {PREFIX}{near[0]}?")
    return Run(source)


def run_of(source: str | os.PathLike[str]) -> Run:
    """A run by its folder.

    Raises:
        UsageError: the name is of no run.
    """
    found = find(source)
    if not isinstance(found, Run):
        raise UsageError(f"{found.name}: these weights have no run; name the folder of one")
    return found


def newest(parent: str | os.PathLike[str] = RUNS) -> Run:
    """Find the newest run with weights in a folder of runs.

    Raises:
        UsageError: there is none.
    """
    run = Run.newest(parent)
    if run is None:
        raise UsageError(
            f"there is no run in {os.fspath(parent)}: name one first, or {PREFIX}moving-mnist, which ships with the "
            "package"
        )
    return run


@checked
def load(
    source: str | os.PathLike[str], checkpoint_name: str = "last", device: str | torch.device = "cpu"
) -> SomeTracker:
    """Load a trained tracker, in evaluation mode.

    Args:
        source: a run folder, or the name of weights that ship with the package; see :func:`find`.
        checkpoint_name: the checkpoint of a run, ``last`` or ``best``.
        device: the tracker's device.

    Raises:
        CheckpointError: there is no tracker of that name, or its files are damaged.

    Example:
        >>> from vtssi_pyro import load
        >>> load("moving-mnist").num_objects
        2
    """
    return find(source).tracker(checkpoint_name, available_device(device))


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    Args:
        tracker: the trained tracker, in evaluation mode.
        metrics: metrics of held-out sequences (``Evaluation.as_dict``), or of a movie (``reconstruct``); else empty.
        calibration: the calibration of sampled predictions; None if too little was held out.
        run: the run's folder.

    Example:
        >>> from vtssi_pyro import Fitted, resume
        >>> fitted: Fitted = resume("runs/ours-linear-0001")  # of a finished run, as fit has returned it
        >>> fitted.run.folder.name, "count_accuracy" in fitted.metrics
        ('ours-linear-0001', True)
    """

    tracker: SomeTracker
    metrics: dict[str, Any]
    calibration: Calibration | None
    run: Run

    def _repr_html_(self) -> str | None:
        """As a notebook shows the result: its run."""
        return self.run._repr_html_()


@dataclass(frozen=True)
class Loaded:
    """A loaded tracker, and the source that keeps its preparation and calibration."""

    tracker: SomeTracker
    name: str  # its name in error messages
    source: Trained | None = None  # the run or weights that it was loaded from
    as_kept: bool = False  # whether it is as its source keeps it; one in memory may have been changed

    @property
    def preparation(self) -> Preparation | None:
        """The preparation of a movie's frames; None if frames are read as they are."""
        return self.source.preparation if self.source else None

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of sampled predictions; None if there is none."""
        return self.source.calibration if self.source else None

    @property
    def familiar(self) -> Familiar | None:
        """How well held-out frames of its training fit; None if that is not known."""
        return self.source.familiar if self.source else None

    def calibration_for(
        self, seen: int, samples: int, checkpoint_name: str, report: Reporter
    ) -> Calibration | None:
        """The calibration for sampled futures after ``seen`` frames, or None; warns if intervals may not be honest.

        ``checkpoint_name`` is the checkpoint whose weights this tracker has.
        """
        if samples < 2 or self.source is None:
            return None
        found = self.calibration
        if found is None:
            report.warn(
                f"{self.name}: its intervals are as the model has them; vtssi-pyro calibrate tells how honest that is"
            )
        elif not found.is_of(digest(self.tracker.state_dict())):
            report.warn(
                f"{self.name}: its calibration is of other weights than checkpoint {checkpoint_name} and is left out; "
                f"vtssi-pyro calibrate {self.name}/checkpoints/{checkpoint_name}.pt makes one"
            )
            return None
        elif not found.fits(seen, samples):
            report.warn(
                f"{self.name}: was calibrated on {found.samples} futures after {found.observed} frames, "
                f"not {samples} after {seen}: its regions may hold less or more than they say"
            )
        return found

    @property
    def identity(self) -> str | None:
        """What tells its tracks from those of others: a hash of weights, configuration and preparation.

        None of a tracker in memory, whose parts may be others than its configuration says.
        """
        if not self.as_kept:
            return None
        preparation = self.preparation
        parts = {
            "weights": digest(self.tracker.state_dict()),
            "preparation": preparation and array_digest(preparation.arrays()),
        }
        return identity_of(to_dict(self.tracker.config), parts)

    @property
    def identity_ahead(self) -> str | None:
        """What tells its predictions from those of others: the same, and its calibration."""
        if not self.as_kept:
            return None
        calibration = self.calibration
        return identity_of({"tracker": self.identity}, {"calibration": calibration and calibration.as_dict()})

    @property
    def observe(self) -> int:
        """The default number of frames observed before a prediction."""
        return (self.source.config if self.source else Config()).observe

    @property
    def device(self) -> torch.device:
        """The tracker's device."""
        return next(self.tracker.parameters()).device

    @property
    def side(self) -> int:
        """Side of the frames that it reads, pixels."""
        return self.tracker.frame_size

    @property
    def channels(self) -> int:
        """Number of channels of the frames that it reads."""
        return self.tracker.channels

    def needs_motion(self) -> None:
        """Refuse a tracker that cannot predict."""
        if not self.tracker.predicts:
            raise UsageError(
                f"{self.name}: has no model of motion, so it predicts nothing; a preset's whole system, which fit "
                "trains by default, does"
            )


AnyTracker = SomeTracker | Fitted | Trained | Config | WholeModel | str | os.PathLike[str]


def at_hand(
    source: AnyTracker | None,
    checkpoint_name: str = "last",
    device: str | torch.device = "cpu",
    report: Reporter | None = None,
) -> Loaded:
    """Load or build a tracker from any source.

    Args:
        source: a tracker, which stays on its device; the result of :func:`vtssi_pyro.fit`; a run or weights that ship,
            themselves or by name or folder; or a configuration, from which an untrained tracker is built; None: the
            newest run in the folder ``runs``.
        checkpoint_name: the checkpoint of a run, ``last`` or ``best``.
        device: the device of a tracker that is loaded or built.
        report: receives what was filled in where a run is of a former format; None: nobody does.
    """
    if source is None:
        source = newest()
    if isinstance(source, WholeModel):
        source = renamed(Config(model=source))
    if isinstance(source, Config):
        config: Config = source  # mypy takes it for a tracker, too
        with seeded(config.seed):
            untrained = build(config.model)
        return Loaded(untrained.to(device).eval(), f"variant {config.variant}")
    if isinstance(source, SomeTracker):
        return Loaded(source, "this tracker")
    if isinstance(source, Fitted):
        return Loaded(source.tracker, source.run.name, source.run)
    trained = kept_by(source)
    assert trained is not None
    if report is not None:
        trained.say_filled_in(report)
    name = os.fspath(source) if isinstance(source, str | os.PathLike) else trained.name
    kept = not isinstance(trained, InMemory)
    return Loaded(trained.tracker(checkpoint_name, device), name, trained, kept)


def kept_by(tracker: AnyTracker) -> Trained | None:
    """The run or the weights from which a tracker comes, or None.

    Raises:
        UsageError: this is no tracker.
    """
    if isinstance(tracker, SomeTracker | Config | WholeModel):
        return None
    if isinstance(tracker, Fitted):
        return tracker.run
    if isinstance(tracker, str | os.PathLike):
        return find(tracker)
    if not isinstance(tracker, Trained):
        raise UsageError(
            f"a {type(tracker).__name__} is no tracker: expected a tracker, a result of fit, a run or its folder, the "
            "name of weights that ship, or a configuration"
        )
    return tracker
