"""What frames are, and what was assumed of them, goes through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_run import ON_FILE, blobs, call, refused

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.movies import Preparation

pytestmark = pytest.mark.usefixtures("undrawn")

WEIGHTS = "pretrained:moving-mnist"


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    """Sequences (3, 10, 50, 50) in [0, 1], the first of one digit at least."""
    data = moving_digits("linear", load_digits("embedded", "test"), sequences=3, length=10, seed=1)
    return data.frames(slice(None))[:, :, 0].numpy()


def tracked(folder: Path, frames: np.ndarray, *more: object) -> tuple[str, dict, str]:
    """The table, the file of JSON, and the messages of a tracking."""
    np.save(folder / "frames.npy", frames)
    out = folder / "out"
    said = call("track", WEIGHTS, folder / "frames.npy", "--out", out, *more).stderr
    return (out / "tracks.csv").read_text(), json.loads((out / "tracks.json").read_text()), said


def test_tracks_are_the_same_whatever_the_numbers(digits: np.ndarray, tmp_path: Path) -> None:
    table, known, said = tracked(tmp_path, (255 * digits).round().astype(np.uint8))
    assert known["read"]["range"] == [0, 255]
    assert "read as" not in said
    rows = np.genfromtxt(table.splitlines(), delimiter=",", skip_header=1)
    for frames, told in (
        ((255 * digits).round().astype(np.int64), "int64 from 0 to 255, read as 0 to 255 (8 bits)"),
        ((255 * digits).round() * 1.0001 / 255, "are cut off at 0 and 1"),
        (((255 * digits).round() * 16).astype(np.uint16), "read as 0 to 4095 (12 bits)"),
        (np.where(np.arange(50) < 1, np.nan, (255 * digits).round() / 255), "no value (NaN) in any frame"),
    ):
        table, known, said = tracked(tmp_path, frames)
        found = np.genfromtxt(table.splitlines(), delimiter=",", skip_header=1)
        assert told in said
        assert any(told in line for line in known["read"]["assumed"])
        np.testing.assert_allclose(found[:, :5], rows[:, :5], atol=0.1)


def test_what_is_said_is_heard(digits: np.ndarray, tmp_path: Path) -> None:
    table, _, _ = tracked(tmp_path, (255 * digits).round().astype(np.uint8))
    rows = np.genfromtxt(table.splitlines(), delimiter=",", skip_header=1)
    swapped = (100 + 155 * digits).astype(np.uint8).swapaxes(0, 1)
    found, _, _ = tracked(tmp_path, swapped, "--axes", "TSHW", "--range", "100,255")
    np.testing.assert_allclose(
        np.genfromtxt(found.splitlines(), delimiter=",", skip_header=1)[:, :5], rows[:, :5], atol=0.2
    )


def test_an_empty_result_is_told(tmp_path: Path) -> None:
    table, _, said = tracked(tmp_path, np.zeros((2, 6, 50, 50), np.uint8))
    assert len(table.splitlines()) == 1
    assert "no objects in any frame" in said


@pytest.mark.parametrize("kind", ["white", "grey", "inverted", "noise", "faint noise"])
def test_frames_unlike_those_learned_from_have_a_number_and_are_told_of(
    kind: str, digits: np.ndarray, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).random((2, 10, 50, 50))
    frames = {"white": np.ones_like(noise), "grey": np.full_like(noise, 0.3), "inverted": 1 - digits, "noise": noise,
              "faint noise": 0.1 * noise}[kind]  # fmt: skip
    _, known, said = tracked(tmp_path, frames)
    assert np.shape(known["novelty"]) == frames.shape[:2]
    assert (np.median(known["novelty"], 1) > 1).all()
    assert f"of {len(frames)} sequences are unlike those that {WEIGHTS} learned from" in said
    _, known, said = tracked(tmp_path, digits)
    assert np.median(known["novelty"]) < 1
    assert "are unlike those" not in said


def test_objects_that_come_late_are_told_of(digits: np.ndarray, tmp_path: Path) -> None:
    late = np.concatenate([np.zeros_like(digits), digits], 1)
    assert "from frame 10 on no track explains what is seen" in tracked(tmp_path, late)[2]


def test_what_cannot_be_read_is_refused_with_its_place(digits: np.ndarray, tmp_path: Path) -> None:
    digits = digits.copy()
    digits[1, 3, 20, 30] = np.nan
    np.save(tmp_path / "b.npy", digits)
    assert "sequence 1, frame 3 has the intensity nan at row 20, column 30" in refused(
        3, "track", WEIGHTS, tmp_path / "b.npy"
    )


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("--axes", "TXHW"), "--axes TXHW: expected one of the letters"),
        (("--range", "5,1"), "--range 5,1: black must be less than white"),
    ],
)
def test_what_cannot_be_said(said: tuple[str, ...], words: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 6, 50, 50), np.uint8))
    for command in (("track", WEIGHTS), ("predict", WEIGHTS), ("inspect",), ("fit",)):
        assert words in refused(2, *command, tmp_path / "a.npy", *said)


def test_a_plane_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    """A name may be one of the file's: it is known to be wrong when the file is opened."""
    np.save(tmp_path / "a.npy", np.zeros((2, 6, 50, 50), np.uint8))
    assert "has no --plane median: they have no names" in refused(
        3, "track", WEIGHTS, tmp_path / "a.npy", "--plane", "median"
    )


def test_the_limit_of_memory_is_raised_when_told_to(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", frames=np.zeros((2, 6, 50, 50), np.uint8))
    assert "--memory 1" in refused(3, "track", WEIGHTS, tmp_path / "a.npz", "--memory", "1e-5")
    call("track", WEIGHTS, tmp_path / "a.npz", "--memory", "1", "--out", tmp_path / "out")


@pytest.mark.slow
def test_a_run_keeps_how_its_frames_are_stored(tmp_path: Path) -> None:
    frames = np.load(blobs(tmp_path / "blobs.npz"))["frames"]
    np.save(tmp_path / "a.npy", frames.swapaxes(0, 1))
    run = tmp_path / "run"
    call("fit", tmp_path / "a.npy", "--axes", "TSHW", *ON_FILE, "--out", run)
    np.save(tmp_path / "b.npy", frames)
    call("fit", tmp_path / "b.npy", *ON_FILE, "--out", tmp_path / "plain")
    kept = [Run(folder).sources["data"] for folder in (run, tmp_path / "plain")]
    assert kept[0]["frames"] == kept[1]["frames"]
    assert Run(run).familiar == Run(tmp_path / "plain").familiar
    assert Run(run).familiar is not None
    assert kept[0]["stored"]["axes"] == "TSHW"
    (run / "summary.json").unlink()
    call("fit", "--out", run, "--resume")
    assert "leave it out" in refused(2, "fit", "--out", run, "--resume", "--axes", "TSHW")


def test_an_inspection_keeps_the_channel_and_the_range(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    scene = np.stack([np.exp(-((x - 12 - t) ** 2 + (y - 30) ** 2) / 20) for t in range(30)])
    frames = np.stack([np.zeros_like(scene), 4095 * scene], 1).astype(np.uint16)
    np.save(tmp_path / "a.npy", frames)
    made = ("--axes", "TCHW", "--channel", "1", "--out", tmp_path / "looked")
    assert "12 bits" in call("inspect", tmp_path / "a.npy", *made).stdout
    kept = Preparation.load(tmp_path / "looked" / "preparation.npz").stored
    assert (kept.axes, kept.channel, kept.range, kept.dtype) == ("TCHW", 1, (0, 4095), "uint16")
