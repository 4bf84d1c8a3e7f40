"""TIFF of any program: pages and pixels as they are meant, units and times; what lies is told in a line."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from vtssi_pyro import Stored, Units
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies import open_movie, tiff_pages

T, Z, C, H, W = 5, 2, 3, 20, 16
WHOLE = np.random.default_rng(0).integers(0, 4096, (T, Z, C, H, W)).astype(np.uint16)
NAMES = ["DAPI", "GFP", "RFP"]
GREY = WHOLE[:, 0, 0]


def read(path: Path, **said: object) -> np.ndarray:
    """The frames as they are stored."""
    return np.stack(list(open_movie(path, Stored(**said)).reader()))  # type: ignore[arg-type]


def refused(path: Path, message: str, **said: object) -> None:
    """Refused in one line that names the file."""
    with pytest.raises((DataError, UsageError), match=message) as caught:
        list(open_movie(path, Stored(**said)))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def described(path: Path, pages: np.ndarray, description: str, **tags: Any) -> Path:
    """Pages (n, H, W) with a note, by Pillow, which adds none of its own."""
    first, *rest = [Image.fromarray(page) for page in pages]
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = description
    first.save(path, save_all=True, append_images=rest, tiffinfo=info, **tags)
    return path


# The meaning of pages


@pytest.mark.parametrize("order", ["TZCYX", "TCZYX", "CTZYX", "ZTCYX", "CZTYX", "ZCTYX"])
@pytest.mark.parametrize("kind", ["ome", "shaped"])
def test_pages_are_those_of_their_time_depth_and_channel(order: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    noted = {"axes": order} | ({"Channel": {"Name": NAMES}} if kind == "ome" else {})
    tifffile.imwrite(path, WHOLE.transpose(["TZCYX".index(axis) for axis in order]), photometric="minisblack",
                     metadata=noted)  # fmt: skip
    for channel in range(C):
        np.testing.assert_array_equal(read(path, channel=channel, plane=1), WHOLE[:, 1, channel])
    np.testing.assert_array_equal(read(path, channel=0, plane="max"), WHOLE[:, :, 0].max(1))
    np.testing.assert_allclose(read(path, channel=0, plane="mean"), WHOLE[:, :, 0].mean(1))
    np.testing.assert_array_equal(read(path, channel="colour", plane=0), np.moveaxis(WHOLE[:, 0], 1, -1))
    refused(path, "2 depths")
    names = r" \(DAPI, GFP, RFP\)" if kind == "ome" else ""
    refused(path, f"3 channels: say which to read, channel 0 to 2{names}, or colour if", plane=0)
    refused(path, "no channel 3", plane=0, channel=3)
    if kind == "ome":
        np.testing.assert_array_equal(read(path, channel="GFP", plane=1), WHOLE[:, 1, 1])
        refused(
            path, "no channel YFP: they are called DAPI, GFP, RFP; or say a number", plane=0, channel="YFP"
        )


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_hyperstack_of_imagej(truncate: bool, byteorder: Any, tmp_path: Path) -> None:
    """Of one beyond 4 GB, ImageJ describes the first page alone."""
    labels = [f"{name} at {depth}" for _ in range(T) for depth in "ab" for name in NAMES]
    tifffile.imwrite(tmp_path / "a.tif", WHOLE, imagej=True, truncate=truncate, byteorder=byteorder,
                     metadata={"axes": "TZCYX", "Labels": labels})  # fmt: skip
    np.testing.assert_array_equal(read(tmp_path / "a.tif", channel=2, plane=1), WHOLE[:, 1, 2])
    labels = [name for _ in range(T * Z) for name in NAMES]
    tifffile.imwrite(tmp_path / "b.tif", WHOLE, imagej=True, truncate=truncate, byteorder=byteorder,
                     metadata={"axes": "TZCYX", "Labels": labels})  # fmt: skip
    np.testing.assert_array_equal(read(tmp_path / "b.tif", channel="RFP", plane=1), WHOLE[:, 1, 2])
    content = (tmp_path / "b.tif").read_bytes()
    if truncate:
        (tmp_path / "b.tif").write_bytes(content[:-1])
        refused(
            tmp_path / "b.tif", "notes of ImageJ do not fit the file, which has 1 page", channel=0, plane=0
        )


@pytest.mark.parametrize("kind", ["shaped", "imagej"])
def test_a_stack_of_slices_alone_is_a_movie(kind: str, tmp_path: Path) -> None:
    """Programs call times depths until they are told otherwise."""
    tifffile.imwrite(
        tmp_path / "a.tif", GREY, imagej=kind == "imagej", photometric="minisblack", metadata={"axes": "ZYX"}
    )
    movie = open_movie(tmp_path / "a.tif")
    assert movie.length == T
    assert "5 depths of one time are read as times" in movie.lines[0]


def test_axes_without_a_name_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, WHOLE[:, 0], photometric="minisblack", metadata={"axes": "TQYX"})
    refused(path, "along 5 of T, 3 of no name, whose meaning is not known: say their order with axes")
    np.testing.assert_array_equal(read(path, axes="TCHW", channel=1), WHOLE[:, 0, 1])
    np.testing.assert_array_equal(read(path, axes="THW"), WHOLE[:, 0].reshape(-1, H, W))
    refused(path, "have 2 axes, 5 of T, 3 of no name, but axes TZCHW names 3", axes="TZCHW")
    tifffile.imwrite(
        path, WHOLE[:, 0], photometric="minisblack", metadata=None
    )  # no notes at all: pages are times
    np.testing.assert_array_equal(read(path), WHOLE[:, 0].reshape(-1, H, W))


def test_notes_that_leave_the_order_of_pages_to_the_standard(tmp_path: Path) -> None:
    said = 'DimensionOrder="XYCZT" SizeX="16" SizeY="20" SizeC="3" SizeZ="2" SizeT="5" Type="uint16"'
    xml = f'<?xml version="1.0"?><OME xmlns="urn:x"><Image ID="Image:0"><Pixels {said}/></Image></OME>'
    path = described(tmp_path / "a.ome.tif", WHOLE.reshape(-1, H, W), xml)
    np.testing.assert_array_equal(read(path, channel=1, plane=1), WHOLE[:, 1, 1])


@pytest.mark.parametrize(
    "note",
    [
        "ImageJ=1.53\nimages=30\nchannels=7\nframes=5\nslices=2\n",
        '{"shape": [17, 20, 16]}',
        '<OME><Image><Pixels DimensionOrder="XYCZT" SizeX="16"/></Image></OME>',
        '<OME><Image><Pixels DimensionOrder="XYCZT" SizeX="16" SizeY="20" SizeT="99"/></Image></OME>',
        "<OME><Image></OME>",
    ],
)
def test_notes_that_do_not_fit_the_pages_are_told_of(note: str, tmp_path: Path) -> None:
    path = described(tmp_path / "a.tif", WHOLE.reshape(-1, H, W), note)
    refused(
        path,
        r"notes of (ImageJ|tifffile|OME) do not fit|holds \d+ series|of which \d+ are missing|cannot be read \(",
    )


def test_a_movie_in_several_files(tmp_path: Path) -> None:
    """As OME has it: each names all; only files beside it are opened."""
    halves = [tmp_path / f"{name}.ome.tif" for name in "ab"]
    said = f'DimensionOrder="XYCZT" SizeX="{W}" SizeY="{H}" SizeC="1" SizeZ="1" SizeT="4" Type="uint16"'
    for other in ("b.ome.tif", "../b.ome.tif"):
        parts = "".join(
            f'<TiffData IFD="0" FirstT="{2 * k}" PlaneCount="2"><UUID FileName="{name}">{k}</UUID></TiffData>'
            for k, name in enumerate(("a.ome.tif", other))
        )
        xml = f'<OME UUID="0"><Image><Pixels {said}>{parts}</Pixels></Image></OME>'
        for k, path in enumerate(halves):
            described(path, GREY[2 * k : 2 * k + 2], xml)
        if other == halves[1].name:
            np.testing.assert_array_equal(read(halves[0]), GREY[:4])
            halves[1].unlink()
            refused(halves[0], "its other part, b.ome.tif, cannot be read: No such file")
        else:
            refused(halves[0], "notes name a file of another folder")


SAID = f'DimensionOrder="XYCZT" SizeX="{W}" SizeY="{H}" SizeC="1" SizeZ="1" SizeT="{T}" Type="uint16"'


@pytest.mark.parametrize("own", [' UUID="a"', ""])
def test_a_renamed_file_is_its_own_part(own: str, tmp_path: Path) -> None:
    """Known by its identifier, or by that which all parts have."""
    parts = f'<TiffData IFD="0" PlaneCount="{T}"><UUID FileName="orig.ome.tif">a</UUID></TiffData>'
    xml = f"<OME{own}><Image><Pixels {SAID}>{parts}</Pixels></Image></OME>"
    np.testing.assert_array_equal(read(described(tmp_path / "beads.tif", GREY, xml)), GREY)
    other = described(tmp_path / "beads.tif", GREY, xml.replace('UUID="a"', 'UUID="b"'))
    if own:
        refused(other, "its other part, orig.ome.tif, cannot be read")


def test_a_part_names_its_master(tmp_path: Path) -> None:
    xml = '<OME UUID="b"><BinaryOnly MetadataFile="a.ome.tif" UUID="a"/></OME>'
    refused(described(tmp_path / "b.ome.tif", GREY, xml), r"give its master, a\.ome\.tif$")


def test_a_movie_is_as_large_as_all_its_files(tmp_path: Path) -> None:
    """A small first part makes no bomb of it."""
    frames = np.random.default_rng(0).integers(0, 256, (9, 200, 200)).astype(np.uint8)
    frames[0] = 0
    parts = "".join(
        f'<TiffData IFD="0" FirstT="{first}" PlaneCount="{count}"><UUID FileName="{name}">{name}</UUID></TiffData>'
        for name, first, count in (("a.tif", 0, 1), ("b.tif", 1, 8))
    )
    said = SAID.replace(f'X="{W}"', 'X="200"').replace(f'Y="{H}"', 'Y="200"').replace(f'T="{T}"', 'T="9"')
    xml = f'<OME UUID="a.tif"><Image><Pixels {said.replace("uint16", "uint8")}>{parts}</Pixels></Image></OME>'
    first = described(tmp_path / "a.tif", frames[:1], xml, compression="tiff_adobe_deflate")
    described(tmp_path / "b.tif", frames[1:], xml)
    assert frames.nbytes > 200 * first.stat().st_size
    np.testing.assert_array_equal(read(first, memory=1e-5), frames)


# Pixels


@pytest.mark.parametrize(
    "options",
    [
        {}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"compression": "lzma"},
        {"tile": (16, 16)}, {"tile": (16, 16), "compression": "zlib"}, {"bigtiff": True}, {"byteorder": ">"},
        {"bigtiff": True, "byteorder": ">", "compression": "zlib"}, {"rowsperstrip": 3}, {"contiguous": False},
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32"])
def test_however_numbers_lie_and_are_packed(options: dict[str, Any], kind: str, tmp_path: Path) -> None:
    if "predictor" in options and kind == "float32":
        pytest.importorskip("imagecodecs", reason="tifffile writes differences of floats by it alone")
    frames = (GREY // 16).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", frames, metadata=None, **options)
    found = read(tmp_path / "a.tif")
    assert found.dtype.name == kind
    np.testing.assert_array_equal(found, frames)


EIGHT = (GREY // 16).astype(np.uint8)
COLOURS = (WHOLE[:, 0] // 16).astype(np.uint8)
RAINBOW = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
LAST = np.moveaxis(COLOURS, 1, -1)
FOURTH = np.concatenate([LAST, LAST[..., :1]], -1)


@pytest.mark.parametrize(
    ("pixels", "options", "expected"),
    [
        (LAST, {"photometric": "rgb"}, LAST),
        (COLOURS, {"photometric": "rgb", "planarconfig": "separate"}, LAST),
        (FOURTH, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, FOURTH),
        (FOURTH, {"photometric": "rgb", "extrasamples": ["unspecified"]}, LAST),
        (EIGHT, {"photometric": "miniswhite"}, 255 - EIGHT),
        (EIGHT > 99, {"photometric": "miniswhite"}, EIGHT <= 99),
        (EIGHT > 99, {"photometric": "minisblack"}, EIGHT > 99),
        (EIGHT, {"photometric": "palette", "colormap": RAINBOW}, np.moveaxis(RAINBOW[:, EIGHT] >> 8, 0, -1)),
    ],
)  # fmt: skip
def test_pixels_are_as_they_are_meant(
    pixels: np.ndarray, options: dict[str, Any], expected: np.ndarray, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels, metadata=None, **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), expected)


def test_samples_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", COLOURS, photometric="minisblack", planarconfig="separate", metadata=None
    )
    refused(tmp_path / "a.tif", "3 channels: say which")
    np.testing.assert_array_equal(read(tmp_path / "a.tif", channel=2), COLOURS[:, 2])


@pytest.mark.parametrize(
    ("mode", "options"),
    [("L", {"compression": "tiff_lzw"}), ("1", {"compression": "group4"}), ("CMYK", {}), ("YCbCr", {}),
     ("RGB", {"compression": "jpeg"}), ("LA", {}), ("L", {"compression": "packbits"})],
)  # fmt: skip
@pytest.mark.parametrize("bare", [False, True])
def test_without_imagecodecs_nothing_is_read_worse_than_by_pillow(
    mode: str, options: dict[str, str], bare: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tifffile cannot unpack as it is installed, and colours that it does not convert."""
    pictures = [Image.fromarray(frame).convert("RGB").convert(mode) for frame in LAST]
    pictures[0].save(tmp_path / "a.tif", save_all=True, append_images=pictures[1:], **options)
    if bare:
        packed = {1, 8, 32773}  # that tifffile itself unpacks
        monkeypatch.setattr(tiff_pages, "_packed_otherwise", lambda page: page.compression not in packed)
    found = read(tmp_path / "a.tif")
    with Image.open(tmp_path / "a.tif") as opened:
        for number, frame in enumerate(found):
            opened.seek(number)
            wanted = "RGBA" if mode == "LA" else mode if mode in ("L", "1") else "RGB"
            # decoders of JPEG may round otherwise
            np.testing.assert_allclose(
                frame.astype(int), np.asarray(opened.convert(wanted)).astype(int), atol=2
            )


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("noted", [None, 12])
def test_white_is_the_same_whoever_unpacks_it(
    bare: bool, noted: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the camera's bits, unless numbers beyond prove these wrong."""
    tags = [(281, "H", 1, 2**noted - 1, True)] if noted else []  # MaxSampleValue
    monkeypatch.setattr(tiff_pages, "_packed_otherwise", lambda page: bare)
    for frames, white in ((GREY, 4095 if noted else 65535), (GREY * 2 + 4096, 65535)):
        tifffile.imwrite(tmp_path / "a.tif", frames, photometric="miniswhite", compression="zlib", metadata=None,
                         extratags=tags)  # fmt: skip
        np.testing.assert_array_equal(read(tmp_path / "a.tif"), white - frames)


def test_no_bits_are_lost_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow makes 8 bits of colours of 16."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, WHOLE[:, 0].transpose(0, 2, 3, 1), photometric="rgb", compression="zlib", metadata=None
    )
    np.testing.assert_array_equal(read(path), WHOLE[:, 0].transpose(0, 2, 3, 1))
    monkeypatch.setattr(tiff_pages, "_packed_otherwise", lambda page: True)
    refused(path, r"need imagecodecs: pip install 'vtssi-pyro\[tiff\]'")


def test_what_nothing_installed_unpacks_names_what_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, EIGHT, metadata=None, contiguous=False)
    content = path.read_bytes().replace(
        struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 50002)
    )
    path.write_bytes(content)
    monkeypatch.setattr(tiff_pages, "_packed_otherwise", lambda page: True)
    refused(path, r"of 8 bits, packed by JPEGXL, need imagecodecs: pip install 'vtssi-pyro\[tiff\]'")


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda x: x), (2, np.fliplr), (3, lambda x: x[::-1, ::-1]), (4, np.flipud), (5, np.transpose),
        (6, lambda x: np.rot90(x, -1)), (7, lambda x: x[::-1, ::-1].T), (8, np.rot90),
    ],
)  # fmt: skip
def test_turned_pictures_are_upright(orientation: int, upright: Any, tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(EIGHT[number]).save(tmp_path / f"{number}.tif", tiffinfo={274: orientation})
    np.testing.assert_array_equal(read(tmp_path), [upright(EIGHT[0]), upright(EIGHT[1])])


# Files that lie


def test_several_sizes_or_positions_are_no_movie(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        for _ in range(2):
            file.write(GREY, metadata={"axes": "TYX"})
    refused(tmp_path / "a.ome.tif", "holds 2 series of pictures, of 20x16 pixels")


@pytest.mark.parametrize("place", [0, 150])
def test_a_list_of_pages_that_goes_round_in_circles(place: int, tmp_path: Path) -> None:
    """Also behind so many pages that a look at the first does not show it."""
    frames = np.zeros((200, 2, 2), np.uint8)
    path = described(tmp_path / "a.tif", frames, "")
    with tifffile.TiffFile(path) as file:
        offsets = [page.offset for page in file.pages]
        end = file.pages.next_page_offset
    content = bytearray(path.read_bytes())
    content[end : end + 4] = struct.pack("<I", offsets[place])
    path.write_bytes(content)
    refused(path, "goes round in circles")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("keep", [0.3, 0.97])
def test_what_is_cut_off(compression: Any, keep: float, tmp_path: Path) -> None:
    """A list of pages that ends too early, and pixels that do."""
    path = tmp_path / "a.tif"
    for contiguous in (False, True):
        tifffile.imwrite(path, GREY, metadata=None if contiguous else {}, compression=compression)
        path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
        refused(path, "is cut off|do not fit|cannot be read")


def test_more_than_the_memory_is_refused_at_once(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((40, 1000, 1000), np.uint8), compression="zlib")
    refused(tmp_path / "a.tif", r"unpacks to 0\.0373 GiB, more than 0\.01", memory=0.01)


# What is noted of pixels and times

PIXELS = f'DimensionOrder="XYCZT" SizeX="{W}" SizeY="{H}" SizeC="1" SizeZ="1" SizeT="{T}" Type="uint16" '
OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas"><Image><Pixels '
    + PIXELS
    + "{}>{}</Pixels></Image></OME>"
)


@pytest.mark.parametrize(
    ("description", "resolution", "expected"),
    [
        ("ImageJ=1.53\nimages=5\nframes=5\nunit=micron\nfinterval=0.04\n", (9.433962, 1), Units(0.106, "um", 25.0)),
        ("ImageJ=1.53\nimages=5\nframes=5\nunit=\\u00B5m\nfinterval=40\ntunit=ms\n", (4.0, 1), Units(0.25, "um", 25.0)),
        ("ImageJ=1.53\nimages=5\nframes=5\nunit=pixel\nfps=12.5\n", (1.0, 1), Units(frame_rate=12.5)),
        ("ImageJ=1.53\nimages=5\nframes=5\nfinterval=0.0\n", None, Units()),
        (OME.format('PhysicalSizeX="0.5" PhysicalSizeY="0.5" TimeIncrement="2" TimeIncrementUnit="min"', "<TiffData/>"),
         None, Units(0.5, "um", 1 / 120)),
        (OME.format('PhysicalSizeX="65" PhysicalSizeXUnit="nm"', ""), None, Units(65.0, "nm")),
        (OME.format('PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m"', ""), None, Units(0.5, "um")),
        (OME.format('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" TimeIncrement="nan"', ""), None, Units()),
        ("", (94339.62, 3), Units(0.106, "um")), ("", (239622.6, 2), Units(0.106, "um")), ("", (72.0, 2), Units()),
        ("", (1200.0, 2), Units()), ("", (94339.62, 1), Units()), ("anything", None, Units()),
    ],
)  # fmt: skip
def test_what_files_note_and_what_is_told_wins(
    description: str, resolution: tuple[float, int] | None, expected: Units, tmp_path: Path
) -> None:
    tags = {} if resolution is None else {"x_resolution": resolution[0], "y_resolution": resolution[0],
                                          "resolution_unit": resolution[1]}  # fmt: skip
    path = described(tmp_path / "a.tif", GREY, description, **tags)
    movie = open_movie(path)
    assert (movie.units.unit, movie.lines, movie.rate) == (expected.unit, (), movie.units.frame_rate)
    numbers = (
        [np.nan if x is None else x for x in (u.pixel_size, u.frame_rate)] for u in (movie.units, expected)
    )
    np.testing.assert_allclose(*numbers, rtol=1e-5)
    told = Stored(pixel_size=3.0, unit="nm", frame_rate=50.0)
    assert open_movie(path, told).units == told.units
    assert Stored().like(told).units == told.units, "kept for further movies of the same camera"
    assert Stored.from_dict(told.as_dict()) == told


def test_pixels_that_are_not_square_are_told_of(tmp_path: Path) -> None:
    path = described(tmp_path / "a.tif", GREY, OME.format('PhysicalSizeX="0.5" PhysicalSizeY="0.6"', ""))
    movie = open_movie(path)
    assert movie.units == Units()
    assert movie.lines == (
        f"{path}: notes pixels of 0.5 x 0.6 µm, which are not square: lengths stay in pixels",
    )


def test_the_times_of_planes(tmp_path: Path) -> None:
    for times, rate in (([1, 3, 5, 7, 9], 0.5), ([1, 2, 9, 10, 11], 1.0)):
        planes = "".join(f'<Plane TheZ="0" TheC="0" TheT="{t}" DeltaT="{1000 * s}" DeltaTUnit="ms"/>'
                         for t, s in enumerate(times))  # fmt: skip
        movie = open_movie(described(tmp_path / "a.tif", GREY, OME.format("", f"<TiffData/>{planes}")))
        assert movie.rate == rate
        assert movie.times == (None if rate == 0.5 else (0.0, 1.0, 8.0, 9.0, 10.0))
        assert ("1000 to 7000 ms apart" in " ".join(movie.lines)) == (rate == 1.0)


@pytest.mark.parametrize(("planned", "told"), [(2.0, False), (2.001, False), (2.5, True)])
def test_measured_times_count_more_than_planned_ones(planned: float, told: bool, tmp_path: Path) -> None:
    planes = "".join(f'<Plane TheZ="0" TheC="0" TheT="{t}" DeltaT="{2 * t}"/>' for t in range(T))
    noted = OME.format(f'TimeIncrement="{planned}"', f"<TiffData/>{planes}")
    movie = open_movie(described(tmp_path / "a.tif", GREY, noted))
    assert movie.rate == 0.5
    line = f"{tmp_path / 'a.tif'}: notes 0.4 frames a second, but times of 0.5 a second, which count"
    assert movie.lines == ((line,) if told else ())


@pytest.mark.parametrize(("noted", "high", "white"), [(12, 2000, 4095), (12, 5000, 16383), (16, 2000, 4095)])
def test_bits_that_are_noted_are_those_of_white(noted: int, high: int, white: int, tmp_path: Path) -> None:
    """Unless numbers beyond prove it wrong; a note of all bits of the numbers tells nothing of the camera."""
    frames = (GREY * (high / 4095)).astype(np.uint16)
    frames[:, 0, 0] = high
    by_ome = described(tmp_path / "a.tif", frames, OME.format(f'SignificantBits="{noted}"', ""))
    tag = (281, "H", 1, 2**noted - 1, True)  # MaxSampleValue
    tifffile.imwrite(tmp_path / "b.tif", frames, metadata=None, extratags=[tag])
    for path in (by_ome, tmp_path / "b.tif"):
        assert open_movie(path).levels.white == white


def test_a_folder_has_the_notes_of_its_first_picture(tmp_path: Path) -> None:
    for t in range(3):
        tifffile.imwrite(
            tmp_path / f"{t}.tif", GREY[t], resolution=(1e5, 1e5), resolutionunit=3, metadata=None
        )
    assert open_movie(tmp_path).units == Units(0.1, "um")
    np.testing.assert_array_equal(read(tmp_path), GREY[:3])
