"""A step is a function of tensors: nothing in it asks the device for a value, and numbers may be scalars on it."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pyro
import pytest
import torch
from small_model import rolled_out
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.train.baseline_presets import recipe
from vtssi_pyro.train.batches import PathBatch
from vtssi_pyro.train.graph import numbers, on_device
from vtssi_pyro.train.objective import OBJECTIVES
from vtssi_pyro.train.optimizers import OPTIMIZERS
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.train.svi import StageOptim
from vtssi_pyro.types import Anneal

NOW = Scheduled(Anneal(0.5, 0.3, 0.2, 0.8, 0.5), 0.7, 0.4, 1e-3, 0.9)
# from device to host
ASKS = (
    "_local_scalar_dense",
    "is_nonzero",
    "nonzero",
    "equal",
    "masked_select",
    "unique",
    "multinomial",
)
SENDS = ("lift_fresh",)  # torch.tensor(number): from host to device


class Watched(TorchDispatchMode):
    """Collects the operations that a CUDA graph cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        # Pyro's plates make an empty tensor, on the host, to learn the default device
        if name in ASKS or (name in SENDS and args[0].numel()):
            self.found.add(name)
        return func(*args, **(kwargs or {}))


def steps(tracker: Tracker, stage: Stage) -> tuple[Step, Step]:
    """Two steps of trackers that are equal, with averaged weights."""
    twin = deepcopy(tracker)
    config = TrainConfig((stage,), average=0.9)
    return Step(tracker, deepcopy(tracker), config, stage), Step(twin, deepcopy(twin), config, stage)


def batch(stage: Stage, frames: Tensor, tracker: Tracker) -> Any:
    if stage.objective not in ("rollout", "futures"):
        return channelled(frames)
    config = tracker.config
    present = torch.ones(2, config.num_objects, dtype=torch.bool)
    static = torch.randn(2, config.num_objects, 2 + config.description, dtype=frames.dtype)
    position = torch.rand(2, 6, config.num_objects, 2).to(frames)
    visible, scale = torch.ones(position.shape[:-1], dtype=torch.bool), torch.full_like(position, 0.1)
    return PathBatch(present, static, position, visible, scale, tracker.motion.M)


def scheduled(tracker: Tracker) -> Scheduled:
    return NOW if tracker.motion.predicts else NOW._replace(rollout_weight=0.0)


def test_overshooting_pulls_predicted_motions_alone(tiny, frames: Tensor) -> None:
    """The distance of the motions predicted from those inferred, which it leaves where they are."""
    tracker = tiny()
    motion, x = tracker.motion, batch(Stage("any", 1, "rollout"), frames, tracker)
    plain = OBJECTIVES["rollout"].extras(tracker, x, Stage("any", 1, "rollout"), NOW)
    terms = OBJECTIVES["rollout"].extras(tracker, x, Stage("any", 1, "rollout", overshooting=0.5), NOW)
    torch.testing.assert_close(terms["rollout"], plain["rollout"])
    inferred, start = motion.infer(x.static, x.position)[0].mean, motion.M
    known = {"position": x.position[:, start - 1], "motion": inferred[:, start - 1]}
    ahead = rolled_out(motion, known, 6 - start)
    expected = -0.5 * (ahead["motion"] - inferred[:, start:]).square().sum()
    torch.testing.assert_close(terms["overshooting"], expected)
    alone = x._replace(present=torch.zeros_like(x.present))
    absent = OBJECTIVES["rollout"].extras(tracker, alone, Stage("any", 1, "rollout", overshooting=0.5), NOW)
    assert absent["overshooting"] == 0
    later = x._replace(position=x.position.clone().requires_grad_())  # frames that are predicted
    pulled = OBJECTIVES["rollout"].extras(tracker, later, Stage("any", 1, "rollout", overshooting=0.5), NOW)
    (gradient,) = torch.autograd.grad(pulled["overshooting"], later.position)
    assert not gradient[:, start:].any()
    assert gradient[:, :start].any()


def test_rollouts_learn_from_frames_that_show_the_object(tiny, frames: Tensor) -> None:
    tracker, stage = tiny(), Stage("any", 1, "rollout")
    x, start = batch(stage, frames, tracker), tracker.motion.M

    def term(visible: Tensor, position: Tensor = x.position) -> Tensor:
        return OBJECTIVES["rollout"].extras(
            tracker, x._replace(visible=visible, position=position), stage, NOW
        )["rollout"]

    hidden, jump = x.visible.clone(), x.position.clone()
    hidden[0, start, 0], jump[0, start, 0] = False, 9.0
    assert term(x.visible, jump) != term(x.visible)
    assert term(hidden, jump) == term(hidden) != term(x.visible)
    late = x.visible.clone()
    late[:, 0] = False  # where it comes from, nobody saw
    assert term(late) == 0


CASES = [
    ("vtssi", "learned", "full"), ("vtssi", "template", "full"), ("vtssi", "template", "walk"),
    ("vtssi", "learned", "rollout"), ("vtssi", "learned", "futures"), ("vtssi", "learned", "frames"),
    ("find", "learned", "full"), ("air", "learned", "frames"),
]  # fmt: skip


@pytest.mark.parametrize(("variant", "finder", "objective"), CASES)
def test_a_step_never_waits_for_the_device(
    variant: str, finder: str, objective: str, tiny, frames: Tensor
) -> None:
    tracker = tiny(variant, finder).train()
    stage = Stage("any", 1, objective, overshooting=0.03)
    x = batch(stage, frames, tracker)
    step, _ = steps(tracker, stage)
    with pyro.validation_enabled(False):
        now = on_device(scheduled(tracker), torch.tensor(numbers(NOW), dtype=frames.dtype))
        step(x, now)  # the optimiser makes its state
        with Watched() as watched:
            step(x, now)
    assert not watched.found


@pytest.mark.parametrize("model", ["ddpae", "sqair"])
def test_nor_does_that_of_a_baseline(model: str) -> None:
    """Under its own bound and its own optimiser."""
    config = recipe(model, "published")
    sizes = {"sqair": {"frame_size": 24, "glimpse": 8, "units": 16}, "ddpae": {"frame_size": 32, "inputs": 4}}
    tracker = replace(config.model, **sizes[model]).build().train()
    stage, x = config.train.stages[0], torch.rand(2, 5, 1, tracker.frame_size, tracker.frame_size)
    step = Step(tracker, tracker, config.train, stage)
    with pyro.validation_enabled(False):
        now = on_device(NOW._replace(air_weight=0.0, rollout_weight=0.0), torch.tensor(numbers(NOW)))
        step(x, now)
        with Watched() as watched:
            step(x, now)
    assert not watched.found


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_a_learning_rate_on_the_device_makes_the_same_steps(optimizer: str) -> None:
    moved = []
    for rate in (0.1, torch.tensor(0.1)):
        weights = [torch.nn.Parameter(torch.linspace(-1, 1, 6).view(2, 3)), torch.nn.Parameter(torch.ones(3))]
        optim = StageOptim(weights, 0.9, 1e9, name=optimizer)
        optim.set_learning_rate(rate)
        for _ in range(3):
            optim.ascend({"x": -(weights[0] @ weights[1]).square().sum()}, 1)
        moved.append([weight.detach() for weight in weights])
    torch.testing.assert_close(*moved)


def test_the_watch_sees_what_it_is_for() -> None:
    with Watched() as watched:
        bool(torch.ones(()) > 0)
        torch.tensor(1.0)
        torch.multinomial(torch.ones(2), 1)
    assert watched.found >= {"_local_scalar_dense", "lift_fresh", "multinomial"}


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "finder", "objective"), CASES)
def test_scalars_on_the_device_make_the_same_steps(
    variant: str, finder: str, objective: str, tiny, frames: Tensor
) -> None:
    tracker = tiny(variant, finder).train()
    stage = Stage("any", 1, objective, overshooting=0.03)
    x = batch(stage, frames, tracker)
    ours, theirs = steps(tracker, stage)
    with pyro.validation_enabled(False):
        for seed in range(3):
            torch.manual_seed(seed)
            terms, norm = ours(x, scheduled(tracker))
            torch.manual_seed(seed)
            values = torch.tensor(numbers(NOW), dtype=frames.dtype)
            found, other = theirs(x, on_device(scheduled(tracker), values))
            torch.testing.assert_close(found, terms)
            torch.testing.assert_close(other, norm)
    for a, b in ((ours.tracker, theirs.tracker), (ours.averaged, theirs.averaged)):
        torch.testing.assert_close(dict(a.state_dict()), dict(b.state_dict()))


def test_a_loss_per_frame_is_told_per_sequence(tiny, frames: Tensor) -> None:
    """Only the gradient is divided by the frames, of which there are six."""
    tracker, stage, found = tiny().train(), Stage("any", 1), []
    for per_frame in (False, True):
        torch.manual_seed(0)
        step = Step(tracker, tracker, TrainConfig((stage,), per_frame=per_frame), stage)
        found.append(step(channelled(frames), Scheduled()))
    (terms, norm), (same, sixth) = found
    torch.testing.assert_close(same, terms)
    torch.testing.assert_close(6 * sixth, norm)


def test_weights_of_zero_drop_their_terms() -> None:
    now = on_device(NOW._replace(air_weight=0.0), torch.tensor(numbers(NOW)))
    assert now.air_weight == 0.0
    assert isinstance(now.rollout_weight, Tensor)


def test_the_average_follows_the_weights(tiny, frames: Tensor) -> None:
    tracker = tiny("air").train()
    step, _ = steps(tracker, Stage("any", 1, "frames"))
    before = [p.clone() for p in step.averaged.parameters()]
    step(frames, NOW._replace(decay=0.75))
    for old, average, new in zip(before, step.averaged.parameters(), tracker.parameters(), strict=True):
        torch.testing.assert_close(average, 0.75 * old + 0.25 * new)
    assert any(not torch.equal(a, b) for a, b in zip(before, step.averaged.parameters(), strict=True))
