"""The shake and the drift of a camera: shifts of whole frames, by phase correlation."""

import numpy as np
from scipy import fft, ndimage

from vtssi_pyro.movies.background import STEADIER
from vtssi_pyro.movies.movie import each_channel
from vtssi_pyro.ops.gaussian import SIGMA_PER_MAD

FINEST = 4.0  # px: waves that are shorter are noise mostly
# Share of the frames' contrast, a level of 8 bits: where the usual pixel changes by less, the ground has no texture
# that could tell of a shift, and what is registered are the objects.
PLAIN = 1 / 256
LEAST = 0.3  # px: less shake changes a background less than interpolation would
TRIED = 8  # frames that tell whether any shift explains what changes, before all are registered
MOST = 3.0  # standard deviations of a background's intensities; what is beyond is cut off
ROUNDS = 2  # the median of frames that are registered once is sharp enough to register all again
BLUR = (
    1.5  # px: what is compared is blurred, since interpolation, which blurs noise, would seem to explain it
)


def shifts(frames: np.ndarray) -> np.ndarray | None:
    """Estimate by how much the whole of each frame is shifted.

    Args:
        frames: (n, H, W).

    Returns:
        (n, 2), x and y in px, by which what stands in the frames is farther right and farther down than usual; None
        where shifts explain little of what changes, or nothing.
    """
    if _restless(frames) < PLAIN * float(np.ptp(frames)):
        return None
    away = frames - np.median(frames, (1, 2), keepdims=True)  # the light is no shift
    frames = away / np.maximum(np.median(np.abs(away), (1, 2), keepdims=True), 1e-9)
    some = frames[np.linspace(0, len(frames) - 1, min(TRIED, len(frames))).astype(int)]
    return _registered(frames) if _registered(some) is not None else None


def _registered(frames: np.ndarray) -> np.ndarray | None:
    found = np.zeros((len(frames), 2))
    reference, steady = frames[len(frames) // 2], frames
    for _ in range(ROUNDS):
        found = np.stack([offset(frame, reference) for frame in frames])
        found -= np.median(found, 0)
        steady = _shifted_back(frames, found)
        reference = np.median(steady, 0)
    # what moves by itself is known now, and draws no frame along any more
    still = np.stack([_without_movers(frame, reference) for frame in steady])
    found += np.stack([offset(frame, reference) for frame in still])
    steady = _shifted_back(frames, found)
    return found if np.abs(found).max() > LEAST and _restless(steady) < STEADIER * _restless(frames) else None


def _shifted_back(frames: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    return np.stack([moved(frame, -by) for frame, by in zip(frames, shifts, strict=True)])


def _without_movers(frame: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """A frame (H, W) that is as the reference wherever it differs from that by more than usual."""
    away = np.abs(frame - reference)
    usual = SIGMA_PER_MAD * float(np.median(away))
    return np.where(ndimage.binary_dilation(away > MOST * usual, iterations=2), reference, frame)


def _restless(frames: np.ndarray) -> float:
    """How much the pixels of frames (n, H, W) change; a pixel beside another that is blurred tells little more."""
    blurred = ndimage.gaussian_filter(frames, (0, BLUR, BLUR))[:, ::2, ::2]
    return float(np.median(np.abs(blurred - np.median(blurred, 0))))


def offset(frame: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Estimate the shift (2,) of a frame (H, W) from a reference, px.

    The frame is registered again after it has been shifted back: windows, which stay in place, draw estimates to 0.
    """
    first = _offset(frame, reference)
    return first + _offset(moved(frame, -first), reference)


def _offset(frame: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Estimate it once, by phase correlation (Kuglin and Hines 1975)."""
    window = np.hanning(frame.shape[0])[:, None] * np.hanning(frame.shape[1])
    one, two = (fft.rfft2(_evened(image) * window) for image in (frame, reference))
    crossed = one * two.conj()
    waves = np.hypot(fft.fftfreq(frame.shape[0])[:, None], fft.rfftfreq(frame.shape[1]))
    crossed *= np.exp(-((waves * FINEST) ** 2)) / (np.abs(crossed) + 1e-12)
    correlation = fft.irfft2(crossed, frame.shape)
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    found = []
    for axis, place in enumerate(peak):
        side = correlation.shape[axis]
        line = np.take(
            np.moveaxis(correlation, axis, 0)[:, peak[1 - axis]], (place - 1, place, place + 1), mode="wrap"
        )
        # the damped waves make the peak a Gaussian, whose logarithm is a parabola
        # a frame without contrast correlates with nothing
        line = np.log(np.maximum(line, 1e-3 * line[1] + 1e-30))
        bend = line[0] - 2 * line[1] + line[2]
        fine = 0.5 * (line[0] - line[2]) / bend if bend < 0 else 0.0
        found.append((place + side // 2) % side - side // 2 + fine)
    return np.array(found[::-1])


def _evened(image: np.ndarray) -> np.ndarray:
    """An image without its light, and with objects, which have a motion of their own, cut off at what is usual."""
    away = image - np.median(image)
    usual = SIGMA_PER_MAD * float(np.median(np.abs(away)))
    return away if usual == 0 else (away / usual).clip(-MOST, MOST)


def moved(frame: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Shift a frame (H, W) or (H, W, C) by (x, y) px; what comes in from beyond is as the border."""
    if not by.any():
        return frame
    if frame.ndim == 3:
        return each_channel(lambda channel: moved(channel, by), frame)
    return ndimage.shift(frame, by[::-1], order=1, mode="nearest")


def within(frame: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Blacken what came into a frame (H, W) or (H, W, C) from beyond the border of one that was shifted by (x, y)."""
    if not by.any():
        return frame
    shown = frame.copy()
    for axis, step in ((1, by[0]), (0, by[1])):
        wide = int(np.ceil(abs(step)))
        lines = np.moveaxis(shown, axis, 0)
        lines[:wide] *= step <= 0
        lines[len(lines) - wide :] *= step >= 0
    return shown
