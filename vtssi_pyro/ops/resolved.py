"""Tight boxes of objects, finer than the pixels of the frames that show them.

One frame tells an edge to a pixel: where a pixel is black, no object is. Objects move by fractions of pixels, so that
several frames together tell more. Each object's ink is reconstructed on a fine grid of its own, as that which makes
the frames most likely if ink is never negative and adds up; a black pixel of any frame then clears its whole area. All
objects of a sequence are reconstructed together, so that ink of one is none of another's.

Reference: Richardson, Bayesian-based iterative method of image restoration, 1972; Lucy, An iterative technique for the
rectification of observed distributions, 1974; here of several frames, as in Irani and Peleg, Improving resolution by
image registration, 1991.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from vtssi_pyro.ops.gaussian import SIGMA_PER_MAD
from vtssi_pyro.ops.ink import tight_box, without_halo
from vtssi_pyro.ops.spatial import extract_glimpses, size_to_pixels, to_pixels
from vtssi_pyro.types import Pose

# Samples along each side of an object's grid: of a digit some four for a pixel. Of 64 (96), boxes of digits are 1.05
# (0.95) times as far off, in 0.8 (1.7) times the time.
SAMPLES = 80
CELL = 4  # samples of a side of the cells in which ink hangs together, about a pixel
ROUNDS = 12  # of 40, boxes are 0.95 times as far off
# Px that ink may reach beyond the rough box. Of 2.5, objects that overlap in all frames keep bits of each other, and
# boxes are 1.05 times as far off.
MARGIN = 1.0
BEGIN = 0.01  # intensity that is added to rough looks, since ink of 0 stays 0; of 0.1, boxes are 1.05 times as far off
# Share of an object's brightest pixel that is ink. Less is noise of an 8-bit frame; at a quarter of it boxes of digits,
# whose strokes end faintly, are 1.1 times as far off.
FAINT = 0.1
# Standard deviations of the ground's noise up to which a pixel is black: one in 30,000 is brighter
CLEAR = 4.0
LEAST = 1e-6  # of full scale: less is nothing


def resolved_boxes(
    frames: Tensor, glimpses: Tensor, pose: Pose, box: tuple[Tensor, Tensor], least: float = FAINT
) -> tuple[Tensor, Tensor]:
    """Resolve the tight boxes of objects on the frames in which they are visible.

    Args:
        frames: (B, K, C, H, W), intensities in [0, 1] on a black ground.
        glimpses: rough looks, (..., B, N, C, G, G).
        pose: upright, with places that are right to some hundredths of a pixel; objects that are never present are
            left out.
        box: rough boxes: offsets of their centres from the places, frame coordinates, and sizes, fractions of the
            frame, (..., B, N, 2) each.
        least: share of an object's brightest pixel that is ink.

    Returns:
        boxes as given, (..., B, N, 2) each. Those of objects without ink, and of those that the frames show only in
        part, stay as they are.
    """
    offset, extent = (values.flatten(0, -3).clone() for values in box)
    presence = pose.presence.expand(pose.position.shape[:-1]).flatten(0, -3)
    sequence, slot = (presence > 0).any(-2).nonzero(as_tuple=True)
    if not len(sequence):
        return box
    with torch.no_grad():
        grey = frames.mean(-3).expand(*pose.position.shape[:-2], *frames.shape[-2:]).flatten(0, -4)
        window, moved = pose.size.flatten(0, -3)[sequence, slot], offset[sequence, slot]  # (E, 2)
        place = pose.position.flatten(0, -4)[sequence, :, slot] + moved.unsqueeze(-2)  # (E, K, 2)
        grid = _Grid(grey, sequence, place, extent[sequence, slot], presence[sequence, :, slot])
        look = glimpses.flatten(0, -5)[sequence, slot].mean(-3, keepdim=True)  # (E, 1, G, G)
        share = grid.side / size_to_pixels(window, grid.frame)
        look = extract_glimpses(look, moved / window, share, SAMPLES).squeeze(-3)
        further, resolved, known = grid.boxes(grid.reconstruct(look), least)
        chosen = sequence[known], slot[known]
        offset[chosen] += further[known]
        extent[chosen] = resolved[known]
    return offset.view_as(box[0]), extent.view_as(box[1])


class _Grid:
    """The fine grids of E objects, which all have as many samples, and the pixels of their frames around them.

    Args:
        frames: (B, K, H, W).
        sequence: which of them each object is in, (E,).
        place: middles of the grids, (E, K, 2), frame coordinates.
        size: rough sizes of the objects, (E, 2), fractions of the frame.
        shown: 1 in frames that show an object, else 0, (E, K).
    """

    def __init__(self, frames: Tensor, sequence: Tensor, place: Tensor, size: Tensor, shown: Tensor) -> None:
        height, width = frames.shape[-2:]
        self.frame, self.number = (height, width), len(frames)
        self.inner = size_to_pixels(size, self.frame)  # (E, 2), px
        self.side = self.inner + 2 * MARGIN
        self.pitch = self.side / SAMPLES
        window = min(math.ceil(float(self.side.max())) + 1, max(height, width))
        centre = to_pixels(place, self.frame)
        first = (centre - window / 2).round().long()  # (E, K, 2)
        pixel = first.unsqueeze(-1) + torch.arange(window, device=first.device)  # (E, K, 2, k)
        edge = torch.tensor([width, height], device=first.device).unsqueeze(-1)
        inside = (pixel >= 0) & (pixel < edge)
        column, row = pixel.clamp(torch.zeros_like(edge), edge - 1).unbind(-2)
        frame = sequence.unsqueeze(-1) * frames.shape[1] + torch.arange(frames.shape[1], device=first.device)
        start = frame[..., None, None] * (height * width)
        self.index = start + row.unsqueeze(-1) * width + column.unsqueeze(-2)  # (E, K, k, k) of all pixels
        # the share of each sample that is in a pixel, (E, K, 2, k, M)
        sample = (centre - self.side.unsqueeze(-2) / 2).unsqueeze(-1) + self.pitch[
            :, None, :, None
        ] * torch.arange(SAMPLES, device=first.device)
        low = torch.maximum(sample.unsqueeze(-2), pixel.unsqueeze(-1))
        high = torch.minimum((sample + self.pitch[:, None, :, None]).unsqueeze(-2), pixel.unsqueeze(-1) + 1)
        share = (high - low).clamp_min(0) / self.pitch[:, None, :, None, None] * inside.unsqueeze(-1)
        self.columns, self.rows = share[:, :, 0], share[:, :, 1] * shown[..., None, None]
        # of the ground, which is most of a frame
        noise = SIGMA_PER_MAD * frames.flatten(1).abs().median(1).values
        ink = frames.where(frames > CLEAR * noise[:, None, None, None], torch.zeros_like(frames))
        self.pixels = ink.flatten()
        self.seen = self._back(torch.ones_like(self.index, dtype=share.dtype))  # (E, M, M)

    def reconstruct(self, look: Tensor) -> Tensor:
        """The ink of each sample, (E, M, M), from rough looks (E, M, M), intensities."""
        ink = (look + BEGIN) * (self.seen > LEAST) * self.pitch.prod(-1)[:, None, None]
        for _ in range(ROUNDS):
            drawn = self.pixels.new_zeros(len(self.pixels)).index_add(
                0, self.index.flatten(), self.draw(ink).flatten()
            )
            ratio = self.pixels / drawn.clamp_min(LEAST)
            # what is cut off at white may be any more
            ratio = ratio.where((self.pixels < 1) | (drawn < 1), 1)
            ink = ink * self._back(ratio[self.index]) / self.seen.clamp_min(LEAST)
        return ink

    def draw(self, ink: Tensor) -> Tensor:
        """Each object in its windows, (E, K, k, k), intensities."""
        columns = self.columns.flatten(1, 2)  # (E, K k, M)
        wide = (ink @ columns.mT).unflatten(-1, self.columns.shape[1:3])  # (E, M, K, k)
        return self.rows @ wide.transpose(1, 2)

    def boxes(self, ink: Tensor, least: float) -> tuple[Tensor, Tensor, Tensor]:
        """Where the boxes of ink (E, M, M) are, of at least a share of an object's brightest pixel.

        Returns:
            offsets from the grids' middles, frame coordinates, and sizes, fractions of the frame, (E, 2) each; and
            which are known, (E,).
        """
        brightest = self.draw(ink).amax((-3, -2, -1))
        density = ink / self.pitch.prod(-1)[:, None, None]
        bright = density.minimum(brightest[:, None, None])  # a spike is no measure of what is faint
        whole = self.side / self.side.new_tensor(self.frame[::-1])
        cells = max_pool2d(bright.unsqueeze(1), CELL)  # (E, 1, m, m)
        solid = without_halo(cells, least).sign().squeeze(1)
        solid = solid.repeat_interleave(CELL, -1).repeat_interleave(CELL, -2)
        offset, size = tight_box((bright * solid)[:, None, None], whole.unsqueeze(-2), least)
        place = (torch.arange(SAMPLES, device=ink.device) + 0.5) / SAMPLES - 0.5
        across, down = (place.abs() * self.side.unsqueeze(-1) < self.inner.unsqueeze(-1) / 2).unbind(-2)
        own = down.unsqueeze(-1) & across.unsqueeze(-2)  # (E, M, M), in the rough box
        cut = (own & (self.seen <= LEAST)).flatten(1).any(1)
        return offset.squeeze(-2), size.squeeze(-2), (brightest > LEAST) & ~cut

    def _back(self, windows: Tensor) -> Tensor:
        """The sum of what windows (E, K, k, k) show at each sample, (E, M, M)."""
        return self.rows.flatten(1, 2).mT @ (windows @ self.columns).flatten(1, 2)
