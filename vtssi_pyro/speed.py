"""Speed and memory of training, tracking and sampling on this machine."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import Tensor

from vtssi_pyro.config.ranges import MOST_STEPS
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.data import MovingDigits, load_digits, moving_digits
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.inference import filter as predict
from vtssi_pyro.inference.standalone import build
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.train.checks import check, check_data
from vtssi_pyro.train.config import Config, renamed
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.train.trainer import Trainer

WARM_UP = 5  # calls before the clock runs: allocations, thread pools, the capture of CUDA graphs
# Sequences and frames that are tracked in one call: the batch that judges use, the paper's length.
TRACKED = (64, 20)
# Sequences, frames ahead and samples of each: a batch of forecasts as far as the paper's sequences.
FUTURES = (16, 20, 10)
# Side of the matrices that measure the machine's speed: large enough to keep a CPU's cores busy.
PRODUCT = 1024


def workload(
    variant: str | None = None,
    preset: str = "standard",
    *,
    batch: int = 16,
    length: int = 10,
    frame: int | None = None,
    objects: int = 2,
    sequences: int = 1000,
) -> Config:
    """Configure a preset's model and a recipe of one stage: the full ELBO, every block trained.

    Args:
        variant: one of the preset's; None: its default.
        preset: key of PRESETS.
        batch: sequences of a training step.
        length: frames of a sequence.
        frame: side of the frames, pixels; None: the preset's.
        objects: largest number of objects in a frame.
        sequences: number of sequences of the data set.

    Returns:
        The configuration.
    """
    if preset not in PRESETS:
        raise UsageError(Argument("preset"), f" {preset}: expected one of {', '.join(PRESETS)}")
    config = PRESETS[preset](variant)
    model = replace(config.model, frame_size=frame or config.model.frame_size, num_objects=objects)
    return timed(replace(config, model=model), batch=batch, length=length, sequences=sequences)


def timed(config: Config, *, batch: int = 16, length: int = 10, sequences: int = 1000) -> Config:
    """Configure a model's own recipe of one stage, as :func:`workload`, on moving digits.

    Args:
        config: a configuration, such as that of trained weights.
        batch: sequences of a training step.
        length: frames of a sequence.
        sequences: number of sequences of the data set.
    """
    analytic = config.train.stages[-1].analytic
    stage = Stage("benchmark", MOST_STEPS, batch=batch, length=Constant(length), analytic=analytic)
    source = "linear-overlap"  # frames need not have room for all objects side by side
    data = replace(config.data, source=source, sequences=sequences, length=length)
    return replace(config, data=data, train=replace(config.train, stages=(stage,)))


def digits(config: Config, sequences: int, length: int) -> MovingDigits:
    """Draw moving digits of a configuration's flavour and size."""
    model, sprites = config.model, load_digits("embedded", "train")
    return moving_digits(
        config.data.source, sprites, sequences=sequences, length=length,
        frame_size=model.frame_size, objects=model.num_objects, seed=config.seed,
    )  # fmt: skip


def trainer(config: Config, device: torch.device) -> Trainer:
    """Make the trainer that ``fit`` drives; a call of ``advance`` is one step.

    Raises:
        UsageError: the configuration cannot be trained.
        DataError: the sequences are too short for the variant.
    """
    config = renamed(config)
    built = check(config)
    data = digits(config, config.data.sequences, config.data.length)
    check_data(config, data, built)
    return Trainer(build(config.model).to(device), config, data.to(device), device)


@contextmanager
def as_in_training() -> Iterator[None]:
    """Set the state of ``fit`` around its steps: validation off, a parameter store of its own, a seed."""
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        torch.manual_seed(0)
        yield


def measure(
    config: Config, device: torch.device, repeats: int = 10, tracker: Tracker | None = None
) -> dict[str, Any]:
    """Time training, tracking, streaming and sampling of a tracker.

    Args:
        config: a configuration of :func:`workload` or :func:`timed`.
        device: the device to run on.
        repeats: number of timings, of which the median counts.
        tracker: a trained tracker of this configuration, in evaluation mode, that tracks and samples: how long that
            takes depends on what it sees. None: the one whose steps of training were timed.

    Returns:
        the values of :func:`measure_training` and ``track_frames_per_second`` (TRACKED sequences in one call, observed
        frames), ``stream_latency_seconds`` (see :func:`stream_latency`), ``sample_frames_per_second`` (see
        :func:`sampling_speed`), ``peak_memory_bytes`` (of all of these), ``gflops``, and the sizes. A value is None if
        the tracker cannot do its task.

    Raises:
        UsageError: the configuration cannot be trained.
        DataError: the sequences are too short for the variant.
    """
    found: dict[str, Any] = {
        "variant": renamed(config).variant,
        "preset": config.preset,
        "batch": config.train.stages[0].batch,
        "length": config.data.length,
        "frame": config.model.frame_size,
        "objects": config.model.num_objects,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "repeats": repeats,
    }
    with as_in_training():
        trained = trainer(config, device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        found |= measure_training(trained, repeats)
        tracker = tracker or trained.trained.eval()
        frames = digits(config, *TRACKED).frames(slice(None)).to(device)
        took = median_seconds(lambda: predict.track(tracker, frames), repeats, device)
        found["track_frames_per_second"] = frames.shape[0] * frames.shape[1] / took
        streamed = digits(config, 1, predict.Stream(tracker).needed + TRACKED[1]).frames(slice(None))
        found["stream_latency_seconds"] = stream_latency(tracker, streamed.to(device), repeats)
        found["sample_frames_per_second"] = sampling_speed(tracker, frames[:, : config.observe], repeats)
    found["peak_memory_bytes"] = peak_memory(device)
    found["gflops"] = matrix_speed(device, repeats)
    return found


def measure_training(trained: Trainer, repeats: int) -> dict[str, Any]:
    """Time whole training steps: drawing of frames, ELBO, gradient, global-norm clip, optimiser, averaged weights.

    Returns:
        ``train_step_seconds``; ``train_sequences_per_second``; ``draw_seconds``, the share of a step in which its
        frames are drawn; ``start_memory_bytes``, the peak before the first step (libraries, data, weights), and
        ``train_memory_bytes``, the peak after the last one.
    """
    device, batch = trained.device, trained.config.train.stages[0].batch
    start = peak_memory(device)
    step = median_seconds(trained.advance, repeats, device)
    peak = peak_memory(device)
    return {
        "train_step_seconds": step,
        "train_sequences_per_second": batch / step,
        "draw_seconds": median_seconds(lambda: trained.batches(trained.step), repeats, device),
        "start_memory_bytes": start,
        "train_memory_bytes": peak,
    }


def stream_latency(tracker: Tracker, frames: Tensor, repeats: int) -> float:
    """Measure the seconds from a new frame to its tracks, for frames that come one at a time.

    It is the median over all frames after the first tracks, which wait for several frames.

    Args:
        tracker: a tracker in evaluation mode.
        frames: (B, T, C, H, W), more than the stream's first tracks wait for.
        repeats: number of times that the sequences are streamed.

    Returns:
        seconds.
    """
    seconds = []
    for repeat in range(1 + repeats):  # the first one warms up
        stream, waiting = predict.Stream(tracker), True
        for frame in frames.split(1, 1):
            took, estimate = _timed(partial(stream.push, frame), frames.device)
            if repeat and not waiting:
                seconds.append(took)
            waiting = waiting and estimate is None
    return statistics.median(seconds)


def sampling_speed(tracker: Tracker, observed: Tensor, repeats: int) -> float | None:
    """Measure the sampled future frames per second of :func:`~vtssi_pyro.inference.filter.forecast`.

    One sampled frame is the positions of all objects of one sequence, in one frame beyond the observed ones, in one
    sample; it is not rendered. The time is that of the whole call: besides the samples it infers the observed frames
    once a sample, and renders the modes.

    Args:
        tracker: a tracker in evaluation mode.
        observed: (S, T, C, H, W), the observed frames, S at least the sequences of FUTURES.
        repeats: number of timings, of which the median counts.

    Returns:
        frames per second; None if the tracker does not predict.
    """
    if not tracker.motion.predicts:
        return None
    sequences, horizon, samples = FUTURES
    observed = observed[:sequences]
    took = median_seconds(
        lambda: predict.forecast(tracker, observed, horizon, samples), repeats, observed.device
    )
    return len(observed) * horizon * samples / took


def matrix_speed(device: torch.device, repeats: int) -> float:
    """Measure the machine's own speed in fp32 matrix products of 1024 x 1024, GFLOP/s."""
    a, b = torch.rand(2, PRODUCT, PRODUCT, device=device)
    return 2 * PRODUCT**3 / median_seconds(lambda: a @ b, max(repeats, 10), device) / 1e9


def alternating(
    steps: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device | None = None
) -> dict[str, list[float]]:
    """Time steps in turn, round by round, so that a busy machine slows all of them alike; seconds of each."""
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            seconds[name].append(_timed(step, device)[0])
    return seconds


def median_seconds(step: Callable[[], Any], repeats: int, device: torch.device | None = None) -> float:
    """Measure the median seconds of a call after warm-up."""
    return statistics.median(alternating({"": step}, repeats, device)[""])


def peak_memory(device: torch.device) -> int | None:
    """Return the peak memory so far, bytes: torch's on CUDA, else the process's resident set; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    with suppress(OSError, StopIteration):  # Linux's rusage starts from the peak of the parent process
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # bytes on macOS, kilobytes elsewhere


def _timed(step: Callable[[], Any], device: torch.device | None) -> tuple[float, Any]:
    """Return seconds and result of a call; CUDA works on after a call returns, so the device is synchronised."""
    cuda = device is not None and device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    result = step()
    if cuda:
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, result
