"""The boxes of bright objects of about one size, found without learning, also of those that an edge cuts off."""

import torch
from torch import Tensor

from vtssi_pyro.ops.peaks import BLUR, bump
from vtssi_pyro.ops.spatial import centres, to_frame

INK = 0.1  # intensity above which a pixel is of an object; interpolation leaves less around one
# Half sides of the windows in which an object's ink is sought, in sides of its box: first around the blurred peak, up
# to a third of a side from the middle, then around the middle.
WINDOWS = (0.7, 0.6)


def boxes(frames: Tensor, size: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Find the middles of the boxes of the brightest objects, the brightest first.

    The box of an object that touches an edge of the frame goes on beyond it, up to the usual size.

    Args:
        frames: square, (..., C, H, W), intensities, objects bright on black; of the channels the brightest counts.
        size: of the objects, width and height, (2,), fractions of the frame.
        number: N, how many to find; if the frame has fewer objects, the last boxes are empty.

    Returns:
        places (..., N, 2), frame coordinates, and the mean intensity in a box of the usual size, (..., N).
    """
    with torch.no_grad():
        side, sides = frames.shape[-1], frames.shape[-1] * size.flip(-1)  # px, rows first
        grid = centres(side, frames)
        smooth = [_normal(bump(grid, grid, 2 * BLUR * length)) for length in size.flip(-1)]
        pixels = torch.arange(side, dtype=sides.dtype, device=sides.device) + 0.5
        ink = frames.amax(-3)
        places, brightness = [], []
        for _ in range(number):
            blurred = smooth[0] @ ink @ smooth[1].mT
            cell = blurred.flatten(-2).argmax(-1)
            middle = torch.stack([cell // side, cell % side], -1) + 0.5  # (..., 2), px
            for reach in WINDOWS:
                near = ((pixels - middle.unsqueeze(-1)).abs() <= reach * sides.unsqueeze(-1)).to(ink)
                rows, columns = near.unbind(-2)  # (..., side)
                inside = ink * rows.unsqueeze(-1) * columns.unsqueeze(-2)
                along = torch.stack([inside.amax(-1), inside.amax(-2)], -2)  # (..., 2, side)
                middle = _middle(along > INK, sides, middle)
            brightness.append(inside.sum((-2, -1)) / sides.prod())
            ink = ink - inside
            places.append(to_frame(middle.flip(-1), (side, side)))
        return torch.stack(places, -2), torch.stack(brightness, -1)


def _middle(ink: Tensor, side: Tensor, otherwise: Tensor) -> Tensor:
    """The middles (..., 2) of the ink of both axes, bool (..., 2, length), px.

    Of a side beyond the edge that the ink touches, the middle is that of the usual ``side`` (2,).
    """
    length = ink.shape[-1]
    some = ink.to(side)
    first, last = some.argmax(-1), length - some.flip(-1).argmax(-1)  # edges, px
    middle = (first + last) / 2
    short = last - first < side
    middle = torch.where(short & (first == 0) & (last < length), last - side / 2, middle)
    middle = torch.where(short & (last == length) & (first > 0), first + side / 2, middle)
    return torch.where(ink.any(-1), middle, otherwise.to(side))


def _normal(rows: Tensor) -> Tensor:
    return rows / rows.sum(-1, keepdim=True)
