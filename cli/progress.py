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
        self.step = self.last = self.made = 0
        self.since = time.monotonic()
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
        return watched(dataset, doing, times, self._speak)

    def begin(self, config: Config, step: int) -> None:
        """Print the step at which the training starts."""
        self.train, self.since = config.train, time.monotonic()
        self.step = self.last = step
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
            pace, left = self._pace()
            self.say(
                f"step {record['step']} of {self.train.steps}, {training_line(record)}; {pace}, {left} left of the "
                "training"
            )

    def end(self) -> None:
        """Do nothing."""

    def _pace(self) -> tuple[str, str]:
        """Compute the sequences per second since the last call, and the time left at that pace."""
        now = time.monotonic()
        seconds = max(now - self.since, 1e-9) / max(self.made, 1)
        begun = self.train.locate(max(self.last - 1, 0))[0] != (
            stage := self.train.locate(max(self.step - 1, 0))[0]
        )
        self.since, self.last, self.made = now, self.step, 0
        pace = f"{stage.batch / seconds:.0f} sequences/s"
        if begun:  # a stage's first steps also prepare it
            return pace, "?"
        return pace, tqdm.format_interval(seconds * (self.train.steps - self.step))


class Bar(Lines):
    """A bar with the stage, the step and the remaining time, and below it the last record."""

    def begin(self, config: Config, step: int) -> None:
        """Draw the bar."""
        super().begin(config, step)
        # smoothing: the pace of about the last 20 updates, so that a new stage's pace shows soon
        self.bar = tqdm(
            total=config.train.steps, initial=step, dynamic_ncols=True, smoothing=0.05,
            bar_format="{desc:<8}|{bar}| step {n_fmt} of {total_fmt}, {remaining} left of the training",
        )  # fmt: skip
        self.detail = tqdm(total=0, dynamic_ncols=True, position=1, bar_format="{desc}")

    def advance(self, step: int, stage: str) -> None:
        """Move the bar."""
        super().advance(step, stage)
        if self.bar.desc != f"{stage} ":
            self.bar.set_description_str(f"{stage} ", refresh=False)
        self.bar.update(step - self.bar.n)  # a stage that ends early leaves steps out

    def record(self, record: dict[str, Any]) -> None:
        """Renew the line below the bar, or write one above it."""
        if record["kind"] == "validation":
            tqdm.write(validation_line(record), file=sys.stderr)
            self.since = time.monotonic()
        else:
            self.detail.set_description_str(f"{training_line(record)}; {self._pace()[0]}")

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
    dataset: Dataset, doing: str, times: int = 1, speak: Callable[[str], None] = say
) -> Iterator[Any]:
    """Wrap a data set to tell how far the reading of its frames is, all of them ``times`` times.

    On a terminal a bar moves; elsewhere a line is printed every minute.
    """
    total = times * len(dataset)
    with tqdm(total=total, desc=doing, unit=" sequences", disable=not is_terminal(), leave=False) as bar:
        yield _Watched(dataset, bar, _Minutes(total, doing, speak))


class _Minutes:
    """A line for every minute of long work, where there is no bar."""

    def __init__(self, total: int, doing: str, speak: Callable[[str], None]) -> None:
        self._total, self._doing, self._speak = total, doing, speak
        self._done, self._begun = 0, time.monotonic()
        self._told = self._begun

    def update(self, number: int) -> None:
        self._done += number
        now = time.monotonic()
        if now - self._told < PATIENCE or is_terminal():
            return
        self._told = now
        left = (now - self._begun) / self._done * (self._total - self._done)
        self._speak(
            f"{self._doing}: {self._done} of {self._total} sequences, {tqdm.format_interval(left)} left"
        )


class _Watched:
    def __init__(self, dataset: Dataset, bar: Any, minutes: _Minutes) -> None:
        self._dataset, self._bar, self._minutes = dataset, bar, minutes

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dataset, name)

    def frames(self, *args: Any, **kwargs: Any) -> Any:
        frames = self._dataset.frames(*args, **kwargs)
        self._bar.update(len(frames))
        self._minutes.update(len(frames))
        return frames
