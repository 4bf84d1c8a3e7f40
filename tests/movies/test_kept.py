"""A movie prepared once is prepared alike whenever its folder is named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Hints, array_movie
from vtssi_pyro.movies.prepared import PreparedMovie, look, was_kept

HINTS = (
    Hints(),
    Hints(objects=4, object_size=12.0, background="smooth", polarity="both", crop=(8, 0, 80, 72)),
    Hints(background="rolling"),
    Hints(background="none"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "movie.npy", scene("blobs", length=24, side=96, objects=2, size=16, seed=4).frames)
    return tmp_path / "movie.npy"


@pytest.mark.parametrize("hints", HINTS, ids=lambda h: str(h.background))
def test_it_comes_back(hints: Hints, path: Path) -> None:
    movie = look(path, hints)
    assert not was_kept(path.parent)
    assert [each.name for each in movie.save(path.parent)] == ["inspection.json", "preparation.npz"]
    assert was_kept(path.parent)
    again = PreparedMovie.load(path.parent)
    assert torch.equal(again.frames, movie.frames)
    assert replace(again.inspected, name=movie.name) == movie.inspected
    np.testing.assert_array_equal(again.inspected.background_image, movie.inspected.background_image)
    assert again.name == str(path.resolve())
    one, other = movie.standing_out([0, 9]), again.standing_out([0, 9])
    assert torch.equal(one.present, other.present)


@pytest.mark.parametrize("hints", HINTS, ids=lambda h: str(h.background))
def test_another_size_is_as_if_it_had_been_asked_for(hints: Hints, path: Path) -> None:
    movie, wanted = look(path, hints), look(path, hints, side=80)
    assert torch.equal(movie.sized(80).frames, wanted.frames)
    assert movie.sized(80).preparation.lines() == wanted.preparation.lines()
    assert movie.sized(movie.frames.shape[-1]) is movie


def test_another_movie_of_the_camera_is_prepared_alike(path: Path) -> None:
    movie = look(path)
    movie.save(path.parent)
    other = scene("blobs", length=30, side=96, objects=2, size=16, seed=9).frames
    found = PreparedMovie.load(path.parent, array_movie("other", other))
    assert torch.equal(found.frames, PreparedMovie.of(array_movie("other", other), movie.preparation).frames)
    assert (found.name, found.inspected.length, found.inspected.objects) == ("other", 30, 2)
    assert (found.inspected.name, found.inspected.rate) == ("other", None)
    with pytest.raises(DataError, match="found 80x80"):
        PreparedMovie.load(path.parent, array_movie("small", other[:, :80, :80]))


def test_what_has_changed_is_told(path: Path) -> None:
    look(path).save(path.parent)
    np.save(path, np.load(path)[:-4])
    with pytest.raises(DataError, match="20 frames, 24 when it was inspected"):
        PreparedMovie.load(path.parent)
    path.unlink()
    with pytest.raises(DataError, match="no file"):
        PreparedMovie.load(path.parent)
    kept = path.parent / "inspection.json"
    found = json.loads(kept.read_text())
    odd = (
        {"more": 1},
        {"movie": 3},
        {"objects": "two"},
        {"size": [64]},
        {"shrunk": 0},
        {"speed": [1.0]},
        {"odd": 1},
    )
    for damaged in ("", "[]", "{}", *(json.dumps(found | change) for change in odd)):
        kept.write_text(damaged)
        with pytest.raises(DataError, match=r"inspection\.json: damaged"):
            PreparedMovie.load(path.parent)


def test_frames_that_no_file_holds_must_be_given(path: Path) -> None:
    movie = array_movie("frames", np.load(path))
    look(movie).save(path.parent)
    with pytest.raises(DataError, match="give the movie, too"):
        PreparedMovie.load(path.parent)
    assert len(PreparedMovie.load(path.parent, movie).frames) == 24
