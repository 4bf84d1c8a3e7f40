"""Sequences in colour, from the training to the metrics; who reads another number of channels is told."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import FRAME, KEYS, ON_FILE, blobs, call, refused

from vtssi_pyro import Run, Stored, build, evaluate, fit, forecast, load, track, track_live
from vtssi_pyro.data import read
from vtssi_pyro.errors import DataError, UsageError

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


def coloured(path: Path) -> Path:
    """Blobs of which one is reddish and one bluish, (S, T, 3, H, W), with positions."""
    with np.load(blobs(path)) as made:
        frames, positions = made["frames"], made["positions"]
    shares = np.array([1.0, 0.5, 0.25]).reshape(3, 1, 1)
    np.savez(path, frames=(frames[:, :, None] * shares).astype(np.uint8), positions=positions)
    return path


def test_colours_are_learned_tracked_predicted_and_judged(tmp_path: Path) -> None:
    data, run = coloured(tmp_path / "colours.npz"), tmp_path / "run"
    call("fit", data, *ON_FILE, "--out", run)
    assert Run(run).config.model.channels == 3
    shape = read(data).frames(slice(None)).shape
    assert shape[2:] == (3, FRAME, FRAME)
    call("track", run, data, "--out", tmp_path / "tracks")
    call("predict", run, data, "--observe", 4, "--horizon", 2, "--samples", 3, "--out", tmp_path / "ahead")
    assert json.loads(call("evaluate", run, data, "--json").stdout)["sequences"] == shape[0]
    call("fit", "--out", run, "--resume", "--device", "cpu")
    assert track(run, data, rendered=True).frames.shape == shape
    assert forecast(run, read(data).frames(slice(0, 2)), 3).frames.shape == (2, shape[1] + 3, *shape[2:])
    grey = blobs(tmp_path / "grey.npz")
    assert "grey.npz: frames have C = 1 channels, the run's model expects C = 3" in refused(
        3, "track", run, grey
    )
    with pytest.raises(DataError, match="expects C = 3"):
        evaluate(run, grey)
    assert "frames have C = 1 channels, the model's (model.channels) C = 3" in refused(
        3, "fit", grey, "--from", run, "--out", tmp_path / "other"
    )
    with pytest.raises(UsageError, match="reads colours; frames of a pipe are grey"):
        track_live(run, BytesIO(b""), tmp_path / "live")
    for number, frame in enumerate(read(data).frames(slice(0, 1))[0]):
        (tmp_path / "camera").mkdir(exist_ok=True)
        pixels = (255 * frame).round().byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(tmp_path / "camera" / f"{number}.png")
    rows = track_live(run, tmp_path / "camera", tmp_path / "live", patience=0.1).read_text().splitlines()
    assert rows[0].startswith("sequence,frame,")


def test_a_model_of_other_channels_is_refused(tmp_path: Path) -> None:
    data = coloured(tmp_path / "colours.npz")
    frames = read(data).frames(slice(None))
    for source in (data, frames, frames.numpy()):
        with pytest.raises(DataError, match=r"frames have C = 3 channels, the model's .* C = 1"):
            fit(source, changes=[*(f"{key}={json.dumps(value)}" for key, value in KEYS.items()), "model.channels=1"],
                run=tmp_path / "run", device="cpu")  # fmt: skip
    assert not (tmp_path / "run").exists()
    large = torch.zeros(1, 2, 3, 50, 50)
    large[..., 10:25, 15:30] = torch.tensor([0.9, 0.4, 0.6]).view(3, 1, 1)
    seen = track("moving-mnist", large, stored=Stored(channel="grey")).tracks
    grey = (large * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(2)
    torch.testing.assert_close(seen.position, track("moving-mnist", grey).tracks.position, equal_nan=True)
    for tracker in ("moving-mnist", load("moving-mnist"), build("air")):
        with pytest.raises(
            DataError,
            match=r"frames: frames have C = 3 channels, the run's model expects C = 1.* say channel grey",
        ):
            track(tracker, large)
