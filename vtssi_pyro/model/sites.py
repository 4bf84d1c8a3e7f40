"""Sample statements that carry their variable and frame, so that their names need no parsing."""

from typing import NamedTuple

import pyro
from pyro.distributions import Distribution
from pyro.poutine.runtime import Message
from torch import Tensor

from vtssi_pyro.types import Site

POSITION = Site("position", 2)
ANGLE, SPIN = Site("angle", 1), Site("spin", 1)  # of objects that turn: radians, and radians a frame


class Moment(NamedTuple):
    """A site at a frame."""

    site: Site
    t: int  # frame, 1-based


def draw(site: Site, t: int, density: Distribution, fused: Tensor | None = None) -> Tensor:
    """Sample a site of frame t.

    Args:
        site: the variable.
        t: frame, 1-based.
        density: its density.
        fused: the objects (..., N) whose warm-up is over, so that guides fuse their predictions with proposals; None:
            the frame tells.
    """
    infer = {"moment": Moment(site, t), **({} if fused is None else {"fused": fused})}
    value: Tensor = pyro.sample(site.at(t), density, infer=infer)
    return value


def draw_intermediate(name: str, density: Distribution) -> Tensor:
    """Sample a proposal on which other proposals depend, and which is no final variable (reading D5)."""
    value: Tensor = pyro.sample(name, density, infer={"intermediate": True})
    return value


def is_intermediate(msg: Message) -> bool:
    """Whether a sample statement is that of :func:`draw_intermediate`."""
    return bool((msg["infer"] or {}).get("intermediate"))


def moment(msg: Message) -> Moment | None:
    """The variable and frame of a sample statement; None for a site that belongs to no frame."""
    found: Moment | None = (msg["infer"] or {}).get("moment")
    return found


def variable(msg: Message) -> str:
    """The variable of a sample statement: ``position`` for ``position_3``."""
    found = moment(msg)
    return found.site.name if found else str(msg["name"])
