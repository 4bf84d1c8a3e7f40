"""From a tracker and frames to tracks: what was inferred, what is predicted, and how sure the model is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.distributions import Normal
from pyro.poutine import Trace
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference import hypotheses
from vtssi_pyro.inference import windows as sampling
from vtssi_pyro.inference.confidence import explain
from vtssi_pyro.inference.windows import Guide, box_of, draw, needed, windows
from vtssi_pyro.model.handlers import mode, temper
from vtssi_pyro.model.program import Tracker, at_once, evaluating
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.spatial import size_to_pixels, to_pixels
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.types import Carry, Latents

TIDIED = 4  # batches after which freed memory is given back; each time costs as much as part of a batch
RUNS = 8  # places of a longer sequence that tell together what the objects are


class Reading(NamedTuple):
    """What the model makes of frames."""

    tracks: Tracks
    frames: Tensor  # (B, T + horizon, H, W) rendered means
    appearance: Tensor  # (B, N, D) what each object looks like: d at its mode


def track(tracker: Tracker, frames: Tensor, batch: int | None = None, settle: int | None = None) -> Reading:
    """Tracks of the observed frames, every variable at its mode (App. D.2).

    Args:
        tracker: trained.
        frames: (S, T, H, W), intensities in [0, 1].
        batch: sequences inferred at a time; None: as many as some 300 MiB of memory allow.
        settle: first frames that may tell what the objects are, where several readings of that are tried; never fewer
            than ``Stream(tracker).needed``. None: all; of a long sequence, some from all over it.
    """
    return forecast(tracker, frames, 0, batch=batch, settle=settle)


def readings(tracker: Tracker, frames: Tensor) -> Iterator[Reading]:
    """What :func:`track` says of a long movie, part by part, in memory that does not grow with its length.

    Args:
        tracker: trained.
        frames: (B, T, H, W), in [0, 1] or uint8.
    """
    carry = None
    with _quiet(tracker):
        guide = _settled(tracker, frames)
        for window, _ in windows(tracker, frames, 0):
            reading, carry = _read(tracker, guide, _floats(window), 0, carry)
            tidy()
            yield reading


def forecast(
    tracker: Tracker,
    frames: Tensor,
    horizon: int,
    num_samples: int = 0,
    batch: int | None = None,
    seed: int = 0,
    settle: int | None = None,
    temperature: float = 1.0,
) -> Reading:
    """Tracks of the observed frames and of ``horizon`` frames beyond them.

    Args:
        tracker: trained; only one with MOT predicts.
        frames: (S, T, H, W), intensities in [0, 1].
        horizon: frames to predict.
        num_samples: posterior samples of positions and motions, given what the objects are; from them also come the
            scales in predicted frames. 0: modes, and the scales of each variable given the mode of what came before.
        batch: sequences inferred at a time; None: as many as some 300 MiB of memory allow.
        seed: of the samples.
        settle: first frames that may tell what the objects are; see :func:`track`.
        temperature: of the samples, factor on the scales of what is drawn; below 1 they are nearer to the modes. See
            :class:`~vtssi_pyro.evaluation.calibration.Calibration` for one that fits.

    Raises:
        UsageError: a horizon is asked of a tracker without MOT.
    """
    if horizon and not tracker.motion.predicts:
        raise UsageError("this tracker has no model of motion: variants find-mot and vtssi predict")
    parts: list[Reading] = []
    with _quiet(tracker), _seeded(seed):
        for x in frames.split(batch or at_once(tracker, min(frames.shape[1], sampling.WINDOW))):
            if len(parts) % TIDIED == TIDIED - 1:
                tidy()
            guide = _settled(tracker, x, settle)
            pieces, carry = [], None
            for window, ahead in windows(tracker, x, horizon):
                trace = _traced(guide, window, ahead, carry)
                carry = trace.nodes["_RETURN"]["value"].carry
                pieces.append(_told(tracker, trace, window, ahead))
            reading = _joined(pieces, 1)
            if num_samples:
                with temper(temperature):
                    reading = _with_samples(tracker, reading, trace, window.shape[1], horizon, num_samples)
            parts.append(reading)
    return _joined(parts, 0)


class Stream:
    """Frames tracked as they come, in time and memory that do not grow with their number.

    What it says of a frame is what :func:`track` says of it, to rounding, where that, too, decides what the objects are
    on the first frames (``settle=Stream.needed``): after these the model is causal.

    Args:
        tracker: trained.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.needed = needed(tracker)
        self._early: list[Tensor] = []
        self._guide: Guide | None = None
        self._carry: Carry | None = None
        self._seen = 0

    def push(self, frames: Tensor) -> Reading | None:
        """Track the next frames.

        Args:
            frames: (B, T, H, W), T of 1 or more; of the same B sequences in every call.

        Returns:
            a reading of all frames not yet read; None as long as fewer than ``needed`` have come.

        Raises:
            UsageError: the stream was ended by :meth:`flush` before it had seen enough to go on from.
        """
        if self._carry is not None and self._seen < self.needed:
            raise UsageError(f"this stream ended after {self._seen} frames, of {self.needed} needed to go on")
        self._early.append(frames)
        self._seen += frames.shape[1]
        return self.flush() if self._seen >= self.needed else None

    def flush(self) -> Reading | None:
        """A reading of frames that still wait for others, if any do: a movie may be shorter than ``needed``.

        That ends the stream: what so few frames say of the objects is nothing to go on from.
        """
        if not self._early:
            return None
        frames = torch.cat(self._early, 1)
        self._early = []
        with _quiet(self.tracker):
            self._guide = self._guide or _settled(self.tracker, frames, self.needed)
            reading, self._carry = _read(self.tracker, self._guide, frames, 0, self._carry)
        return reading


def _joined(parts: Sequence[Reading], axis: int) -> Reading:
    """Readings one after another as one, by sequences (0) or by frames (1)."""
    tracks = concatenated([part.tracks for part in parts], axis)
    looks = [part.appearance for part in parts]
    return Reading(
        tracks, torch.cat([part.frames for part in parts], axis), looks[0] if axis else torch.cat(looks)
    )


@contextmanager
def _quiet(tracker: Tracker) -> Iterator[None]:
    """No gradients, no dropout, a parameter store of its own, validation off."""
    with evaluating(tracker), pyro.get_param_store().scope(), pyro.validation_enabled(False):
        yield


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """A random state of its own."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _settled(tracker: Tracker, x: Tensor, settle: int | None = None) -> Guide:
    """The tracker's guide, or that which knows what the objects are where several readings of that are tried."""
    if getattr(tracker.consensus, "tries", 1) <= 1:
        return tracker.guide
    least = needed(tracker)
    seen, run = _spread(x[:, : settle and max(settle, least)], max(sampling.WINDOW, least, settle or 0))
    return tracker.program(consensus=hypotheses.settle(tracker, _floats(seen), run)).guide


def _spread(x: Tensor, most: int) -> tuple[Tensor, int]:
    """So many frames of a long sequence, from all over it, in runs of neighbours; and how many these are each."""
    total = x.shape[1]
    if total <= most:
        return x, total
    runs = min(RUNS, most)
    run = most // runs
    starts = torch.linspace(0, total - run, runs).long()
    return x[:, (starts[:, None] + torch.arange(run)).flatten().to(x.device)], run


def _floats(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.float() / 255


def _read(
    tracker: Tracker, guide: Guide, x: Tensor, horizon: int, carry: Carry | None
) -> tuple[Reading, Carry | None]:
    trace = _traced(guide, x, horizon, carry)
    return _told(tracker, trace, x, horizon), trace.nodes["_RETURN"]["value"].carry


def _traced(guide: Guide, x: Tensor, horizon: int, carry: Carry | None) -> Trace:
    """The guide with every draw at its mode."""
    with mode():
        trace: Trace = poutine.trace(guide).get_trace(x, horizon=horizon, carry=carry)
    return trace


def _told(tracker: Tracker, trace: Trace, x: Tensor, horizon: int) -> Reading:
    latents: Latents = trace.nodes["_RETURN"]["value"]
    carry = latents.carry
    assert carry is not None, "a guide that tells what to go on from"
    size, total = (x.shape[-2], x.shape[-1]), x.shape[1] + horizon
    num_objects = latents.position.shape[-2]
    shape = (x.shape[0], total, num_objects)
    here = counting.present(latents.objects.count, num_objects)
    here = here.unsqueeze(-2).expand(latents.position.shape[:-1])
    present = here.reshape(shape)
    glimpses = tracker.air.glimpses(latents.objects, carry.found)
    offset, box = box_of(tracker, latents.objects, carry)
    position = to_pixels(latents.position + offset.unsqueeze(-3), size)
    scales = [trace.nodes[f"position_{t + 1}"]["fn"].stddev for t in range(latents.position.shape[-3])]
    scale = size_to_pixels(torch.stack(scales, -3) / 2, size)
    rendered, confidence = explain(x, glimpses, latents, here)
    unknown = confidence.new_full((x.shape[0], horizon, num_objects), torch.nan)
    confidence = torch.cat([confidence.reshape(x.shape[0], x.shape[1], num_objects), unknown], 1)
    tracks = Tracks(
        position=position.reshape(*shape, 2).where(present.unsqueeze(-1), torch.nan),
        present=present,
        box=size_to_pixels(box, size).unsqueeze(-3).expand_as(position).reshape(*shape, 2),
        scale=scale.reshape(*shape, 2),
        confidence=confidence,
    )
    looks = latents.objects.description.reshape(x.shape[0], num_objects, -1)
    return Reading(tracks, rendered.reshape(x.shape[0], total, *size), looks)


def _with_samples(
    tracker: Tracker, reading: Reading, trace: Trace, last: int, horizon: int, number: int
) -> Reading:
    """A reading with samples (S, B, T + horizon, N, 2), and their standard deviation in predicted frames.

    Args:
        tracker: whose guide was run.
        reading: of all frames.
        trace: of the guide at its modes on the last frames.
        last: how many these were.
        horizon: frames predicted.
        number: of samples.
    """
    tracks, seen = reading.tracks, reading.tracks.position.shape[1] - horizon
    assert tracks.scale is not None
    mean, scale = tracks.position[:, :seen], tracks.scale
    samples = pyro.sample(
        "seen", Normal(mean, scale[:, :seen], validate_args=False).expand((number, *mean.shape))
    )
    if horizon:
        latents: Latents = trace.nodes["_RETURN"]["value"]
        assert latents.carry is not None
        offset, _ = box_of(tracker, latents.objects, latents.carry)
        ahead = draw(tracker, trace, last, horizon, number) + offset.unsqueeze(-3)
        size = (reading.frames.shape[-2], reading.frames.shape[-1])
        samples = torch.cat([samples, to_pixels(ahead, size)], -3)
        if number > 1:
            scale = torch.cat([scale[:, :seen], samples[:, :, seen:].std(0)], 1)
    return reading._replace(tracks=tracks._replace(samples=samples, scale=scale))
