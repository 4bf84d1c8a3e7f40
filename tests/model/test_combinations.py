"""Blocks of different slots go together: presence, interaction, turning, opaque or saturated pictures, and colours."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch
from small_model import small

from vtssi_pyro.inference.filter import forecast, track
from vtssi_pyro.model.blocks.air import AdditiveConfig
from vtssi_pyro.model.blocks.gated import GatedConfig
from vtssi_pyro.model.blocks.interaction import InteractingMOTConfig
from vtssi_pyro.model.blocks.layered import LayeredConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.saturated import SaturatedConfig
from vtssi_pyro.model.blocks.turning import TurningConfig
from vtssi_pyro.model.blocks.turning_search import TurningFINDConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.model.look import Look
from vtssi_pyro.model.tracker import build
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.types import Objects, Pose

BLOCKS = ("presence", "interacting", "turning", "layered", "saturated", "colour")
PICTURES = {"layered": LayeredConfig, "saturated": SaturatedConfig}


def together(blocks: tuple[str, ...]) -> ModelConfig:
    """A small model of these blocks."""
    kind = InteractingMOTConfig if "interacting" in blocks else ResidualMOTConfig
    motion = kind(M=2, motion=3, units=8, heads=(8,), transition=(8, 8), inertia=True)
    picture = next((PICTURES[name] for name in blocks if name in PICTURES), AdditiveConfig)
    finder = TurningFINDConfig if "turning" in blocks else GatedConfig
    whole = replace(
        small("template"), picture=picture(decoder=(8, 16), noise="learned"), finder=finder(kernel_side=5),
        motion=TurningConfig(of=motion) if "turning" in blocks else motion, order="frame-by-frame", fusion="product",
        test_time=TestTime(tight=True), channels=3 if "colour" in blocks else 1,
    )  # fmt: skip
    return replace(whole, scene=PresenceConfig(enter=-0.5)) if "presence" in blocks else whole


@pytest.mark.parametrize(
    "blocks",
    [
        *(pair for pair in combinations(BLOCKS, 2) if not {*pair} >= {*PICTURES}),
        tuple(name for name in BLOCKS if name != "saturated"),
    ],
)
def test_blocks_learn_track_and_predict_together(blocks: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    config = together(blocks)
    tracker = build(config)
    x = torch.rand(2, 3, config.channels, 20, 20)
    optimiser = torch.optim.Adam(tracker.parameters(), 1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        loss = Elbo().differentiable_loss(tracker.model, tracker.guide, x)
        loss.backward()
        assert loss.isfinite()
        optimiser.step()
    tracker.eval()
    for found in (track(tracker, x), forecast(tracker, x, 1, num_samples=2)):
        position, present = found.tracks.position, found.tracks.present
        assert position[present].isfinite().all()


@pytest.mark.parametrize("kind", [AdditiveConfig, LayeredConfig])
def test_what_the_others_leave_to_a_turned_object(kind: type) -> None:
    """A frame without an object is the frame in which it does not exist, whatever planes the picture has."""
    torch.manual_seed(0)
    tracker = build(replace(together(("turning", "colour")), picture=kind(decoder=(8, 16)))).double()
    position, angle = 0.8 * torch.rand(3, 2, 2).double() - 0.4, torch.randn(3, 2).double()
    there = torch.ones(3, 2).double()
    objects = Objects(None, torch.full((3, 2, 2), 0.4).double(), torch.randn(3, 2, 4).double(), there)
    with torch.no_grad():
        others = Look(tracker.picture, objects).others(position, angle, there.bool())
        assert others.shape == (3, 2, 3, 20, 20)
        for i in range(2):
            rest = there * (torch.arange(2) != i)
            pose = Pose(position.unsqueeze(-3), objects.size, rest.unsqueeze(-2), angle=angle.unsqueeze(-2))
            torch.testing.assert_close(others[:, i], tracker.picture.draw(pose, objects).squeeze(-4))
        none = Look(tracker.picture, objects).others(position, angle, there.bool() & False)
        assert not none.any(), "of objects that are not there nothing is drawn"
