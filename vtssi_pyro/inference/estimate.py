"""The estimate that a tracker makes of some frames, and the conditions under which it is made."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pyro
import torch
from torch import Tensor, nn

from vtssi_pyro.errors import DataError
from vtssi_pyro.model.tracker import evaluating
from vtssi_pyro.movies.levels import OVERSHOOT
from vtssi_pyro.system.markup import terms
from vtssi_pyro.tracks.columns import Origin
from vtssi_pyro.tracks.notebook import html
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.tracks.units import NO_UNITS, Units

if TYPE_CHECKING:  # extras
    import pandas
    import xarray


class Estimate(NamedTuple):
    """The estimate for some frames."""

    tracks: Tracks
    frames: Tensor  # (B, T, C, H, W) rendered means
    appearance: Tensor  # (B, N, D) description of each object, d at its mode
    # (B, T): above 1 if a frame fits worse than 99 % of the frames held out at the end of the training; None: not known
    novelty: Tensor | None = None
    units: Units | None = None  # what pixels and frames stand for; None: not known

    def _repr_html_(self) -> str:
        """As a notebook shows an estimate."""
        units = self.units or NO_UNITS
        told = {"rendered frames": f"{len(self.frames)} sequences", "units": units.line() or "not known"}
        if self.novelty is not None:
            told["novelty"] = f"{float(self.novelty.median()):.2g} (median; up to about 1 is familiar)"
        return terms("Estimate", told) + html(self.tracks, units)

    def to_dataframe(self, origin: Origin = "corner") -> "pandas.DataFrame":
        """:meth:`Tracks.to_dataframe <vtssi_pyro.Tracks.to_dataframe>` in pixels and in the known units."""
        return self.tracks.to_dataframe(self.units, origin)

    def to_xarray(self, origin: Origin = "corner") -> "xarray.Dataset":
        """:meth:`Tracks.to_xarray <vtssi_pyro.Tracks.to_xarray>` in pixels and in the known units."""
        return self.tracks.to_xarray(self.units, origin)

    def summary(self) -> "pandas.DataFrame":
        """:meth:`Tracks.summary <vtssi_pyro.Tracks.summary>` in pixels and in the known units."""
        return self.tracks.summary(self.units)


def joined(parts: Sequence[Estimate], axis: int) -> Estimate:
    """Join estimates one after another, along sequences (0) or frames (1).

    Objects that come later have their descriptions from the later estimate.
    """
    tracks = concatenated([part.tracks for part in parts], axis)
    number = max(part.appearance.shape[1] for part in parts)
    descriptions = [_widened(part.appearance, number) for part in parts]
    known = descriptions[0]
    for later in descriptions[1:] if axis else ():
        known = torch.where(known.isnan(), later, known)
    return Estimate(
        tracks,
        torch.cat([part.frames for part in parts], axis),
        known if axis else torch.cat(descriptions),
    )


def _widened(descriptions: Tensor, number: int) -> Tensor:
    """Descriptions (B, N, D) with NaN for further objects, up to a number."""
    return torch.nn.functional.pad(descriptions, (0, 0, 0, number - descriptions.shape[1]), value=torch.nan)


def floats(x: Tensor) -> Tensor:
    """Frames in [0, 1], of such, of bool or of uint8.

    Raises:
        DataError: other integers, or numbers that are not finite or far from [0, 1]; ``open_frames`` scales these.
    """
    if x.dtype in (torch.uint8, torch.bool):
        return x.float() / (255 if x.dtype == torch.uint8 else 1)
    low, high = (float(value) for value in x.aminmax()) if x.numel() else (0.0, 1.0)
    if not (x.is_floating_point() and low >= -OVERSHOOT and high <= 1 + OVERSHOOT):  # NaN is neither
        raise DataError(
            f"frames are {x.dtype} from {low:g} to {high:g}: expected floats in [0, 1] or uint8; "
            "vtssi_pyro.open_frames(frames) reads others"
        )
    return x


@contextmanager
def quiet(tracker: nn.Module) -> Iterator[None]:
    """Turn off gradients, dropout, validation and other threads' programs, with a separate parameter store."""
    with evaluating(tracker), pyro.get_param_store().scope(), pyro.validation_enabled(False):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Use a separate random state."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
