"""What a training asks of every tracker."""

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from torch import Tensor

from vtssi_pyro.baselines import DDPAEConfig, SQAIRConfig
from vtssi_pyro.inference.standalone import StandaloneConfig
from vtssi_pyro.model.interfaces import SCALES
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.nn import unregistered
from vtssi_pyro.model.tracker import Tracker


def test_a_tracker_of_blocks_has_a_part_for_each_slot(variant: str, tiny: Callable[..., Tracker]) -> None:
    tracker = tiny(variant)
    assert tracker.slots == tuple(SLOTS)
    parts = tracker.parts()
    assert parts[""] == list(tracker.parameters())
    for slot in SLOTS:
        assert parts[slot] == list(tracker.get_submodule(slot).parameters())
    assert (SCALES in parts) == tracker.predicts
    if tracker.predicts:
        assert {id(p) for p in parts[SCALES]} < {id(p) for p in parts["motion"]}
    assert torch.equal(tracker.priors()["scene.size.loc"], tracker.scene.size.loc)


def test_weights_are_registered_with_pyro_unless_that_is_off(
    variant: str, tiny: Callable[..., Tracker], frames: Tensor
) -> None:
    """Layers' weights and the numbers that are blocks' own; what is drawn is the same."""
    tracker, draws = tiny(variant), []
    for off in (False, True):
        torch.manual_seed(0)
        with pyro.get_param_store().scope(), unregistered(off):
            trace = poutine.trace(tracker.guide).get_trace(frames)
            poutine.trace(poutine.replay(tracker.model, trace=trace)).get_trace(frames)
            registered = {id(weight) for weight in pyro.get_param_store()._params.values()}
        draws.append(trace.nodes["size"]["value"])
        assert registered == (set() if off else set(map(id, tracker.parameters())))
    assert draws[0].equal(draws[1])


@pytest.mark.parametrize(
    "config", [DDPAEConfig(frame_size=32), SQAIRConfig(frame_size=12, glimpse=5, units=8)]
)
def test_a_tracker_of_another_kind_has_parts_alone(config: StandaloneConfig) -> None:
    tracker = config.build()
    assert not tracker.slots
    assert not tracker.priors()
    parts = tracker.parts()
    assert parts[""] == list(tracker.parameters())
    for name, child in tracker.named_children():
        assert parts[name] == list(child.parameters())
