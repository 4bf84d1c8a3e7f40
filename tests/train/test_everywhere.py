"""Roll-outs from every frame: the mean of single ones, of frames that are seen, on paths cut to their length."""

from dataclasses import replace

import pytest
import torch
from pyro.distributions import Independent, Normal
from small_model import small
from torch import Tensor

from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.model.blocks.mot import StateSpace
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.train.batches import PathBatch, drawn
from vtssi_pyro.train.objective import ROLLOUT_SCALE, rollout
from vtssi_pyro.train.recipe import Scheduled, Stage
from vtssi_pyro.types import Paths, State

F64 = torch.float64
T, AHEAD, M = 9, 3, 2
STAGE = Stage(
    "motion", 1, "rollout", ("motion",), 4, length=Constant(6), random_start=True, ahead=Constant(AHEAD)
)


class Pulled(StateSpace):
    """Objects that keep their last displacement, and are pulled to the middle of the scene."""

    def __init__(self) -> None:
        super().__init__(M=M, dims=2)

    def transition(self, previous: State) -> dict[str, Independent]:
        position = previous["position"]
        pull = 0.1 * (position.mean(-2, keepdim=True) - position)
        means = {"position": position + previous["motion"], "motion": previous["motion"] + pull}
        return {name: Normal(mean, 0.1).to_event(1) for name, mean in means.items()}

    def infer(self, static: Tensor, position: Tensor, memory: None = None) -> tuple[Independent, None]:
        velocity = torch.cat([position[..., :1, :, :], position], -3).diff(dim=-3)
        return Normal(velocity, 0.1).to_event(1), None


@pytest.fixture
def tracker() -> Tracker:
    made = build("vtssi", small()).double()
    made.motion = Pulled()
    return made


def batch(sequences: int = 3, objects: int = 2) -> PathBatch:
    position = torch.randn(
        sequences, T, objects, 2, dtype=F64, generator=torch.Generator().manual_seed(0)
    ).cumsum(1)
    yes = torch.ones(sequences, T, objects, dtype=torch.bool)
    static = torch.zeros(sequences, objects, 1, dtype=F64)
    return PathBatch(yes[:, 0], static, position, yes, torch.full_like(position, 0.1), T - AHEAD, AHEAD)


def score(tracker: Tracker, paths: PathBatch) -> float:
    return float(rollout(tracker, paths, STAGE, Scheduled())["rollout"])


def literal(motion: StateSpace, paths: PathBatch) -> float:
    """The same by loops over first frames, frames ahead, sequences and objects."""
    total, position = 0.0, paths.position
    starts = range(M - 1, T - AHEAD)
    for start in starts:
        state = {"position": position[:, start], "motion": position[:, start] - position[:, start - 1]}
        for t in range(start + 1, start + 1 + AHEAD):
            state = {name: q.mean for name, q in motion.transition(state).items()}
            for b, n in paths.present.nonzero().tolist():
                if paths.visible[b, start, n] and paths.visible[b, t, n]:
                    away = state["position"][b, n] - position[b, t, n]
                    total += float((away.square().sum() + 1e-4).sqrt())
    return -total / len(starts) / ROLLOUT_SCALE


def test_they_are_the_mean_of_single_roll_outs(tracker: Tracker) -> None:
    assert score(tracker, batch()) == pytest.approx(literal(tracker.motion, batch()), rel=1e-9)


def test_absent_and_hidden_objects_do_not_count(tracker: Tracker) -> None:
    paths = batch()
    present, visible = paths.present.clone(), paths.visible.clone()
    present[0, 1], visible[1, 4, 0], visible[2, T - 1, 1] = False, False, False
    some = paths._replace(present=present, visible=visible)
    assert score(tracker, some) == pytest.approx(literal(tracker.motion, some), rel=1e-9)
    assert score(tracker, some) > score(tracker, paths)


def test_whole_scenes_are_rolled_out(tracker: Tracker) -> None:
    """Whoever is elsewhere pulls the others to another place."""
    paths = batch()
    moved = paths.position.clone()
    moved[:, :, 1] += 5
    visible = paths.visible.clone()
    visible[:, :, 1] = False
    found = [score(tracker, paths._replace(position=p, visible=visible)) for p in (paths.position, moved)]
    assert abs(found[0] - found[1]) > 1


def test_paths_are_cut_to_the_stages_length_anywhere() -> None:
    """Six frames, of which three are observed before futures; uniform first frames, none of which is usual."""
    position = torch.arange(20.0).reshape(1, 20, 1, 1).expand(5, 20, 1, 2)
    yes = torch.ones(5, 20, 1, dtype=torch.bool)
    paths = Paths(yes[:, 0], torch.zeros(5, 1, 1), position, yes, position)
    firsts = set()
    for step in range(200):
        some = drawn(paths, STAGE, step, 0, 1.0, M)
        assert (some.position.shape[:2], some.observed, some.ahead) == ((4, 6), 3, AHEAD)
        firsts.add(int(some.position[0, 0, 0, 0]))
    assert firsts == set(range(15))
    long = drawn(paths, replace(STAGE, ahead=Constant(50)), 0, 0, 1.0, M)
    assert (long.observed, long.ahead) == (1, 5)
