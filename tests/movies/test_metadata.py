"""The size of pixels and the pace of frames: as told, else as the file notes it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from vtssi_pyro import Stored, Units
from vtssi_pyro.errors import UsageError
from vtssi_pyro.movies import open_movie
from vtssi_pyro.movies.metadata import Resolution, noted

OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas"><Image><Pixels SizeT="3" {}></Pixels></Image></OME>'


@pytest.mark.parametrize(
    ("description", "resolution", "expected"),
    [
        ("ImageJ=1.53\nunit=micron\nfinterval=0.04\n", (9.433962, 9.433962, 1), Units(0.106, "um", 25.0)),
        ("ImageJ=1.53\nunit=\\u00B5m\nfinterval=40\ntunit=ms\n", (4.0, 4.0, 1), Units(0.25, "um", 25.0)),
        ("ImageJ=1.53\nunit=pixel\nfps=12.5\n", (1.0, 1.0, 1), Units(frame_rate=12.5)),
        ("ImageJ=1.53\nfinterval=0.0\n", None, Units()),
        (OME.format('PhysicalSizeX="0.5" PhysicalSizeY="0.5" TimeIncrement="2" TimeIncrementUnit="min"'), None,
         Units(0.5, "um", 1 / 120)),
        (OME.format('PhysicalSizeX="65" PhysicalSizeXUnit="nm"'), None, Units(65.0, "nm")),
        (OME.format('PhysicalSizeX="0.5" PhysicalSizeXUnit="\u00c2\u00b5m"'), None, Units(0.5, "um")),
        (OME.format('PhysicalSizeX="0.5" PhysicalSizeXUnit="&#181;m"'), None, Units(0.5, "um")),
        (OME.format('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" TimeIncrement="nan"'), None, Units()),
        ("", (94339.62, 94339.62, 3), Units(0.106, "um")),
        ("", (239622.6, 239622.6, 2), Units(0.106, "um")),
        ("", (72.0, 72.0, 2), Units()),
        ("", (1200.0, 1200.0, 2), Units()),
        ("", (94339.62, 94339.62, 1), Units()),
        ("anything", None, Units()),
    ],
)  # fmt: skip
def test_what_files_note(
    description: str, resolution: tuple[float, float, int] | None, expected: Units
) -> None:
    found, lines = noted("a.tif", description, resolution and Resolution(*resolution))
    assert (found.unit, lines) == (expected.unit, ())
    numbers = ([np.nan if x is None else x for x in (u.pixel_size, u.frame_rate)] for u in (found, expected))
    np.testing.assert_allclose(*numbers, rtol=1e-5)


def test_pixels_that_are_not_square_are_told_of() -> None:
    found, lines = noted("a.tif", OME.format('PhysicalSizeX="0.5" PhysicalSizeY="0.6"'), None)
    assert (found, lines) == (
        Units(), ("a.tif: notes pixels of 0.5 x 0.6 µm, which are not square: lengths stay in pixels",),
    )  # fmt: skip


def stack(path: Path, description: str, **tags: Any) -> Path:
    pages = [Image.fromarray(np.full((8, 9), t, np.uint8)) for t in range(3)]
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = description
    pages[0].save(path, save_all=True, append_images=pages[1:], tiffinfo=info, **tags)
    return path


def test_a_stack_brings_its_units_and_what_is_told_wins(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.tif", "ImageJ=1.53\nimages=3\nframes=3\nunit=um\nfinterval=0.5\n",
                 x_resolution=10.0, y_resolution=10.0, resolution_unit=1)  # fmt: skip
    assert open_movie(path).units == Units(0.1, "um", 2.0)
    assert open_movie(path).rate == 2.0
    assert open_movie(path, Stored(pixel_size=3.0, unit="nm")).units == Units(3.0, "nm", 2.0)
    told = Stored(pixel_size=3.0, unit="nm", frame_rate=50.0)
    assert open_movie(path, told).units == told.units
    assert Stored().like(told).units == told.units, "kept for further movies of the same camera"
    assert Stored.from_dict(told.as_dict()) == told
    (tmp_path / "folder").mkdir()
    stack(tmp_path / "folder" / "0.tif", "").unlink()
    for t in range(3):
        page = Image.fromarray(np.zeros((8, 9), np.uint8))
        page.save(tmp_path / "folder" / f"{t}.tif", x_resolution=1e5, y_resolution=1e5, resolution_unit=3)
    assert open_movie(tmp_path / "folder").units == Units(0.1, "um")


def test_stacks_of_tifffile(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="no part of an extra")
    frames = np.zeros((3, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "j.tif", frames, imagej=True, resolution=(1 / 0.106, 1 / 0.106),
                     metadata={"axes": "TYX", "unit": "um", "finterval": 0.04})  # fmt: skip
    tifffile.imwrite(tmp_path / "o.ome.tif", frames, metadata={
        "axes": "TYX", "PhysicalSizeX": 0.106, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.106,
        "PhysicalSizeYUnit": "µm", "TimeIncrement": 0.04, "TimeIncrementUnit": "s",
    })  # fmt: skip
    for name in ("j.tif", "o.ome.tif"):
        found = open_movie(tmp_path / name).units
        assert (found.unit, found.frame_rate) == ("um", pytest.approx(25.0)), name
        assert found.pixel_size == pytest.approx(0.106, rel=1e-4)


def test_half_a_length_is_refused() -> None:
    with pytest.raises(UsageError, match="pixel_size: means nothing alone"):
        Stored(pixel_size=0.1)
    with pytest.raises(UsageError, match="unit: means nothing alone"):
        Stored(unit="um")
