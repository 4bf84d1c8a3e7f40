"""The spatial transformer (Jaderberg et al. 2015), and the maps between frame coordinates, pixels and cells.

Both transforms are axis-aligned, so each is two small matrix products, one per axis, instead of a sampling grid;
they equal ``torch.nn.functional.grid_sample(..., align_corners=False, padding_mode="zeros")``.
"""

from itertools import repeat

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from vtssi_pyro.ops.compiled import compilable

# Pixels of a frame above which its glimpses are sampled point by point: the time of the matrix products grows with the
# frame. Of 25 x 25 pixels each, in frames of 50 x 50 both take as long.
SAMPLED = 64**2
# Weights of an axis that a processor computes together: a MiB, which fits its cache. 64 frames of 160 x 160 with 30
# objects take twice as long all at once. Where gradients keep all of them in memory, parts gain nothing.
AT_ONCE = 2**18
SIZE_LIMITS = (0.02, 1.5)  # a drawn size may be negative or huge; the transform divides by it (reading D13)


def to_pixels(position: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Convert frame coordinates (..., 2) to pixels of the continuous image plane; ``frame_size`` is (H, W)."""
    return (position + 1) / 2 * extent(position, frame_size)


def to_frame(position: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Convert pixels (..., 2) to frame coordinates; the inverse of :func:`to_pixels`."""
    return 2 * position / extent(position, frame_size) - 1


def from_cells(cell: Tensor, width: int = 1) -> Tensor:
    """Convert places in a grid of cells, ``width`` pixels wide, to pixels; a cell's index is its centre's place."""
    return width * cell + width / 2


def to_cells(pixels: Tensor, width: int = 1) -> Tensor:
    """Convert pixels to places in a grid of cells, ``width`` pixels wide; the inverse of :func:`from_cells`."""
    return (pixels - width / 2) / width


def size_to_pixels(size: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Convert sizes (..., 2) as fractions of the frame to (width, height) in pixels."""
    return size * extent(size, frame_size)


@compilable
def extract_glimpses(frames: Tensor, position: Tensor, size: Tensor, glimpse: int) -> Tensor:
    """Cut glimpses out of frames: ST of the paper.

    Args:
        frames: (..., C, H, W), intensities.
        position: centres (..., 2), frame coordinates.
        size: (..., 2), width and height as fractions of the frame.
        glimpse: side G of the glimpse in pixels.

    Returns:
        glimpses (..., C, G, G).

    Reference: App. B.1, Alg. 1.
    """
    height, width = frames.shape[-2:]
    size = size.clamp(*SIZE_LIMITS)
    grid = centres(glimpse, frames)
    shared = (*position.shape[:-2], 1), position.shape[:-1]
    if height * width > SAMPLED and frames.shape[:-3] in shared:
        return _sampled(frames, position, size, grid)
    rows = _weights(position[..., 1:] + size[..., 1:] * grid, height)  # (..., G, H)
    columns = _weights(position[..., :1] + size[..., :1] * grid, width)  # (..., G, W)
    return rows.unsqueeze(-3) @ frames @ columns.mT.unsqueeze(-3)


@compilable
def paste(
    glimpses: Tensor,
    position: Tensor,
    size: Tensor,
    frame_size: tuple[int, int],
    weight: Tensor | None = None,
) -> Tensor:
    """Paste each object's glimpse into all its frames and sum over the objects: ST^-1 of the paper.

    Args:
        glimpses: (..., N, C, G, G), one per object, the same in every frame.
        position: (..., T, N, 2), frame coordinates.
        size: (..., N, 2), fractions of the frame.
        frame_size: (H, W) of the frames.
        weight: weight of each object in each frame, (..., T, N); None: 1.

    Returns:
        frames (..., T, C, H, W).

    Reference: App. B.1, Alg. 2.
    """
    weights = position[..., :1, :, 0].numel() * glimpses.shape[-1] * max(frame_size)  # of a frame
    whole = torch.is_grad_enabled() or position.device.type != "cpu"
    number = position.shape[-3] if whole else max(1, AT_ONCE // weights)
    parts = [
        _pasted(glimpses, some, size, frame_size, shares)
        for some, shares in zip(
            position.split(number, -3),
            repeat(None) if weight is None else weight.split(number, -2),
            strict=False,
        )
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -4)


def _pasted(
    glimpses: Tensor, position: Tensor, size: Tensor, frame_size: tuple[int, int], weight: Tensor | None
) -> Tensor:
    """See :func:`paste`, whose frames this makes at once."""
    height, width = frame_size
    num_objects, side = glimpses.shape[-4], glimpses.shape[-1]
    num_frames = position.shape[-3]
    size = size.clamp(*SIZE_LIMITS).unsqueeze(-2)  # (..., N, 1, 2)
    position = position.transpose(-3, -2)  # (..., N, T, 2)
    # (..., N, T, H, G)
    rows = _weights((centres(height, glimpses) - position[..., 1:]) / size[..., 1:], side)
    # (..., N, T, W, G)
    columns = _weights((centres(width, glimpses) - position[..., :1]) / size[..., :1], side)
    if weight is not None:
        rows = rows * weight.transpose(-2, -1)[..., None, None]
    tall = rows.flatten(-3, -2).unsqueeze(-3) @ glimpses  # (..., N, C, T H, G)
    tall = tall.unflatten(-2, (num_frames, height))  # (..., N, C, T, H, G)
    tall = tall.movedim((-3, -4, -2, -5, -1), (-5, -4, -3, -2, -1)).flatten(-2)  # (..., T, C, H, N G)
    columns = columns.movedim(-4, -3).transpose(-3, -2).flatten(-2)  # (..., T, W, N G)
    assert tall.shape[-1] == num_objects * side
    return tall @ columns.mT.unsqueeze(-3)


@compilable
def covered(
    position: Tensor, size: Tensor, glimpse: int, frame_size: tuple[int, int], weight: Tensor
) -> Tensor:
    """Paste glimpses of ones in the sizes and at the places of each frame, and sum over the objects.

    Args:
        position: (..., N, 2), frame coordinates.
        size: (..., N, 2), fractions of the frame.
        glimpse: side of the glimpse in pixels.
        frame_size: (H, W) of the frames.
        weight: weight of each object, (..., N).

    Returns:
        frames (..., H, W): what :func:`paste` makes of such glimpses.
    """
    size = size.clamp(*SIZE_LIMITS)
    sides = []
    for axis, pixels in ((1, frame_size[0]), (0, frame_size[1])):
        coordinate = (centres(pixels, position) - position[..., axis, None]) / size[..., axis, None]
        index = ((coordinate + 1) * glimpse - 1) / 2
        sides.append(torch.minimum(index + 1, glimpse - index).clamp(0, 1))  # the sum of an axis's weights
    rows, columns = sides  # (..., N, H) and (..., N, W)
    return (rows * weight.unsqueeze(-1)).mT @ columns


def _sampled(frames: Tensor, position: Tensor, size: Tensor, grid: Tensor) -> Tensor:
    """The same glimpses (..., N, C, G, G) of frames (..., 1 or N, C, H, W), point by point."""
    lead, side = position.shape[:-1], len(grid)
    number = lead[-1] // frames.shape[-4]  # of objects that share a frame
    x, y = (position.unsqueeze(-1) + size.unsqueeze(-1) * grid).unbind(-2)  # (..., N, G)
    points = torch.stack(torch.broadcast_tensors(x.unsqueeze(-2), y.unsqueeze(-1)), -1)  # (..., N, G, G, 2)
    points = points.reshape(-1, number * side, side, 2)
    found = grid_sample(frames.reshape(-1, *frames.shape[-3:]), points, align_corners=False)  # (M, C, n G, G)
    return found.unflatten(-2, (-1, side)).movedim(-3, -4).reshape(*lead, -1, side, side)


def _weights(coordinate: Tensor, pixels: int) -> Tensor:
    """Bilinear weights (..., L, pixels) of the pixels of an axis at coordinates (..., L) in [-1, 1]."""
    index = ((coordinate + 1) * pixels - 1) / 2
    distance = index.unsqueeze(-1) - torch.arange(pixels, dtype=coordinate.dtype, device=coordinate.device)
    return (1 - distance.abs()).clamp_min(0)


def centres(pixels: int, like: Tensor, width: int = 1) -> Tensor:
    """Frame coordinates of the centres of an axis's cells, ``width`` pixels wide each.

    Args:
        pixels: length of the axis, whose edges are at -1 and 1.
        like: has the dtype and the device of the result.
        width: of a cell; the last one may stick out of the frame.

    Returns:
        coordinates (ceil(pixels / width),).
    """
    cells = torch.arange(-(-pixels // width), dtype=like.dtype, device=like.device)
    return (2 * width * cells + width) / pixels - 1


def extent(like: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """Width and height of a frame of (H, W) pixels, (2,), without a copy to the device of ``like``."""
    height, width = frame_size
    return torch.stack([like.new_full((), width), like.new_full((), height)])
