"""Movies that are broken, lie or attack end in one line, with the memory of a frame."""

import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bad_movies import BAD, FRAMES, animation, array, film, nonsense

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import inspect, open_movie


@pytest.fixture(autouse=True)
def _little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 64 * 2**20


@pytest.mark.parametrize("kind", BAD)
def test_one_line_says_what_is_wrong(kind: str, tmp_path: Path) -> None:
    name, make, message = BAD[kind]
    path = tmp_path / name
    make(path)
    for look in (lambda: list(open_movie(path)), lambda: inspect(open_movie(path))):
        with pytest.raises(DataError, match=message) as caught:
            look()
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "write"), [("a.gif", animation), ("a.mp4", film), ("a.npy", lambda path, x: array(x)(path))]
)
def test_nothing_to_inspect(name: str, write, tmp_path: Path) -> None:
    """These are movies, but nothing is seen to move in them."""
    path = tmp_path / name
    for frames, message in (
        (FRAMES[:1], "holds 1 frame"),
        (0 * FRAMES, r"every pixel is 0\.?\d* in every frame"),
    ):
        write(path, frames)
        movie = open_movie(path)
        assert len(list(movie)) == len(frames) or path.suffix == ".gif"  # which drops frames without a change
        with pytest.raises(DataError, match=message if len(list(movie)) > 1 else "holds 1 frame"):
            inspect(movie)
        path.unlink()


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nonsense(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"pip install 'vtssi-pyro\[video\]'"):
        inspect(open_movie(tmp_path / "a.mp4"))


def test_without_a_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV may be there and not know the codec; the stream then has no context."""
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    film(tmp_path / "a.mp4", np.asarray(FRAMES))

    class Stream:
        codec_context = None

    class Container:
        class streams:
            video = (Stream(),)

        def __enter__(self) -> "Container":
            return self

        def __exit__(self, *args: object) -> None:
            pass

    monkeypatch.setattr(av, "open", lambda path: Container())
    with pytest.raises(DataError, match=r"a\.mp4: PyAV has no decoder"):
        open_movie(tmp_path / "a.mp4")
