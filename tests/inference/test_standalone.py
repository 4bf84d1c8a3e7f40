"""A tracker of one's own kind goes through the same doors as the model of this package."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

import vtssi_pyro
from vtssi_pyro import Run, Silent, register
from vtssi_pyro.config import from_dict, to_dict
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.inference.filter import estimates
from vtssi_pyro.inference.standalone import StandaloneConfig, StandaloneTracker, build
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.config import Config, DataConfig
from vtssi_pyro.train.recipe import Stage, TrainConfig

pytestmark = pytest.mark.usefixtures("undrawn")

SIDE, T = 32, 6


@register("model", "brightness")
@dataclass(frozen=True)
class BrightnessConfig(StandaloneConfig):
    num_objects: int = 1
    frame_size: int = SIDE
    scale: float = 0.1

    def build(self) -> "Brightness":
        return Brightness(self)


class Brightness(StandaloneTracker):
    """One object, at the centre of the light of each frame; what it learns is the brightness of the frames."""

    K, shortest = 1, 2

    def __init__(self, config: BrightnessConfig) -> None:
        super().__init__(config)
        self.scale, self.mean = config.scale, nn.Linear(1, 1, bias=False)

    def model(self, frames: Tensor, anneal: object = None, horizon: int = 0) -> None:
        sequences = pyro.plate("sequences", len(frames), dim=-2)
        with sequences, pyro.plate("components", 1, dim=-1):
            level = pyro.sample("level", Normal(frames.new_zeros(1), 1.0).to_event(1))
        with sequences, pyro.plate("frames", frames.shape[1], dim=-1):
            mean = level[..., None, None].expand_as(frames)
            pyro.sample("x", Normal(mean, self.scale).to_event(3), obs=frames)

    def guide(self, frames: Tensor, anneal: object = None, horizon: int = 0) -> None:
        with pyro.plate("sequences", len(frames), dim=-2), pyro.plate("components", 1, dim=-1):
            light = self.mean(frames.mean((1, 2, 3, 4)).view(-1, 1, 1))
            pyro.sample("level", Normal(light, 0.01).to_event(1))

    def read(
        self, frames: Tensor, horizon: int, num_samples: int, temperatures: Sequence[float]
    ) -> list[Estimate]:
        place = torch.arange(SIDE) + 0.5
        light = frames.sum((2, 3, 4)).unsqueeze(-1)
        x, y = ((frames.sum((2, axis)) * place).sum(-1, keepdim=True) / light for axis in (3, 4))
        position = torch.stack([x, y], -1)  # (B, T, 1, 2)
        position = torch.cat([position, position[:, -1:].expand(-1, horizon, -1, -1)], 1)
        samples = position.expand(num_samples, *position.shape) if num_samples else None
        box = torch.full_like(position, 4.0)
        tracks = Tracks(position, position[..., 0] > 0, box, box / 4, samples=samples)
        rendered = torch.zeros(len(frames), position.shape[1], 1, SIDE, SIDE)
        return [Estimate(tracks, rendered, torch.zeros(len(frames), 1, 2)) for _ in temperatures]


CONFIG = Config(
    "brightness",
    "own",
    observe=4,
    model=BrightnessConfig(),
    data=DataConfig(sequences=10),
    train=TrainConfig(
        (Stage("only", 12, batch=4, learning_rate=Constant(0.05), length=Constant(T)),),
        evaluate_every=6,
        save_every=3,
        log_every=4,
    ),
)


@pytest.fixture
def dots() -> ArrayDataset:
    """Sequences of one square that moves to the right, with its positions."""
    frames = torch.zeros(12, T, SIDE, SIDE, dtype=torch.uint8)
    position = torch.empty(12, T, 1, 2)
    for s in range(12):
        for t in range(T):
            frames[s, t, s : s + 4, 2 * t + 3 : 2 * t + 7] = 255
            position[s, t, 0] = torch.tensor([2 * t + 5.0, s + 2.0])
    return ArrayDataset("dots", frames.numpy(), position.numpy())


@pytest.mark.slow
def test_it_is_fitted_kept_loaded_and_judged(dots: ArrayDataset, tmp_path: Path) -> None:
    fitted = vtssi_pyro.fit(dots, CONFIG, run=tmp_path / "run", device="cpu")
    assert isinstance(fitted.tracker, Brightness)
    assert fitted.metrics["inference_error"] < 1e-3
    run = Run(tmp_path / "run")
    assert (run.config.variant, run.config.model) == ("brightness", BrightnessConfig())
    loaded = vtssi_pyro.load(tmp_path / "run")
    assert torch.equal(loaded.mean.weight, fitted.tracker.mean.weight)
    fresh = build(BrightnessConfig())
    assert not torch.equal(fresh.mean.weight, loaded.mean.weight)
    found = vtssi_pyro.track(run, dots, out=tmp_path / "tracks")
    torch.testing.assert_close(found.tracks.position, dots.truth.position, atol=1e-3, rtol=0)
    ahead = vtssi_pyro.forecast(run, dots, 3, observe=4, num_samples=2, raw=True)
    assert ahead.tracks.samples.shape == (2, 12, 7, 1, 2)
    judged = vtssi_pyro.evaluate(loaded, dots, observe=4).metrics
    assert judged["inference_error"] < 1e-3
    assert judged["prediction_error"] == pytest.approx(3, abs=1e-3)  # it stands still: 2 and 4 px off
    assert judged["count_frames"] == 1


class Killed(Silent):
    """Ends the training in the middle, between two checkpoints."""

    def advance(self, step: int, stage: str) -> None:
        if step == 7:
            raise RuntimeError("killed")


@pytest.mark.slow
def test_its_training_resumes_bit_for_bit(dots: ArrayDataset, tmp_path: Path) -> None:
    whole = vtssi_pyro.fit(dots, CONFIG, run=tmp_path / "whole", device="cpu")
    with pytest.raises(RuntimeError, match="killed"):
        vtssi_pyro.fit(dots, CONFIG, run=tmp_path / "part", device="cpu", report=Killed())
    assert Run(tmp_path / "part").load()["step"] == 6
    again = vtssi_pyro.resume(tmp_path / "part", dots, device="cpu")
    assert torch.equal(whole.tracker.mean.weight, again.tracker.mean.weight)
    assert whole.run.records()[-1]["elbo"] == again.run.records()[-1]["elbo"]


def test_a_filters_options_are_refused(dots: ArrayDataset, tmp_path: Path) -> None:
    tracker = build(BrightnessConfig())
    with pytest.raises(UsageError, match="settle: a Brightness decides by itself"):
        vtssi_pyro.track(tracker, dots, settle=3)
    with pytest.raises(UsageError, match="frame by frame"):
        vtssi_pyro.track_live(tracker, tmp_path, tmp_path / "out")
    with pytest.raises(UsageError, match=r"objective: expected one of full, found 'walk'"):
        vtssi_pyro.fit(dots, CONFIG, changes=["train.stages.only.objective=walk"], device="cpu")
    (whole,) = estimates(tracker, dots.frames(slice(None)))
    assert whole.tracks.position.shape == (12, T, 1, 2)


def test_a_model_without_a_kind_is_one_of_blocks() -> None:
    """As in files that were written before there were others; it is written so, too."""
    plain = to_dict(Config())
    assert "kind" not in plain["model"]
    assert from_dict(plain, Config) == Config()
    assert from_dict({**plain, "model": {"kind": "blocks", **plain["model"]}}, Config) == Config()
    other = to_dict(CONFIG)
    assert other["model"] == {
        "kind": "brightness",
        "num_objects": 1,
        "frame_size": SIDE,
        "channels": 1,
        "scale": 0.1,
    }
    assert from_dict(other, Config) == CONFIG
    assert isinstance(Config().model, ModelConfig)
