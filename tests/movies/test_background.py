"""An object may rest for a while; the background never moves."""

import numpy as np
import pytest
from staged import COLUMN, ROW, H, T, W, blob, movie

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Hints, Movie, inspect, suggested_preparation
from vtssi_pyro.movies.background import KINDS, smooth, uncovered, without_objects
from vtssi_pyro.movies.inspection import POLARITIES
from vtssi_pyro.movies.regions import regions

START = np.array([(30.0, 25.0), (60.0, 60.0), (95.0, 30.0)])
DIRT = (25, 70)  # x, y


def lingering(reach: float, length: int = T) -> tuple[Movie, np.ndarray]:
    """Blobs that wander no farther than ``reach``, less than their size, and a speck of dirt; and where they are."""
    random, time = np.random.default_rng(3), np.arange(length)[:, None]
    turn = 2 * np.pi * (time / length + np.array([0.0, 0.3, 0.6]))
    path = START + reach * np.stack([np.cos(turn), np.sin(turn)], -1)
    dirt = -0.3 * np.exp(-((COLUMN - DIRT[0]) ** 2 + (ROW - DIRT[1]) ** 2) / 8)
    behind = 0.3 + 0.2 * COLUMN / W + dirt
    frames = [
        behind + sum(blob(x, y) for x, y in places) + 0.01 * random.normal(size=(H, W)) for places in path
    ]
    stack = np.stack(frames).astype(np.float32)
    return Movie("lingering", (H, W), length, None, lambda: iter(stack)), path


def test_things_that_hardly_leave_their_place_are_seen_whole() -> None:
    made, path = lingering(6.0)
    found = inspect(made)
    assert (found.objects, found.polarity, found.background) == (3, "bright", "static")
    assert found.object_size == pytest.approx(13, abs=3)
    assert found.speed == pytest.approx(2 * np.pi * 6 / T, rel=0.5)
    preparation = suggested_preparation(found, 120)
    for frame, places in zip(preparation(made), preparation.to_model(path), strict=True):
        assert all(frame[int(y), int(x)] > 0.7 for x, y in places)
        assert frame[int(preparation.to_model(np.array(DIRT))[1]), DIRT[0]] < 0.2  # dirt stays behind


def test_what_passes_over_dirt_does_not_take_it_along() -> None:
    made, _ = lingering(4.0)
    frames = np.stack(list(made))
    image = np.median(frames, 0)
    mended = without_objects(image, frames, 0.05)
    near = np.hypot(COLUMN - DIRT[0], ROW - DIRT[1]) < 5
    np.testing.assert_array_equal(mended[near], image[near])
    x, y = START[0].astype(int)
    assert image[y, x] - smooth(image)[y, x] > 0.15  # the median holds an object
    assert abs(mended[y, x] - smooth(image)[y, x]) < 0.05


def test_a_median_without_objects_stays_as_it_is() -> None:
    frames = np.stack(list(movie(blob)))
    image = np.median(frames, 0)
    assert without_objects(image, frames, 0.1) is image


@pytest.mark.parametrize(("texture", "left"), [(0.0, 0.1), (0.1, 0.25)], ids=["plain", "textured"])
def test_objects_that_dwell_leave_nothing_in_the_background(texture: float, left: float) -> None:
    """A pixel that an object brightens in half of the frames is no brighter for it; details of the ground stay."""
    random, noise = np.random.default_rng(5), 0.02
    ground = 0.3 + texture * np.sin(COLUMN / 2) * np.cos(ROW / 2)
    x, y = np.array((W / 2, H / 2))[:, None, None, None] + random.uniform(-14, 14, (2, 64, 1, 1))
    near = np.hypot(COLUMN - x, ROW - y)
    frames = ground + 0.5 * np.exp(-(near**2) / 18) + noise * random.normal(size=near.shape)
    stack = frames.astype(np.float32)
    found = inspect(Movie("dwelling", (H, W), 64, None, lambda: iter(stack)))
    dwelt = (near < 9).mean(0) > 0.3
    off, before = ((image - ground)[dwelt] for image in (found.background_image, np.median(stack, 0)))
    assert len(off) > 50
    assert before.mean() > noise / 2
    assert abs(off.mean()) < noise / 20
    assert off.std() < left * noise


def test_where_no_frame_shows_the_ground_it_is_that_of_around() -> None:
    random, noise = np.random.default_rng(6), 0.02
    light = 0.3 + 0.1 * COLUMN / W
    near = np.hypot(COLUMN - 60, ROW - 40)
    hidden = light + 0.5 * (near < 5)
    frames = [hidden + noise * random.normal(size=near.shape) for _ in range(20)]
    found = regions(0.5 * (near < 5), 0.1)
    behind = uncovered(
        hidden[..., None], [frame[..., None] for frame in frames], [found] * len(frames), noise
    )
    assert np.abs(behind[..., 0] - light)[near < 5].max() < noise / 2
    nobody = found.chosen(found.size < 0)
    assert uncovered(hidden[..., None], [hidden[..., None]], [nobody], noise) == pytest.approx(
        hidden[..., None]
    )


def test_before_the_light_alone_what_never_moves_is_a_thing() -> None:
    made, _ = lingering(0.0)
    assert inspect(made).objects == 0
    found = inspect(made, Hints(background="smooth", polarity="bright"))
    assert (found.objects, found.background) == (3, "smooth")
    frame = next(iter(suggested_preparation(found, 120)(made)))
    assert all(frame[int(y) + 15, int(x)] > 0.7 for x, y in START)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("polarity", POLARITIES)
def test_what_is_said_counts(kind: str, polarity: str) -> None:
    made = movie(blob)
    found = inspect(made, Hints(objects=7, object_size=11.0, background=kind, polarity=polarity))
    assert (found.objects, found.object_size) == (7, 11.0)
    lines = suggested_preparation(found, 64).lines()
    assert lines[1].startswith(f"background kind={kind} ")
    assert lines[2] == f"polarity kind={polarity}"
    assert all(frame.shape == (64, 64) for frame in suggested_preparation(found, 64)(made))


def test_a_part_that_is_not_there_is_told() -> None:
    with pytest.raises(DataError, match="columns 100 to 130 are not within frames of 90x120"):
        inspect(movie(blob), Hints(crop=(100, 0, 30, 90)))
