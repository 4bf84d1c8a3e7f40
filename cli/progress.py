"""Progress of the library's work: bars on a terminal, plain lines elsewhere, names of files on stdout."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

from vtssi_pyro.data import Dataset
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.recipe import TrainConfig

from .options import detail, is_terminal, say, speaks, warn

PATIENCE = 60.0  # seconds without a word


class Lines:
    """A :class:`~vtssi_pyro.train.reporting.Reporter` that prints a line for every record.

    Results go to stdout: lines and names of files at once, or one JSON object at the end (:func:`results`).

    Args:
        speak: prints messages for people.
        as_json: whether results are one JSON object.
    """

    def __init__(self, speak: Callable[[str], None] = say, as_json: bool = False) -> None:
        self.train = TrainConfig()
        self.step = self.made = 0
        self.since = time.monotonic()
        self.ends: float | None = None  # when all work is expected to be done, on the same clock
        self._speak = speak
        self._whole: dict[str, Any] | None = {} if as_json else None

    def say(self, message: str) -> None:
        """Print a message for people."""
        self._speak(message)

    def warn(self, message: str) -> None:
        """Print a warning to stderr."""
        warn(message)

    def wrote(self, path: Path) -> None:
        """Print a file's name to stdout."""
        detail(f"wrote {path}")
        self.show({"files": [str(path)]}, [click.format_filename(path)])

    def found(self, what: Mapping[str, Any]) -> None:
        """Keep findings for the JSON object; people have been told."""
        self.show(what, [])

    def show(self, what: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Print results: in lines for people, or as entries of the JSON object, of which lists go on."""
        if self._whole is None:
            for line in lines:
                click.echo(line)
            return
        for name, value in what.items():
            if name == "files":
                value = [*self._whole.get(name, []), *value]
            self._whole[name] = value

    def close(self) -> None:
        """Print the JSON object."""
        if self._whole is not None and speaks():
            click.echo(json.dumps(self._whole, allow_nan=False))

    def watched(self, dataset: Dataset, doing: str, times: int = 1) -> AbstractContextManager[Dataset]:
        """Wrap a data set to move a bar; see :func:`watched`."""
        detail(f"{doing}: {len(dataset)} sequences of {dataset.length} frames")
        if self.ends is not None:
            self.say(f"{doing}; {self.left()} left")
        return watched(dataset, doing, times, self._speak, self.left)

    def expects(self, seconds: float) -> None:
        """Keep the time at which all work is done; once it is, nothing is expected."""
        self.ends = time.monotonic() + seconds if seconds else None

    def left(self, least: float = 0.0) -> str:
        """The time that all work still takes, at least so many seconds; "?" if nothing is known."""
        if self.ends is not None:
            least = max(self.ends - time.monotonic(), least)
        elif not least:
            return "?"
        return tqdm.format_interval(least)

    def begin(self, config: Config, step: int) -> None:
        """Print the step at which the training starts."""
        self.train, self.since, self.ends = config.train, time.monotonic(), None
        self.step = step
        if step:
            self.say(f"going on after step {step} of {self.train.steps}")

    def stopping(self) -> bool:
        """Never: signals stop a command."""
        return False

    def advance(self, step: int, stage: str) -> None:
        """Count a step."""
        self.step, self.made = step, self.made + 1

    def record(self, record: dict[str, Any]) -> None:
        """Print a line."""
        if record["kind"] == "validation":
            self.say(validation_line(record))
            self.since = time.monotonic()  # the evaluation's time does not count for the pace
        else:
            line = f"step {record['step']} of {self.train.steps}, {training_line(record)}"
            self.say(f"{line}; {self._pace()}, {self.left()} left")

    def end(self) -> None:
        """Do nothing."""

    def _pace(self) -> str:
        """The sequences per second since the last call."""
        now = time.monotonic()
        seconds = max(now - self.since, 1e-9) / max(self.made, 1)
        stage, _ = self.train.locate(max(self.step - 1, 0))
        self.since, self.made = now, 0
        return f"{stage.batch / seconds:.0f} sequences/s"


class Bar(Lines):
    """A bar with the stage, the step and the remaining time, and below it the last record."""

    def begin(self, config: Config, step: int) -> None:
        """Draw the bar."""
        super().begin(config, step)
        self.bar = tqdm(
            total=config.train.steps, initial=step, dynamic_ncols=True,
            bar_format="{desc:<8}|{bar}| step {n_fmt} of {total_fmt}{postfix}",
        )  # fmt: skip
        self.detail = tqdm(total=0, dynamic_ncols=True, position=1, bar_format="{desc}")

    def advance(self, step: int, stage: str) -> None:
        """Move the bar."""
        super().advance(step, stage)
        if self.bar.desc != f"{stage} ":
            self.bar.set_description_str(f"{stage} ", refresh=False)
        self.bar.set_postfix_str(f"{self.left()} left", refresh=False)
        self.bar.update(step - self.bar.n)  # a stage that ends early leaves steps out

    def record(self, record: dict[str, Any]) -> None:
        """Renew the line below the bar, or write one above it."""
        if record["kind"] == "validation":
            tqdm.write(validation_line(record), file=sys.stderr)
            self.since = time.monotonic()
        else:
            self.detail.set_description_str(f"{training_line(record)}; {self._pace()}")

    def end(self) -> None:
        """Leave the bar and continue below it."""
        self.bar.close()
        self.detail.close()


def reporter(as_json: bool = False, speak: Callable[[str], None] = say) -> Lines:
    """Make a bar if stderr is a terminal, else lines.

    Args:
        as_json: whether results are one JSON object.
        speak: prints messages for people.
    """
    found = versions()
    threads = torch.get_num_threads()
    detail(f"{', '.join(f'{name} {number}' for name, number in found.items())}; threads: {threads}")
    made = Bar if is_terminal() else Lines
    return made(speak, as_json)


@contextmanager
def results(as_json: bool = False, speak: Callable[[str], None] = say) -> Iterator[Lines]:
    """Yield a :func:`reporter`, and print its JSON object, if any, at the end."""
    report = reporter(as_json, speak)
    yield report
    report.close()


def training_line(record: dict[str, Any]) -> str:
    """Describe a training record: stage, length, ELBO and terms."""
    terms = record["terms"]
    name = "ELBO" if record["bound"] else "objective"
    frames = "1 frame" if record["length"] == 1 else f"{record['length']} frames"
    each = ", ".join(f"{term} {value:.1f}" for term, value in terms.items())
    return f"{record['stage']}, {frames}: {name} {record['objective']:.1f} ({each})"


def validation_line(record: dict[str, Any]) -> str:
    """Describe a validation record: ELBO and metrics."""
    parts = [f"ELBO {record['elbo']:.1f}"]
    if record.get("count_accuracy") is not None:
        parts.append(f"count accuracy {100 * record['count_accuracy']:.1f} %")
    for key in ("inference_error", "prediction_error"):
        if record.get(key) is not None:
            parts.append(f"{key.replace('_', ' ')} {record[key]:.2f} px")
    return f"held-out sequences after step {record['step']}: {', '.join(parts)}"


@contextmanager
def watched(
    dataset: Dataset,
    doing: str,
    times: int = 1,
    speak: Callable[[str], None] = say,
    left: Callable[[float], str] = tqdm.format_interval,
) -> Iterator[Any]:
    """Wrap a data set to tell how far the work on its frames is, all of which it reads ``times`` times.

    Frames count as done when the next ones are read. On a terminal a bar moves; elsewhere a line is printed every
    minute.

    Args:
        dataset: the data set.
        doing: the work, in one word.
        times: the number of times that each sequence is read.
        speak: prints the lines.
        left: words for the time left, given the seconds that this work still takes at its pace.
    """
    total = times * len(dataset)
    with tqdm(
        total=total, desc=doing, disable=not is_terminal(), leave=False, dynamic_ncols=True,
        bar_format="{desc}|{bar}| {n_fmt} of {total_fmt} sequences{postfix}",
    ) as bar:  # fmt: skip
        yield _Watched(dataset, _Pace(total, doing, speak, left, bar))


class _Pace:
    """How far long work is: a bar or, where there is none, a line for every minute."""

    def __init__(
        self, total: int, doing: str, speak: Callable[[str], None], left: Callable[[float], str], bar: Any
    ) -> None:
        self._total, self._doing, self._speak, self._left, self._bar = total, doing, speak, left, bar
        self._done, self._begun = 0, time.monotonic()
        self._told = self._begun

    def update(self, number: int) -> None:
        if not number:
            return
        self._done += number
        now = time.monotonic()
        left = self._left((now - self._begun) / self._done * max(self._total - self._done, 0))
        self._bar.set_postfix_str(f"{left} left", refresh=False)
        self._bar.update(number)
        if now - self._told < PATIENCE or is_terminal():
            return
        self._told = now
        self._speak(f"{self._doing}: {self._done} of {self._total} sequences, {left} left")


class _Watched:
    def __init__(self, dataset: Dataset, pace: _Pace) -> None:
        self._dataset, self._pace, self._read = dataset, pace, 0

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def frames(self, *args: Any, **kwargs: Any) -> Any:
        self._pace.update(self._read)
        frames = self._dataset.frames(*args, **kwargs)
        self._read = len(frames)
        return frames
