"""What frames mean is decided in one place, alike for files, arrays and tensors; what was assumed is told."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from vtssi_pyro.data import open_frames
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import Preparation, Stored, array_movie, open_movie
from vtssi_pyro.movies.levels import WHITES, live
from vtssi_pyro.movies.prepared import PreparedMovie, look
from vtssi_pyro.movies.transforms import Luminance

S, T, H, W = 2, 24, 20, 16
RNG = np.random.default_rng(0)
NOISE = RNG.random((S, T, H, W)).round(2)
NOISE[:, :, 3, 3] = 1.0  # white in every frame


def read(frames: np.ndarray, **said: object) -> torch.Tensor:
    """Sequences as a model sees them."""
    return open_frames(frames, Stored(**said)).frames(slice(None))[:, :, 0]  # type: ignore[arg-type]


def filmed(frames: np.ndarray, **said: object) -> np.ndarray:
    """One movie as a model sees it."""
    return np.stack(list(array_movie("film", frames, Stored(**said)).luminance()))  # type: ignore[arg-type]


# The range


@pytest.mark.parametrize("white", WHITES)
@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.int32, np.uint32, np.int64, np.uint64, np.float16,
                                  np.float32, np.float64])  # fmt: skip
def test_whatever_counts_to_a_cameras_white_is_scaled_by_it(white: float, kind: type) -> None:
    if white > (float(np.finfo(kind).max) if np.issubdtype(kind, np.floating) else np.iinfo(kind).max):
        pytest.skip("beyond this type")
    stored = (NOISE * white).astype(kind)
    expected = torch.from_numpy((stored.astype(np.float64) / white).astype(np.float32))
    for frames in (stored, stored.astype(stored.dtype.newbyteorder(">"))):
        torch.testing.assert_close(read(frames), expected, atol=1e-3 if kind is np.float16 else 1e-6, rtol=0)
        np.testing.assert_allclose(filmed(frames[0]), expected[0], atol=1e-3)


@pytest.mark.parametrize(
    "kind", [torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
def test_a_tensor_is_read_as_its_array_is(kind: torch.dtype) -> None:
    frames = torch.from_numpy(NOISE * 255).to(kind)
    array = frames.float().numpy() if kind == torch.bfloat16 else frames.numpy()
    assert torch.equal(open_frames(frames.requires_grad_(frames.is_floating_point())).frames(slice(None))[:, :, 0],
                       read(array))  # fmt: skip
    assert torch.equal(open_frames(frames.detach().to_sparse()).frames(slice(None))[:, :, 0], read(array))


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions")  # torch gives them up
def test_a_quantised_tensor_is_refused_with_what_makes_it_plain() -> None:
    whole = torch.quantize_per_tensor(torch.from_numpy(NOISE).float(), 1 / 255, 0, torch.quint8)
    with pytest.raises(DataError, match=r"^frames: a tensor of torch\.quint8.* dequantize\(\)"):
        open_frames(whole)
    found = open_frames(whole.dequantize()).frames(slice(None))[:, :, 0]
    torch.testing.assert_close(found, torch.from_numpy(NOISE).float(), atol=1 / 255, rtol=0)


@pytest.mark.parametrize("high", [1.0001, 1.01, 1.1])
@pytest.mark.parametrize("white", [1.0, 255.0, 4095.0])
@pytest.mark.parametrize("many", [False, True])
def test_an_overshoot_changes_no_scale(high: float, white: float, many: bool) -> None:
    frames = NOISE * white
    frames[slice(None) if many else 0, slice(None) if many else 5, 7, 7] = high * white
    frames[0, 6, 7, 7] = (1 - high) * white
    data = open_frames(frames)
    expected = torch.from_numpy((frames / white).clip(0, 1)).float()
    torch.testing.assert_close(data.frames(slice(None))[:, :, 0], expected)
    assert f"are cut off at 0 and {white:g}" in data.lines[-1]


def test_single_glitches_change_no_scale() -> None:
    counts = (NOISE * 4095).astype(np.uint16)
    counts[0, 3, 5, 5] = counts[1, 9, 2, 2] = 65535
    assert (read(counts)[:, :, 3, 3] == 1).all()
    counts[:, ::2, 5, 5] = 65535  # too often for a glitch
    assert (read(counts)[:, :, 3, 3] < 0.07).all()


def test_empty_frames_do_not_make_the_rest_a_glitch() -> None:
    frames = np.zeros((1, 100, H, W))
    frames[0, :3, 4:8, 4:8] = np.array([255.0, 120.0, 30.0]).reshape(3, 1, 1)
    torch.testing.assert_close(read(frames), torch.from_numpy(frames).float() / 255)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, bool])
def test_a_mask_of_zeros_and_ones_is_black_and_white(kind: type) -> None:
    mask = (NOISE > 0.5).astype(kind)
    assert torch.equal(read(mask), torch.from_numpy(mask).float())


def test_what_was_assumed_is_told_and_what_is_certain_is_not() -> None:
    assert open_frames((NOISE * 255).astype(np.uint8)).lines == ()
    assert open_frames(NOISE.astype(np.float32)).lines == ()
    (line,) = open_frames((NOISE * 4095).astype(np.uint16)).lines
    assert "uint16 from 0 to 4095, read as 0 to 4095 (12 bits)" in line
    (line,) = open_frames(NOISE / 50).lines
    assert "dark" in line


def test_a_range_that_is_said_is_used() -> None:
    counts = (NOISE * 1000).astype(np.uint16)
    expected = torch.from_numpy(((counts - 100.0) / 400).clip(0, 1)).float()
    torch.testing.assert_close(read(counts, range=(100, 500)), expected)
    np.testing.assert_allclose(filmed(counts[0], range=(100, 500)), expected[0], atol=1e-6)
    eight = (NOISE * 255).astype(np.uint8)
    torch.testing.assert_close(read(eight, range=(0, 51)), (torch.from_numpy(eight) / 51).clamp(max=1))


def test_negative_numbers_need_a_range_or_an_inspection() -> None:
    with pytest.raises(DataError, match=r"sequence 0, frame \d+ has the intensity -0.5.* with range"):
        open_frames(NOISE - 0.5)
    torch.testing.assert_close(read(NOISE - 0.5, range=(-0.5, 0.5)), torch.from_numpy(NOISE).float())
    np.testing.assert_allclose(filmed(NOISE[0] - 0.5), NOISE[0], atol=1e-6)  # its background is inspected


def test_data_on_a_device_are_the_same() -> None:
    counts = (NOISE * 4095).astype(np.uint16)
    holes = NOISE.copy()
    holes[:, :, 0] = np.nan
    for frames in (counts, holes, NOISE * 255):
        data = open_frames(frames)
        torch.testing.assert_close(data.to("cpu").frames(slice(None)), data.frames(slice(None)))


# What is no number


def with_value(value: float, *index: object) -> np.ndarray:
    frames = NOISE.copy()
    frames[index] = value  # type: ignore[index]
    return frames


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (with_value(np.nan, 1, 4, 7, 8), "sequence 1, frame 4 has the intensity nan at row 7, column 8"),
        (with_value(np.nan, 0, 0, 0, 0), "sequence 0, frame 0 has the intensity nan at row 0, column 0"),
        (with_value(np.nan, 0, slice(23), 7, 8), "frame 0 has the intensity nan at row 7, column 8"),
        (with_value(np.inf, 1, 5, 0), "sequence 1, frame 5 has the intensity inf at row 0, column 0"),
        (with_value(-np.inf, 0, 2, 9, 9), "sequence 0, frame 2 has the intensity -inf at row 9, column 9"),
        (with_value(1e300, 0, 2, 9, 9), r"frame 2 has the intensity 1e\+300 at row 9, column 9"),
        (NOISE * 1e300, "has the intensity"),
        (np.full_like(NOISE, np.nan), "every intensity is nan"),
        (NOISE + 1j, "complex128, expected numbers"),
        (NOISE.astype(str), "expected numbers"),
        (NOISE.astype("datetime64[s]"), "expected numbers"),
    ],
)
def test_what_is_no_number_is_refused_with_its_place(frames: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_frames(frames)
    if "sequence 1" not in message:
        with pytest.raises(DataError, match=message.removeprefix("sequence 0, ")):
            filmed(frames[0])


@pytest.mark.parametrize(
    "region",
    [
        lambda t: np.s_[:2],  # what registration leaves, at times at one side, at times at another
        lambda t: np.s_[: 1 + t % 3],
        lambda t: np.s_[:, W - 1 - t % 4 :],
        lambda t: np.s_[8:12, 5:9],  # a hole, but in every frame
        lambda t: np.s_[7, 7],
    ],
)
def test_a_border_and_a_region_of_every_frame_are_masked(region: Callable[[int], object]) -> None:
    frames, lost = NOISE.copy(), np.zeros((H, W), bool)
    for t in range(T):
        frames[(slice(None), t, *np.atleast_1d(np.array(region(t), object)))] = np.nan
        lost[region(t)] = True  # type: ignore[index]
    data = open_frames(frames)
    seen = data.frames(slice(None))[:, :, 0].numpy()
    assert (seen[..., lost] == seen[0, 0, lost][0]).all()  # one level, without an edge that moves
    np.testing.assert_allclose(seen[..., ~lost], NOISE[..., ~lost], atol=1e-6)
    (line,) = data.lines
    assert f"{lost.sum()} pixel" in line
    assert (
        f"no value (NaN) in {'any frame' if region(0) == region(1) else 'some frames, at the border'}:"
        in line
    )
    np.testing.assert_allclose(filmed(frames[0])[:, ~lost], NOISE[0][:, ~lost], atol=1e-6)


def test_sequences_may_have_masks_of_their_own() -> None:
    frames = NOISE.copy()
    frames[0, :, 5:7, 5:7] = frames[1, :, 9, 9] = np.nan
    data = open_frames(frames)
    assert data.levels.as_dict()["masked_pixels"] == 5
    frames[1, 3, 9, 9] = 0.5
    with pytest.raises(DataError, match="sequence 1, frame 0 has the intensity nan at row 9, column 9"):
        open_frames(frames)


def test_a_frame_without_values_is_missing() -> None:
    frames = with_value(np.nan, 0, 5)
    data = open_frames(frames)
    assert data.levels.missing == {5}
    assert data.levels.as_dict()["missing_frames"] == [5]
    assert "1 frame without any value, the first sequence 0, frame 5" in data.lines[0]
    seen = data.frames(slice(None))[0, :, 0]
    assert seen[5].unique().numel() == 1
    torch.testing.assert_close(seen[6], torch.from_numpy(NOISE[0, 6]).float())


@pytest.mark.parametrize("missing", [np.s_[7:8], np.s_[::2], np.s_[1::2], np.s_[1:23:2]])
def test_missing_frames_show_nothing_and_are_passed_over(missing: slice) -> None:
    y, x = np.mgrid[:64, :64]
    paths = [(20 + t, 16) for t in range(T)], [(44 - t, 48) for t in range(T)]
    scene = np.stack([0.2 + sum(0.6 * np.exp(-((x - p[t][0]) ** 2 + (y - p[t][1]) ** 2) / 18) for p in paths)
                      for t in range(T)])  # fmt: skip
    whole = look(array_movie("scene", scene))
    scene[missing] = np.nan
    movie = look(array_movie("scene", scene))
    assert movie.inspected.objects == whole.inspected.objects == 2
    assert movie.inspected.speed == pytest.approx(whole.inspected.speed, rel=0.1)  # by frame, seen or not
    assert movie.frames.flatten(1).any(1).tolist() == np.isfinite(scene).all((1, 2)).tolist()


def test_what_a_masked_array_masks_is_masked() -> None:
    mask = np.zeros((S, T, H, W), bool)
    mask[..., :3] = True
    assert open_frames(np.ma.MaskedArray(NOISE, mask)).levels.as_dict()["masked_pixels"] == 3 * H


# The axes


@pytest.mark.parametrize("axes", ["STHW", "TSHW", "HWTS", "STCHW", "STHWC", "CTSHW", "SZTHW"])
def test_any_order_of_axes_can_be_said(axes: str) -> None:
    whole = NOISE[:, :, None, None]  # (S, T, Z, C, H, W)
    order = ["STZCHW".index(letter) for letter in axes]
    rest = [k for k in range(6) if k not in order]
    given = whole.transpose([*order, *rest]).reshape([whole.shape[k] for k in order])
    torch.testing.assert_close(read(given, axes=axes), torch.from_numpy(NOISE).float())


@pytest.mark.parametrize("axes", ["THW", "HWT", "STHW", "TCHW", "THWC", "CTHW", "TZHW"])
def test_so_can_those_of_a_movie(axes: str) -> None:
    order = ["STZCHW".index(letter) for letter in axes]
    given = NOISE[:1, :, None, None].transpose([*order, *(k for k in range(6) if k not in order)])
    given = given.reshape([(1, T, 1, 1, H, W)[k] for k in order])
    np.testing.assert_allclose(filmed(given, axes=axes), NOISE[0], atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(T, 1, H, W), (T, 3, H, W), (1, T, 3, H, W), (T, H, W, 3), (1, T, H, W, 1)]
)
def test_shapes_of_one_movie(shape: tuple[int, ...]) -> None:
    movie = array_movie("film", np.zeros(shape, np.uint8))
    assert (movie.length, movie.size) == (T, (H, W))


def test_colours_first_are_colours_last() -> None:
    colours = RNG.integers(0, 256, (T, 3, H, W)).astype(np.uint8)
    np.testing.assert_array_equal(filmed(colours), filmed(np.moveaxis(colours, 1, -1)))
    np.testing.assert_array_equal(filmed(colours, channel=2), filmed(colours[:, 2]))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"axes": "THX"}, "axes THX"), ({"axes": "TT"}, "axes TT"), ({"axes": "ST"}, "H and W among them"),
        ({"range": (1, 1)}, "black must be less"), ({"range": (0, np.nan)}, "range: expected"),
        ({"channel": -1}, "count from 0"), ({"channel": ""}, "a channel's name"),
        ({"plane": ""}, "max or mean"), ({"plane": -1}, "max or mean"), ({"memory": 0}, "above 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_said(said: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Stored(**said)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "said", "message"),
    [
        ((T, 2, H, W), {"axes": "TCHW"}, "2 channels: say which to read, channel 0 to 1"),
        ((T, 2, H, W), {"axes": "TZHW"}, "2 depths: say which to read, plane 0 to 1"),
        ((T, 2, H, W), {"axes": "TCHW", "channel": 2}, "there is no channel 2"),
        ((T, 2, H, W), {"axes": "TZHW", "plane": 2}, "there is no plane 2"),
        ((T, H, W), {"axes": "STHW"}, "3 axes, but axes STHW names 4"),
        ((T, H, W), {"channel": 1}, "there is no channel 1"),
        ((T, H, W), {"channel": "GFP"}, "has no channel GFP: they have no names.* or grey or colour"),
        ((T, H, W), {"plane": "median"}, "has no plane median: they have no names.* or max or mean"),
    ],
)
def test_what_the_frames_do_not_have(shape: tuple[int, ...], said: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        filmed(np.zeros(shape, np.uint8), **said)


@pytest.mark.parametrize(
    "frames", [[[1.0]], np.float32(3), np.zeros(()), np.zeros((T, 20, W, 3)), np.zeros((1,) * 6)]
)
def test_what_is_no_array_of_sequences_is_refused(frames: object) -> None:
    with pytest.raises(DataError, match=r"numpy\.stack|expected \(S, T, H, W\)|axes THWC"):
        open_frames(frames)  # type: ignore[arg-type]


def test_arrays_that_look_otherwise_are_told_of() -> None:
    path = np.arange(T)[:, None, None, None]
    steady = np.exp(
        -((np.arange(W) - (np.arange(S * 3) * 2)[None, :, None, None] - path / 8) ** 2) / 8
    ).repeat(H, 2)
    (line,) = open_frames((255 * steady).astype(np.uint8)).lines  # (T, S, H, W)
    assert "axes TSHW" in line
    assert open_frames((255 * steady).astype(np.uint8).swapaxes(0, 1)).lines == ()
    assert "axes HWT" in array_movie("film", np.zeros((90, 80, 20), np.uint8)).assumed[0]


# Pictures


def test_pictures_have_no_axes_to_name(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((H, W), np.uint8)).save(tmp_path / "0.png")
    for said, message in (
        ({"axes": "THW"}, "axes"),
        ({"channel": 1}, "no channel 1"),
        ({"plane": 1}, "no plane 1"),
        ({"channel": "GFP"}, "no channel GFP"),
    ):
        with pytest.raises((DataError, UsageError), match=message):
            open_movie(tmp_path, Stored(**said))  # type: ignore[arg-type]


def named(folder: Path, *names: str) -> Path:
    """A folder of pictures."""
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.fromarray(np.zeros((H, W), np.uint8)).save(folder / name)
    return folder


@pytest.mark.parametrize("name", ["{}.png", "cam2_{:03}_64x64.png"])
def test_left_out_numbers_of_pictures_are_told_of(name: str, tmp_path: Path) -> None:
    movie = open_movie(named(tmp_path, *map(name.format, (1, 2, 3, 7, 8))))
    assert "numbers 4 to 6 are missing" in movie.assumed[0]
    assert movie.numbers == (1, 2, 3, 7, 8)
    (tmp_path / name.format(7)).unlink()
    (tmp_path / name.format(8)).unlink()
    assert open_movie(tmp_path).assumed == ()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a_000.png", "a_001.png", "b_000.png", "b_001.png"], r"2 series of pictures, a_#\.png \(2\), b_#\.png \(2\)"),
        (["1.png", "2.png", "1.jpg"], r"#\.jpg \(1\), #\.png \(2\)"),
        (["dark.png", "t1.png", "t2.png"], r"dark\.png \(1\), t#\.png \(2\)"),
        ([f"{x}{n}.png" for x in "abcdefgh" for n in "12"], "8 series of pictures.* and 5 more"),
    ],
)  # fmt: skip
def test_several_series_in_a_folder_are_refused(names: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        open_movie(named(tmp_path, *names))


def test_names_whose_numbers_count_anew_are_told_of(tmp_path: Path) -> None:
    """Several cameras or channels look so, and times of a day: their order is that of the names."""
    (line,) = open_movie(
        named(tmp_path / "a", "cam1_0.png", "cam1_1.png", "cam2_0.png", "cam2_1.png")
    ).assumed
    assert "2 numbers that change, from cam1_0.png to cam2_1.png" in line
    for other in (["t001_5s.png", "t002_9s.png"], ["left.png", "right.png"], ["x.png", "x1.png"]):
        assert open_movie(named(tmp_path / other[0][:-4], *other)).assumed == ()


@pytest.mark.parametrize(
    "add",
    [
        lambda path: tifffile.imwrite(path / "5.tif", np.zeros((2, H, W), np.uint8)),
        lambda path: tifffile.imwrite(
            path / "5.tif", np.zeros((9, H, W), np.uint8), imagej=True, truncate=True
        ),
        lambda path: write_apng(path / "5.png", False),
        lambda path: write_apng(path / "5.png", True),
        lambda path: write_apng(path / "5.webp", False, "WEBP"),
        lambda path: write_apng(path / "5.apng", False),
        lambda path: write_apng(path / "5.gif", False, "GIF"),
        lambda path: write_apng(path / "5.png", False, "GIF"),  # whatever its name says
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_movie_among_the_pictures_of_a_folder_is_refused(add, alone: bool, tmp_path: Path) -> None:
    add(tmp_path)
    if not alone:
        named(tmp_path, *(f"{k}{next(tmp_path.iterdir()).suffix}" for k in range(3)))
    with pytest.raises(DataError, match=r"5\.\w+: is itself a movie"):
        list(open_movie(tmp_path))


def test_gifs_of_one_picture_are_frames(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((H, W), 60 * number, np.uint8)).save(tmp_path / f"{number}.gif")
    assert [int(frame.max()) for frame in open_movie(tmp_path)] == [0, 60, 120]


def write_apng(path: Path, default: bool, kind: str = "PNG") -> Path:
    """Four frames, 0 to 3, of which the first is in front of the animation if it is a default picture."""
    first, *rest = [Image.fromarray(np.full((H, W), 60 * k, np.uint8)) for k in range(4)]
    first.save(path, kind, save_all=True, append_images=rest, **({"default_image": True} if default else {}))
    return path


def test_the_default_picture_of_an_animation_is_no_frame(tmp_path: Path) -> None:
    for default in (False, True):
        movie = open_movie(write_apng(tmp_path / "a.png", default))
        assert movie.length == 4 - default
        assert [int(frame.max()) for frame in movie] == [0, 60, 120, 180][default:]


def test_a_thumbnail_beside_a_picture_makes_no_movie(tmp_path: Path) -> None:
    for number in range(3):
        pages = [Image.fromarray(np.full((side, side), 9, np.uint8)) for side in (20, 5)]
        pages[1].encoderinfo = {"tiffinfo": {254: 1}}
        pages[0].save(tmp_path / f"{number}.tif", save_all=True, append_images=pages[1:])
    assert [frame.shape for frame in open_movie(tmp_path)] == [(20, 20)] * 3


def test_uneven_times_of_a_film_are_told_and_kept(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    for name, steps in (("even", [40] * 12), ("uneven", [40, 160] * 6)):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt, stream.time_base = (
                32,
                32,
                "yuv420p",
                Fraction(1, 1000),
            )
            stream.codec_context.time_base = Fraction(1, 1000)
            for number, time in enumerate(np.cumsum(steps).tolist()):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32), 10 * number, np.uint8), "gray")
                frame.pts, frame.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert open_movie(tmp_path / "even.mp4").assumed == ()
    movie = open_movie(tmp_path / "uneven.mp4")
    assert "40 to 160 ms apart" in movie.assumed[0]
    assert movie.times is not None
    np.testing.assert_allclose(np.diff(movie.times)[:4], [0.16, 0.04, 0.16, 0.04], atol=0.002)
    assert len(movie.times) == len(list(movie)) == 12


# The size


def test_pictures_that_unpack_to_too_much_are_refused_at_once(tmp_path: Path) -> None:
    for number in range(5):
        Image.fromarray(np.zeros((4000, 4000), np.uint8)).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match=r"unpacks to 0\.0745 GiB, more than 0\.05.* memory 1"):
        open_movie(tmp_path, Stored(memory=0.05))
    assert open_movie(tmp_path).length == 5


# One camera


def test_movies_of_one_camera_have_one_range(tmp_path: Path) -> None:
    bright, dim = ((NOISE[0, :, :W] * white).astype(np.uint16) for white in (4095, 400))
    preparation = Preparation((Luminance(),), array_movie("bright", bright).settled)
    preparation.save(tmp_path / "preparation.npz")
    for kept in (preparation, Preparation.load(tmp_path / "preparation.npz")):
        movie = PreparedMovie.of(array_movie("dim", dim), kept)
        np.testing.assert_allclose(movie.frames[:, 0] / 255, dim / 4095, atol=0.003)
        told: list[str] = []
        np.testing.assert_allclose(list(live(dim, kept.stored, told.append)), dim / 4095, atol=1e-6)
        assert not told
    eight = (NOISE[0, :, :W] * 255).astype(np.uint8)  # of another depth, the range is its own
    assert (PreparedMovie.of(array_movie("eight", eight), preparation).frames[:, 0].numpy() == eight).all()


def test_preparations_of_former_versions_leave_numbers_as_they_are(tmp_path: Path) -> None:
    Preparation((Luminance(),)).save(tmp_path / "preparation.npz")
    with np.load(tmp_path / "preparation.npz") as kept:
        np.savez(tmp_path / "former.npz", steps=kept["steps"])
    former = Preparation.load(tmp_path / "former.npz")
    values = NOISE[0, :, :W] * 0.4
    movie = PreparedMovie.of(array_movie("former", values), former)
    np.testing.assert_allclose(movie.frames[:, 0] / 255, values, atol=0.003)
    assert former.stored.plain


@pytest.mark.parametrize(
    ("glitch", "length"), [(1e6, 40), (-1e3, 40), (-1e6, 40), (-1e3, 4), (1e6, 4), (2, 4), (2, 19), (1e3, 3)]
)
def test_a_glitch_of_either_sign_changes_no_scale(glitch: float, length: int) -> None:
    frames = np.random.default_rng(0).random((length, 12, 12), np.float32)
    wanted = np.stack(list(array_movie("fine", frames)))
    wanted[length // 2, 5, 5] = float(glitch > 0)
    odd = frames.copy()
    odd[length // 2, 5, 5] = glitch
    assert np.array_equal(np.stack(list(array_movie("odd", odd))), wanted)


def test_more_than_a_glitch_is_seen_in_few_frames() -> None:
    """An object that is bright in one frame alone covers more pixels, and keeps its brightness beside the others."""
    frames = (4000 * np.random.default_rng(0).random((8, 12, 12))).astype(np.uint16)
    frames[3, 4:7, 4:7] = 40_000
    np.testing.assert_allclose(filmed(frames), frames / 65535, atol=1e-6)


def test_the_only_array_of_a_file_is_the_frames(tmp_path: Path) -> None:
    frames = np.arange(4 * 6 * 5, dtype=np.uint8).reshape(4, 6, 5)
    np.savez(tmp_path / "one.npz", stack=frames)
    movie = open_movie(tmp_path / "one.npz")
    np.testing.assert_array_equal(np.stack(list(movie)), frames)
    np.testing.assert_array_equal(
        open_frames(tmp_path / "one.npz").frames(slice(None))[0, :, 0] * 255, frames
    )
    np.savez_compressed(tmp_path / "two.npz", a=frames, b=frames)
    with pytest.raises(DataError, match=r"two\.npz holds several, a, b, but none called frames"):
        open_movie(tmp_path / "two.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(DataError, match=r"none\.npz holds no arrays"):
        open_movie(tmp_path / "none.npz")
