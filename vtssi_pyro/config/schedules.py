"""Schedules: pure functions of the training step (App. C), as dataclasses that a configuration holds and prints."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from vtssi_pyro.config.declared import Declared, Range
from vtssi_pyro.config.kinds import Kinds
from vtssi_pyro.config.ranges import MOST_STEPS, NUMBER, SMALL, STEP
from vtssi_pyro.errors import UsageError

SCHEDULES = Kinds("a schedule", number=lambda value: Constant(value))
PERIOD = Range(SMALL, MOST_STEPS)  # steps, by which something is divided


@SCHEDULES.register("Constant")
@dataclass(frozen=True)
class Constant(Declared):
    """The same value at every step."""

    value: Annotated[float, NUMBER, "The value."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        return self.value

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return self.value, self.value


@SCHEDULES.register("Linear")
@dataclass(frozen=True)
class Linear(Declared):
    """From ``start`` to ``end`` between two steps, constant before and after."""

    start: Annotated[float, NUMBER, "First value."]
    end: Annotated[float, NUMBER, "Last value."]
    begin: Annotated[float, STEP, "Last step with the first value."]
    finish: Annotated[float, STEP, "First step with the last value; after begin."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        share = (step - self.begin) / (self.finish - self.begin)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return min(self.start, self.end), max(self.start, self.end)

    def relate(self, where: str) -> None:
        """Refuse an end that is not after the beginning."""
        _after(where, "finish", self.finish, "begin", self.begin)


@SCHEDULES.register("Staircase")
@dataclass(frozen=True)
class Staircase(Declared):
    """From ``start`` by ``rise`` (of either sign) per ``every`` steps, until ``end``."""

    start: Annotated[float, NUMBER, "First value."]
    rise: Annotated[float, NUMBER, "Height of a stair, negative to go down."]
    every: Annotated[float, PERIOD, "Steps on a stair."]
    end: Annotated[float, NUMBER, "Last value."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        value = self.start + self.rise * _stairs(step, self.every)
        return min(value, self.end) if self.rise > 0 else max(value, self.end)

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return min(self.start, self.end), max(self.start, self.end)


@SCHEDULES.register("Drops")
@dataclass(frozen=True)
class Drops(Declared):
    """``start``, multiplied by ``factor`` at each of some steps."""

    start: Annotated[float, NUMBER, "First value."]
    factor: Annotated[float, Range(0, 1), "Share of the value that is left after a drop."]
    at: Annotated[tuple[float, ...], STEP, "Steps of the drops."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        return self.start * self.factor ** sum(step >= drop for drop in self.at)

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        last = self.start * self.factor ** len(self.at)
        return min(self.start, last), max(self.start, last)


@SCHEDULES.register("Decay")
@dataclass(frozen=True)
class Decay(Declared):
    """``start``, from ``begin`` on multiplied smoothly by ``rate`` per ``every`` steps, down to ``floor``."""

    start: Annotated[float, Range(0, NUMBER.high), "First value."]
    rate: Annotated[float, Range(0, 1, "(]"), "Share of the value that is left after every period."]
    every: Annotated[float, PERIOD, "Steps of a period."]
    begin: Annotated[float, STEP, "Step from which on the value falls."]
    floor: Annotated[float, NUMBER, "Least value."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        return max(self.start * self.rate ** (max(step - self.begin, 0.0) / self.every), self.floor)

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        first = max(self.start, self.floor)
        return (first if self.rate == 1 else max(self.floor, 0.0)), first


@SCHEDULES.register("Cosine")
@dataclass(frozen=True)
class Cosine(Declared):
    """Linear warm-up to ``start`` over ``warmup`` steps, then half a cosine down to ``end`` at ``finish``."""

    start: Annotated[float, NUMBER, "Value at the end of the warm-up."]
    end: Annotated[float, NUMBER, "Last value."]
    warmup: Annotated[float, STEP, "Steps of the warm-up."]
    finish: Annotated[float, STEP, "First step with the last value; after the warm-up."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        if step < self.warmup:
            return self.start * (step + 1) / (self.warmup + 1)
        share = min((step - self.warmup) / (self.finish - self.warmup), 1.0)
        return self.start - (self.start - self.end) * (1 - math.cos(math.pi * share)) / 2

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        some = (self.start / (self.warmup + 1), self.start, self.end)
        return min(some), max(some)

    def relate(self, where: str) -> None:
        """Refuse an end that is not after the warm-up."""
        _after(where, "finish", self.finish, "warmup", self.warmup)


@SCHEDULES.register("Flattening")
@dataclass(frozen=True)
class Flattening(Declared):
    """Flatness p / (1 + p) of the bell-curve mask; p grows by ``rise`` per ``every`` steps up to ``end``."""

    rise: Annotated[float, Range(0, NUMBER.high), "Growth of p per period."]
    every: Annotated[float, PERIOD, "Steps of a period."]
    end: Annotated[float, Range(0, NUMBER.high), "Last p."]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        p = min(self.rise * _stairs(step, self.every), self.end)
        return p / (1 + p)

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return 0.0, self.end / (1 + self.end)


def _after(where: str, later: str, end: float, earlier: str, begin: float) -> None:
    if end <= begin:
        raise UsageError(
            f"{where}{later}: expected a step after {where}{earlier}, which is {begin:g}, found {end:g}"
        )


def _stairs(step: float, every: float) -> int:
    """Count the stairs climbed by a step; a scaled step may fall a rounding, less than 1e-9, short of one."""
    return math.floor(step / every + 1e-9)


Schedule = Annotated[Callable[[float], float], SCHEDULES]
