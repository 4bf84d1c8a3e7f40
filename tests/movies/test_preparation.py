"""Whatever the movie, the model sees bright objects on black, and places come back to where they were."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from staged import H, W, blob, movie, paths, ring

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import Movie, Preparation, inspect, suggested_preparation
from vtssi_pyro.movies.transforms import TRANSFORMS, Background, Crop, Luminance, Resize, Shrink

MOVIES = {
    "bright": movie(blob),
    "dark": movie(blob, -1.0),
    "rings": movie(ring),
    "growing light": movie(blob, light=0.3),
}


def disc(frame: np.ndarray, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[0.5 : frame.shape[0], 0.5 : frame.shape[1]]
    return np.hypot(columns - x, rows - y) < radius


@pytest.mark.parametrize("side", [60, 150])
@pytest.mark.parametrize("name", MOVIES)
def test_things_are_bright_on_black(name: str, side: int) -> None:
    made = MOVIES[name]
    preparation = suggested_preparation(inspect(made), side)
    frames = np.stack(list(preparation(made)))
    assert frames.shape == (made.length, side, side)
    assert frames.dtype == np.float32
    assert 0 <= frames.min() <= frames.max() <= 1
    scale = side / W
    radius = (9 if name == "rings" else 3) * scale
    objects, elsewhere = [], []
    for frame, places in zip(frames[5:], preparation.to_model(paths())[5:], strict=True):
        inside = [disc(frame, x, y, radius) for x, y in places]
        near = np.any([disc(frame, x, y, 15 * scale) for x, y in places], 0)
        objects += [frame[one].mean() for one in inside]
        elsewhere.append(frame[~near].mean())
    assert np.median(objects) > (0.25 if name == "rings" else 0.7)
    assert np.mean(elsewhere) < 0.06


def test_places_come_back() -> None:
    steps = (Luminance(), Crop(7, 3, 90, 61), Shrink(2), Resize(30, 45, 50))
    preparation = Preparation(steps)
    points = np.random.default_rng(0).uniform(10, 60, (4, 5, 2))
    np.testing.assert_allclose(preparation.to_source(preparation.to_model(points)), points)
    frame = np.zeros((80, 120), np.float32)
    frame[37:41, 51:55] = 1  # its centre is (53, 39)
    (seen,) = preparation([frame])
    mass = seen / seen.sum()
    rows, columns = np.mgrid[0.5:50, 0.5:50]
    centre = np.array([(mass * columns).sum(), (mass * rows).sum()])
    np.testing.assert_allclose(preparation.to_source(centre), (53, 39), atol=0.1)


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    made = MOVIES["growing light"]
    preparation = suggested_preparation(inspect(made), 40)
    preparation.save(tmp_path / "preparation.npz")
    again = Preparation.load(tmp_path / "preparation.npz")
    for ours, theirs in zip(preparation(made), again(made), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert again.lines() == preparation.lines()
    assert [line.split()[0] for line in again.lines()] == [
        "luminance", "background", "polarity", "contrast", "resize",
    ]  # fmt: skip
    assert "kind=rolling" in again.lines()[1]
    np.savez(tmp_path / "other.npz", steps=np.zeros(3))
    for content in (
        b"no",
        (tmp_path / "preparation.npz").read_bytes()[:90],
        (tmp_path / "other.npz").read_bytes(),
    ):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz.* is (no|damaged)"):
            Preparation.load(tmp_path / "bad.npz")


@dataclass(frozen=True)
class Upside:
    """As the documentation has it."""

    height: int

    def __call__(self, frames):
        return (frame[::-1] for frame in frames)

    def to_model(self, points):
        return np.stack([points[..., 0], self.height - points[..., 1]], -1)

    to_source = to_model


def test_a_transform_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MOVIES["bright"]
    preparation = Preparation((Luminance(), Upside(H), Resize(H, W, W)))
    np.testing.assert_allclose(preparation.to_source(preparation.to_model([[3.0, 4.0]])), [[3, 4]])
    first = next(iter(made))
    np.testing.assert_allclose(next(preparation(made))[15 : 15 + H], first[::-1], atol=1e-6)
    assert preparation.lines()[1] == f"Upside height={H}"
    path = tmp_path / "preparation.npz"
    with pytest.raises(UsageError, match=r'transform Upside: .*TRANSFORMS\["upside"\] = Upside'):
        preparation.save(path)
    assert not path.exists()
    monkeypatch.setitem(TRANSFORMS, "upside", Upside)
    preparation.save(path)
    assert Preparation.load(path) == preparation
    assert preparation.lines()[1] == f"upside height={H}"
    monkeypatch.delitem(TRANSFORMS, "upside")
    with pytest.raises(DataError, match="holds a transform called upside"):
        Preparation.load(path)


def test_a_step_that_no_file_can_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        """No dataclass."""

        def __call__(self, frames):
            return frames

    monkeypatch.setitem(TRANSFORMS, "bare", Bare)
    monkeypatch.setitem(TRANSFORMS, "upside", Upside)
    assert Preparation((Bare(),)).lines() == ["bare"]
    for step, message in ((Bare(), "make it a dataclass"), (Upside(Path("a")), "neither plain nor an array")):
        with pytest.raises(UsageError, match=message):
            Preparation((step,)).save(tmp_path / "preparation.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Resize(30, 40, 50), r"resize: was made for frames of 30x40 pixels \(H x W\), found 24x32"),
        (Background("static", np.zeros((30, 40))), "background: was made for frames of 30x40 .* found 24x32"),
        (
            Background("rolling", np.zeros((1, 1)), 0.1),
            "background: was made for frames of 1x1 .* found 24x32",
        ),
        (Crop(3, 4, 30, 10), "crop: rows 4 to 14 and columns 3 to 33 are not within frames of 24x32"),
    ],
)
def test_frames_of_another_size(step: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(Preparation((step,))([np.zeros((24, 32), np.float32)]))


@pytest.mark.slow
def test_large_movies_are_shrunk_first() -> None:
    small = MOVIES["bright"]
    large = Movie("large", (8 * H, 8 * W), None, None, lambda: (x.repeat(8, 0).repeat(8, 1) for x in small))
    preparation = suggested_preparation(inspect(large), 60)
    assert "shrink factor=2" in preparation.lines()
    places = preparation.to_model(8 * paths()[7])
    frame = list(preparation(large))[7]
    assert min(frame[int(y), int(x)] for x, y in places) > 0.6
