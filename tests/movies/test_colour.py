"""Movies in colour: when colours are used, how they are prepared, and that hue alone is enough to follow objects."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from vtssi_pyro import Stored, build, inspect, track
from vtssi_pyro.data.scenes import HUES, Drawn, scene
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.model.blocks.blobs import BlobsConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.movies import array_movie, luminance, suggested_preparation, thumbnails, write_film
from vtssi_pyro.movies.inspection import COLOURFUL, beyond_brightness
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.movies import unlearned

RED, GREEN, WHITE, BLACK = np.array([1.0, 0, 0]), np.array([0, 0.51, 0]), np.ones(3), np.zeros(3)


def discs(colours: list[np.ndarray], ground: np.ndarray, noise: float = 0.02, length: int = 24) -> np.ndarray:
    """Discs that move apart from each other, one for each colour, (T, 64, 64, 3)."""
    y, x = np.mgrid[0.5:64, 0.5:64]
    frames = np.zeros((length, 64, 64, 3)) + ground
    for time, frame in enumerate(frames):
        for number, colour in enumerate(colours):
            row, column = (number + 0.5) * 64 / len(colours), 10 + 44 * abs((time / 12 + number / 3) % 2 - 1)
            cover = (6.5 - np.hypot(x - column, y - row)).clip(0, 1)[..., None]
            frame += cover * (colour - frame)
    frames += noise * np.random.default_rng(0).standard_normal(frames.shape)
    return np.asarray((255 * frames.clip(0, 1)).round().astype(np.uint8))


def paired(drawn: Drawn, tracks: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """The track of each object and frame, paired by least distance, and this distance, (T, N)."""
    there = np.where(tracks.present[0, ..., None], tracks.position[0], 1e3)
    distance = np.linalg.norm(drawn.path[:, :, None] - there[:, None], axis=-1)  # (T, N, tracks)
    pairs = [linear_sum_assignment(np.minimum(each, 3 * drawn.size)) for each in distance]
    return (
        np.array([columns for _, columns in pairs]),
        np.array([each[rows, columns] for each, (rows, columns) in zip(distance, pairs, strict=True)]),
    )


@pytest.mark.parametrize(
    ("colours", "ground", "used"),
    [
        ([RED, RED], BLACK, False),
        ([WHITE, WHITE / 2], GREEN, False),
        ([BLACK, BLACK], 0.8 * WHITE - 0.2 * RED, False),
        ([RED, GREEN], BLACK, True),
        ([0.785 * RED], GREEN * 0.4 / 0.51, True),  # of equal luminance
        ([0.2 * WHITE + 0.15 * RED], 0.2 * WHITE, True),  # whose brightness noise hides
    ],
    ids=["one hue", "grey on green", "black on beige", "two hues", "equal luminance", "faint"],
)
def test_colours_are_used_where_brightness_does_not_tell_all(
    colours: list[np.ndarray], ground: np.ndarray, used: bool
) -> None:
    movie = inspect(array_movie("movie", discs(colours, ground)))
    found = movie.inspected
    assert found.hue is not None
    assert (found.hue > COLOURFUL, found.in_colour, movie.frames.shape[1] > 1) == (used, used, used)
    assert found.objects == len(colours)
    assert found.object_size == pytest.approx(13, abs=2)
    line = next(line for line in found.lines() if line.startswith("colours: "))
    assert ("--channel grey" in line, "--channel colour" in line) == (used, not used)


def test_the_share_of_the_contrast_is_that_of_a_regression_on_brightness() -> None:
    """Two hues of which brightness is blind to one: the share is that of its squares."""
    frames = np.full((9, 20, 20, 3), 0.5, np.float32)
    unseen = np.array([0.587, -0.299, 0])  # of no luminance
    for time in range(9):
        frames[time, 2 * time : 2 * time + 2, :10] += 0.4
        frames[time, 2 * time : 2 * time + 2, 10:] += (0.6 * unseen).astype(np.float32)
    expected = (0.6 * unseen) @ (0.6 * unseen) / ((0.6 * unseen) @ (0.6 * unseen) + 3 * 0.4**2)
    assert beyond_brightness(frames) == pytest.approx(expected, rel=1e-3)
    assert beyond_brightness(np.repeat(frames[..., :1], 3, -1)) == pytest.approx(0, abs=1e-6)
    assert beyond_brightness(frames[:1].repeat(9, 0)) == 0


def test_a_user_has_the_last_word() -> None:
    frames = discs([RED, GREEN], BLACK)
    grey = inspect(array_movie("movie", frames, Stored(channel="grey")))
    plain = inspect(array_movie("movie", np.stack([luminance(frame) for frame in frames])))
    assert grey.frames.equal(plain.frames)
    coloured = inspect(array_movie("movie", discs([RED, RED], BLACK), Stored(channel="colour")))
    assert coloured.frames.shape[1:] == (3, 64, 64)
    assert coloured.frames[:, 0].max() > 200 > 60 > coloured.frames[:, 2].max(), "noise stays black"
    with pytest.raises(DataError, match="no colours: leave out channel colour"):
        inspect(array_movie("movie", frames[..., 0], Stored(channel="colour")))
    with pytest.raises(
        DataError, match="channel blue: they have no names; or say a number from 0, or grey or colour"
    ):
        inspect(array_movie("movie", frames, Stored(channel="blue")))


def test_three_equal_channels_are_grey() -> None:
    """Files in colour that hold greys are prepared bit for bit as grey ones."""
    drawn = scene("rings", length=24, side=80, objects=2, size=20)
    grey, coloured = (
        inspect(array_movie("movie", frames))
        for frames in (drawn.frames, drawn.frames[..., None].repeat(3, -1))
    )
    assert coloured.inspected.hue is None
    assert coloured.frames.equal(grey.frames)
    assert coloured.inspected.lines() == grey.inspected.lines()


def test_more_and_less_of_a_colour_are_channels_of_their_own() -> None:
    """On a ground that is neither black nor white, a hue and its complement would else look alike."""
    drawn = scene("hues", length=24, side=80, objects=2, size=20)
    movie = inspect(array_movie("movie", drawn.frames))
    assert movie.inspected.polarity == "both"
    assert movie.frames.shape[1] == 6
    assert len(movie.inspected.contrasts) == 6
    places = movie.preparation.to_model(drawn.path[0]).round().astype(int)
    more = np.concatenate([HUES[:2] > 0.25, HUES[:2] < 0.25], 1)  # (N, 6)
    for (x, y), expected in zip(places, more, strict=True):
        np.testing.assert_array_equal(movie.frames[0, :, y, x].numpy() > 100, expected)


def test_a_preparation_in_colour_is_kept(tmp_path: Path) -> None:
    movie = inspect(array_movie("movie", discs([RED, GREEN], BLACK)))
    np.save(tmp_path / "movie.npy", discs([RED, GREEN], BLACK))
    kept = inspect(tmp_path / "movie.npy", out=tmp_path / "looked")
    again = PreparedMovie.load(tmp_path / "looked")
    assert again.frames.equal(kept.frames)
    assert again.frames.equal(movie.frames)
    assert again.inspected.contrasts == kept.inspected.contrasts
    with pytest.raises(UsageError, match="channel grey: frames are prepared in colour"):
        PreparedMovie.load(tmp_path / "looked", tmp_path / "movie.npy", Stored(channel="grey"))


def test_who_reads_brightness_alone_says_so() -> None:
    """A camera's preparation in grey, and another movie of it that has colours."""
    grey = inspect(array_movie("movie", discs([RED, RED], BLACK)))
    other = PreparedMovie.of(array_movie("other", discs([RED, GREEN], BLACK)), grey.preparation)
    assert other.frames.shape[1] == 1
    assert "other: has colours, of which the brightness alone is read, as in training" in other.assumed
    plain = PreparedMovie.of(array_movie("plain", discs([WHITE], BLACK, noise=0)), grey.preparation)
    assert not any("colours" in line for line in plain.assumed)


@pytest.mark.slow
@pytest.mark.parametrize("objects", [2, 3])
def test_hue_alone_is_enough_to_find_and_to_follow(objects: int) -> None:
    """Discs as bright as what is behind them: in grey nothing is seen; in colour none is lost, and none switched."""
    drawn = scene("hues", length=48, side=96, objects=objects, size=16, seed=0)
    with pytest.raises(DataError, match="nothing is seen to move"):
        inspect(array_movie("movie", drawn.frames, Stored(channel="grey")))
    found = track("untrained", drawn.frames).tracks
    assert found.position.shape[2] == objects
    pairs, distance = paired(drawn, found)
    assert (pairs == pairs[0]).all()
    assert np.median(distance) < 0.2
    assert (distance < drawn.size / 4).mean() > 0.95


@pytest.mark.slow
def test_hue_tells_apart_who_meets() -> None:
    """Two discs of equal brightness turn back where they meet, where going straight on is as likely by motion alone."""
    along = 48 - 3.0 * np.abs(np.arange(-12, 13))  # of the left one; the right one mirrors it
    path = np.stack([np.stack([x, np.full(25, 32)], -1) for x in (along, 96 - along)], 1)
    y, x = np.mgrid[0.5:64, 0.5:96]
    frames = np.zeros((25, 64, 96, 3))
    for frame, places in zip(frames, path, strict=True):
        for place, colour in zip(places, (RED, GREEN), strict=True):
            cover = (8.5 - np.hypot(x - place[0], y - place[1])).clip(0, 1)[..., None]
            frame += cover * (colour - frame)
    frames += 0.02 * np.random.default_rng(0).standard_normal(frames.shape)
    drawn = Drawn((255 * frames.clip(0, 1)).round().astype(np.uint8), path, 16)
    found = track("untrained", array_movie("movie", drawn.frames, Stored(channel="colour"))).tracks
    pairs, _ = paired(drawn, found)
    assert (pairs[-1] == pairs[0]).all()


@pytest.mark.slow
def test_permuted_channels_change_no_track() -> None:
    """What is red may be called blue: a movie's own brightness aside, which a user settles, nothing depends on it."""
    drawn = scene("hues", length=40, side=96, objects=2, size=16)
    one, other = (
        track("untrained", array_movie("movie", frames, Stored(channel="colour"))).tracks
        for frames in (drawn.frames, drawn.frames[..., [2, 0, 1]])
    )
    torch.testing.assert_close(other.position, one.position, rtol=0, atol=1e-3, equal_nan=True)
    torch.testing.assert_close(other.box, one.box, rtol=0, atol=1e-3, equal_nan=True)


@pytest.mark.slow
def test_grey_in_three_channels_shows_the_same_objects_coming_and_going() -> None:
    """Three equal channels are three times the evidence: a likelihood that is sqrt 3 as wide takes it for one.

    Who is there is then the same. Places differ by the registration, which takes what objects leave over for three
    independent noises.
    """
    y, x = np.mgrid[0.5:64, 0.5:64]
    frames = np.zeros((24, 64, 64))
    for time, frame in enumerate(frames):
        for begin, row in ((-6, 18), (-40, 44)):
            frame += 0.8 * np.exp(-0.5 * ((x - begin - 5 * time) ** 2 + (y - row) ** 2) / 9)
    frames += 0.02 * np.random.default_rng(0).standard_normal(frames.shape) + 0.1
    movie = inspect(array_movie("movie", (255 * frames.clip(0, 1)).round().astype(np.uint8)))
    config = unlearned(movie).model
    assert isinstance(config, ModelConfig)
    assert isinstance(config.scene, PresenceConfig)
    assert isinstance(config.picture, BlobsConfig)
    wide = replace(config.picture, noise=3**0.5 * config.picture.noise)
    grey, coloured = build(config), build(replace(config, channels=3, description=3, picture=wide))
    shown = movie.frames[None].float() / 255
    one, three = track(grey, shown).tracks, track(coloured, shown.expand(-1, -1, 3, -1, -1)).tracks
    assert 0 < one.present.float().mean() < 1
    assert three.present.equal(one.present)
    torch.testing.assert_close(three.position, one.position, rtol=0, atol=0.5, equal_nan=True)


def test_films_are_shown_in_colour(tmp_path: Path) -> None:
    """A film halves the resolution of hues."""
    drawn = scene("hues", length=24, side=96, objects=2, size=20)
    write_film(tmp_path / "movie.mp4", drawn.frames, 25.0)
    movie = inspect(tmp_path / "movie.mp4")
    assert movie.inspected.in_colour
    assert movie.inspected.objects == 2
    small = thumbnails(movie.movie, widest=48, most=3)
    assert small.frames.shape == (3, 3, 48, 48)
    red = small.frames[0, :, *(drawn.path[0, 0][::-1] / 2).astype(int)]
    assert red[0] > 2 * red[1:].max()
    grey = thumbnails(array_movie("movie", drawn.frames[..., 0]), widest=48, most=3)
    assert grey.frames.shape == (3, 1, 48, 48)


def test_a_suggested_preparation_names_its_channels() -> None:
    found = inspect(array_movie("movie", discs([RED, GREEN], BLACK))).inspected
    assert suggested_preparation(found, 64).channel == "colour"
    assert any(line.startswith("contrast black=") for line in suggested_preparation(found, 64).lines())


def test_beyond_an_arena_colours_are_black() -> None:
    upper = Stored(channel="colour", arena="0,0,64,0,64,32,0,32")
    movie = inspect(array_movie("movie", discs([RED, GREEN], BLACK), upper))
    assert movie.inspected.objects == 1
    assert movie.frames.shape[1] == 3
    corners = movie.preparation.to_model(np.array([[0.0, 32.0]]))
    assert not movie.frames[:, :, int(np.ceil(corners[0, 1])) :].any()
