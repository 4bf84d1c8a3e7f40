"""The sample statements of SQAIR, and the handlers that know them."""

from typing import Any

import pyro
from pyro.distributions import Distribution
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from torch import Tensor

from vtssi_pyro.model.sites import Moment, variable
from vtssi_pyro.types import Site

PRESENCE, WHERE, WHAT = Site("prop_pres", 1), Site("prop_where", 4), Site("prop_what", 50)
COUNT, NEW_WHERE, NEW_WHAT = Site("disc_count", 1), Site("disc_where", 4), Site("disc_what", 50)


def name(site: Site, t: int, k: int | None = None) -> str:
    """The name of a variable of frame t, of object k alone if it is given; both are counted from 1."""
    return site.at(t) if k is None else f"{site.at(t)}_{k}"


def sample(site: Site, t: int, density: Distribution, k: int | None = None, **infer: Any) -> Tensor:
    """Sample the variable of a :func:`name`."""
    value: Tensor = pyro.sample(name(site, t, k), density, infer={"moment": Moment(site, t), **infer})
    return value


class drawn(Messenger):
    """Give sites the draws that have been made for them; their densities stay.

    Args:
        draws: values by site name; it may grow while the handler runs.
    """

    def __init__(self, draws: dict[str, Tensor]) -> None:
        super().__init__()
        self.draws = draws

    def _pyro_sample(self, msg: Message) -> None:
        if msg["name"] in self.draws:
            msg["value"] = self.draws[msg["name"]]


class keep(Messenger):
    """Keep every object that has been present: the evaluation of the VTSSI paper (App. D.2)."""

    def _pyro_sample(self, msg: Message) -> None:
        if msg["value"] is None and variable(msg) == PRESENCE.name:
            msg["value"] = msg["infer"]["before"]


class close(Messenger):
    """Discover nothing more."""

    def _pyro_sample(self, msg: Message) -> None:
        if msg["value"] is None and variable(msg) == COUNT.name:
            msg["value"] = msg["fn"].sample() * 0
