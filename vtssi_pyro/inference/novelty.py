"""Novelty: how much worse frames fit the objects that are found in them than held-out frames of the training do."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.inference.estimate import Estimate, floats

# Share of the held-out frames that fit better than what counts as new: of a sequence of the usual 20 frames, one in
# five has a frame beyond it by chance, hardly any has half of them there.
SHARE = 0.99
LEAST = 1e-6  # mean squared error of a pixel that is never unusual: a thousandth of full scale, squared
# Novelty above which frames are called unlike those learned from. Another movie of the same camera may have 1 (measured
# with a run of one movie); uniform grey has 2 with the weights that ship.
CLEAR = 1.5
LASTING = 3  # frames: what is new for fewer is a passing occlusion
SOME = 0.05  # share of new sequences that familiar data do not have by chance


def misfit(frames: Tensor, rendered: Tensor) -> Tensor:
    """The part of each frame that its objects leave unexplained, (B, T, 2).

    The first number is the mean squared error of a pixel, the frame's negative log-likelihood under any noise that is
    the same in all pixels; the second is its share of the frame's mean square, which is large for faint frames, too.

    Args:
        frames: (B, T, C, H, W) in [0, 1].
        rendered: their means as the tracker renders them, of the same shape.
    """
    pixels = (-3, -2, -1)
    error = (frames - rendered).square().mean(pixels)
    return torch.stack([error, error / (frames.square().mean(pixels) + LEAST)], -1)


def with_misfits(frames: Tensor, estimates: Iterable[Estimate]) -> Iterator[tuple[Estimate, Tensor]]:
    """Yield the estimates of a long movie part by part, each with the misfit (B, t, 2) of its frames, on the CPU.

    Args:
        frames: (B, T, C, H, W) in [0, 1] or uint8.
        estimates: its parts, one after another.
    """
    first = 0
    for estimate in estimates:
        seen = frames[:, first : first + estimate.frames.shape[1]]
        first += seen.shape[1]
        yield estimate, misfit(floats(seen), estimate.frames).cpu()


@dataclass(frozen=True)
class Familiar:
    """The misfit of held-out frames, see :func:`misfit`, in quantiles: :data:`SHARE` of them fit better.

    Args:
        error: mean squared error of a pixel.
        share: unexplained share of a frame.
        frames: number of frames that both rest on.
    """

    error: float
    share: float
    frames: int

    @classmethod
    def of(cls, misfits: Tensor) -> "Familiar":
        """Take the quantiles of the misfits (..., 2) of held-out frames."""
        known = misfits.flatten(0, -2).double()
        error, share = (max(value, LEAST) for value in torch.quantile(known, SHARE, 0).tolist())
        return cls(error, share, len(known))

    def novelty(self, misfits: Tensor) -> Tensor:
        """The novelty of frames, (B, T), from their misfits: above 1 for one or two of a hundred familiar frames."""
        return (misfits / misfits.new_tensor([self.error, self.share])).amax(-1)

    def as_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)


def new(novelty: Tensor) -> Tensor:
    """The sequences (B,) that are unlike the training's: half of their frames have a novelty above :data:`CLEAR`.

    Args:
        novelty: (B, T).
    """
    return novelty.median(1).values > CLEAR


def late(novelty: Tensor) -> Tensor:
    """The first frame of each sequence (B,) from which on most frames are new, after as many that are not; -1: none.

    Objects that come when the others have been decided upon are such a change: no track explains them.

    Args:
        novelty: (B, T).
    """
    signs = torch.where(novelty > CLEAR, 1.0, -1.0)
    after = signs.flip(1).cumsum(1).flip(1)  # of the frames from each on
    before = signs.cumsum(1) - signs
    gain = after - before
    best = gain.argmax(1)
    length = signs.shape[1] - best
    majority, calm = (each.gather(1, best[:, None])[:, 0] for each in (after, before))
    # three quarters of the frames on either side
    lasting = (majority >= length / 2) & (-calm >= best / 2) & (best > 0) & (length >= LASTING)
    return torch.where(lasting, best, torch.full_like(best, -1))
