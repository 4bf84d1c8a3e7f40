"""The data of DDPAE and SQAIR against literal loops over sequences, objects and frames."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro.data import FLAVOURS, Sprites, moving_digits
from vtssi_pyro.data.billiard import MAX_VELOCITY, RADIUS, WORLD, billiard
from vtssi_pyro.data.digits import stretched, tight
from vtssi_pyro.data.flavours import TRIES
from vtssi_pyro.data.motion import accelerated, clamped
from vtssi_pyro.errors import UsageError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=source, dtype=torch.float64)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Images of ragged blobs off the middle; the brightest pixel of each differs."""
    random = np.random.default_rng(3)
    drawn = np.zeros((12, 28, 28), np.uint8)
    for i, image in enumerate(drawn):
        top, left = random.integers(1, 10, 2)
        height, width = random.integers(5, 18, 2)
        image[top : top + height, left : left + width] = random.integers(1, 100 + 12 * i, (height, width))
    return drawn


@pytest.fixture(scope="module")
def sprites(images: np.ndarray) -> Sprites:
    return tight(images)


# DDPAE's digits


def test_ddpae_equals_a_literal_loop(images: np.ndarray, sprites: Sprites) -> None:
    data = moving_digits("ddpae", sprites, sequences=5, length=60, seed=4)
    frames = (255 * data.frames(slice(None))[:, :, 0]).round().byte().numpy()
    source = generator(4)
    which = torch.randint(12, (5, 2), generator=source)
    start, turn = uniform((5, 2, 2), source), 2 * math.pi * uniform((5, 2), source)
    for s in range(5):
        canvas = np.zeros((60, 64, 64), np.uint8)
        for i in range(2):
            (x, y), image = start[s, i].tolist(), images[which[s, i]]
            vx, vy = math.cos(turn[s, i]), math.sin(turn[s, i])
            rows, columns = image.any(1).nonzero()[0], image.any(0).nonzero()[0]
            for t in range(60):
                x, y = x + 0.1 * vx, y + 0.1 * vy
                if x <= 0 or x >= 1:
                    x, vx = min(max(x, 0), 1), -vx
                if y <= 0 or y >= 1:
                    y, vy = min(max(y, 0), 1), -vy
                left, top = int(36 * x), int(36 * y)
                part = canvas[t, top : top + 28, left : left + 28]
                np.maximum(part, image, out=part)
                middle = left + (columns[0] + columns[-1] + 1) / 2, top + (rows[0] + rows[-1] + 1) / 2
                assert data.truth.position[s, t, i].tolist() == [*middle]
        assert np.array_equal(frames[s], canvas)


def test_ddpae_has_two_digits_at_3_6_pixels_a_frame(sprites: Sprites) -> None:
    data = moving_digits("ddpae", sprites, sequences=2000)
    assert (data.length, data.frame_size, data.blend) == (20, (64, 64), "max")
    assert (data.counts == 2).all()
    assert (data.which[:, 0] == data.which[:, 1]).float().mean() == pytest.approx(1 / 12, abs=0.03)
    middle = clamped(torch.full((2000, 2, 2), 28), (64, 64), 20, generator())
    assert torch.equal(middle, middle.trunc())
    assert (middle >= 14).all()
    assert (middle <= 50).all()
    # away from the walls the mean square of a step is 3.6^2, plus that of the cut-off: 1/6 along each axis
    inside = ((middle > 18) & (middle < 46)).all(-1)  # (S, T, N)
    step = middle.diff(dim=1)[inside[:, 1:] & inside[:, :-1]]
    assert step.square().sum(-1).mean() == pytest.approx(3.6**2 + 2 / 6, rel=0.01)


def test_any_number_of_digits_in_any_frame(sprites: Sprites) -> None:
    data = moving_digits("ddpae", sprites, sequences=7, length=3, frame_size=(40, 90), objects=3)
    assert (data.counts == 3).all()
    assert data.frames(slice(None)).shape == (7, 3, 1, 40, 90)


# SQAIR's digits


@pytest.mark.parametrize(("acceleration", "noise"), [(0.0, 0.0), (3.0, 0.01)])
def test_sqair_paths_equal_a_literal_loop(acceleration: float, noise: float) -> None:
    corner = (30 * uniform((20, 2, 2), generator(1))).round()
    found = accelerated(corner, (50, 50), 40, generator(2), acceleration, noise).double()
    source = generator(2)
    place, velocity, change = (uniform((20, 2, 2), source) for _ in range(3))
    normal = [torch.randn(20, 2, 2, generator=source, dtype=torch.float64) for _ in range(40)]
    for where in np.ndindex(20, 2, 2):
        x, v, a = (
            50 * float(place[where]),
            20 * float(velocity[where]) - 10,
            acceleration * float(2 * change[where] - 1),
        )
        for t in range(40):
            x, v, a = x + v, v + a, a + noise * float(normal[t][where])
            if x < 0:
                x, v, a = -x, -v, -a
            elif x > 50:
                x, v, a = 100 - x, -v, -a
            x, v, a = min(max(x, 0), 50), min(max(v, -10), 10), min(max(a, -3), 3)
            if t == 0:
                x = float(corner[where])
            assert float(found[where[0], t, where[1], where[2]]) == pytest.approx(x, abs=1e-4)


@pytest.mark.parametrize("flavour", ["sqair", "sqair-original"])
def test_sqair_frames_are_whole_sprites_at_rounded_corners(flavour: str, sprites: Sprites) -> None:
    data = moving_digits(flavour, sprites, sequences=12, length=30)
    frames = (255 * data.frames(slice(None))[:, :, 0]).round().byte().numpy()
    for s in range(12):
        canvas = np.zeros((30, 50, 50), np.uint8)
        for i in range(int(data.counts[s])):
            number = int(data.which[s, i])
            width, height = data.sprites.sizes[number].tolist()
            image = data.sprites.images[number, :height, :width].numpy()
            for t in range(30):
                x, y = (data.position[s, t, i] - data.sprites.sizes[number] / 2).tolist()
                left, top = round(x), round(y)
                part = canvas[t, top : top + height, left : left + width]
                np.maximum(part, image[: part.shape[0], : part.shape[1]], out=part)
        assert np.array_equal(frames[s], canvas)


@pytest.mark.slow
def test_sqair_speeds_and_the_walls_at_which_digits_vanish(sprites: Sprites) -> None:
    """Velocities are uniform on -10..10 along each axis; corners stay in the frame, so digits leave it on two sides."""
    data = moving_digits("sqair", sprites, sequences=4000, length=30)
    assert (data.frame_size, data.blend) == ((50, 50), "max")
    assert moving_digits("sqair", sprites, sequences=1).length == 10
    corner = data.position - data.sprites.sizes[data.which].unsqueeze(1) / 2
    assert corner.min() >= -1e-5
    assert corner.max() <= 50 + 1e-5
    assert 49.9 < corner.max()
    step = corner.diff(dim=1).abs()
    assert step.max() <= 10 + 1e-4
    # the largest step of a path is one without a bounce
    assert step.amax(1).mean() == pytest.approx(5, abs=0.1)
    outside = (corner.round() >= 50).any(-1)  # all corners are equally likely in the long run, on either axis
    assert outside[:, 15:].float().mean() == pytest.approx(1 - 0.99**2, abs=0.003)
    visible = data.frames(slice(None)).flatten(2).amax(-1) > 0  # (S, T)
    hidden = outside[:, :, 0] & (data.counts == 1)[:, None]
    assert not visible[hidden].any()


def test_sqair_starts_as_a_literal_loop_does(sprites: Sprites) -> None:
    """Whole corners inside the frame, boxes that do not overlap, and the same mean distance between them."""
    frame, number = 50, 4000
    data = moving_digits("sqair", sprites, sequences=3 * number, length=1)
    two, sizes = data.counts == 2, data.sprites.sizes[data.which].float()
    corner = data.position[:, 0] - sizes / 2
    assert torch.equal(corner, corner.round())
    assert (corner >= 0).all()
    assert (corner + sizes <= frame).all()
    assert (data.which[:, 0] != data.which[:, 1]).all()
    low, high = corner[two], corner[two] + sizes[two]
    assert not ((low[:, 0] < high[:, 1]) & (low[:, 1] < high[:, 0])).all(-1).any()
    assert (data.counts.bincount() / len(data)).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    random, distances = np.random.default_rng(0), []
    while len(distances) < number:
        chosen = random.choice(12, 2, replace=False)
        boxes, places, tries = data.sprites.sizes[chosen].numpy(), [], 0
        for box in boxes:
            place = np.round(random.random(2) * (frame - box))
            while tries < TRIES and any(
                (place < other + size).all() and (other < place + box).all()
                for other, size in zip(places, boxes, strict=False)
            ):
                place, tries = np.round(random.random(2) * (frame - box)), tries + 1
            places.append(place)
        if tries < TRIES:
            distances.append(np.linalg.norm(places[0] - places[1]))
    found, expected = (low[:, 0] - low[:, 1]).norm(dim=-1).numpy(), np.array(distances)
    error = math.sqrt(found.var() / len(found) + expected.var() / number)
    assert abs(found.mean() - expected.mean()) < 4 * error


def test_sqair_templates_are_stretched_and_lose_rows_for_gaps() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[4:7, 3:6] = [[10, 20, 30], [40, 50, 60], [70, 80, 100]]
    image[8:10, 3:6] = 90  # after an empty row
    found = stretched(tight(image[None]))
    rows = [np.array(row) * 255 / 100 for row in ([40, 50, 60], [70, 80, 100], [0, 0, 0], [90] * 3, [90] * 3)]
    assert found.sizes.tolist() == [[3, 5]]
    assert found.offsets.tolist() == [[3, 5]]
    assert np.array_equal(found.images[0, :5, :3], np.floor(np.array(rows) + 0.5))
    assert found.images[0].sum() == found.images[0, :5, :3].sum()


def test_boxes_that_cannot_be_placed_are_an_error(sprites: Sprites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtssi_pyro.data.flavours.MAX_REDRAWS", 5)
    with pytest.raises(UsageError, match="larger frame"):
        moving_digits("sqair", sprites, sequences=50, frame_size=20, objects=3)


# Bouncing balls


def test_balls_equal_a_literal_loop() -> None:
    """From collision to collision, one ball after another."""
    found, source = billiard(4, 6, (128, 128), 60, generator(7)), generator(7)
    unit = 128 / WORLD
    radius = RADIUS * unit
    place, again = np.empty((6, 4, 2)), np.arange(6)
    while len(again):
        place[again] = (radius + (128 - 2 * radius) * uniform((len(again), 4, 2), source)).numpy()
        gap = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1) + 99 * np.eye(4)
        again = again[(gap[again] < 2 * radius).any((1, 2))]
    velocity = (MAX_VELOCITY * unit * (2 * uniform((6, 4, 2), source) - 1)).numpy()
    for s in range(6):
        p, v = place[s], velocity[s]
        for t in range(60):
            assert np.abs(found[s, t].numpy() - (np.round(p) + 0.5)).max() == 0
            left = 1.0
            while left > 0:
                events = [(left, -1, -1)]
                for i in range(4):
                    for axis in range(2):
                        wall = 128 - radius if v[i, axis] > 0 else radius
                        events.append(((wall - p[i, axis]) / v[i, axis], i, axis - 2))
                    for j in range(i):
                        d, u = p[i] - p[j], v[i] - v[j]
                        reach = (d @ u) ** 2 - (u @ u) * (d @ d - 4 * radius**2)
                        if d @ u < 0 < reach:
                            events.append(((-(d @ u) - math.sqrt(reach)) / (u @ u), i, j))
                time, i, j = min(events)
                time = max(time, 0.0)
                p, left = p + time * v, left - time
                if i >= 0 > j:
                    v[i, j + 2] *= -1
                elif i >= 0:
                    n = (p[i] - p[j]) / np.linalg.norm(p[i] - p[j])
                    along = (v[i] - v[j]) @ n
                    v[i], v[j] = v[i] - along * n, v[j] + along * n


@pytest.mark.slow
def test_balls_collide_and_stay_apart() -> None:
    """White discs of 9 px radius in frames of 128; they never overlap by more than the rounding of their centres."""
    data = moving_digits("balls", Sprites(*(torch.empty(0),) * 3), sequences=60)
    assert (data.length, data.frame_size, data.which.shape[1]) == (60, (128, 128), 4)
    assert data.sprites.sizes.tolist() == [[19, 19]]
    first, second = torch.triu_indices(4, 4, 1).unbind()
    distance = (data.position[:, :, first] - data.position[:, :, second]).norm(dim=-1)
    assert distance.min() >= 2 * RADIUS * 128 / WORLD - math.sqrt(2)
    assert (distance.amin(1) < 20).any(-1).float().mean() > 0.5  # most sequences have a collision
    frames = data.frames(slice(0, 20))
    assert set(frames.unique().tolist()) == {0.0, 1.0}
    area = int((data.sprites.images > 0).sum())
    assert (frames.sum((2, 3, 4)) >= 4 * area - 30).all()
    assert FLAVOURS["balls"].exact
