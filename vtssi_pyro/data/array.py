"""A data set of frames in an array, most often one mapped from a file."""

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.data.dataset import Index, rows, span
from vtssi_pyro.errors import DataError
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.tracks.tracks import Tracks

_FULL = {"uint8": 255.0, "uint16": 65535.0, "bool": 1.0}  # the value of white, by dtype
COLOURS = 4  # red, green, blue and transparency: a last axis no longer than this holds channels, not columns
_CHUNK = 2**24  # numbers checked at a time, 64 MiB of single-precision floats for files of any size


class ArrayDataset:
    """Frames in an array, often a file's, with truth if it is known; a :class:`~vtssi_pyro.data.dataset.Dataset`.

    Intensities become float32 in [0, 1]: uint8 is divided by 255, uint16 by 65,535, bool becomes 0 and 1;
    floats stay as they are, or are divided by 255 if one is above 1.

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
    ) -> None:
        """Check all values once; only floats have to be read for this."""
        self.name = str(name)
        single = frames.ndim == 3
        self._frames = channelled(frames[None] if single else frames)
        self._check_frames(frames.shape)
        self._full = _FULL.get(frames.dtype.name) or self._full_of_floats()
        self._position = self._truth("positions", position, single)
        self._boxes = self._truth("boxes", boxes, single)
        if self._boxes is not None and (self._position is None or self._boxes.shape != self._position.shape):
            raise DataError(f"{name}: boxes need positions of the same shape")
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
        made._resident = torch.from_numpy(np.array(self._frames, dtype=native)).to(device)
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
            self._position, self._position.isfinite().all(-1), self._boxes,
            visible=self._visible, depth=self._depth, angle=self._angle,
        )  # fmt: skip

    @property
    def counts(self) -> Tensor | None:
        """Number of objects (S,) int64; None if it is not known."""
        return self._counts

    def frames(self, index: Index, length: int | None = None, start: int = 0) -> Tensor:
        """Read frames (b, t, C, H, W) in [0, 1], and no others; see :meth:`Dataset.frames`."""
        chosen, times = rows(index, len(self)).cpu(), span(length, start, self.length)
        if self._resident is not None:
            chosen = chosen.to(self._resident.device)
            return self._resident[chosen, times.start : times.stop].float().div_(self._full)
        picked = self._frames[chosen.numpy()[:, None], np.arange(times.start, times.stop)]  # (b, t, C, H, W)
        return torch.from_numpy(picked.astype(np.float32)).div_(self._full)

    def _check_frames(self, given: tuple[int, ...]) -> None:
        """Refuse what makes no sense as frames, which had some shape when they were given."""
        frames = self._frames
        if frames.ndim != 5:
            raise DataError(
                f"{self.name}: frames have shape {given}, expected (S, T, H, W) or (T, H, W) in grey, or "
                "(S, T, C, H, W)"
            )
        if frames.shape[2] > COLOURS >= frames.shape[-1]:
            raise DataError(
                f"{self.name}: frames have shape {given}, with channels last, expected (S, T, C, H, W): "
                "numpy.moveaxis(frames, -1, 2) puts them there"
            )
        if 0 in frames.shape:
            raise DataError(f"{self.name}: no frames, their shape is {given}")
        if frames.dtype.name not in _FULL and frames.dtype.kind != "f":
            raise DataError(
                f"{self.name}: frames are {frames.dtype}, expected uint8, uint16, bool, or floats in [0, 1] "
                "or 0 to 255"
            )

    def _full_of_floats(self) -> float:
        """Check every float; 255 if one is above 1, else 1."""
        highest = 0.0
        for first, frames in self._chunks():
            valid = np.isfinite(frames) & (frames >= 0) & (frames <= 255)
            if not valid.all():
                s, t, c, y, x = (int(i) for i in np.argwhere(~valid)[0])
                raise DataError(
                    f"{self.name}: sequence {first[0] + s}, frame {first[1] + t} has the intensity "
                    f"{frames[s, t, c, y, x]} at row {y}, column {x}: expected [0, 1] or 0 to 255"
                )
            highest = max(highest, float(frames.max()))
        return 255.0 if highest > 1 else 1.0

    def _chunks(self) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Blocks of frames with the sequence and frame they start at, so that the memory stays bounded."""
        sequences, length = self._frames.shape[:2]
        at_once = max(1, _CHUNK // math.prod(self._frames.shape[2:]))  # frames
        many, long = max(1, at_once // length), min(length, at_once)
        for s in range(0, sequences, many):
            for t in range(0, length, long):
                yield (s, t), np.asarray(self._frames[s : s + many, t : t + long])

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
        wrong = out.isfinite() != self._position.isfinite().all(-1)
        if wrong.any():
            s, t, n = (int(i) for i in wrong.nonzero()[0])
            raise DataError(
                f"{self.name}: {name} of sequence {s}, frame {t}, object {n} is {float(out[s, t, n])}: expected a "
                "number, or NaN where there is no object"
            )
        return out

    def _numbers(self, counts: np.ndarray | None) -> Tensor | None:
        if counts is None:
            return None if self._position is None else self._position[:, 0].isfinite().all(-1).sum(-1)
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
