"""A training step neither reads a value of its device nor sends it one, as a capture in a CUDA graph demands.

Tensors of the meta device have no values: whoever asks for one is refused. What goes to the device is refused here.
"""

from typing import Any

import pyro
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vtssi_pyro.artifacts.planning import configured
from vtssi_pyro.inference.standalone import build
from vtssi_pyro.train.baseline_presets import recipe
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.flavours import suited_to
from vtssi_pyro.train.step import Step
from vtssi_pyro.train.svi import StageOptim

RECIPES = [
    ("vtssi", "paper-fast", "linear"),
    ("ours", "standard", "linear"),
    ("ours", "standard", "visitors"),
    ("ours", "standard", "sprites"),
    ("ours", "standard", "discs-behind"),
    ("ours", "standard", "balls"),
    ("ours", "standard", "rods"),
    ("ddpae", "fast", "ddpae"),
]
# where the numbers are among the arguments
DATA = {torch.tensor: 0, torch.as_tensor: 0, Tensor.new_tensor: 1}


class NoCopies(TorchDispatchMode):
    """Refuses copies between devices, those of an index included; a number of the host may be an operand."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, found)) if isinstance(value, Tensor)]
        copies = func.name() in ("aten::_to_copy", "aten::copy_")
        assert len({tensor.device for tensor in tensors if copies or tensor.dim()}) < 2, func.name()
        return found


class NoValues(TorchFunctionMode):
    """Refuses tensors of the device that are made of numbers of the host, as ``unravel_index`` makes them inside."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        assert func is not torch.unravel_index, "a shape sent to the device"
        if func in DATA:
            assert isinstance(args[DATA[func]], Tensor) or not found.is_meta, "numbers sent to the device"
        return found


def stages(variant: str, preset: str, flavour: str) -> tuple[Config, list[str]]:
    """A recipe, and those of its stages that learn from frames."""
    config = renamed(suited_to(flavour, configured(recipe(variant, preset), flavour, [])))
    return config, [s.name for s in config.train.stages if s.objective in ("full", "walk", "frames")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "name"), [(names, name) for names in RECIPES for name in stages(*names)[1]], ids=str
)
def test_a_step_can_be_captured(
    names: tuple[str, str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = stages(*names)
    stage = next(stage for stage in config.train.stages if stage.name == name)
    tracker = build(config.model).train().to("meta")
    # optimisers of the meta device do not exist; those of CUDA are capturable
    monkeypatch.setattr(StageOptim, "__call__", lambda self, params=None: torch.zeros((), device="meta"))
    length = 1 if stage.objective == "frames" else 7
    x = torch.rand(2, length, config.model.channels, tracker.frame_size, tracker.frame_size, device="meta")
    step, now = (
        Step(tracker, tracker, config.train, stage),
        config.train.scheduled(stage, stage.steps // 2, 0),
    )
    with pyro.get_param_store().scope(), NoValues(), NoCopies():
        terms, _ = step(x, now)
    assert terms
    assert all(value.is_meta for value in terms.values())
