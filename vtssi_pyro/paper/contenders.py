"""The models that the paper's comparisons set side by side (section 5), and their trainings."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config.variants import PAPER, Ablation
from vtssi_pyro.errors import Argument, CheckpointError, UsageError
from vtssi_pyro.paper.cells import Key
from vtssi_pyro.paper.reproducing import Order, trained
from vtssi_pyro.train.baseline_presets import BASELINES
from vtssi_pyro.train.comparisons import COMPARISONS, Comparison
from vtssi_pyro.train.presets import PRESETS

# The routes to VTSSI that a figure sets beside the other model: the paper's own blocks, then ours.
USUAL = ("paper-fast", "standard")
NAMES = {"ddpae": "DDPAE", "sqair": "SQAIR"}
SEED = 0  # of the trainings: the paper has one of each

# Hours of one core by recipe: processor time of some steps of each stage on an AMD EPYC, times their number, at 90
# GFLOP/s in fp32 matrix products. Those of a recipe that is not listed are not known.
HOURS: Mapping[str, float] = {
    "ddpae fast": 0.9,
    "ddpae published": 28.0,
    "quick-ddpae": 0.15,
    "standard-ddpae": 1.6,
    "paper-fast-ddpae": 11.0,
    "paper-ddpae": 700.0,
    "sqair fast": 1.9,
    "sqair published": 970.0,
    "quick-sqair": 0.1,
    "standard-sqair": 0.5,
    "paper-fast-sqair": 3.4,
    "paper-sqair": 150.0,
}


class Setting(NamedTuple):
    """Data on which the models of a comparison are trained and judged."""

    flavour: str
    model: str  # the other model, a key of COMPARISONS

    @property
    def comparison(self) -> Comparison:
        """The paper's variations for this comparison."""
        return COMPARISONS[self.model]

    def other(self, given: Mapping[str, Path]) -> "Contender":
        """The other model, of a given run if there is one."""
        key, name = Key(self.model, self.flavour, SEED), NAMES[self.model]
        return _taken(Contender(key, next(iter(BASELINES[self.model])), name, name, False), given)


@dataclass(frozen=True)
class Contender:
    """A model of a comparison.

    Args:
        key: its training.
        preset: the preset of that training.
        short: its name.
        title: its name with its blocks, if these are not the whole.
        partner: whether it is a VTSSI, of whatever blocks, and not the other model.
        given: the folder of a run that is taken as this training; None: that of the order.
    """

    key: Key
    preset: str
    short: str
    title: str
    partner: bool
    given: Path | None = None

    @property
    def name(self) -> str:
        """The name of its training."""
        return self.key.training

    @property
    def recipe(self) -> str:
        """The name of its recipe; presets of other people's models may have the same names."""
        return self.preset if self.partner else f"{self.key.variant} {self.preset}"

    def order(self, order: Order) -> Order:
        """An order for its training."""
        return order._replace(preset=self.preset)

    def folder(self, order: Order) -> Path:
        """The folder of its run."""
        return self.given or self.order(order).folder(self.key)

    def command(self, order: Order) -> str:
        """The command that makes its run, or goes on with it."""
        folder = shlex.quote(str(self.folder(order)))
        if (self.folder(order) / "config.json").exists():
            return f"vtssi-pyro fit --out {folder} --resume"
        which = f"--preset {self.preset} --digits {order.digits} --out {folder}"
        return f"vtssi-pyro fit {self.key.flavour} --model {self.key.variant} {which}"

    def run(self, order: Order) -> Run:
        """Its finished run; a missing or unfinished one of the order is trained first.

        Raises:
            UsageError: the folder holds a run of another kind.
            CheckpointError: the run is not finished, and it is not to be trained.
        """
        if self.given is None:
            return trained(self.order(order), self.key)
        run = Run(self.given)
        config = run.config
        pairs = {
            "model": (config.variant, self.key.variant),
            "data": (config.data.source, self.key.flavour),
            "digits": (config.data.digits, order.digits),
        }
        for name, (found, wanted) in pairs.items():
            if found != wanted:
                raise UsageError(
                    Argument("runs"), f" {self.name}={self.given}: its {name} is {found}, not {wanted}"
                )
        if not run.read_summary():
            raise CheckpointError(f"{self.given}: not finished; go on with {self.command(order)}")
        return run


def contenders(setting: Setting, route: str | None, given: Mapping[str, Path]) -> list[Contender]:
    """The models of a comparison: the other one, then VTSSI by each route.

    Args:
        setting: the comparison's data.
        route: one of ROUTES; None: all of USUAL.
        given: folders of runs that are taken as trainings, by the trainings' names.
    """
    flavour, model = setting
    found = [setting.other(given)]
    for name in (route,) if route else USUAL:
        preset, ablation = f"{name}-{model}", setting.comparison.ablation
        family = PRESETS[preset].system.family
        variant, short = family.variants[ablation], "VTSSI" if family is PAPER else "ours"
        title = short if ablation is Ablation.WHOLE else f"{short} ({variant.title})"
        partner = Contender(Key(variant.name, flavour, SEED), preset, short, title, True)
        found.append(_taken(partner, given))
    return found


def plan(parties: Iterable[Contender], order: Order) -> list[str]:
    """Lines that say which trainings are still to be made, and how long they take."""
    lines = []
    for party in dict.fromkeys(parties):
        run = Run(party.folder(order))
        begun = (run.folder / "config.json").exists()
        if begun and run.read_summary():
            continue
        steps = (run.config if begun else party.order(order).config(party.key)).train.steps
        done = max((record["step"] for record in run.records()), default=0)
        hours = HOURS.get(party.recipe)
        left = "an unknown time" if hours is None else f"about {hours * (1 - done / steps):.1f} hours"
        state = f"step {done:,} of {steps:,}" if begun else f"{steps:,} steps"
        lines.append(f"{party.name}, {party.title} by preset {party.preset}: {state}, {left} of one core")
    return lines


def _taken(contender: Contender, given: Mapping[str, Path]) -> Contender:
    """A contender with the run that is given for it, if there is one, whose preset and seed are its own."""
    folder = given.get(contender.name)
    if folder is None:
        return contender
    config = Run(folder).config
    return replace(
        contender, key=contender.key._replace(seed=config.seed), preset=config.preset, given=folder
    )
