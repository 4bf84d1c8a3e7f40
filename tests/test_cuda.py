"""A GPU gives the CPU's numbers, and captured steps equal eager ones. Skipped without a GPU."""

from dataclasses import replace
from statistics import median
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor

from vtssi_pyro.config.schedules import Linear
from vtssi_pyro.inference.filter import track
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.speed import alternating, as_in_training, trainer, workload
from vtssi_pyro.train.baseline_presets import recipe
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.graph import EAGER_STEPS, Captured
from vtssi_pyro.train.recipe import Stage, TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.types import Anneal

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def elbo(tracker: torch.nn.Module, frames: Tensor) -> float:
    with torch.no_grad(), mode():
        terms = Elbo().terms(tracker.model, tracker.guide, frames, Anneal())
    return float(sum(terms.values()))


def test_the_elbo_and_tracks_are_those_of_the_cpu(tiny, frames: Tensor) -> None:
    tracker = tiny()
    expected, tracks = elbo(tracker, frames), track(tracker, frames).tracks
    tracker.cuda()
    assert elbo(tracker, frames.cuda()) == pytest.approx(expected, rel=1e-6)
    found = track(tracker, frames.cuda()).tracks
    torch.testing.assert_close(found.position.cpu(), tracks.position, equal_nan=True, rtol=1e-5, atol=1e-5)


STAGE = Stage(
    "all", 100, learning_rate=Linear(1e-3, 1e-4, 0, 20), bell=Linear(0, 1, 0, 20),
    air_weight=Linear(1, 0, 0, 8), rollout_weight=Linear(0, 1, 3, 9), step_weight=Linear(0, 1, 0, 5),
)  # fmt: skip


@pytest.mark.parametrize(
    ("finder", "optimizer"),
    [("learned", "adam"), ("template", "adam"), ("learned", "muon"), ("learned", "rmsprop")],
)
def test_captured_steps_are_the_eager_ones(finder: str, optimizer: str, tiny, blobs) -> None:
    """With the same noise, through lengths that come and go and terms that gain and lose their weight."""
    stage = replace(STAGE, optimizer=optimizer)
    config = TrainConfig((stage,), average=0.9)
    runs: dict[str, list[Any]] = {}
    for kind in ("eager", "captured"):
        torch.manual_seed(0)
        tracker = tiny("vtssi", finder).cuda().train()
        averaged = tiny("vtssi", finder).cuda()
        averaged.load_state_dict(tracker.state_dict())
        step = Step(tracker, averaged, config, stage)
        make = Captured(step) if kind == "captured" else step
        found = runs[kind] = []
        for i in range(10 + 2 * EAGER_STEPS):
            torch.manual_seed(i)
            x = channelled(blobs(4, 6 + i % 2)).cuda()
            torch.manual_seed(100 + i)
            with pyro.validation_enabled(False):
                terms, norm = make(x, config.scheduled(stage, i, i))
            found.append((sum(terms.values()), norm))
        found += [*tracker.parameters(), *averaged.parameters()]
        if kind == "captured":
            assert not make.failed
            assert any(k.graph is not None for k in make.kinds.values())
    # Muon's matrix products are in bfloat16
    atol = {"muon": 1e-4}.get(optimizer, 1e-9)
    torch.testing.assert_close(runs["captured"], runs["eager"], rtol=1e-6, atol=atol)


@pytest.mark.parametrize("model", ["ddpae", "sqair"])
def test_those_of_a_baseline_are_captured(model: str) -> None:
    config = recipe(model, "published")
    stage, found = config.train.stages[0], []
    for kind in (Step, Captured):
        torch.manual_seed(0)
        tracker = config.model.build().cuda().train()
        x = torch.rand(4, 12, 1, tracker.frame_size, tracker.frame_size).cuda()
        step = Step(tracker, tracker, config.train, stage)
        make = step if kind is Step else Captured(step)
        for i in range(2 + EAGER_STEPS):
            torch.manual_seed(i)
            with pyro.validation_enabled(False):
                terms, _ = make(x, config.train.scheduled(stage, i, i))
        found.append(sum(terms.values()))
    assert isinstance(make, Captured)
    assert not make.failed
    # sums in no fixed order differ in their last digits, and Adam's first steps have one size whatever the gradient
    torch.testing.assert_close(*found, rtol=0.05, atol=0.0)


def test_a_captured_step_is_much_faster() -> None:
    device = torch.device("cuda")
    with as_in_training():
        config = workload(batch=64)
        eager = trainer(replace(config, train=replace(config.train, capture=False)), device)
        captured = trainer(config, device)
        steps = {"captured": captured.advance, "eager": eager.advance}
        seconds = {name: median(times) for name, times in alternating(steps, 10, device).items()}
    assert seconds["eager"] > 3 * seconds["captured"]


def test_a_failed_capture_is_one_warning_and_eager_steps(
    tiny, blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that looks at a value cannot be captured; what it does is done all the same."""
    tracker = tiny("vtssi").cuda().train()
    config = TrainConfig((STAGE,))
    step = Step(tracker, tracker, config, STAGE)
    real, looked = Step.__call__, []

    def looks(self: Step, *args: Any) -> Any:
        terms, norm = real(self, *args)
        looked.append(float(norm))
        return terms, norm

    monkeypatch.setattr(Step, "__call__", looks)
    make, x = Captured(step), channelled(blobs(2, 6)).cuda()
    with pytest.warns(UserWarning, match="not captured") as caught:
        steps = [make(x, config.scheduled(STAGE, i, i)) for i in range(EAGER_STEPS + 3)]
    assert len(caught) == 1
    assert len(looked) == len(steps)
    assert all(value > 0 for value in looked)
