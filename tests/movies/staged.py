"""Movies whose making is known."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vtssi_pyro.movies import Movie

H, W, T = 90, 120, 40
ROW, COLUMN = np.mgrid[0.5:H, 0.5:W]
SPEED = 2.0


def paths(number: int = 3, seed: int = 4, length: int = T) -> np.ndarray:
    """Straight paths that turn at the walls (T, number, 2)."""
    random = np.random.default_rng(seed)
    room = np.array([W, H]) - 30.0
    angle = random.uniform(0, 2 * np.pi, number)
    heading = np.stack([np.cos(angle), np.sin(angle)], -1)
    straight = random.uniform(0, room, (number, 2)) + SPEED * np.arange(length)[:, None, None] * heading
    folded = straight % (2 * room)
    return 15 + np.minimum(folded, 2 * room - folded)


def ring(x: float, y: float) -> np.ndarray:
    """Brighter within, darker without; 20 px wide or so."""
    distance = np.hypot(COLUMN - x, ROW - y)
    return 0.3 * np.exp(-(((distance - 5) / 2) ** 2)) - 0.3 * np.exp(-(((distance - 9) / 2) ** 2))


def blob(x: float, y: float) -> np.ndarray:
    """About 12 px across where it stands out."""
    return 0.5 * np.exp(-((COLUMN - x) ** 2 + (ROW - y) ** 2) / 18)


def movie(
    draw: Callable[..., np.ndarray], sign: float = 1.0, noise: float = 0.02, light: float = 0.0
) -> Movie:
    """Objects on a noisy, unevenly lit background, whose light may grow, as a camera sees them, whose white is 1."""
    random = np.random.default_rng(1)
    uneven = 0.3 + 0.2 * COLUMN / W + 0.1 * np.sin(ROW / 20)
    frames = []
    for time, places in enumerate(paths()):
        frame = (1 - light) * uneven + light * time / T + noise * random.normal(size=(H, W))
        frames.append(frame + sign * sum(draw(x, y) for x, y in places))
    stack = np.stack(frames).astype(np.float32).clip(0, 1)
    return Movie("made", (H, W), T, 25.0, lambda: iter(stack))


def encode(path: Path, codec: str, frames: np.ndarray, pixels: str = "gray") -> Path:
    """Write a film."""
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.bit_rate = 4_000_000  # enough for every frame to be its own
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(frame, "gray" if frame.ndim == 2 else "rgb24"))
            )
        container.mux(stream.encode(None))
    return path
