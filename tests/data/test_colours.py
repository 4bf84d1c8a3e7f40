"""Sequences and movies in colour as data sets: axes, channels, and the luminance that stands for them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtssi_pyro import Stored
from vtssi_pyro.data import open_frames, read, write
from vtssi_pyro.data.dataset import channels_of
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import luminance

S, T, H, W = 3, 4, 12, 14
COLOURS = np.random.default_rng(0).integers(0, 256, (S, T, H, W, 3)).astype(np.uint8)


def test_channels_may_be_last_and_are_kept(tmp_path: Path) -> None:
    np.savez(tmp_path / "last.npz", frames=COLOURS)
    with pytest.raises(DataError, match="channels last"):
        read(tmp_path / "last.npz")
    last = read(tmp_path / "last.npz", Stored(axes="STHWC"))
    assert channels_of(last) == 3
    write(tmp_path / "first.npz", last)
    with np.load(tmp_path / "first.npz") as kept:
        np.testing.assert_array_equal(kept["frames"], np.moveaxis(COLOURS, -1, 2))
    assert read(tmp_path / "first.npz").frames(slice(None)).equal(last.frames(slice(None)))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_grey_is_the_luminance(kind: type) -> None:
    frames = COLOURS.astype(kind)
    frames = frames / np.float32(255) if kind is np.float32 else frames * (257 if kind is np.uint16 else 1)
    given = frames.astype(kind)
    expected = np.stack([luminance(frame) for frame in COLOURS.reshape(-1, H, W, 3)]).reshape(S, T, 1, H, W)
    data = open_frames(given, Stored(axes="STHWC", channel="grey"))
    assert channels_of(data) == 1
    for one in (data, data.to("cpu")):
        np.testing.assert_allclose(one.frames(slice(None)), expected, atol=1e-6)


@pytest.mark.parametrize("word", ["grey", "colour"])
def test_words_are_of_red_green_and_blue(word: str) -> None:
    with pytest.raises(DataError, match=f"2 channels, not red, green and blue: leave out channel {word}"):
        open_frames(np.zeros((1, 3, 2, 8, 8), np.uint8), Stored(channel=word))


def test_a_movie_is_one_sequence_in_grey_or_in_colour(tmp_path: Path) -> None:
    (tmp_path / "movie").mkdir()
    for number, frame in enumerate(COLOURS[0]):
        Image.fromarray(frame).save(tmp_path / "movie" / f"{number}.png")
    coloured = open_frames(tmp_path / "movie", Stored(channel="colour")).frames(slice(None))
    np.testing.assert_allclose(255 * coloured[0], np.moveaxis(COLOURS[0], -1, 1), atol=1e-4)
    grey = open_frames(tmp_path / "movie").frames(slice(None))
    assert grey.shape == (1, T, 1, H, W)
