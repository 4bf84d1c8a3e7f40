"""Arrays of other libraries than NumPy: read frame by frame, by the names of their axes if they have such."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from vtssi_pyro import Stored, inspect, open_frames, scene, track
from vtssi_pyro.artifacts.opening import as_movie
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import array_movie

DRAWN = scene("blobs", length=24, side=64, objects=2, size=12, seed=4)


class Lazy:
    """An array whose parts are read one by one, as those of Dask and zarr are; all of it at once is refused."""

    def __init__(self, whole: np.ndarray, most: int, **more: Any) -> None:
        self.whole, self.most, self.read = whole, most, 0
        vars(self).update(more)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.whole.shape

    @property
    def dtype(self) -> np.dtype:
        return self.whole.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        part = self.whole[index]
        assert part.size <= self.most
        self.read += part.size
        return part

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise AssertionError("all of it is asked for")


class NamedArray(Lazy):
    """An array that knows the names of its axes, and is read at once, too."""

    def __init__(self, whole: np.ndarray, dims: tuple[str, ...]) -> None:
        super().__init__(whole, whole.size, dims=dims)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.whole


@pytest.mark.parametrize("axes", ["THW", "HWT", "CTHW", "TZCHW", "THWC"])
def test_frames_are_read_one_by_one_and_other_channels_not_at_all(axes: str) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 8, 6)).astype(np.uint8)  # TZCHW
    place = tuple(slice(None) if axis in axes else {"Z": 1, "C": 2}[axis] for axis in "TZCHW")
    kept = [axis for axis in "TZCHW" if axis in axes]
    given = whole[place].transpose([kept.index(axis) for axis in axes])
    lazy = Lazy(given, 8 * 6)
    said = {"channel": 2} if "C" in axes else {}
    movie = array_movie("lazy", lazy, Stored(axes=axes, plane=1 if "Z" in axes else None, **said))
    np.testing.assert_array_equal(np.stack(list(movie)), whole[:, 1, 2])
    assert lazy.read == (1 + 5) * 8 * 6  # the first tells the range of its type


@pytest.mark.parametrize(
    "named",
    [
        {"dims": ("z", "time", "y", "x")},
        {
            "dims": ("dim_0", "dim_1", "dim_2", "dim_3"),
            "attrs": {"_ARRAY_DIMENSIONS": ["Z", "t", "row", "column"]},
        },
        {"metadata": SimpleNamespace(dimension_names=("plane", "frame", "height", "width"))},
    ],
)
def test_names_of_axes_are_used(named: dict[str, Any]) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (2, 5, 8, 6)).astype(np.uint8)
    movie = array_movie("named", Lazy(whole, 48, **named), Stored(plane=1))
    np.testing.assert_array_equal(np.stack(list(movie)), whole[1])
    assert movie.lines == ()
    other = array_movie("said", Lazy(whole, 48, **named), Stored(axes="CTHW", channel=0))
    np.testing.assert_array_equal(np.stack(list(other)), whole[0])


def test_an_array_is_inspected_and_tracked_like_its_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DRAWN.frames)
    expected = inspect(tmp_path / "a.npy")
    lazy = Lazy(DRAWN.frames, 64 * 64)
    for given in (DRAWN.frames, lazy):
        found = inspect(given)
        assert found.inspected.objects == expected.inspected.objects == 2
        assert (found.frames == expected.frames).all()
    tracks = track("untrained", lazy).tracks
    assert tracks.position.equal(track("untrained", tmp_path / "a.npy").tracks.position)
    with pytest.raises(UsageError, match="frames 2:: is of one movie"):
        open_frames(DRAWN.frames, Stored(frames="2:"))


@pytest.mark.parametrize("library", ["dask.array", "zarr"])
def test_real_libraries(library: str) -> None:
    module = pytest.importorskip(library, reason="no dependency")
    made = module.from_array(DRAWN.frames, chunks=5) if "dask" in library else module.array(DRAWN.frames)
    np.testing.assert_array_equal(np.stack(list(array_movie("a", made))), DRAWN.frames)
    assert open_frames(made).length == len(DRAWN.frames)
    with pytest.raises(DataError, match="unpacks to"):
        open_frames(made, Stored(memory=1e-5))


@pytest.mark.parametrize("order", ["TZHW", "HWTZ"])
def test_named_axes_are_never_learned_from_as_others(order: str) -> None:
    """Nor are depths or channels, of which a movie has one, taken for times."""
    words = {"T": "time", "Z": "z", "C": "channel", "H": "y", "W": "x"}
    drawn = np.random.default_rng(0).integers(0, 256, (6, 2, 40, 50)).astype(np.uint8)  # TZHW

    def given(axes: str, whole: np.ndarray = drawn) -> Any:
        return NamedArray(whole.transpose(["TZHW".index(a) for a in order]), tuple(words[a] for a in axes))

    data = open_frames(given(order), Stored(plane=1))
    assert (len(data), data.length, data.frame_size) == (1, 6, (40, 50))
    assert torch.equal(
        (data.frames(slice(None))[0, :, 0] * 255).round().byte(), torch.from_numpy(drawn[:, 1])
    )
    with pytest.raises(DataError, match="2 depths: say which"):
        open_frames(given(order))
    with pytest.raises(DataError, match="2 depths: say which"):
        as_movie(given(order))
    with pytest.raises(DataError, match="2 channels: say which"):
        as_movie(given(order.replace("Z", "C")))
    assert as_movie(drawn[:, :, None]) is None, "of sequences, (S, T, C, H, W)"


@pytest.mark.parametrize(("name", "colours"), [("c", False), ("Channel", False), ("s", True), ("rgb", True)])
def test_named_channels_are_colours_only_if_they_are_called_so(name: str, colours: bool) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6)).astype(np.uint8)
    given = NamedArray(whole, ("t", name, "y", "x"))
    if not colours:
        with pytest.raises(DataError, match=r"3 channels: say which .* or colour if"):
            array_movie("named", given)
    said = array_movie("named", given, Stored(channel=None if colours else "colour"))
    for movie in (said, array_movie("said", given, Stored(axes="TCHW")), array_movie("guessed", whole)):
        np.testing.assert_array_equal(next(movie.reader()), np.moveaxis(whole[0], 0, -1))
