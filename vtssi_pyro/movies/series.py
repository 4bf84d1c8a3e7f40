"""Several movies of one camera, as one movie: what is found and learned holds for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.movie import Movie


def in_series(movies: Sequence[Movie]) -> Movie:
    """Join movies, one after another; the joint one keeps them as its ``parts``.

    Args:
        movies: one or more, opened alike.

    Raises:
        DataError: frames of another size, of which one camera's movies have one.
    """
    first, *others = movies
    if not others:
        return first
    for other in others:
        if other.size != first.size:
            (height, width), (h, w) = other.size, first.size
            raise DataError(
                f"{other.name}: frames are {height}x{width} pixels (H x W), those of {first.name} {h}x{w}: a tracker "
                "learns from movies of one camera; train one on each"
            )

    def read() -> Iterator[np.ndarray]:
        return (frame for movie in movies for _, frame in movie.chosen())

    lengths = [movie.length for movie in movies]
    return replace(
        first,
        name=f"{first.name} and {len(others)} more",
        length=None if None in lengths else sum(length or 0 for length in lengths),
        reader=read,
        lossy=any(movie.lossy for movie in movies),
        stored=replace(first.stored, frames=None),  # its parts leave frames out
        lines=tuple(line for movie in movies for line in movie.lines),
        bits=first.bits if all(movie.bits == first.bits for movie in movies) else None,
        times=None,
        numbers=None,
        parts=tuple(movies),
    )
