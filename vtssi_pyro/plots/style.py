"""Colours and letters, the same in every picture."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import ImageFont
from torch import Tensor

Frames = Tensor | np.ndarray

# Okabe and Ito's colours (2008), which colour-blind eyes can tell apart; those that shine on black come first.
IDENTITIES = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 190, 140),  # green, a little lighter than theirs
    (224, 140, 190),  # purple, likewise
    (240, 228, 66),  # yellow
    (235, 105, 40),  # vermilion, likewise
    (70, 130, 210),  # blue, likewise
    (180, 180, 180),  # grey in place of black
)
INFERENCE, PREDICTION = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion, for curves on white
TERMS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#999999")
INK, FAINT_INK, GRID = "#222222", "#777777", "#e6e6e6"
FONT_FAMILY = "DejaVu Sans"  # comes with matplotlib, so pictures look alike everywhere

# Pictures of frames have 256 colours: a ramp of grey, then one from black to each identity's colour, and then those of
# a picture's own frames.
GREYS = 64  # more than eyes tell apart in a frame, and a quarter of the palette
SHADES = 16  # shades of each identity: with 8 identities they fill half of the palette
OWN = 256 - GREYS - SHADES * len(IDENTITIES)  # as many as greys, which suffice for a frame
UNDER = 255  # stands for a frame's own colours while a picture is drawn
PAGE, DIM, BRIGHT = 6, 36, 60  # greys of GREYS: around the frames, of captions, of emphasis


def identity_base(identity: int) -> int:
    """Return the first colour of an identity's ramp; identities beyond the palette share colours."""
    return GREYS + SHADES * (identity % len(IDENTITIES))


def palette() -> list[int]:
    """Return red, green and blue of all colours, one after the other, for Pillow."""
    grey = np.linspace(0, 255, GREYS).round()[:, None].repeat(3, 1)
    shades = np.arange(1, SHADES + 1)[:, None] / SHADES
    ramps = [(shades * np.array(colour)).round() for colour in IDENTITIES]
    return np.concatenate([grey, *ramps]).astype(int).ravel().tolist()


def to_shown(frames: Frames) -> np.ndarray:
    """Convert frames (..., C, H, W), uint8 or intensities in [0, 1], to what a picture shows.

    Three channels are red, green and blue, (..., H, W, 3) uint8, unless they are equal everywhere. Six are, as the
    preparation of a movie has them, what is more and what is less of these than in a grey. Others are greys,
    (..., H, W); see :func:`to_greys`.
    """
    array = _array(frames)
    channels = array.shape[-3]
    if channels not in (3, 6) or (array[..., :1, :, :] == array[..., 1:, :, :]).all():
        return to_greys(array)
    if array.dtype != np.uint8:
        array = (255 * np.nan_to_num(array).clip(0, 1)).round().astype(np.uint8)
    if channels == 6:
        more, less = np.split(array, 2, -3)
        array = (127 + more // 2) - less // 2
    return np.moveaxis(array, -3, -1)


def to_greys(frames: Frames) -> np.ndarray:
    """Convert frames (..., C, H, W), uint8 or intensities in [0, 1], to colours (..., H, W) of the grey ramp.

    Of several channels the brightest shows.
    """
    array = _array(frames).max(-3)
    if array.dtype == np.uint8:  # looked up: a film's frames as floats would take eight times as much memory
        return (np.arange(256) / 255 * (GREYS - 1)).round().astype(np.uint8)[array]
    return np.clip(np.nan_to_num(array) * (GREYS - 1), 0, GREYS - 1).round().astype(np.uint8)


def _array(frames: Frames) -> np.ndarray:
    return frames.detach().cpu().numpy() if isinstance(frames, Tensor) else np.asarray(frames)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load the font of all pictures, ``size`` px; it comes with matplotlib, which takes long to import for a path."""
    found = find_spec("matplotlib")
    assert found is not None
    assert found.origin is not None
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / name), size)
