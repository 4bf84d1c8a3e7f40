"""Inference of tracks by one filter, for frames in memory, long movies and live frames."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pyro
import torch
from pyro.distributions import Normal
from torch import Tensor

from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.inference.estimate import Estimate, floats, joined, quiet, seeded
from vtssi_pyro.inference.hypotheses import Settled, select_hypothesis
from vtssi_pyro.inference.readout import readout
from vtssi_pyro.inference.smoothing import smoothed
from vtssi_pyro.inference.standalone import SomeTracker, StandaloneTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.handlers import mode, record, temper
from vtssi_pyro.model.interfaces import predictive
from vtssi_pyro.model.program import evolve, stacked
from vtssi_pyro.model.tracker import ONE_AT_A_TIME, Tracker, at_once
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.types import Chain, State

WINDOW = 64  # largest number of frames that the model sees at a time; more would only take more memory
TIDIED = 4  # batches after which freed memory is given back, which costs as much as part of a batch
# Objects, of all samples, whose futures are drawn together: some 200 MiB in the transitions' layers.
SAMPLED = 2**16
RUNS = 8  # places of a longer sequence whose frames decide the objects together


class Belief(NamedTuple):
    """The filter's state between frames; its size does not grow with their number."""

    consensus: Settled | None  # the consensus on the objects; None if each frame tells its own
    chain: Chain | None = None  # None before the first frame


class Filter:
    """Infer the objects, then their positions, part by part; every variable is at its mode (App. D.2).

    ``init`` and ``step`` read frames; ``ahead`` runs the prior from the last one. Under ``TestTime()``, and the paper's
    :data:`~vtssi_pyro.model.config.PUBLISHED`, this is the guide with draws replaced by modes, for any windows.

    Args:
        tracker: a trained tracker.
        test_time: the procedure at test time; None: the tracker's own.
    """

    def __init__(self, tracker: Tracker, test_time: TestTime | None = None) -> None:
        self.tracker = tracker
        self.asked = test_time or tracker.test_time
        self.program = tracker.refined(test_time)
        self.weighing = tracker.refined(test_time, bounded=False)  # weighs hypotheses
        self.readout = readout(tracker, self.program, self.asked.tight)

    @property
    def needed(self) -> int:
        """The least number of frames for the first step, unless the sequence is shorter."""
        if counts_each_frame(self.tracker):
            return 1
        return max(self.tracker.consensus.K, self.program.finder.K, self.tracker.motion.M)

    def count_frames(self, length: int, settle: int | None = None) -> int:
        """Number of frames that decide a sequence's count; 1 if each frame has a count of its own.

        Args:
            length: number of frames of the sequence.
            settle: see :meth:`init`.
        """
        if counts_each_frame(self.tracker):
            return 1
        if self.asked.hypotheses == 1:
            return min(length, self.tracker.consensus.K)
        given = min(length, max(settle, self.needed)) if settle else length
        return min(given, max(WINDOW, self.needed, settle or 0))

    def init(self, frames: Tensor, settle: int | None = None) -> Belief:
        """Infer the objects.

        Args:
            frames: (B, T, C, H, W) or, in grey, (B, T, H, W), in [0, 1] or uint8; of many, some from evenly spread
                places are used.
            settle: number of first frames used, at least ``needed``; None: all. It matters for several hypotheses
                only; a single consensus uses the first K frames.
        """
        if counts_each_frame(self.tracker):
            return Belief(None)
        x = channelled(frames)[:, : settle and max(settle, self.needed)]
        number = self.asked.hypotheses
        some, run = (
            _spread(x, max(WINDOW, self.needed, settle or 0)) if number > 1 else (x[:, : self.needed], None)
        )
        with quiet(self.tracker):
            return Belief(select_hypothesis(self.tracker, self.weighing, floats(some), number, run))

    def step(self, belief: Belief, frames: Tensor, smooth: int = 0) -> tuple[Belief, Estimate]:
        """Read the next frames, in the first step at least ``needed``.

        Args:
            belief: of the frames before.
            frames: (B, T, C, H, W) or, in grey, (B, T, H, W), in [0, 1] or uint8.
            smooth: number of gradient steps by which their estimate, but not the belief, is smoothed; see
                :func:`~vtssi_pyro.inference.smoothing.smoothed`.
        """
        x = floats(channelled(frames))
        program = self.program
        if belief.consensus is not None and belief.chain is None:
            program = replace(program, consensus=belief.consensus)
        chain = None if self.tracker.per_frame else belief.chain
        with quiet(self.tracker), mode():
            latents = smoothed(program, x, chain, smooth)
            estimate = self.readout.seen(x, latents)
        return belief._replace(chain=latents.chain), estimate

    def ahead(self, belief: Belief, horizon: int, num_samples: int = 0, temperature: float = 1.0) -> Estimate:
        """Predict the next frames by the prior.

        Args:
            belief: the state after one step at least.
            horizon: number of frames to predict, 1 or more.
            num_samples: number of samples of positions and motions, given the objects; the mode is computed, too.
            temperature: temperature of the samples; see :class:`~vtssi_pyro.model.handlers.temper`.

        Raises:
            UsageError: the tracker has no model of motion.
        """
        predictive(self.tracker.motion)
        chain = belief.chain
        assert chain is not None, "the first frames have not been read"
        times = range(1, horizon + 1)
        with quiet(self.tracker):
            with mode(), record() as sampled:
                states = self._evolve(chain, times, chain.state)
            futures = partial(self._futures, chain, times, num_samples, temperature) if num_samples else None
            return self.readout.ahead(chain, states, sampled.densities, futures, temperature)

    def _futures(self, chain: Chain, times: range, num_samples: int, temperature: float) -> State:
        """Sampled states (S, B, T, N, dims) of the next frames, of those sites that are read."""
        most = max(1, SAMPLED // chain.state["position"][..., 0].numel())
        parts = []
        for part in torch.arange(num_samples).split(most):
            number = len(part)
            with temper(temperature):
                drawn = {
                    name: pyro.sample(name, q.expand((number, *q.batch_shape))) for name, q in chain.q.items()
                }
                here = {k: v.expand(number, *v.shape) for k, v in chain.state.items() if k not in drawn}
                states = stacked(self._evolve(chain, times, here | drawn))
            parts.append({name: states[name] for name in self.readout.sites})
        return {name: torch.cat([part[name] for part in parts]) for name in self.readout.sites}

    def _evolve(self, chain: Chain, times: range, start: State) -> list[State]:
        """States of the next frames by the prior, under the handlers at hand."""
        objects = chain.objects
        return evolve(self.tracker.motion, times, start, objects.size, frame=self.program.frame(objects))


def track(
    tracker: SomeTracker,
    frames: Tensor,
    batch: int | None = None,
    settle: int | None = None,
    test_time: TestTime | None = None,
) -> Estimate:
    """Tracks of the observed frames, every variable at its mode (App. D.2).

    Args:
        tracker: a trained tracker.
        frames: (S, T, C, H, W) or, in grey, (S, T, H, W); in [0, 1] or uint8.
        batch: number of sequences inferred at a time; None: as many as some 300 MiB of memory allow.
        settle: number of first frames that decide the objects; see :meth:`Filter.init`.
        test_time: the procedure at test time; None: the tracker's own.
    """
    return forecast(tracker, frames, 0, batch=batch, settle=settle, test_time=test_time)


def forecast(
    tracker: SomeTracker,
    frames: Tensor,
    horizon: int,
    num_samples: int = 0,
    batch: int | None = None,
    seed: int = 0,
    settle: int | None = None,
    temperature: float = 1.0,
    test_time: TestTime | None = None,
) -> Estimate:
    """Tracks of the observed frames and of ``horizon`` frames beyond them; if there are any, none are smoothed.

    Args:
        tracker: a trained tracker; to predict it needs a model of motion.
        frames: (S, T, C, H, W) or, in grey, (S, T, H, W); in [0, 1] or uint8.
        horizon: number of frames to predict.
        num_samples: number of posterior samples of positions and motions, given the objects; the scales in predicted
            frames are those of the samples. 0: modes, and the scales of each variable given the mode before it.
        batch: number of sequences inferred at a time; None: as many as some 300 MiB of memory allow.
        seed: seed of the samples.
        settle: number of first frames that decide the objects; see :meth:`Filter.init`.
        temperature: factor on the scales of draws; below 1 samples are nearer to the modes. See
            :class:`~vtssi_pyro.evaluation.calibration.Calibration` for a fitted one.
        test_time: the procedure at test time; None: the tracker's own.

    Raises:
        UsageError: the tracker has no model of motion.
    """
    (estimate,) = forecasts(
        tracker, frames, horizon, num_samples, (temperature,), batch, seed, settle, test_time
    )
    return estimate


def forecasts(
    tracker: SomeTracker,
    frames: Tensor,
    horizon: int,
    num_samples: int,
    temperatures: Sequence[float],
    batch: int | None = None,
    seed: int = 0,
    settle: int | None = None,
    test_time: TestTime | None = None,
) -> list[Estimate]:
    """Forecasts at several temperatures, from one inference; each is that of :func:`forecast`."""
    if isinstance(tracker, StandaloneTracker):
        _refuse(tracker, settle, test_time)
        return tracker.forecasts(frames, horizon, num_samples, temperatures, batch, seed)
    if horizon:
        predictive(tracker.motion)
    filter_, batches = Filter(tracker, test_time), list[list[Estimate]]()
    with ONE_AT_A_TIME, seeded(seed):
        for x in frames.split(batch or at_once(tracker, min(frames.shape[1], WINDOW))):
            if len(batches) % TIDIED == TIDIED - 1:
                tidy()
            belief, seen = _read(filter_, x, settle, 0 if horizon else filter_.asked.smooth)
            futures, noise = list[Estimate](), int(torch.randint(2**62, ()))
            for temperature in temperatures:
                with seeded(noise):  # the same at every temperature
                    known = _with_samples(seen, num_samples, temperature) if num_samples else seen
                    ahead = [filter_.ahead(belief, horizon, num_samples, temperature)] if horizon else []
                futures.append(joined([known, *ahead], 1))
            batches.append(futures)
    return [joined(parts, 0) for parts in zip(*batches, strict=True)]


def _read(filter_: Filter, x: Tensor, settle: int | None, smooth: int) -> tuple[Belief, Estimate]:
    """The belief after some frames (B, T, C, H, W), and the estimate of all of them; see :meth:`Filter.step`."""
    belief, pieces = filter_.init(x, settle), []
    for window in windows(filter_, x):
        belief, estimate = filter_.step(belief, window, smooth)
        pieces.append(estimate)
    return belief, joined(pieces, 1)


def estimates(
    tracker: SomeTracker, frames: Tensor, settle: int | None = None, test_time: TestTime | None = None
) -> Iterator[Estimate]:
    """Yield the estimates of :func:`track` for a long movie part by part, in memory that does not grow with its length.

    Args:
        tracker: a trained tracker.
        frames: (B, T, C, H, W) or, in grey, (B, T, H, W); in [0, 1] or uint8.
        settle: see :meth:`Filter.init`.
        test_time: the procedure at test time; None: the tracker's own.
    """
    if isinstance(tracker, StandaloneTracker):  # it reads sequences as a whole
        yield forecast(tracker, frames, 0, settle=settle, test_time=test_time)
        return
    filter_ = Filter(tracker, test_time)
    belief = filter_.init(frames, settle)
    for window in windows(filter_, frames):
        belief, estimate = filter_.step(belief, window, filter_.asked.smooth)
        tidy()
        yield estimate


class Stream:
    """Track frames as they come, in time and memory that do not grow with their number.

    Its estimates equal those of :func:`track`, to rounding, if :func:`track`, too, decides the objects on the first
    frames (``settle=Stream.needed``): after these the model is causal. They are never smoothed.

    Args:
        tracker: a trained tracker.
        test_time: the procedure at test time; None: the tracker's own.

    Example:
        >>> import torch
        >>> from vtssi_pyro import Stream, load
        >>> stream = Stream(load("moving-mnist"))
        >>> for frame in torch.zeros(3, 50, 50):
        ...     estimate = stream.push(frame[None, None])  # None as long as the first frames wait for each other
        >>> stream.needed
        5
    """

    def __init__(self, tracker: Tracker, test_time: TestTime | None = None) -> None:
        self.filter = Filter(tracker, test_time)
        self.needed = self.filter.needed
        self._early: list[Tensor] = []
        self._belief: Belief | None = None
        self._seen = 0

    def push(self, frames: Tensor) -> Estimate | None:
        """Track the next frames.

        Args:
            frames: (B, T, C, H, W) or, in grey, (B, T, H, W), T of 1 or more; of the same B sequences in every call.

        Returns:
            an estimate of all frames without one yet; None as long as fewer than ``needed`` frames have come.

        Raises:
            UsageError: :meth:`flush` has ended the stream before ``needed`` frames had come.
        """
        if self._belief is not None and self._seen < self.needed:
            raise UsageError(f"this stream ended after {self._seen} frames, of {self.needed} needed to go on")
        self._early.append(frames)
        self._seen += frames.shape[1]
        return self.flush() if self._seen >= self.needed else None

    def flush(self) -> Estimate | None:
        """Estimate the frames that still wait for others, if any: a movie may be shorter than ``needed``.

        This ends the stream, since a chain cannot continue from so few frames.
        """
        if not self._early:
            return None
        frames = torch.cat(self._early, 1)
        self._early = []
        if self._belief is None:
            self._belief = self.filter.init(frames, self.needed)
        self._belief, estimate = self.filter.step(self._belief, frames)
        return estimate


def count_frames(
    tracker: SomeTracker, length: int, settle: int | None = None, test_time: TestTime | None = None
) -> int:
    """Number of frames that decide the count of a sequence of ``length`` frames; see :meth:`Filter.count_frames`."""
    if isinstance(tracker, StandaloneTracker):
        return min(length, tracker.K)
    return Filter(tracker, test_time).count_frames(length, settle)


def counts_each_frame(tracker: SomeTracker) -> bool:
    """Whether each frame has a count of its own: it is a scene by itself, or objects come and go."""
    return tracker.per_frame or (isinstance(tracker, Tracker) and tracker.scene.changes)


def windows(filter_: Filter, x: Tensor) -> Iterator[Tensor]:
    """Split frames into consecutive parts, as large as memory allows."""
    yield from x.split(max(min(WINDOW, at_once(filter_.tracker, 1)), filter_.needed), 1)


def _refuse(tracker: StandaloneTracker, settle: int | None, test_time: TestTime | None) -> None:
    """Refuse options of the filter to a tracker that has none."""
    for name, value in (("settle", settle), ("test_time", test_time)):
        if value is not None:
            raise UsageError(Argument(name), f": a {type(tracker).__name__} decides by itself; leave it out")


def _spread(x: Tensor, most: int) -> tuple[Tensor, int]:
    """Choose ``most`` frames of a long sequence in evenly spread runs of neighbours; returns also a run's length."""
    total = x.shape[1]
    if total <= most:
        return x, total
    runs = min(RUNS, most)
    run = most // runs
    starts = torch.linspace(0, total - run, runs).long()
    return x[:, (starts[:, None] + torch.arange(run)).flatten().to(x.device)], run


def _with_samples(estimate: Estimate, number: int, temperature: float) -> Estimate:
    """Add samples (S, B, T, N, 2) of the positions to an estimate of observed frames."""
    tracks = estimate.tracks
    assert tracks.scale is not None
    density = Normal(tracks.position, tracks.scale, validate_args=False)
    samples = density.expand((number, *tracks.position.shape)).rsample()
    samples = tracks.position + temperature * (samples - tracks.position)
    return estimate._replace(tracks=tracks._replace(samples=samples))
