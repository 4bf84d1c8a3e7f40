"""Files of microscopes, plane by plane: zarr, czi and lif as they are, and all by stand-ins of their libraries."""

import struct
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from vtssi_pyro import Stored
from vtssi_pyro.artifacts.sources import files_of
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import open_movie

# times, depths, channels, rows, columns
WHOLE = np.random.default_rng(0).integers(0, 4096, (4, 3, 2, 6, 5)).astype(np.uint16)


def module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> None:
    made = ModuleType(name)
    vars(made).update(members)
    monkeypatch.setitem(sys.modules, name, made)


def nd2(path: Path, monkeypatch: pytest.MonkeyPatch, whole: np.ndarray, **more: float) -> None:
    """Frames are counted along the loops, and hold all channels."""
    volume = SimpleNamespace(axesCalibrated=(True, more.get("calibrated", True), False))
    channels = [
        SimpleNamespace(volume=volume, channel=SimpleNamespace(name=name)) for name in ("DAPI", "GFP")
    ]

    class File:
        sizes: ClassVar = {
            **{axis: count for axis, count in more.items() if axis.isupper()},
            "T": whole.shape[0],
            "Z": whole.shape[1],
            "C": whole.shape[2],
            "Y": 6,
            "X": 5,
        }

        metadata = SimpleNamespace(channels=channels)
        attributes = SimpleNamespace(bitsPerComponentSignificant=12)
        held = 0  # files that are open

        def __init__(self, name: str) -> None:
            assert name == str(path)

        def __enter__(self) -> "File":
            type(self).held += 1
            return self

        def __exit__(self, *error: object) -> None:
            type(self).held -= 1

        def read_frame(self, number: int) -> np.ndarray:
            assert self.held == 1
            return whole.reshape(-1, *whole.shape[2:])[number].squeeze()

        def voxel_size(self) -> Any:
            return SimpleNamespace(x=0.25, y=more.get("y", 0.25))

    path.touch()
    module(monkeypatch, "nd2", ND2File=File)


# As ZEN and Zeiss' own library write it, but for what is not read here.
CZI = """<ImageDocument><Metadata><Information><Image><SizeC>2</SizeC><ComponentBitCount>12</ComponentBitCount>
<Dimensions>
<Channels><Channel Id="Channel:0" Name="DAPI"/><Channel Id="Channel:1" Name="GFP"/></Channels>
<T><Positions><Interval><Start>0</Start><Increment>0.5</Increment></Interval></Positions></T>
<Z><Positions><Interval><Start>0</Start><Increment>3</Increment></Interval></Positions></Z>
</Dimensions></Image></Information><Scaling><Items><Distance Id="X"><Value>2.5e-07</Value></Distance>
<Distance Id="Y"><Value>{y}e-06</Value></Distance><Distance Id="Z"><Value>1e-06</Value></Distance></Items></Scaling>
</Metadata></ImageDocument>"""


def czi(path: Path, monkeypatch: pytest.MonkeyPatch, whole: np.ndarray, **more: float) -> None:
    """All axes are there, the samples of a pixel last."""

    class File:
        axes = "BSCTZYX0"
        shape = (1, int(more.get("S", 1)), *(whole.shape[k] for k in (2, 0, 1)), 6, 5, 1)
        dtype = whole.dtype

        def __init__(self, name: str) -> None: ...

        def __enter__(self) -> "File":
            return self

        def __exit__(self, *error: object) -> None: ...

        def asarray(self) -> np.ndarray:
            return np.broadcast_to(whole.transpose(2, 0, 1, 3, 4)[None, None, ..., None], self.shape)

        def metadata(self) -> str | None:
            return None if more.get("bare") else CZI.format(y=more.get("y", 0.25))

    path.touch()
    module(monkeypatch, "czifile", CziFile=File)


def lif(path: Path, monkeypatch: pytest.MonkeyPatch, whole: np.ndarray, **more: float) -> None:
    dims = namedtuple("dims", "x y z t m")(5, 6, whole.shape[1], whole.shape[0], more.get("M", 1))
    image = SimpleNamespace(
        dims=dims, channels=whole.shape[2], scale=(4.0, 1 / more.get("y", 0.25), 1.0, 2.0),
        get_frame=lambda z, t, c: whole[t, z, c],
    )  # fmt: skip
    path.touch()
    module(monkeypatch, "readlif")
    module(
        monkeypatch,
        "readlif.reader",
        LifFile=lambda name: SimpleNamespace(get_iter_image=lambda: iter([image])),
    )


def ngff(path: Path, monkeypatch: pytest.MonkeyPatch, whole: np.ndarray, **more: float) -> None:
    zarr = pytest.importorskip("zarr", reason="needs zarr, the extra of that name")
    axes = [{"name": "t", "unit": "second"}, {"name": "c"}, {"name": "z"}]
    axes += [{"name": name, "unit": "micrometer"} for name in "yx"]
    scale = {"type": "scale", "scale": [0.25, 1, 2, 2 * more.get("y", 0.25), 0.5]}
    outer = {"type": "scale", "scale": [2.0, 1, 1, 0.5, 0.5]}  # of all datasets: it comes on top of their own
    shift = {"type": "translation", "translation": [0, 0, 0, 1, 1]}
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale, shift]}],
             "coordinateTransformations": [outer]}  # fmt: skip
    group = zarr.open_group(str(path), mode="w")
    group.attrs["multiscales"] = [image] * int(more.get("images", 1))
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    group.create_array("0", data=whole.transpose(0, 2, 1, 3, 4))


KINDS = {"m.nd2": nd2, "m.czi": czi, "m.lif": lif, "m.zarr": ngff}


@pytest.mark.parametrize("name", KINDS)
def test_planes_are_those_of_their_time_depth_and_channel(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    KINDS[name](path, monkeypatch, WHOLE)
    movie = open_movie(path, Stored(channel=1, plane=2, range=(0, 4095)))
    assert (movie.size, movie.length) == ((6, 5), 4)
    expected = WHOLE[:, 2, 1] / np.float32(4095)
    np.testing.assert_allclose(np.stack(list(movie)), expected, rtol=1e-5)
    assert (movie.settled.channel, movie.settled.plane) == (1, 2)  # of further movies of the camera, too
    highest = open_movie(path, Stored(channel=0, plane="max", range=(0, 4095)))
    np.testing.assert_allclose(np.stack(list(highest)), WHOLE[:, :, 0].max(1) / np.float32(4095), rtol=1e-5)
    some = open_movie(path, Stored(channel=0, plane=0, range=(0, 4095), frames="1::2"))
    np.testing.assert_allclose(np.stack(list(some)), WHOLE[1::2, 0, 0] / np.float32(4095), rtol=1e-5)
    assert (movie.units.pixel_size, movie.units.unit) == (0.25, "um")
    if name in ("m.czi", "m.lif", "m.zarr"):
        assert movie.units.frame_rate == 2.0
    with pytest.raises(DataError, match="has 2 channels: say which to read"):
        open_movie(path, Stored(plane=0))
    with pytest.raises(DataError, match="has 3 depths: say which to read"):
        open_movie(path, Stored(channel=0))
    assert files_of(path)
    if name == "m.nd2":
        assert sys.modules["nd2"].ND2File.held == 0, "none stays open"
    if name != "m.lif":
        named = open_movie(path, Stored(channel="GFP", plane=2, range=(0, 4095)))
        np.testing.assert_allclose(np.stack(list(named)), expected, rtol=1e-5)
        assert named.stored.channel == 1
        with pytest.raises(DataError, match="has no channel RFP: they are called DAPI, GFP"):
            open_movie(path, Stored(channel="RFP", plane=0))


def test_the_side_of_a_pixel_of_an_uncalibrated_camera_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nd2(tmp_path / "m.nd2", monkeypatch, WHOLE, calibrated=False)
    movie = open_movie(tmp_path / "m.nd2", Stored(channel=0, plane=0))
    assert movie.units.pixel_size is None
    assert movie.levels.white == 4095
    assert movie.levels.lines == (f"{tmp_path / 'm.nd2'}: uint16 of 12 bits, as the file notes",)


def test_what_a_czi_notes_is_used_if_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    czi(tmp_path / "m.czi", monkeypatch, WHOLE)
    movie = open_movie(tmp_path / "m.czi", Stored(channel="GFP", plane=0))
    assert movie.levels.lines == (f"{tmp_path / 'm.czi'}: uint16 of 12 bits, as the file notes",)
    czi(tmp_path / "m.czi", monkeypatch, WHOLE, bare=1)
    movie = open_movie(tmp_path / "m.czi", Stored(channel=1, plane=0))
    assert not movie.units.known


@pytest.mark.parametrize("name", ["m.nd2", "m.czi", "m.lif", "m.zarr"])
def test_pixels_that_are_not_square_are_told_of(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KINDS[name](tmp_path / name, monkeypatch, WHOLE, y=0.5)
    movie = open_movie(tmp_path / name, Stored(channel=0, plane=0))
    assert movie.units.pixel_size is None
    line = f"{tmp_path / name}: notes pixels of 0.25 x 0.5 um, which are not square: lengths stay in pixels"
    assert line in movie.lines


def test_three_wavelengths_are_not_taken_for_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = np.concatenate([WHOLE, WHOLE[:, :, :1] // 2], 2)
    lif(tmp_path / "m.lif", monkeypatch, three)
    with pytest.raises(DataError, match=r"3 channels: say which .* 0 to 2, or colour if they are red, green"):
        open_movie(tmp_path / "m.lif", Stored(plane=0))
    movie = open_movie(tmp_path / "m.lif", Stored(plane=0, channel="colour"))
    np.testing.assert_array_equal(next(movie.reader()), np.moveaxis(three[0, 0], 0, -1))


@pytest.mark.parametrize(("name", "more"), [("m.nd2", {"P": 3}), ("m.czi", {"S": 3}), ("m.lif", {"M": 3}),
                                            ("m.zarr", {"images": 3})])  # fmt: skip
def test_several_positions_are_no_movie(
    name: str, more: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KINDS[name](tmp_path / name, monkeypatch, WHOLE, **more)
    with pytest.raises(DataError, match="holds 3 positions, tiles or series"):
        open_movie(tmp_path / name, Stored(channel=0, plane=0))


@pytest.mark.parametrize(("name", "package"), [("m.nd2", "nd2"), ("m.czi", "czifile"), ("m.lif", "readlif.reader"),
                                               ("m.zarr", "zarr")])  # fmt: skip
def test_a_missing_package_is_told_with_its_extra(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).touch()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"pip install 'vtssi-pyro\[{name[2:]}\]'"):
        open_movie(tmp_path / name)


def test_arrays_of_zarr_and_what_is_none(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs zarr, the extra of that name")
    zarr.save_array(str(tmp_path / "plain.zarr"), WHOLE[:, 0, 0])
    np.testing.assert_array_equal(
        np.stack(list(open_movie(tmp_path / "plain.zarr", Stored(range=(0, 65535))))), WHOLE[:, 0, 0]
    )
    zarr.open_group(str(tmp_path / "group.zarr"), mode="w")
    with pytest.raises(DataError, match="a group without an image"):
        open_movie(tmp_path / "group.zarr")
    (tmp_path / "bad.zarr").mkdir()
    with pytest.raises(DataError, match=r"bad\.zarr: cannot be read"):
        open_movie(tmp_path / "bad.zarr")
    zarr.save_array(str(tmp_path / "flat.zarr"), WHOLE[0, 0, 0])
    with pytest.raises(DataError, match=r"shape \(6, 5\), expected one movie.* with axes"):
        open_movie(tmp_path / "flat.zarr")


def test_the_axes_of_a_plain_array_of_zarr_are_asked_for_or_named(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="needs zarr, the extra of that name")
    path, frames = tmp_path / "plain.zarr", WHOLE[:, 0]  # (T, 2, H, W)
    zarr.save_array(str(path), frames)
    with pytest.raises(DataError, match=r"shape \(4, 2, 6, 5\), expected one movie.* with axes"):
        open_movie(path)
    for axes, expected in (("TCHW", frames[:, 1]), ("TZHW", frames[:, 1])):
        said = Stored(axes=axes, channel=1) if "C" in axes else Stored(axes=axes, plane=1)
        np.testing.assert_array_equal(np.stack(list(open_movie(path, said).reader())), expected)
    for names, note in ((["z", "time", "y", "x"], False), (["plane", "t", "row", "column"], True)):
        made = zarr.create_array(
            str(tmp_path / f"{note}.zarr"), shape=(2, 4, 6, 5), dtype="u2",
            dimension_names=None if note else names, attributes={"_ARRAY_DIMENSIONS": names} if note else None,
        )  # fmt: skip
        made[:] = frames.swapaxes(0, 1)
        movie = open_movie(tmp_path / f"{note}.zarr", Stored(plane=1))
        np.testing.assert_array_equal(np.stack(list(movie.reader())), frames[:, 1])


def test_a_czi_of_zeiss_own_library_is_read(tmp_path: Path) -> None:
    writer = pytest.importorskip("pylibCZIrw.czi", reason="needs pylibCZIrw, which no extra installs")
    pytest.importorskip("czifile", reason="needs czifile, the extra named czi")
    path = tmp_path / "m.czi"
    with writer.create_czi(str(path)) as file:
        for t, c in np.ndindex(4, 2):
            plane = np.ascontiguousarray(WHOLE[t, 0, c, ..., None])
            file.write(data=plane, plane={"T": int(t), "C": int(c), "Z": 0})
        names = {0: "DAPI", 1: "GFP"}
        file.write_metadata("m", channel_names=names, scale_x=0.25e-6, scale_y=0.25e-6)
    movie = open_movie(path, Stored(channel="GFP", range=(0, 4095)))
    np.testing.assert_allclose(np.stack(list(movie)), WHOLE[:, 0, 1] / np.float32(4095), rtol=1e-5)
    assert (movie.units.pixel_size, movie.units.unit) == (0.25, "um")


def leica(path: Path, whole: np.ndarray) -> None:
    """Write a .lif: a block with the description as XML, and one with the pixels (T, Z, C, H, W), uint16.

    Reference: Leica Microsystems, Image File Format (LIF 2.0).
    """
    T, Z, C, H, W = whole.shape
    pixel, row, plane = 2, 2 * W, 2 * W * H
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="12" NameOfMeasuredQuantity="" Min="0" Max="1" '
        f'Unit="" LUTName="Gray" BytesInc="{c * plane}"/>' for c in range(C)
    )  # fmt: skip
    sides = {1: (W, 0.25e-6 * (W - 1), "m", pixel), 2: (H, 0.25e-6 * (H - 1), "m", row),
             3: (Z, 1e-6 * (Z - 1), "m", C * plane), 4: (T, 0.5 * (T - 1), "s", Z * C * plane)}  # fmt: skip
    dimensions = "".join(
        f'<DimensionDescription DimID="{n}" NumberOfElements="{count}" Origin="0" Length="{length}" Unit="{unit}" '
        f'BitInc="0" BytesInc="{step}"/>' for n, (count, length, unit, step) in sides.items()
    )  # fmt: skip
    image = (
        f"<Image><ImageDescription><Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions>"
        "</ImageDescription></Image>"
    )
    memory = f'<Memory Size="{whole.nbytes}" MemoryBlockID="MemBlock_1"/>'
    text = (
        '<LMSDataContainerHeader Version="2"><Element Name="m" Visibility="1"><Data></Data>'
        '<Memory Size="0" MemoryBlockID="MemBlock_0"/><Children><Element Name="Series" Visibility="1">'
        f"<Data>{image}</Data>{memory}<Children/></Element></Children></Element></LMSDataContainerHeader>"
    )

    def block(inside: bytes) -> bytes:
        return struct.pack("<II", 0x70, len(inside)) + inside

    name = "MemBlock_1"
    described = (
        struct.pack("<BQ", 0x2A, whole.nbytes)
        + struct.pack("<BI", 0x2A, len(name))
        + name.encode("utf-16-le")
    )
    path.write_bytes(
        block(struct.pack("<BI", 0x2A, len(text)) + text.encode("utf-16-le"))
        + block(described)
        + whole.astype("<u2").tobytes()
    )


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # readlif leaves closing to the garbage collector
def test_a_lif_is_read_as_leica_describes_it(tmp_path: Path) -> None:
    pytest.importorskip("readlif", reason="needs readlif, the extra named lif")
    leica(tmp_path / "m.lif", WHOLE)
    movie = open_movie(tmp_path / "m.lif", Stored(channel=1, plane=2, range=(0, 4095)))
    np.testing.assert_allclose(np.stack(list(movie)), WHOLE[:, 2, 1] / np.float32(4095), rtol=1e-5)
    assert (movie.units.pixel_size, movie.units.unit) == (pytest.approx(0.25), "um")
    assert movie.units.frame_rate == pytest.approx(2.0)
