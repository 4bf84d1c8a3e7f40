"""Several movies as one: each prepared by itself, and no clip reaches from one into the next."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vtssi_pyro.data.clips import Clips, movie_clips
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import Hints, array_movie
from vtssi_pyro.movies.prepared import PreparedMovie, look
from vtssi_pyro.movies.series import in_series

LENGTHS = (9, 14, 7)


@pytest.fixture(scope="module")
def prepared() -> PreparedMovie:
    """Of a background that follows the light, so that order matters."""
    movies = [
        array_movie(f"m{k}", scene("blobs", length=length, side=48, objects=2, size=10, seed=k).frames)
        for k, length in enumerate(LENGTHS)
    ]
    return look(in_series(movies), Hints(objects=2, object_size=10, background="rolling"), 32)


def test_each_movie_is_prepared_by_itself(prepared: PreparedMovie) -> None:
    assert prepared.lengths == LENGTHS
    assert prepared.movie.length == sum(LENGTHS)
    parts = prepared.frames.split(LENGTHS)
    for part, own in zip(parts, prepared.movie.parts, strict=True):
        assert torch.equal(part, PreparedMovie.of(own, prepared.preparation).frames)
    for frames, again in zip(prepared.sized(40).frames.split(LENGTHS), prepared.movie.parts, strict=True):
        assert torch.equal(frames, PreparedMovie.of(again, prepared.preparation.sized(40)).frames)


def test_no_clip_reaches_across_movies(prepared: PreparedMovie) -> None:
    length = 5
    numbered = torch.arange(sum(LENGTHS), dtype=torch.uint8).view(-1, 1, 1, 1).repeat(1, 1, 4, 4)
    marked = replace(prepared, read=lambda: (numbered, LENGTHS))
    learned, held_out = movie_clips(marked, length, held_out=9)
    ends = np.cumsum(LENGTHS)
    # of the second movie's frames, two are held out, too few for a clip
    for clips, first, last in ((learned, 0, 20), (held_out, 23, 29), (learned.cut(3, 50), 0, 20)):
        places = clips.frames(slice(None))[:, :, 0, 0, 0].mul(255).round().long()
        assert (places.diff(dim=1) == 1).all()
        movie = np.searchsorted(ends, places.numpy(), side="right")
        assert (movie == movie[:, :1]).all()
        assert (places.min(), places.max()) == (first, last)
    assert len(learned) == 8 * (5 + 8)  # of the second movie's frames 12 are left
    chosen = held_out.frames(held_out.disjoint)[:, :, 0, 0, 0].mul(255).round().flatten()
    assert len(chosen.unique()) == len(chosen)


def test_a_cut_leaves_too_little() -> None:
    with pytest.raises(DataError, match="too few for clips of 5"):
        Clips("m", torch.zeros(8, 1, 4, 4), 5, cuts=(4,))


def test_one_camera_has_one_size() -> None:
    wide, high = (
        array_movie(name, np.zeros((4, *size), np.uint8)) for name, size in (("a", (8, 9)), ("b", (9, 8)))
    )
    with pytest.raises(DataError, match=r"b: frames are 9x8 pixels \(H x W\), those of a 8x9"):
        in_series([wide, high])
    assert in_series([wide]) is wide


def test_a_part_of_joint_frames_is_one_of_each_movie(prepared: PreparedMovie) -> None:
    cut = prepared.movie.cropped(8, 4, 30, 20)
    frames = [frame for part in cut.whole for frame in part]
    np.testing.assert_array_equal(frames, list(cut))
    np.testing.assert_array_equal(frames, [frame[4:24, 8:38] for frame in prepared.movie])
    assert {(part.size, part.corner) for part in cut.whole} == {((20, 30), (8, 4))}
