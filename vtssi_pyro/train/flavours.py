"""The flavours of data for which the blocks and the recipe of our system change."""

from collections.abc import Callable

from vtssi_pyro.config.variants import OURS, Ablation
from vtssi_pyro.model.config import ModelConfig, variant_of
from vtssi_pyro.train.collisions import colliding
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.occlusion import occluding
from vtssi_pyro.train.sprites import sprites
from vtssi_pyro.train.turning import turning
from vtssi_pyro.train.visits import visiting

CHANGES: dict[str, Callable[[Config], Config]] = {
    "visitors": visiting,
    "discs-behind": occluding,
    "rods": turning,
    "sprites": sprites,
    "balls": colliding,
}


def suited_to(flavour: str, config: Config) -> Config:
    """A configuration for a flavour of data, if its model is ours as a whole; else as it is."""
    model, change = config.model, CHANGES.get(flavour)
    whole = isinstance(model, ModelConfig) and variant_of(model) == OURS.name(Ablation.WHOLE)
    return change(config) if change and whole else config
