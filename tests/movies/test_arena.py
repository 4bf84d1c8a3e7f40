"""What lies beyond the arena is neither inspected nor tracked, wherever the arena comes from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vtssi_pyro import Stored, inspect, track
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import array_movie
from vtssi_pyro.movies.arena import extent, inside, pixels, settled
from vtssi_pyro.movies.prepared import PreparedMovie

SIDE, LEFT, WIDTH = 64, 20, 70
CORNERS = f"{LEFT},8,{LEFT + WIDTH},8,{LEFT + WIDTH},76,{LEFT},76"


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    """Two objects in the arena, and one beyond it, which is brighter and larger."""
    drawn = scene("blobs", length=16, side=SIDE, objects=2, size=12, seed=3).frames
    frames = np.full((16, 84, 150), int(np.median(drawn)), np.uint8)
    frames[:, 10 : 10 + SIDE, 23 : 23 + SIDE] = drawn
    for t in range(16):
        frames[t, 20 + 2 * t : 40 + 2 * t, 110:130] = 250
    return frames


def test_points_are_within_a_polygon_by_the_even_odd_rule() -> None:
    concave = settled("0,0,10,0,10,10,5,5,0,10")
    points = np.array([[5, 2], [5, 7], [1, 8], [9, 8], [-1, 2], [11, 2], [5, -1]])
    assert inside(concave, points).tolist() == [True, False, True, True, False, False, False]
    turned = settled("0,10,5,5,10,10,10,0,0,0")  # the other way round
    np.testing.assert_array_equal(inside(turned, points), inside(concave, points))
    assert pixels("2,1,6,1,6,4,2,4", "m", (8, 9)).sum() == 4 * 3
    assert extent(pixels("2,1,6,1,6,4,2,4", "m", (8, 9))) == (2, 1, 4, 3)
    shifted = pixels("2,1,6,1,6,4,2,4", "m", (3, 5), (3, 0))
    np.testing.assert_array_equal(shifted, pixels("2,1,6,1,6,4,2,4", "m", (8, 9))[:3, 3:8])


@pytest.mark.parametrize("kind", ["polygon", "mask"])
def test_nothing_beyond_is_inspected_or_tracked(kind: str, frames: np.ndarray, tmp_path: Path) -> None:
    arena = CORNERS
    if kind == "mask":
        mask = np.zeros(frames.shape[1:], np.uint8)
        mask[8:76, LEFT : LEFT + WIDTH] = 255
        arena = str(tmp_path / "mask.png")
        Image.fromarray(mask).save(arena)
    stored = Stored(arena=arena)
    if kind == "mask":
        Path(arena).unlink()  # it is kept as its pixels
    assert inspect(array_movie("m", frames)).inspected.objects == 3
    prepared = inspect(array_movie("m", frames, stored))
    found = prepared.inspected
    assert (found.objects, found.crop) == (2, (LEFT, 8, WIDTH, 68))
    assert found.object_size < 12
    tracks = track("untrained", prepared).tracks
    x = tracks.position[..., 0][tracks.present]
    assert tracks.present.shape[2] == 2
    assert LEFT < float(x.min()) < float(x.max()) < LEFT + WIDTH
    prepared.preparation.save(tmp_path / "preparation.npz")
    kept = type(prepared.preparation).load(tmp_path / "preparation.npz")
    assert kept.stored == prepared.preparation.stored
    again = PreparedMovie.of(array_movie("later", frames), kept)  # a further movie of the camera
    np.testing.assert_array_equal(again.frames, prepared.frames)


def test_another_arena_takes_the_place_of_the_kept_one(frames: np.ndarray) -> None:
    prepared = inspect(array_movie("m", frames, Stored(arena=CORNERS)))
    half = f"{LEFT},8,{LEFT + WIDTH // 2},8,{LEFT + WIDTH // 2},76,{LEFT},76"
    other = PreparedMovie.of(array_movie("m", frames, Stored(arena=half)), prepared.preparation)
    side = other.frames.shape[-1]
    assert not other.frames[..., side // 2 + 1 :].any()
    assert (other.frames[..., : side // 2 - 1] == prepared.frames[..., : side // 2 - 1]).all()


def test_what_is_no_arena_is_refused(tmp_path: Path) -> None:
    for text in ("1,2,3,4", "1,2,3,4,5,6,7"):
        with pytest.raises(UsageError, match="expected 3 corners or more"):
            Stored(arena=text)
    with pytest.raises(UsageError, match=r"is neither corners, .* nor a picture"):
        Stored(arena=str(tmp_path / "none.png"))
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(UsageError, match="is black everywhere"):
        Stored(arena=str(tmp_path / "black.png"))
    with pytest.raises(DataError, match="m: no pixel is within arena"):
        list(array_movie("m", np.zeros((3, 4, 5), np.uint8), Stored(arena="9,9,12,9,9,12")))
    Image.fromarray(np.full((3, 5), 255, np.uint8)).save(tmp_path / "reduced.png")
    with pytest.raises(DataError, match="the mask has 3x5 pixels"):
        list(array_movie("m", np.zeros((3, 4, 5), np.uint8), Stored(arena=str(tmp_path / "reduced.png"))))
    with pytest.raises(DataError, match="is damaged"):  # before its memory is asked for
        list(
            array_movie("m", np.zeros((3, 4, 5), np.uint8), Stored(arena="mask:9000000x9000000:eJxjAAAAAQAB"))
        )
    assert settled(settled("0,0,1,0,1.5,1")) == "0,0,1,0,1.5,1"
