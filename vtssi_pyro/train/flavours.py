"""The flavours of data for which the blocks and the recipe of our system change."""

from collections.abc import Callable
from dataclasses import replace

from vtssi_pyro.config.variants import OURS, Ablation
from vtssi_pyro.model.config import ModelConfig, variant_of
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.train.collisions import colliding
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.occlusion import occluding
from vtssi_pyro.train.presets import PRESETS
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
    """A configuration for a flavour of data, if its model is ours as a whole; else as it is.

    A model that is of the flavour's own blocks, as one that was trained on it, gets the flavour's stages.
    """
    model, change = config.model, CHANGES.get(flavour)
    if change is None or not isinstance(model, ModelConfig):
        return config
    if _ours(config):
        return change(config)
    whole = PRESETS[config.preset](None)
    if not _ours(whole):
        return config
    own = change(whole)
    alike = all(type(getattr(own.model, slot)) is type(getattr(model, slot)) for slot in SLOTS)
    return replace(config, train=own.train) if alike else config


def _ours(config: Config) -> bool:
    """Whether a configuration's model is ours as a whole."""
    model = config.model
    return isinstance(model, ModelConfig) and variant_of(model) == OURS.name(Ablation.WHOLE)
