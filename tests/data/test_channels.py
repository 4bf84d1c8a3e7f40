"""A channel axis is always there: every data set hands it out, whatever it is made of, and grey needs none to go in."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vtssi_pyro.data import (
    ArrayDataset,
    Dataset,
    Sprites,
    moving_digits,
    open_frames,
    read,
    split_tail,
    write,
)
from vtssi_pyro.data.clips import movie_clips
from vtssi_pyro.data.dataset import channels_of
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.filter import Stream, estimates, forecast, joined, track
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.movies.arrays import array_movie
from vtssi_pyro.movies.prepared import look
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.train.splits import halves, of_sequences

FRAMES = np.arange(2 * 3 * 40 * 40).reshape(2, 3, 40, 40).astype(np.uint8)


def data_sets(shapes: Sprites, folder: Path) -> Iterator[tuple[str, Dataset]]:
    """One of every kind there is, by name."""
    for blend in ("sum", "max"):
        yield blend, moving_digits("linear", shapes, sequences=4, length=3, frame_size=40, blend=blend)
    for given in (FRAMES, FRAMES[0], FRAMES[:, :, None], FRAMES / 255.0):
        yield f"array {given.shape}", ArrayDataset("frames", given)
        yield f"tensor {given.shape}", open_frames(torch.from_numpy(given))
        np.save(folder / "frames.npy", given)
        yield f"npy {given.shape}", open_frames(folder / "frames.npy")
    write(folder / "written.npz", ArrayDataset("frames", FRAMES))
    yield "npz", read(folder / "written.npz")
    (folder / "pictures").mkdir()
    for number, picture in enumerate(FRAMES[0]):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    yield "pictures", open_frames(folder / "pictures")
    movie = look(array_movie("blobs", scene("blobs", length=24, side=96, objects=2, size=16, seed=4).frames))
    assert movie.frames.shape == (24, 1, *movie.frames.shape[-1:] * 2)
    yield from zip(("clips", "held-out clips"), movie_clips(movie, 5, 6), strict=True)


def test_every_data_set_hands_out_five_axes(shapes: Sprites, tmp_path: Path) -> None:
    for name, data in data_sets(shapes, tmp_path):
        parts = split_tail(data) if len(data) > 1 else ()
        for some in (data, data.to("cpu"), *parts):
            assert some.frames(slice(None)).shape == (len(some), some.length, 1, *some.frame_size), name
            assert some.frames(torch.tensor([-1]), 2, 1).shape == (1, 2, 1, *some.frame_size), name


def test_arrays_with_and_without_the_axis_are_the_same_frames(tmp_path: Path) -> None:
    expected = torch.from_numpy(FRAMES[:, :, None]).float() / 255
    for given in (FRAMES, FRAMES[:, :, None]):
        assert torch.equal(ArrayDataset("frames", given).frames(slice(None)), expected)
    film = array_movie("film", FRAMES[:1, :, None])
    np.testing.assert_array_equal(np.stack(list(film)), FRAMES[0])


COLOURED = np.arange(2 * 3 * 3 * 40 * 40).reshape(2, 3, 3, 40, 40).astype(np.uint8)


@pytest.mark.parametrize("channels", [2, 3, 7])
def test_files_keep_every_channel(channels: int, tmp_path: Path) -> None:
    given = np.resize(COLOURED, (2, 3, channels, 40, 40))
    expected = torch.from_numpy(given).float() / 255
    write(tmp_path / "colour.npz", ArrayDataset("frames", given))
    np.save(tmp_path / "colour.npy", given)
    for data in (ArrayDataset("frames", given), *map(open_frames, sorted(tmp_path.iterdir()))):
        assert channels_of(data) == channels
        assert data.frame_size == (40, 40)
        assert torch.equal(data.frames(slice(None)), expected)
        assert torch.equal(data.to("cpu").frames(torch.tensor([1]), 2, 1), expected[1:, 1:])


def test_files_of_grey_frames_have_no_axis_for_channels(tmp_path: Path) -> None:
    write(tmp_path / "grey.npz", ArrayDataset("frames", FRAMES[:, :, None]))
    with np.load(tmp_path / "grey.npz") as arrays:
        assert arrays["frames"].shape == FRAMES.shape
        assert (arrays["frames"] == FRAMES).all()


def test_channels_last_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"channels last, expected \(S, T, C, H, W\): say axes STHWC, or .*numpy\.moveaxis"
    ):
        ArrayDataset("frames", np.moveaxis(COLOURED, 2, -1))


def test_a_model_has_the_channels_of_its_data() -> None:
    keys = of_sequences(halves(ArrayDataset("frames", COLOURED)))
    assert keys["model.channels"] == 3
    with pytest.raises(DataError, match=r"frames have shape \(3, 40, 40\), held-out ones \(1, 40, 40\)"):
        halves(ArrayDataset("frames", COLOURED), held_out=ArrayDataset("frames", FRAMES))


def test_frames_with_and_without_the_axis_have_the_same_tracks(variant: str, tiny, frames: Tensor) -> None:
    """Whoever reads tensors: the program, the filter at once, in windows and frame by frame."""
    tracker = tiny(variant)

    def streamed(x: Tensor):
        stream = Stream(tracker)
        parts = [stream.push(x[:, t : t + 1]) for t in range(x.shape[1])]
        return joined([part for part in parts if part is not None], 1)

    ways = [lambda x: track(tracker, x), lambda x: joined(list(estimates(tracker, x)), 1), streamed]
    if tracker.motion.predicts:
        ways.append(lambda x: forecast(tracker, x, 2, num_samples=3))
    for way in ways:
        grey, whole = way(frames), way(channelled(frames))
        assert grey.frames.shape[2:] == whole.frames.shape[2:] == (1, *frames.shape[-2:])
        for a, b in zip((*grey.tracks, *grey[1:]), (*whole.tracks, *whole[1:]), strict=True):
            assert (a is None) == (b is None)
            assert a is None or torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0))
    with mode(), torch.no_grad():
        grey, whole = tracker.guide(frames), tracker.guide(channelled(frames))
    assert torch.equal(grey.position, whole.position)
