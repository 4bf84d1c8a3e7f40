"""The memory and the time that a forecast takes, estimated before it begins."""

import time
from typing import NamedTuple

import torch

from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.artifacts.opening import PART, Opened
from vtssi_pyro.data.dataset import channels_of
from vtssi_pyro.errors import Argument
from vtssi_pyro.evaluation.futures import COPIES
from vtssi_pyro.inference.filter import forecast
from vtssi_pyro.system.memory import FLOAT, places, refuse_beyond_memory
from vtssi_pyro.train.reporting import Reporter

CALIBRATED = 2  # sampled positions are held as they are drawn, and as they are calibrated
FRAMES = 2  # copies of predicted frames that are held while they are drawn, beside one copy for each object
TOLD = 60.0  # seconds from which on the time is told
# Positions of objects in predicted frames, of all samples, that any machine predicts in less time than that.
SOON = 2**20
TRIAL = (4, 2048)  # frames ahead and samples of a trial, which takes parts of a second


class Forecast(NamedTuple):
    """The size of a forecast."""

    seen: int  # observed frames of a sequence
    horizon: int  # frames beyond them
    num_samples: int
    rendered: bool  # whether the frames of all sequences are kept


def refuse_large(asked: Forecast, frames: Opened, loaded: Loaded) -> None:
    """Refuse a forecast that takes more memory than is free.

    Raises:
        OutOfResources: so much is not free.
    """
    sequences, tracker = len(frames.data), loaded.tracker
    length, pixels = asked.seen + asked.horizon, channels_of(frames.data) * tracker.frame_size**2
    together = sequences if frames.in_memory else min(sequences, PART)
    positions = places(CALIBRATED, COPIES, asked.num_samples, sequences, length, tracker.num_objects)
    drawn = together * asked.horizon * pixels * (FRAMES + tracker.num_objects)
    kept = sequences * length * pixels * asked.rendered
    work = f"a forecast of {asked.horizon:,} frames with {asked.num_samples:,} samples of {sequences:,} sequences"
    refuse_beyond_memory(
        positions + FLOAT * (drawn + kept), work,
        "ask for less with ", Argument("horizon"), " or ", Argument("num_samples"),
    )  # fmt: skip


def tell_time(asked: Forecast, frames: Opened, loaded: Loaded, report: Reporter) -> None:
    """Tell how long a long forecast takes, by a trial on the first sequence."""
    sequences, objects = len(frames.data), loaded.tracker.num_objects
    work = sequences * objects * asked.horizon * (1 + asked.num_samples)
    if work < SOON:
        return
    horizon, samples = min(asked.horizon, TRIAL[0]), min(asked.num_samples, TRIAL[1])
    x = frames.data.frames(torch.arange(1), length=asked.seen).to(next(loaded.tracker.parameters()))
    seconds = []
    for number in (1, samples + 1):  # the difference is the samples' own time
        start = time.perf_counter()
        forecast(loaded.tracker, x, horizon, number)
        seconds.append(time.perf_counter() - start)
    each = max(seconds[1] - seconds[0], 0.0) / (max(samples, 1) * horizon * objects)
    total = each * work
    if total > TOLD:
        report.say(f"sampling takes about {total / 60:,.0f} minutes")
