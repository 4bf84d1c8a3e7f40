"""Films that PyAV reads and writes: every frame in its place, whole or not at all."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from staged import encode

from vtssi_pyro.errors import DataError, OutOfResources, UsageError
from vtssi_pyro.movies import open_movie, write_film

ROW, COLUMN, TIME = np.mgrid[0:24, 0:34, 0:12]
WAVES = (
    (80 + 4 * ROW + 35 * np.sin(COLUMN / 2 + TIME * 0.7) + 35 * np.sin(ROW / 2 - TIME * 0.5))
    .round()
    .astype(np.uint8)
    .transpose(2, 0, 1)
)


def compare(seen: np.ndarray, source: np.ndarray) -> None:
    """Every frame is nearer to its own than any neighbour of it, or it shifted by a pixel, could be."""
    assert seen.shape == source.shape
    source = source.astype(float)
    others = [np.roll(source, 1, axis) for axis in (0, 1, 2)] + [np.roll(source, -1, 0), source[:, ::-1]]
    bound = 0.5 * min(np.abs(other - source).mean((1, 2)).min() for other in others)
    assert bound > 5
    assert np.abs(seen - source).mean((1, 2)).max() < bound


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.webm", "libvpx-vp9"), ("a.m4v", "mpeg4")],
)
def test_lossy_films(name: str, codec: str, tmp_path: Path) -> None:
    movie = open_movie(encode(tmp_path / name, codec, WAVES, "yuv420p"))
    assert movie.rate == 25
    compare(np.stack(list(movie.luminance())) * 255, WAVES)


def test_a_film_in_colour(tmp_path: Path) -> None:
    red = np.zeros((6, 32, 32, 3), np.uint8)
    red[..., 0] = 255
    frames = np.stack(list(open_movie(encode(tmp_path / "a.mp4", "libx264", red, "yuv420p")).luminance()))
    np.testing.assert_allclose(frames, 0.299, atol=0.02)


def test_without_pyav_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    for act in (lambda: open_movie(tmp_path / "a.mp4"), lambda: write_film(tmp_path / "b.mp4", [], 5)):
        with pytest.raises(UsageError, match=r"pip install 'vtssi-pyro\[video\]'"):
            act()


def test_without_an_encoder_it_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    with pytest.raises(UsageError, match=r"cannot write H\.264"):
        write_film(tmp_path / "b.mp4", [], 5)


def test_films_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """An odd size gets another line of pixels; what fails half way leaves nothing, and what was there as it was."""
    pytest.importorskip("av", reason="needs PyAV, the extra named video")
    coloured = np.repeat(WAVES[:, :23, :33, None], 3, -1)
    write_film(tmp_path / "a.mp4", coloured, 12.5)
    movie = open_movie(tmp_path / "a.mp4")
    assert (movie.size, movie.length, movie.rate) == ((24, 34), 12, 12.5)
    compare(np.stack(list(movie.luminance()))[:, :23, :33] * 255, coloured[..., 0])
    before = (tmp_path / "a.mp4").read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield coloured[0]
        raise KeyboardInterrupt

    sizes = [coloured[0], coloured[0, :20]]
    for name in ("a.mp4", "b.mp4"):
        for frames, error, message in (
            (broken(), KeyboardInterrupt, "^$"),
            (iter(()), DataError, f"{name}: no frames to write"),
            (sizes, DataError, f"{name}: frames of 23x33 and of 20x33 pixels"),
        ):
            with pytest.raises(error, match=message):
                write_film(tmp_path / name, frames, 12.5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_a_full_disk_is_called_one(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV, the extra named video")
    resource = pytest.importorskip("resource", reason="limits of files are POSIX")
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(
            OutOfResources, match=r"a\.mp4: no room left on the disk .*: it takes more than 2\.0 kB"
        ):
            write_film(tmp_path / "a.mp4", noise, 12.5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_an_interlaced_film_loses_its_combs_and_no_frame(tmp_path: Path) -> None:
    """Lines of both fields, 2 px apart where something moves, become one edge, that of the field which is first."""
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    fields = np.full((24, 64, 96), 40, np.uint8)
    for time, field in enumerate(fields):
        field[20:44, 10 + 2 * time : 34 + 2 * time] = 200
    frames = fields[::2].copy()
    frames[:, 1::2] = fields[1::2, 1::2]
    for name, flag in (("combed.mp4", True), ("plain.mp4", False)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
            stream.options = {"x264-params": "interlaced=1:tff=1:qp=1"} if flag else {"qp": "1"}
            for frame in frames if flag else fields[::2]:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "gray")))
            container.mux(stream.encode(None))
    combed, plain = open_movie(tmp_path / "combed.mp4"), open_movie(tmp_path / "plain.mp4")
    assert plain.lines == ()
    (line,) = combed.lines
    assert "is interlaced: the lines between those of the first field are interpolated" in line
    seen = np.stack(list(combed.luminance())) * 255
    assert seen.shape == frames.shape
    comb, before = (np.abs(np.diff(x[:, 20:44].astype(float), axis=1)).mean() for x in (seen, frames))
    assert comb < 0.2 * before
    assert min(np.abs(seen[1:-1] - fields[first::2][1:-1]).mean() for first in (0, 1)) < 2
    assert len(list(plain)) == len(frames)
