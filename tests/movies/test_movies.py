"""Every kind of movie gives the frames that were put into it, one at a time; what is broken says so in one line."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from PIL import Image
from staged import encode

from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import SUFFIXES, film, is_movie, luminance, microscopes, movies_matched, open_movie
from vtssi_pyro.movies import movie as movie_module
from vtssi_pyro.movies.movie import Kept, shrink

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 24, 34)).astype(np.uint8)


def write_animation(path: Path, frames: np.ndarray = GREY, **options: object) -> Path:
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, **options)
    return path


def write_folder(path: Path, frames: np.ndarray = GREY, suffix: str = "png") -> Path:
    path.mkdir(exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(path / f"frame{number}.{suffix}")
    (path / "notes.txt").write_text("not a picture")
    return path


def write_array(path: Path) -> Path:
    np.savez(path, frames=GREY) if path.suffix == ".npz" else np.save(path, GREY)
    return path


LOSSLESS: dict[str, Callable[[Path], Path]] = {
    "a.gif": write_animation,
    "a.webp": lambda path: write_animation(path, lossless=True),
    "a.apng": lambda path: write_animation(path, format="PNG"),
    "a.tif": write_animation,
    "a.TIFF": write_animation,
    "folder": write_folder,
    "a.npy": write_array,
    "a.npz": write_array,
    "a.avi": lambda path: encode(path, "ffv1", GREY),
    "a.mkv": lambda path: encode(path, "ffv1", GREY),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_frames_come_back(name: str, tmp_path: Path) -> None:
    movie = open_movie(LOSSLESS[name](tmp_path / name))
    assert movie.size == (24, 34)
    assert movie.length == 12 or name == "a.mkv"  # which does not say
    frames = np.stack(list(movie.luminance()))
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames * 255, GREY, atol=0.51)  # colours are converted and back
    np.testing.assert_array_equal(np.stack(list(movie.luminance())), frames)  # from the start again


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng"])
def test_the_rate_of_an_animation(name: str, tmp_path: Path) -> None:
    settings = {"format": "PNG"} if name == "a.apng" else {}
    assert open_movie(write_animation(tmp_path / name, duration=40, **settings)).rate == 25


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.apng"])
def test_frames_of_an_animation_may_be_shown_for_different_times(name: str, tmp_path: Path) -> None:
    """Then each has its own time, and the rate is the mean one."""
    settings = {"format": "PNG"} if name == "a.apng" else {}
    movie = open_movie(write_animation(tmp_path / name, duration=[40, 80] * 6, **settings))
    assert movie.times == pytest.approx([0.06 * t - 0.02 * (t % 2) for t in range(12)])
    assert movie.rate == pytest.approx(12 / 0.72)
    assert "40 to 80 ms apart" in " ".join(movie.lines)


def test_sixteen_bits_stay(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 255 + 100
    for path in (write_animation(tmp_path / "a.tif", deep), write_folder(tmp_path / "folder", deep)):
        frames = np.stack(list(open_movie(path)))
        np.testing.assert_array_equal(frames, deep)
        np.testing.assert_allclose(luminance(frames[0]), deep[0] / 65535, rtol=1e-6)


def test_colour_becomes_luminance_and_transparency_black() -> None:
    colours = np.array([[[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [255, 255, 255, 0]]], np.uint8)
    expected = [[0.299, 0.587, 0.114, 0.0]]
    np.testing.assert_allclose(luminance(colours), expected, atol=1e-6)
    np.testing.assert_allclose(luminance(colours / np.float64(255)), expected, atol=1e-6)
    np.testing.assert_allclose(luminance(colours[..., :3]), [[0.299, 0.587, 0.114, 1.0]], atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, bool, np.float32])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_shrinking_then_grey_is_grey_then_shrinking(kind: type, channels: tuple[int, ...]) -> None:
    high = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1
    frame = (np.random.default_rng(0).uniform(0, high, (23, 31, *channels)) + 0.3).clip(0, high).astype(kind)
    if kind is np.uint8:
        frame[:12] = 255  # sums that narrow numbers would not hold
    for factor in (1, 2, 5):
        height, width = 23 // factor, 31 // factor
        tiles = luminance(frame)[: height * factor, : width * factor]
        expected = tiles.reshape(height, factor, width, factor).mean((1, 3))
        np.testing.assert_allclose(luminance(shrink(frame, factor)), expected, atol=2e-6)


def test_a_long_movie_needs_the_memory_of_a_frame(tmp_path: Path) -> None:
    frames = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (400, 256, 256))
    frames.flush()
    del frames
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_movie(tmp_path / "a.npy").luminance()) == 400
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20 * 256 * 256  # the whole has 400 times that many bytes


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(open_movie(path))
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_what_is_nothing(tmp_path: Path) -> None:
    refused(tmp_path / "missing.mp4", "no file or folder")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no pictures in")
    (tmp_path / "a.doc").write_bytes(b"?")
    refused(tmp_path / "a.doc", "no known kind")


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (*film.SUFFIXES, *microscopes.READERS)])
def test_nonsense(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"no movie at all")
    refused(path, r"decoded|\.npz file|damaged|magic")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_film_of_nonsense(suffix: str, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV, the extra named video")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"no movie at all")
    refused(path, "cannot be decoded")


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.avi", "a.mp4", "a.npy", "a.npz"])
def test_a_cut_off_file(name: str, tmp_path: Path) -> None:
    """Whatever is cut off in the middle is an error, at the latest when its end is reached."""
    long = np.concatenate([GREY] * 6)
    path = tmp_path / name
    if path.suffix in (".gif", ".tif"):
        write_animation(path, long)
    elif path.suffix in (".avi", ".mp4"):
        encode(path, "libx264", long, "yuv420p")
    else:
        write_array(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(path, r"a\.\w+")


def test_a_changing_size(tmp_path: Path) -> None:
    write_folder(tmp_path)
    Image.fromarray(GREY[0, :5]).save(tmp_path / "frame10.png")
    with pytest.raises(DataError, match=r"frame10.png has 5x34 pixels \(H x W\), frame0.png 24x34"):
        list(open_movie(tmp_path))
    write_animation(tmp_path / "a.tif", GREY)
    small = [Image.fromarray(GREY[0]), Image.fromarray(GREY[0, :5])]
    small[0].save(tmp_path / "b.tif", save_all=True, append_images=small[1:])
    refused(tmp_path / "b.tif", r"2 series of pictures, of 24x34, 5x34 pixels \(H x W\)")


def test_arrays_that_are_no_movie(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for value, message in (
        (np.zeros((2, 5, 4, 6), np.uint8), "expected one movie"),
        (np.zeros((0, 4, 5), np.uint8), "no frames"),
        (np.zeros((3, 4, 5), complex), "frames are complex128"),
        (np.full((3, 4, 5), np.nan), "every intensity is nan"),
    ):
        np.save(path, value)
        refused(path, message)
    np.save(path, np.array([object()] * 3), allow_pickle=True)
    refused(path, "object")


def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "folder")
    write_animation(tmp_path / "a.gif")
    monkeypatch.setattr(movie_module, "MAX_FRAME", GREY[0].size - 1)
    refused(folder, "more than")
    monkeypatch.undo()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    refused(tmp_path / "a.gif", "no picture that can be decoded")


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.uint32, np.int64])
def test_numbers_of_any_kind_are_read(kind: type, tmp_path: Path) -> None:
    values = np.arange(3 * 4 * 5).reshape(3, 4, 5, 1).astype(kind)
    np.save(tmp_path / "a.npy", values)
    read = np.stack(list(open_movie(tmp_path / "a.npy").luminance()))
    np.testing.assert_allclose(read, values[..., 0] / 255, atol=1e-6)


def test_a_tiff_of_32_bits_is_read(tmp_path: Path) -> None:
    deep = (GREY.astype(np.int32) * 10_000)[:2]
    write_animation(tmp_path / "a.tif", deep)
    movie = open_movie(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.stack(list(movie.reader())), deep)
    np.testing.assert_allclose(np.stack(list(movie)), deep / deep.max(), atol=1e-6)


def test_a_small_movie_is_decoded_once_and_a_large_one_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupted pass keeps nothing, since the rest of the movie would be missing."""
    frames = [np.full((4, 4), t, np.uint8) for t in range(5)]
    decoded = []

    def decode() -> Iterator[np.ndarray]:
        for frame in frames:
            decoded.append(int(frame[0, 0]))
            yield frame.copy()

    def read(reader: Kept) -> list[int]:
        return [int(frame[0, 0]) for frame in reader()]

    reader = Kept(decode)
    next(iter(reader()))
    assert decoded == [0]
    assert [read(reader) for _ in range(3)] == 3 * [[0, 1, 2, 3, 4]]
    assert decoded == [0, 0, 1, 2, 3, 4]
    monkeypatch.setattr("vtssi_pyro.movies.movie.KEPT", 4 * 16)  # bytes of four frames
    decoded.clear()
    reader = Kept(decode)
    assert [read(reader) for _ in range(2)] == 2 * [[0, 1, 2, 3, 4]]
    assert len(decoded) == 10
    assert not reader.frames


def test_what_a_process_keeps_of_all_movies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A movie that nobody holds any more makes room; one that is left half way does not take it."""
    monkeypatch.setattr("vtssi_pyro.movies.movie.KEPT", 5 * 16)
    monkeypatch.setattr(Kept, "_taken", WeakKeyDictionary())
    movies = [Kept(lambda: iter(np.zeros((2, 4, 4), np.uint8))) for _ in range(4)]
    half = movies[3]()
    next(half)
    del half
    for reader in 2 * movies:
        assert len(list(reader())) == 2
    assert [len(reader.frames) for reader in movies] == [2, 2, 0, 0]
    del movies[0]
    assert [len(list(reader())) for reader in movies] == [2, 2, 2]
    assert [len(reader.frames) for reader in movies] == [2, 2, 0]


def test_a_pattern_of_pictures_is_one_movie_and_one_of_movies_is_not(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (12, 8, 9), np.uint8)
    for number, frame in enumerate(frames):
        for series in "ab":
            Image.fromarray(frame if series == "a" else 255 - frame).save(tmp_path / f"{series}_{number}.png")
    with pytest.raises(DataError, match="name one by a pattern"):
        open_movie(tmp_path)
    some = open_movie(tmp_path / "a_*.png")
    assert some.length == 12
    np.testing.assert_array_equal(np.stack(list(some)), frames)  # 2 before 10
    assert is_movie(tmp_path / "b_*.png")
    first, *rest = (Image.fromarray(frame) for frame in frames)
    for name in ("c.gif", "d.gif"):
        first.save(tmp_path / name, save_all=True, append_images=rest)
    assert not is_movie(tmp_path / "*.gif")
    assert not is_movie(tmp_path / "nothing*.png")
    asked = [str(tmp_path / name) for name in ("a_*.png", "*.gif", "a_*.png")]
    assert movies_matched(asked) == [asked[0], str(tmp_path / "c.gif"), str(tmp_path / "d.gif")]
    with pytest.raises(DataError, match="no file or folder matches"):
        movies_matched([tmp_path / "nothing*.png"])
