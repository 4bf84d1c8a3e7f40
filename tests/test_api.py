"""The door: one way for every input, and nothing said or left behind that nobody asked for."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro import (
    TestTime,
    calibrate,
    evaluate,
    forecast,
    info,
    inspect,
    load,
    load_digits,
    moving_digits,
    track,
)
from vtssi_pyro.artifacts import reading
from vtssi_pyro.artifacts.shipped import Pretrained
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.data import ArrayDataset, MovingDigits, write
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference import filter as inference
from vtssi_pyro.inference.filter import Estimate
from vtssi_pyro.inference.subpixel import refined
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.movies import array_movie
from vtssi_pyro.train.reporting import Silent

pytestmark = pytest.mark.slow

NAME, SEEN = "moving-mnist", 5


@pytest.fixture(scope="module")
def digits() -> MovingDigits:
    torch.set_num_threads(1)
    return moving_digits("linear", load_digits("embedded", "test"), sequences=10, seed=1, length=8)


@pytest.fixture(scope="module")
def frames(digits: MovingDigits) -> Tensor:
    """As files keep them, so that every way to bring them says the same."""
    return digits.frames(slice(None)).mul(255).round() / 255


def same(one: Estimate, other: Estimate) -> None:
    for a, b in zip((*one.tracks, one.frames, one.appearance), (*other.tracks, other.frames, other.appearance),
                    strict=True):  # fmt: skip
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def test_tensors_are_read_as_by_the_filter(frames: Tensor) -> None:
    tracker = load(NAME)
    same(track(tracker, frames), inference.track(tracker, frames))
    told = forecast(tracker, frames[:, :SEEN], horizon=3, num_samples=2, seed=4)
    same(told, inference.forecast(tracker, frames[:, :SEEN], 3, 2, seed=4))
    same(forecast(tracker, frames, 3, 2, seed=4, observe=SEEN), told)
    cool = forecast(tracker, frames, 3, 2, observe=SEEN, temperature=0.1)
    same(cool, inference.forecast(tracker, frames[:, :SEEN], 3, 2, temperature=0.1))


@pytest.mark.parametrize("procedure", [{"settle": SEEN}, {"test_time": TestTime()}])
def test_the_procedure_at_test_time_is_the_callers_choice(
    procedure: dict[str, Any], frames: Tensor, tmp_path: Path
) -> None:
    """Of arrays and files; digits that cover each other in the first frames are told apart later."""
    tracker = load(NAME)
    found = track(tracker, frames, **procedure)
    same(found, inference.track(tracker, frames, **procedure))
    assert not torch.equal(found.appearance, track(tracker, frames).appearance)
    np.save(tmp_path / "frames.npy", frames[:4, :, 0].numpy())
    same(
        track(NAME, tmp_path / "frames.npy", rendered=True, **procedure),
        track(tracker, frames[:4], **procedure),
    )
    told = forecast(tracker, frames, 3, 2, seed=4, **procedure)
    same(told, inference.forecast(tracker, frames, 3, 2, seed=4, **procedure))
    assert not torch.equal(told.appearance, forecast(tracker, frames, 3).appearance)


def test_a_movie_is_tracked_by_the_same_procedure(frames: Tensor) -> None:
    """From where objects are shown on, and registered on its own pixels where the procedure reads off tight boxes."""
    tracker = load(NAME)
    movie = inspect(array_movie("digits", frames[0, :, 0].numpy())).sized(tracker.picture.frame_size)
    x = movie.frames[None]
    for procedure in ({}, {"settle": SEEN}, {"test_time": TestTime()}):
        found = track(tracker, movie, rendered=True, **procedure)
        expected = inference.track(tracker, x, **procedure)
        tracks = movie.to_source(expected.tracks.begun())
        if procedure.get("test_time", tracker.test_time).tight:
            tracks = refined(tracks, movie, tracker.picture.box)
        same(found, expected._replace(tracks=tracks))
    assert not torch.equal(found.frames, track(tracker, movie, rendered=True).frames)


def test_every_input_is_read_alike(
    digits: MovingDigits, frames: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, tracker = frames[:3], load(NAME)
    expected = track(tracker, some)
    bytes_ = (255 * some).round().byte()
    grey = some[:, :, 0]
    np.save(tmp_path / "frames.npy", bytes_[:, :, 0].numpy())
    for data in (some.numpy(), some.double(), grey, grey.numpy(), bytes_, bytes_.numpy(), 255 * some.numpy()):
        same(track(tracker, data), expected)
    same(track(tracker, grey[0].numpy()), track(tracker, some[:1]))
    from_file = track(NAME, tmp_path / "frames.npy")
    same(from_file._replace(frames=expected.frames), expected)
    assert from_file.frames.shape == (0, *expected.frames.shape[1:]), "a file's may be larger than memory"
    same(track(NAME, tmp_path / "frames.npy", rendered=True), expected)
    write(tmp_path / "digits.npz", digits)
    monkeypatch.setattr(reading, "PART", 4)  # fewer than there are
    whole = track(tracker, str(tmp_path / "digits.npz"), rendered=True)
    assert whole.frames.shape == frames.shape
    torch.testing.assert_close(whole.tracks.position, track(tracker, frames).tracks.position, equal_nan=True)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((3, 4)), "expected"),
        (torch.zeros(2, 40, 40), "40x40 pixels"),
        (np.full((2, 50, 50), -1.0), "expected"),
        (np.zeros((2, 50, 50), complex), "expected numbers"),
    ],
)
def test_frames_that_make_no_sense_are_refused(frames: np.ndarray | Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        track(NAME, frames)


class Heard(Silent):
    """Keeps the warnings, and the names of files."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.files: list[Path] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def wrote(self, path: Path) -> None:
        self.files.append(path)


def test_weights_bring_their_calibration(frames: Tensor) -> None:
    """A tracker alone has none; whoever wants other futures says so."""
    some, heard = frames[:4, :SEEN], Heard()
    calibrated = forecast(NAME, some, 3, 50, report=heard)
    assert heard.warnings == []
    assert load(NAME) is not load(NAME)
    raw = forecast(NAME, some, 3, 50, raw=True)
    same(raw, forecast(load(NAME), some, 3, 50))
    assert calibrated.tracks.samples is not None
    assert raw.tracks.samples is not None
    known = Pretrained(NAME).calibration
    assert known is not None
    drawn = forecast(load(NAME), some, 3, 50, temperature=known.temperature).tracks
    torch.testing.assert_close(calibrated.tracks.samples, known(drawn, SEEN).samples, equal_nan=True)
    assert not torch.equal(calibrated.tracks.samples, raw.tracks.samples)
    forecast(NAME, some[:, :3], 3, 50, report=heard)
    assert "was calibrated on" in heard.warnings[-1]
    assert "counts will be less sure" in heard.warnings[0]


def test_more_first_frames_than_there_are_is_told_of(digits: MovingDigits, frames: Tensor) -> None:
    """Wherever a number of them is asked for; as many as there are say nothing."""
    data, tracker = frames[:2, :SEEN], load(NAME)
    known = ArrayDataset(
        "known", data[:, :, 0].numpy(), digits.truth.part(slice(2), slice(SEEN)).position.float().numpy()
    )
    for ask in (
        partial(track, tracker, data),
        partial(forecast, tracker, data, 2),
        partial(evaluate, tracker, known),
    ):
        for name in ("settle",) if ask.func is track else ("settle", "observe"):
            heard = Heard()
            ask(**{name: SEEN}, report=heard)
            assert heard.warnings == []
            ask(**{name: SEEN + 1}, report=heard)
            (line,) = heard.warnings
            assert f"{SEEN} frames a sequence, fewer than the {SEEN + 1}" in line


def test_files_are_named_in_their_order(frames: Tensor, tmp_path: Path) -> None:
    heard = Heard()
    track(NAME, frames[:2], out=tmp_path / "t", report=heard)
    assert [path.name for path in heard.files] == ["tracks.csv", "tracks.json", "mot", "overlay.gif"]
    assert all(path.exists() for path in heard.files)
    before = {path: path.read_bytes() for path in heard.files if path.is_file()}
    track(NAME, frames[:2], out=tmp_path / "t", rendered=False)
    assert before == {path: path.read_bytes() for path in before}


def test_configurations_are_trackers_too(frames: Tensor) -> None:
    from vtssi_pyro import PRESETS, ModelConfig

    for fresh in (PRESETS["paper"]("find"), ModelConfig()):
        assert track(fresh, frames[:1, :2]).tracks.present.shape[:2] == (1, 2)
    with pytest.raises(UsageError, match="no model of motion"):
        forecast(PRESETS["paper"]("find"), frames[:1], 2)


class Kept(Trained):
    """The weights that ship, kept elsewhere."""

    name = "kept elsewhere"
    config = Pretrained(NAME).config

    def tracker(self, checkpoint_name: str = "last", device: str | torch.device = "cpu") -> Tracker:
        return load(NAME, checkpoint_name, device)

    def about(self) -> dict[str, Any]:
        return {"name": self.name}


def test_a_tracker_is_what_says_so(frames: Tensor) -> None:
    """By its base; a method of the same name is not enough."""
    same(track(Kept(), frames[:4]), track(NAME, frames[:4]))
    assert info(Kept()) == {"name": "kept elsewhere"}
    for other in (5, SimpleNamespace(name="other", tracker=Kept().tracker)):
        for ask in (lambda x: track(x, frames), info, calibrate):
            with pytest.raises(UsageError, match=rf"^a {type(other).__name__} is no tracker: expected"):
                ask(other)
