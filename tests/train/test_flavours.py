"""Flavours of data with blocks and stages of their own."""

from dataclasses import replace

import pytest

from vtssi_pyro.model.blocks.air import SceneConfig
from vtssi_pyro.train.baseline_presets import recipe_for
from vtssi_pyro.train.flavours import CHANGES, suited_to
from vtssi_pyro.train.presets import quick


@pytest.mark.parametrize("flavour", CHANGES)
def test_a_model_that_was_trained_on_a_flavour_goes_on_by_its_stages(flavour: str) -> None:
    own = suited_to(flavour, quick("ours"))
    assert own.train.stages != quick("ours").train.stages
    larger = replace(own.model, description=own.model.description + 1)
    again = suited_to(flavour, recipe_for(larger, "quick"))
    assert again.model == larger
    assert again.train.stages == own.train.stages
    assert again.variant == own.variant


def test_a_model_of_other_blocks_stays_with_its_own_stages() -> None:
    own = suited_to("visitors", quick("ours"))
    for other in (replace(own.model, scene=SceneConfig()), quick("template-search").model):
        asked = recipe_for(other, "quick")
        assert suited_to("visitors", asked) is asked
    assert suited_to("linear", quick("ours")) == quick("ours")
