"""A data set of frames in an array, most often one mapped from a file."""

import copy
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Index, rows, span
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.axes import sequences
from vtssi_pyro.movies.levels import FULL, scanned
from vtssi_pyro.movies.movie import LUMINANCE
from vtssi_pyro.movies.stored import GREY, Stored
from vtssi_pyro.tracks.tracks import Tracks


class ArrayDataset:
    """Frames in an array, often a file's, with truth if it is known; a :class:`~vtssi_pyro.data.dataset.Dataset`.

    Intensities become float32 in [0, 1], as :mod:`vtssi_pyro.movies.levels` decides: ``lines`` holds what was assumed.

    Args:
        name: the file's name in error messages.
        frames: (S, T, C, H, W), intensities of any number of channels; (S, T, H, W), in grey, get their channel axis
            here, and (T, H, W), which are one sequence, that of sequences, too.
        position: (S, T, N, 2) centres in pixels, NaN for an absent object; without S for one sequence.
        counts: (S,) numbers of objects; None: those present in the first frame.
        boxes: (S, T, N, 2) width and height of the tight boxes, pixels.
        visible: (S, T, N) share of each object that the frame shows, in [0, 1]; like the next two it needs positions,
            and is NaN where there is no object.
        depth: (S, T, N) the smaller, the nearer.
        angle: (S, T, N) radians, from x towards y.
        stored: how the frames are stored, as far as it is known.
    """

    def __init__(
        self,
        name: str | Path,
        frames: np.ndarray,
        position: np.ndarray | None = None,
        counts: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
        visible: np.ndarray | None = None,
        depth: np.ndarray | None = None,
        angle: np.ndarray | None = None,
        stored: Stored = Stored(),
    ) -> None:
        """Check all values once; 8 bits need not be read for this."""
        self.name = str(name)
        arranged = sequences(self.name, frames, stored)
        self._frames, single = arranged.frames, "S" not in arranged.axes
        self.levels = scanned(self.name, self._frames, stored)
        self.lines = (*arranged.lines, *self.levels.lines)
        self.units = stored.units
        self._full = FULL.get(frames.dtype.name, 1.0)
        self._grey = stored.channel == GREY  # of red, green and blue
        self._position = self._truth("positions", position, single)
        self._boxes = self._truth("boxes", boxes, single)
        if self._boxes is not None and (self._position is None or self._boxes.shape != self._position.shape):
            raise DataError(f"{name}: boxes need positions of the same shape")
        if self._boxes is not None and not (self._boxes[self._present] > 0).all():
            raise DataError(f"{name}: boxes of objects have widths and heights that are no numbers above 0")
        self._visible, self._depth, self._angle = (
            self._values(name, values, single)
            for name, values in (("visible", visible), ("depth", depth), ("angle", angle))
        )
        if self._visible is not None and ((self._visible < 0) | (self._visible > 1)).any():
            raise DataError(f"{name}: visible goes beyond [0, 1]: it is a share of the object")
        self._counts = self._numbers(counts)
        self._resident: Tensor | None = None

    def to(self, device: torch.device | str) -> Self:
        """Copy the stored frames to a device's memory; frames that fill more than half of a GPU's free memory stay."""
        device, made = torch.device(device), copy.copy(self)
        if device.type == "cuda" and self._frames.nbytes > torch.cuda.mem_get_info(device)[0] / 2:
            return made
        native = self._frames.dtype.newbyteorder("=")
        # a range other than the dtype's own is applied once
        held = (
            np.array(self._frames, dtype=native)
            if self.levels.natural
            else self.levels(self._frames) * self._full
        )
        made._resident = torch.from_numpy(held).to(device)
        return made

    def __len__(self) -> int:
        """Number of sequences S."""
        return self._frames.shape[0]

    @property
    def length(self) -> int:
        """Number of frames T of each sequence."""
        return self._frames.shape[1]

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self._frames.shape[-2], self._frames.shape[-1]

    @property
    def truth(self) -> Tracks | None:
        """Centres in pixels, and what else the file tells of the objects; None if the file has no positions."""
        if self._position is None:
            return None
        return Tracks(
            self._position, self._present, self._boxes,
            visible=self._visible, depth=self._depth, angle=self._angle,
        )  # fmt: skip

    @property
    def _present(self) -> Tensor:
        """Where there is an object, (S, T, N) bool; the positions must be known."""
        assert self._position is not None
        return self._position.isfinite().all(-1)

    @property
    def counts(self) -> Tensor | None:
        """Number of objects (S,) int64; None if it is not known."""
        return self._counts

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Read frames (b, t, C, H, W) in [0, 1], and no others; see :meth:`Dataset.frames`."""
        chosen, times = rows(index, len(self)).cpu(), span(length, start, self.length)
        if self._resident is not None:
            chosen = chosen.to(self._resident.device)
            return self._shown(self._resident[chosen, times.start : times.stop].float().div_(self._full))
        picked = self._frames[chosen.numpy()[:, None], np.arange(times.start, times.stop)]  # (b, t, C, H, W)
        if not self.levels.natural:
            return self._shown(torch.from_numpy(self.levels(picked)))
        return self._shown(torch.from_numpy(picked.astype(np.float32)).div_(self._full))

    def _shown(self, frames: Tensor) -> Tensor:
        """Frames (b, t, C, H, W), in grey if it was asked for."""
        if not self._grey:
            return frames
        return (frames * frames.new_tensor(LUMINANCE).view(3, 1, 1)).sum(2, keepdim=True)

    def _truth(self, name: str, values: np.ndarray | None, single: bool) -> Tensor | None:
        if values is None:
            return None
        shape = values.shape
        values = values[None] if single and values.ndim == 3 else values
        if values.ndim != 4 or values.shape[:2] != self._frames.shape[:2] or values.shape[3] != 2:
            raise DataError(
                f"{self.name}: {name} have shape {shape}, frames {self._frames.shape}: expected {name} "
                "(S, T, N, 2) with the S and T of the frames"
            )
        if values.dtype.kind != "f":
            raise DataError(f"{self.name}: {name} are {values.dtype}, expected float32")
        out = torch.from_numpy(values.astype(np.float32))
        wrong = out.isinf().any(-1) | (out.isnan().any(-1) != out.isnan().all(-1))
        if wrong.any():
            s, t, n = (int(i) for i in wrong.nonzero()[0])
            raise DataError(
                f"{self.name}: {name} of sequence {s}, frame {t}, object {n} are {out[s, t, n].tolist()}: "
                "expected two numbers, or two NaN where there is no object"
            )
        return out

    def _values(self, name: str, values: np.ndarray | None, single: bool) -> Tensor | None:
        """Check values of objects, one number each."""
        if values is None:
            return None
        given = values[None] if single and values.ndim == 2 else values
        if self._position is None or given.shape != self._position.shape[:3] or given.dtype.kind != "f":
            raise DataError(
                f"{self.name}: {name} is {values.dtype} of shape {values.shape}, expected float32 (S, T, N) beside "
                "positions (S, T, N, 2)"
            )
        out = torch.from_numpy(given.astype(np.float32))
        wrong = out.isfinite() != self._present
        if wrong.any():
            s, t, n = (int(i) for i in wrong.nonzero()[0])
            raise DataError(
                f"{self.name}: {name} of sequence {s}, frame {t}, object {n} is {float(out[s, t, n])}: expected a "
                "number, or NaN where there is no object"
            )
        return out

    def _numbers(self, counts: np.ndarray | None) -> Tensor | None:
        if counts is None:
            return None if self._position is None else self._present[:, 0].sum(-1)
        if counts.dtype.kind not in "iu" or counts.size != len(self) or counts.ndim > 1:
            raise DataError(
                f"{self.name}: counts are {counts.dtype} of shape {counts.shape}, "
                f"expected int64 of shape ({len(self)},)"
            )
        out = torch.from_numpy(counts.astype(np.int64)).reshape(-1)
        most = torch.iinfo(torch.int64).max if self._position is None else self._position.shape[2]
        wrong = (out < 0) | (out > most)
        if wrong.any():
            s = int(wrong.nonzero()[0])
            raise DataError(f"{self.name}: sequence {s} counts {int(out[s])} objects, expected 0 to {most}")
        return out
