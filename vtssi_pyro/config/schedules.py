"""Schedules: pure functions of the training step (App. C), as dataclasses that a configuration holds and prints."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from vtssi_pyro.config.kinds import Kinds

SCHEDULES = Kinds("a schedule", number=lambda value: Constant(value))


@SCHEDULES.register("Constant")
@dataclass(frozen=True)
class Constant:
    """The same value at every step."""

    value: float

    def __call__(self, step: float) -> float:
        """Value at a step."""
        return self.value


@SCHEDULES.register("Linear")
@dataclass(frozen=True)
class Linear:
    """From ``start`` to ``end`` between two steps, constant before and after."""

    start: float
    end: float
    begin: float
    finish: float

    def __call__(self, step: float) -> float:
        """Value at a step."""
        share = (step - self.begin) / (self.finish - self.begin)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


@SCHEDULES.register("Staircase")
@dataclass(frozen=True)
class Staircase:
    """From ``start`` by ``rise`` (of either sign) per ``every`` steps, until ``end``."""

    start: float
    rise: float
    every: float
    end: float

    def __call__(self, step: float) -> float:
        """Value at a step."""
        value = self.start + self.rise * _stairs(step, self.every)
        return min(value, self.end) if self.rise > 0 else max(value, self.end)


@SCHEDULES.register("Drops")
@dataclass(frozen=True)
class Drops:
    """``start``, multiplied by ``factor`` at each of some steps."""

    start: float
    factor: float
    at: tuple[float, ...]

    def __call__(self, step: float) -> float:
        """Value at a step."""
        return self.start * self.factor ** sum(step >= drop for drop in self.at)


@SCHEDULES.register("Decay")
@dataclass(frozen=True)
class Decay:
    """``start``, from ``begin`` on multiplied smoothly by ``rate`` per ``every`` steps, down to ``floor``."""

    start: float
    rate: float
    every: float
    begin: float
    floor: float

    def __call__(self, step: float) -> float:
        """Value at a step."""
        return max(self.start * self.rate ** (max(step - self.begin, 0.0) / self.every), self.floor)


@SCHEDULES.register("Cosine")
@dataclass(frozen=True)
class Cosine:
    """Linear warm-up to ``start`` over ``warmup`` steps, then half a cosine down to ``end`` at ``finish``."""

    start: float
    end: float
    warmup: float
    finish: float

    def __call__(self, step: float) -> float:
        """Value at a step."""
        if step < self.warmup:
            return self.start * (step + 1) / (self.warmup + 1)
        share = min((step - self.warmup) / (self.finish - self.warmup), 1.0)
        return self.start - (self.start - self.end) * (1 - math.cos(math.pi * share)) / 2


@SCHEDULES.register("Flattening")
@dataclass(frozen=True)
class Flattening:
    """Flatness p / (1 + p) of the bell-curve mask; p grows by ``rise`` per ``every`` steps up to ``end``."""

    rise: float
    every: float
    end: float

    def __call__(self, step: float) -> float:
        """Value at a step."""
        p = min(self.rise * _stairs(step, self.every), self.end)
        return p / (1 + p)


def _stairs(step: float, every: float) -> int:
    """Count the stairs climbed by a step; a scaled step may fall a rounding, less than 1e-9, short of one."""
    return math.floor(step / every + 1e-9)


Schedule = Annotated[Callable[[float], float], SCHEDULES]
