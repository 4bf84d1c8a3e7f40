"""How fast slender objects turn is seen in neighbouring frames."""

from typing import Any

import numpy as np
import pytest

from vtssi_pyro.movies import array_movie, inspect
from vtssi_pyro.movies.regions import Regions, regions
from vtssi_pyro.movies.spin import spin, turns

SIDE = 60


def drawn(
    angles: list[float], width: float = 3.0, middles: tuple[tuple[float, float], ...] = ((20, 20), (40, 42))
):
    """Bright ellipses, 10 px from the middle to the end, by their angles, degrees."""
    y, x = np.mgrid[0.5:SIDE, 0.5:SIDE]
    frame = np.zeros((SIDE, SIDE))
    for angle, (at_x, at_y) in zip(np.radians(angles), middles, strict=False):
        along = (x - at_x) * np.cos(angle) + (y - at_y) * np.sin(angle)
        across = (y - at_y) * np.cos(angle) - (x - at_x) * np.sin(angle)
        frame += (along / 10) ** 2 + (across / width) ** 2 <= 1
    return frame


def seen(*given: Any, **more: Any) -> Regions:
    return regions(drawn(*given, **more), 0.5)


@pytest.mark.parametrize("turned", [0.0, 5.0, -12.0, 30.0])
@pytest.mark.parametrize("start", [0.0, 40.0, 88.0])  # from the last, over a quarter of a turn
def test_an_axis_turns_as_its_object_does(turned: float, start: float) -> None:
    first, second = seen([start, -start]), seen([start + turned, -start - turned])
    assert np.degrees(turns(first, second)) == pytest.approx([abs(turned)] * 2, abs=2.0)
    assert np.degrees(spin([(first, second, 2)])) == pytest.approx(abs(turned) / 2, abs=1.0)


def test_round_objects_and_those_at_the_border_do_not_turn() -> None:
    still, moved = ([angle] * 2 for angle in (10.0, 40.0))
    assert not len(turns(seen(still, width=9.0), seen(moved, width=9.0)))
    edge = ((3.0, 30.0), (40.0, 30.0))
    assert len(turns(seen(still, middles=edge), seen(moved, middles=edge))) == 1
    nobody = regions(np.zeros((SIDE, SIDE)), 0.5)
    assert spin([(nobody, nobody, 1)]) == spin([(seen(still), nobody, 1)]) == spin([]) == 0.0


def test_one_slender_object_among_many_round_ones_is_no_spin() -> None:
    first, second = seen([0.0], middles=((12, 12),)), seen([20.0], middles=((12, 12),))
    round_ = seen([0.0, 0.0], width=9.0)
    assert spin([(first, second, 1)]) > 0.3
    assert spin([(first, second, 1), (round_, round_, 1)]) == 0.0


@pytest.mark.parametrize(("speed", "turning"), [(11.0, True), (0.0, False)])
def test_an_inspection_tells_it(speed: float, turning: bool) -> None:
    """Of a movie with noise, whose rods move, too."""
    noise, frames = np.random.default_rng(0), []
    for t in range(40):
        frame = drawn([speed * t, 30 - speed * t], middles=((18 + t / 3, 20), (40 - t / 4, 42)))
        frames.append(frame + noise.normal(0, 0.1, frame.shape))
    found = inspect(array_movie("rods", (np.clip(np.stack(frames), 0, 1) * 255).astype(np.uint8)))
    assert found.turns == turning
    assert found.turning == pytest.approx(speed, abs=2.0)
    assert any("turn by about 11 degrees" in line for line in found.lines()) == turning
