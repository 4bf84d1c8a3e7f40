"""The paper's sentences about its comparisons (sections 5.1 to 5.3), each with the statistic that decides it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vtssi_pyro.evaluation.curves import Level

Curve = Mapping[str, Any]  # the content of a curve's file, see vtssi_pyro.paper.curves

OTHER, OWN, BARE = "other", "own", "bare"  # the other model, VTSSI, and VTSSI's weights without their motion
TRACKING, PREDICTION = "tracking", "prediction"  # the kinds of error curves

# px up to which errors count as equal: both other models' digits are drawn at whole pixels.
ALIKE = 1.0
SURE = 2.0  # standard errors by which one mean has to exceed another
DRASTIC = 2.0  # factor from which on more error is a drastic drop of performance
MAGNITUDE = 10.0  # an order of magnitude
# Factor up to which numbers of parameters are roughly equal: by the paper's sizes VTSSI has 1.2 or, with padded
# convolutions, 1.5 times as many as SQAIR (reading D14).
ROUGHLY = 1.5
# Share from which on most parameters are AIR's.
MOST = 0.5


class Number(NamedTuple):
    """A number of a curve's file."""

    party: str
    read: Callable[[Curve], Level | None]
    unit: str
    span: tuple[int, int] | None = None  # first and last frame of an error's mean

    def told(self, curve: Curve, value: Level) -> str:
        """The number in words."""
        error = f" ± {value.sem:.2f}" if self.span else ""
        where = f" in frames {self.span[0]} to {self.span[1]}" if self.span else ""
        return f"{curve['model']}: {value.mean:,.{2 if value.mean < 100 else 0}f}{error} {self.unit}{where}"


class Finding(NamedTuple):
    """The numbers by which a sentence is decided, in words, and whether it holds."""

    found: str
    holds: bool


class Statement(NamedTuple):
    """A sentence of the paper.

    Args:
        sentence: the paper's words.
        statistic: the condition on the numbers.
        numbers: the numbers.
        holds: decides on their values.
    """

    sentence: str
    statistic: str
    numbers: tuple[Number, ...]
    holds: Callable[..., bool]

    def decide(self, parties: Mapping[str, Curve]) -> Finding | None:
        """Decide the sentence by the curves of its parties; None if a number is missing."""
        found, values = [], []
        for number in self.numbers:
            curve = parties.get(number.party)
            value = number.read(curve) if curve else None
            if curve is None or value is None:
                return None
            found.append(number.told(curve, value))
            values.append(value)
        return Finding("; ".join(found), self.holds(*values))


def _error(party: str, kind: str, first: int, last: int) -> Number:
    def read(curve: Curve) -> Level | None:
        level = curve[kind] and curve[kind]["spans"].get(f"{first}-{last}")
        return Level(**level) if level else None

    return Number(party, read, "px", (first, last))


def _hours(party: str) -> Number:
    return Number(party, lambda curve: Level(curve["training"]["hours"], 0.0), "hours of training")


def _parameters(party: str) -> Number:
    return Number(party, lambda curve: Level(curve["parameters"]["all"], 0.0), "parameters")


def _of_air(party: str) -> Number:
    def read(curve: Curve) -> Level:
        return Level(curve["parameters"]["air"] / curve["parameters"]["all"], 0.0)

    return Number(party, read, "of the parameters are AIR's")


def _alike(a: Level, b: Level) -> bool:
    return abs(a.mean - b.mean) <= ALIKE


def _lower(a: Level, b: Level) -> bool:
    return b.mean - a.mean > SURE * (a.sem**2 + b.sem**2) ** 0.5


def _drastic(early: Level, late: Level) -> bool:
    return late.mean >= DRASTIC * early.mean


_ALIKE = f"the two differ by {ALIKE:g} px at most"
_LOWER = f"the first is lower by more than {SURE:g} standard errors of the difference"

_TRACKED = (
    Statement(
        "On both data sets, we see that the tracking performance of SQAIR drops drastically after around 20 steps.",
        f"the second is at least {DRASTIC:g} times the first",
        (_error(OTHER, TRACKING, 1, 20), _error(OTHER, TRACKING, 21, 100)),
        _drastic,
    ),
    Statement(
        "In contrast, VTSSI keeps a constant error over long horizons.",
        _ALIKE,
        (_error(OWN, TRACKING, 1, 20), _error(OWN, TRACKING, 81, 100)),
        _alike,
    ),
    Statement(
        "Unaffected by prediction errors, this model [VTSSI without MOT] achieves even more reliable tracking "
        "performance.",
        _LOWER,
        (_error(BARE, TRACKING, 1, 100), _error(OWN, TRACKING, 1, 100)),
        _lower,
    ),
)  # fmt: skip

# By figure and flavour of the data.
STATEMENTS: Mapping[tuple[str, str], tuple[Statement, ...]] = {
    ("figure5", "ddpae"): (
        Statement(
            "DDPAE and VTSSI are equally faithful to ground truth within the training horizon.",
            _ALIKE,
            (_error(OTHER, PREDICTION, 1, 20), _error(OWN, PREDICTION, 1, 20)),
            _alike,
        ),
        Statement(
            "However, the recurrent prediction cell of DDPAE is unable to generalize beyond the training horizon, it "
            "seems to severely overfit on the training horizon.",
            f"the second is at least {DRASTIC:g} times the first, and exceeds the third by more than {SURE:g} standard "
            "errors of the difference",
            (
                _error(OTHER, PREDICTION, 1, 20),
                _error(OTHER, PREDICTION, 21, 100),
                _error(OWN, PREDICTION, 21, 100),
            ),
            lambda early, late, own: _drastic(early, late) and _lower(own, late),
        ),
    ),
    ("figure6", "sqair"): (
        Statement(
            "On these data, we find SQAIR and VTSSI to perform equally well,",
            _ALIKE,
            (_error(OTHER, PREDICTION, 4, 50), _error(OWN, PREDICTION, 4, 50)),
            _alike,
        ),
        Statement(
            "with slight advantage for VTSSI within the training horizon,",
            _LOWER,
            (_error(OWN, PREDICTION, 4, 10), _error(OTHER, PREDICTION, 4, 10)),
            _lower,
        ),
        Statement(
            "and for SQAIR outside the training horizon, cf. fig. 6a.",
            _LOWER,
            (_error(OTHER, PREDICTION, 11, 50), _error(OWN, PREDICTION, 11, 50)),
            _lower,
        ),
        Statement(
            "Using reference implementations of the original authors, our model required at least an order of "
            "magnitude less wall clock time until convergence.",
            f"the first is at least {MAGNITUDE:g} times the second (of whole trainings, not until convergence)",
            (_hours(OTHER), _hours(OWN)),
            lambda other, own: other.mean >= MAGNITUDE * own.mean,
        ),
        Statement(
            "The amount of parameters was roughly equal",
            f"neither is more than {ROUGHLY:g} times the other",
            (_parameters(OTHER), _parameters(OWN)),
            lambda a, b: max(a.mean, b.mean) <= ROUGHLY * min(a.mean, b.mean),
        ),
        Statement(
            "and most were used by the AIR base model.",
            f"the share is above {MOST:g}",
            (_of_air(OWN),),
            lambda share: share.mean > MOST,
        ),
    ),
    ("figure6", "linear-wide"): (
        Statement(
            "When required to model bouncing behavior, SQAIR falls short of VTSSI.",
            _LOWER,
            (_error(OWN, PREDICTION, 4, 50), _error(OTHER, PREDICTION, 4, 50)),
            _lower,
        ),
    ),
    ("figure7", "sqair"): _TRACKED,
    ("figure7", "linear-wide"): _TRACKED,
}  # fmt: skip

# The spans of frames whose mean errors some sentence needs.
SPANS = sorted({
    number.span
    for statements in STATEMENTS.values()
    for statement in statements
    for number in statement.numbers
    if number.span
})  # fmt: skip
