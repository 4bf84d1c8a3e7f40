from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vtssi_pyro.data import open_frames
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies.stored import GIB, Stored

PICTURES = np.random.default_rng(0).integers(0, 256, (12, 9, 14)).astype(np.uint8)


def pngs(folder: Path, pictures: np.ndarray = PICTURES) -> Path:
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"frame{number}.png")
    return folder


def pixels(path: Path) -> torch.Tensor:
    video = open_frames(path)
    assert len(video) == 1
    assert video.truth is None
    assert video.counts is None
    return (video.frames(slice(None))[0, :, 0] * 255).round().byte()


def test_pngs_in_natural_order(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a picture")
    assert torch.equal(pixels(pngs(tmp_path)), torch.from_numpy(PICTURES))


def test_a_gif(tmp_path: Path) -> None:
    first, *others = [Image.fromarray(picture) for picture in PICTURES]
    first.save(tmp_path / "a.GIF", format="GIF", save_all=True, append_images=others)
    assert torch.equal(pixels(tmp_path / "a.GIF"), torch.from_numpy(PICTURES))


def test_colour_becomes_luminance_and_transparency_black(tmp_path: Path) -> None:
    colours = np.zeros((4, 1, 2, 4), np.uint8)
    colours[:, 0, 0] = [[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255], [255, 255, 255, 0]]
    grey = pixels(pngs(tmp_path, colours))[:, 0, 0]
    assert grey.tolist() == [76, 150, 29, 0]  # 0.299, 0.587 and 0.114 of white


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    pngs(tmp_path, PICTURES.astype(np.uint16) * 257)
    assert torch.equal(pixels(tmp_path), torch.from_numpy(PICTURES))


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_arrays(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        np.savez(path, frames=PICTURES)
    else:
        np.save(path, PICTURES)
    assert torch.equal(pixels(path), torch.from_numpy(PICTURES))


def refused(path: Path, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        open_frames(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    refused(tmp_path / "missing.gif", "no file or folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "no pictures in")
    (tmp_path / "a.txt").write_bytes(b"video")
    refused(tmp_path / "a.txt", r"expected a folder of pictures or .mp4, .*, .npz")
    (tmp_path / "a.gif").write_bytes(b"GIF89a nonsense")
    refused(tmp_path / "a.gif", "no picture that can be decoded")


def test_a_broken_png_is_named(tmp_path: Path) -> None:
    broken = pngs(tmp_path) / "frame7.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"frame7\.png is no picture"):
        open_frames(tmp_path)


def test_a_changing_size_is_named(tmp_path: Path) -> None:
    pngs(tmp_path)
    Image.fromarray(PICTURES[0, :5]).save(tmp_path / "frame10.png")
    with pytest.raises(DataError, match=r"frame10.png has 5x14 pixels \(H x W\), frame0.png 9x14"):
        open_frames(tmp_path)


def test_too_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pngs(tmp_path)
    with pytest.raises(DataError, match=r"unpacks to .* more than"):
        open_frames(tmp_path, Stored(memory=(PICTURES.size - 1) / GIB))
    assert open_frames(tmp_path, Stored(memory=PICTURES.size / GIB)).length == len(PICTURES)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    refused(tmp_path, "no picture that can be decoded")
