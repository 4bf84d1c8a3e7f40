"""The stage in which looks are learned if the attention finds objects without learning."""

from vtssi_pyro.config.schedules import Constant, Cosine
from vtssi_pyro.train.recipe import Stage


def boxed_objects(steps: int) -> Stage:
    """The stage ``objects`` of the attention ``boxed``, on single frames; only looks are learned, so rates are high."""
    return Stage(
        "objects",
        steps,
        "frames",
        ("attention", "picture"),
        learning_rate=Cosine(2e-3, 1e-4, 50, steps),
        length=Constant(1),
        random_start=True,
        step_weight=Constant(1.0),
    )
