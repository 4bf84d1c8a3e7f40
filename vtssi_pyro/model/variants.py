"""The paper's five models (section 3.4), composed from the same blocks: the ablation table as a dict."""

from collections.abc import Callable

from pyro.nn import PyroModule

from vtssi_pyro.config import ModelConfig
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks import (
    AIR,
    FIND,
    MOT,
    RECT,
    ClearestFrame,
    FirstFrame,
    FollowingFIND,
    NoFIND,
    RandomWalk,
    SpotAIR,
    TemplateFIND,
)
from vtssi_pyro.model.handlers import Rule
from vtssi_pyro.model.program import PerFrame, Tracker
from vtssi_pyro.ops.gaussian import average, product

Makers = dict[str, Callable[[ModelConfig], PyroModule]]

ATTENTIONS: dict[str, Callable[[ModelConfig], AIR]] = {
    "learned": lambda c: AIR(c.air),
    "spots": lambda c: SpotAIR(c.air, c.spots),
}
CONSENSUSES: Makers = {
    "learned": lambda c: RECT(c.rect, c.air),
    "clearest": lambda c: ClearestFrame(c.rect),
}
FINDERS: Makers = {
    "learned": lambda c: FIND(c.find, c.air),
    "template": lambda c: TemplateFIND(c.template, c.air),
    "following": lambda c: FollowingFIND(c.template, c.air),
}
RULES: dict[str, Rule] = {"average": average, "product": product}


def _air(c: ModelConfig) -> AIR:
    return ATTENTIONS[c.attention](c)


def _rect(c: ModelConfig) -> PyroModule:
    return CONSENSUSES[c.consensus](c)


def _find(c: ModelConfig) -> PyroModule:
    return FINDERS[c.finder](c)


def _walk(c: ModelConfig) -> RandomWalk:
    return RandomWalk(c.mot.walk_scale)


VARIANTS: dict[str, Callable[[ModelConfig], Tracker]] = {
    "air": lambda c: PerFrame(_air(c), FirstFrame(), NoFIND(), _walk(c)),
    "find": lambda c: Tracker(_air(c), FirstFrame(), _find(c), _walk(c)),
    "rect-find": lambda c: Tracker(_air(c), _rect(c), _find(c), _walk(c)),
    "find-mot": lambda c: Tracker(_air(c), FirstFrame(), _find(c), MOT(c.mot, c.air)),
    "vtssi": lambda c: Tracker(_air(c), _rect(c), _find(c), MOT(c.mot, c.air)),
}


def build(variant: str = "vtssi", config: ModelConfig | None = None) -> Tracker:
    """A fresh tracker of one of the :data:`VARIANTS`; ``config`` defaults to the paper's numbers."""
    if variant not in VARIANTS:
        raise UsageError(f"unknown variant {variant!r}: expected one of {', '.join(VARIANTS)}")
    config = config or ModelConfig()
    tracker = VARIANTS[variant](config)
    tracker.sample_intermediate = config.sample_intermediate
    tracker.rule = RULES[config.fusion]
    return tracker
