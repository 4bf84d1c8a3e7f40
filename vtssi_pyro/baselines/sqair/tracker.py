"""A trained SQAIR with the interface of any tracker."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import pyro
import torch
from pyro import poutine
from torch import Tensor

from vtssi_pyro.baselines.sqair.networks import Window, window
from vtssi_pyro.baselines.sqair.program import SQAIR
from vtssi_pyro.baselines.sqair.sites import close, keep
from vtssi_pyro.baselines.sqair.state import Slots
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import evaluating
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.spatial import size_to_pixels, to_pixels
from vtssi_pyro.tracks.tracks import Tracks


@dataclass(frozen=True)
class SQAIRTracker:
    """A trained SQAIR as a :class:`~vtssi_pyro.evaluation.judge.MultiObjectTracker`, to be judged beside others.

    Positions and boxes are those of the attention windows; every variable is at its mode.

    Args:
        sqair: a trained SQAIR.
        keeps: whether objects are never dropped, as in the VTSSI paper's evaluation (App. D.2); else by their presence.
    """

    sqair: SQAIR
    keeps: bool = True

    @property
    def per_frame_count(self) -> bool:
        """Each frame has a count of its own."""
        return True

    def count_frames(self, length: int) -> int:
        """A frame's count is its own."""
        return 1

    def track(self, frames: Tensor) -> Tracks:
        """Tracks (B, T, N, 2), px, of frames (B, T, C, H, W) or (B, T, H, W)."""
        with self._quiet(), mode(), self._held():
            return self._tracks(self.sqair.guide(self._near(frames)))

    def forecast(self, frames: Tensor, horizon: int, samples: int) -> Tracks:
        """Tracks (B, T + horizon, N, 2), px: after the frames, the prior propagates what is there.

        Nothing is discovered or dropped in predicted frames. Samples hold the modes of the observed frames, followed by
        draws from the prior.

        Args:
            frames: as in :meth:`track`.
            horizon: frames to predict, 1 or more.
            samples: number of sampled futures; 0: none.
        """
        sqair, x = self.sqair, self._near(frames)
        with self._quiet(), mode(), self._held():
            inferred = poutine.trace(sqair.guide).get_trace(x)
            with poutine.replay(trace=inferred):  # the prior's recurrent states, on what has been inferred
                past = sqair.prior_chain(x, range(1, x.shape[1] + 1))
        times = range(x.shape[1] + 1, x.shape[1] + horizon + 1)
        with self._quiet():
            with mode(), keep(), close():
                future = sqair.prior_chain(x, times, past[-1])
            tracks = self._tracks([*past, *future])
            if samples:
                with pyro.plate("futures", samples, dim=-3), keep(), close():
                    drawn = sqair.prior_chain(x, times, past[-1])
                own = columns(past)[:, -1].expand(samples, -1, -1)
                paths = torch.stack([_in_columns(self._position(slots), own) for slots in drawn], 2)
                known = tracks.position[:, : x.shape[1]].expand(samples, -1, -1, -1, -1)
                tracks = tracks._replace(samples=torch.cat([known, paths], 2))
        return tracks

    def _tracks(self, slots: list[Slots]) -> Tracks:
        own = columns(slots)
        position = _in_columns(torch.stack([self._position(slot) for slot in slots], 1), own)
        size = torch.stack([self._window(slot).size for slot in slots], 1)
        present = torch.stack([slot.presence for slot in slots], 1) > 0
        present = present.gather(-1, own.argsort(-1))
        side = self.sqair.config.frame_size
        box = _in_columns(size_to_pixels(size, (side, side)), own)
        here = present.unsqueeze(-1)
        return Tracks(position.where(here, torch.nan), present, box.where(here, torch.nan))

    def _position(self, slots: Slots) -> Tensor:
        side = self.sqair.config.frame_size
        return to_pixels(self._window(slots).position, (side, side))

    def _window(self, slots: Slots) -> Window:
        return window(slots.where, self.sqair.config.frame_size, self.sqair.config.glimpse)

    def _near(self, frames: Tensor) -> Tensor:
        """The frames with channels, on the model's device and in its precision."""
        like = next(self.sqair.parameters())
        return channelled(frames).to(like)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        with evaluating(self.sqair), pyro.validation_enabled(False):
            yield

    def _held(self) -> AbstractContextManager[object]:
        """The handler of presence; it comes inside that of the modes, which would decide first otherwise."""
        return keep() if self.keeps else nullcontext()


def columns(slots: list[Slots]) -> Tensor:
    """The column of each slot in the tracks, a permutation in every frame, (..., B, T, N).

    An object stays in its column while slots move up. A new object takes the first column that is free, so that a
    column may hold one object after another, even without a frame between them.
    """
    size = slots[0].presence.shape[-1]
    every = torch.arange(size, device=slots[0].presence.device)
    column, found = every.expand(slots[0].presence.shape), []
    for slot in slots:
        stays = (slot.origin < size) & (slot.presence > 0)
        column = column.gather(-1, slot.origin.clamp(max=size - 1))
        taken = ((column.unsqueeze(-1) == every) & stays.unsqueeze(-1)).any(-2)  # (..., B, columns)
        chosen = []
        for k in range(size):
            free = (~taken).to(torch.uint8).argmax(-1)
            chosen.append(torch.where(stays[..., k], column[..., k], free))
            taken = taken | (chosen[-1].unsqueeze(-1) == every)
        column = torch.stack(chosen, -1)
        found.append(column)
    return torch.stack(found, -2)


def _in_columns(values: Tensor, column: Tensor) -> Tensor:
    """Values (..., N, 2) of slots at their columns (..., N)."""
    return values.gather(-2, column.argsort(-1).unsqueeze(-1).expand(values.shape))
