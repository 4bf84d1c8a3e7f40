"""What has learned something: a run folder, or weights that ship with the package."""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.shipped import PREFIX, Pretrained, available
from vtssi_pyro.config import to_dict
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.program import Tracker, build
from vtssi_pyro.movies import Preparation
from vtssi_pyro.train.config import Config


class Trained(Protocol):
    """A configuration and weights; :class:`Run` and :class:`Pretrained` are such."""

    @property
    def name(self) -> str:
        """What :func:`find` finds it by, wherever it is called."""

    @property
    def config(self) -> Config:
        """The resolved configuration it was trained with."""

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> Tracker:
        """The tracker, ready to track; a :class:`CheckpointError` where that cannot be."""

    @property
    def calibration(self) -> Calibration | None:
        """What makes sampled predictions honest, of the weights that it names; None where nobody has looked."""

    @property
    def preparation(self) -> Preparation | None:
        """How a movie's frames become those of the model; None where it has learned from frames as they are."""

    def about(self) -> dict[str, Any]:
        """What it is and how good it is, ready for JSON."""


@dataclass(frozen=True)
class InMemory:
    """A tracker made in Python, as something that a training can start from."""

    own: Tracker
    config: Config
    name: str = "a tracker in memory"
    calibration: Calibration | None = None
    preparation: Preparation | None = None

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> Tracker:
        """The tracker itself, wherever it is."""
        del checkpoint_name, device
        return self.own

    def about(self) -> dict[str, Any]:
        """Its recipe."""
        return {"name": self.name, "recipe": to_dict(self.config)}


def rebuildable(tracker: Tracker) -> ModelConfig:
    """The configuration of a tracker, from which it can be built again.

    Raises:
        UsageError: something in it was swapped that its configuration does not tell of.
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
    """What goes by a name: ``pretrained:NAME``, a run folder, or NAME alone where there is no such folder.

    Nothing is read yet; that there is nothing of that name may show only then.
    """
    name = os.fspath(source)
    if name.startswith(PREFIX):
        return Pretrained(name.removeprefix(PREFIX))
    if not Path(name).is_dir():
        if name in available():
            return Pretrained(name)
        near = difflib.get_close_matches(name, available(), 1)
        if near:
            raise CheckpointError(f"{name}: not a run folder; did you mean {PREFIX}{near[0]}?")
    return Run(source)


def load(
    source: str | os.PathLike[str], checkpoint_name: str = "last", device: str | torch.device = "cpu"
) -> Tracker:
    """A trained tracker, ready to track.

    Args:
        source: a run folder, or the name of weights that ship with the package; see :func:`find`.
        checkpoint_name: of a run, ``last`` or ``best``.
        device: where it shall be.

    Raises:
        CheckpointError: there is none of that name, or it is damaged.
    """
    return find(source).tracker(checkpoint_name, device)


@dataclass(frozen=True)
class Fitted:
    """A trained tracker and what is known of it.

    Args:
        tracker: ready to track.
        metrics: of the held-out sequences, by ``Evaluation.as_dict``; of a movie, by ``reconstruct``; else empty.
        calibration: of its sampled predictions; None where too little was held out.
        run: the folder with everything the training left.
    """

    tracker: Tracker
    metrics: dict[str, Any]
    calibration: Calibration | None
    run: Run


@dataclass(frozen=True)
class Loaded:
    """A tracker at hand, and what is kept with it."""

    tracker: Tracker
    name: str  # as errors call it
    source: Trained | None = None  # where it was loaded from

    @property
    def preparation(self) -> Preparation | None:
        """How a movie's frames become those of the model; None where frames are read as they are."""
        return self.source.preparation if self.source else None

    @property
    def calibration(self) -> Calibration | None:
        """What makes sampled predictions honest; None where nothing is known of that."""
        return self.source.calibration if self.source else None

    @property
    def observe(self) -> int:
        """Frames seen before a prediction where nobody says how many."""
        return (self.source.config if self.source else Config()).observe

    @property
    def device(self) -> torch.device:
        """Where the tracker is."""
        return next(self.tracker.parameters()).device

    @property
    def side(self) -> int:
        """Pixels a side of the frames that it reads."""
        return self.tracker.picture.frame_size

    def needs_motion(self) -> None:
        """Refuse a tracker that cannot predict."""
        if not self.tracker.motion.predicts:
            raise UsageError(
                f"{self.name}: has no model of motion, so it predicts nothing; variants find-mot and vtssi do"
            )


AnyTracker = Tracker | Fitted | Trained | Config | ModelConfig | str | os.PathLike[str]


def at_hand(
    source: AnyTracker,
    checkpoint_name: str = "last",
    device: str | torch.device = "cpu",
) -> Loaded:
    """A tracker, wherever it comes from.

    Args:
        source: a tracker, which stays where it is; what :func:`vtssi_pyro.fit` returned; a run or weights that ship,
            themselves or by name or folder; or a configuration, of which a fresh tracker is built.
        checkpoint_name: of a run, ``last`` or ``best``.
        device: where a tracker that is loaded or built shall be.
    """
    if isinstance(source, Tracker):
        return Loaded(source, "this tracker")
    if isinstance(source, Fitted):
        return Loaded(source.tracker, source.run.name, source.run)
    if isinstance(source, ModelConfig):
        source = Config(model=source)
    if isinstance(source, Config):
        return Loaded(build(source.model).to(device).eval(), f"variant {source.variant}")
    if isinstance(source, str | os.PathLike):
        trained, name = find(source), os.fspath(source)
    else:
        trained, name = source, source.name
    return Loaded(trained.tracker(checkpoint_name, device), name, trained)


def kept_by(tracker: AnyTracker) -> Trained | None:
    """The run or the weights that a tracker comes from, if it comes from any."""
    if isinstance(tracker, Tracker | Config | ModelConfig):
        return None
    if isinstance(tracker, Fitted):
        return tracker.run
    return find(tracker) if isinstance(tracker, str | os.PathLike) else tracker
