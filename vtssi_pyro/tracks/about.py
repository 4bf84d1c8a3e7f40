"""What a file of tracks tells beside them."""

from typing import NamedTuple

from vtssi_pyro.tracks.units import NO_UNITS, Units


class About(NamedTuple):
    """What a file of tracks tells beside them."""

    frame_size: tuple[int, int]  # (H, W), px
    units: Units = NO_UNITS
