"""Fixtures: one thread, fresh seeds and parameter store, and small trackers in float64."""

import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pyro
import pytest
import torch
from named_cases import CASES, cases_of
from small_model import FINDERS, SIDE, small
from torch import Tensor

from vtssi_pyro.artifacts import figures
from vtssi_pyro.config.variants import PAPER
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.tracker import Tracker, build

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:  # as a shell starts nohup ... &; tests send both
        signal.signal(number, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regen-golden", action="store_true", help="rewrite the files of tests/golden")


SUMMARISES = pytest.StashKey[bool]()  # whether all tests have run


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests of a reliability case: ``-m case`` runs all of them, ``-m "case(number=16)"`` those of one."""
    for number in cases_of(item.nodeid):
        item.add_marker(pytest.mark.case(number=number))


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> Generator[None, Any, Any]:
    """Name the cases of a test in the lines of ``-v``, but not in the summary, whose lines may be of several tests."""
    status = yield
    if config.stash.get(SUMMARISES, False):
        return status
    told = "; ".join(f"case {number}, {CASES[number].name}" for number in cases_of(report.nodeid))
    if status[2] and told:
        word, colours = (status[2], {}) if isinstance(status[2], str) else status[2]
        status = (*status[:2], (f"{word} ({told})", colours))
    return status


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a line for every case if cases were asked for."""
    config.stash[SUMMARISES] = True
    if "case" not in config.option.markexpr:
        return
    counts: dict[int, Counter[str]] = {number: Counter() for number in CASES}
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in terminalreporter.stats.get(outcome, []):
            for number in cases_of(report.nodeid):
                counts[number][outcome] += 1
    terminalreporter.section("reliability cases")
    for number, found in counts.items():
        told = ", ".join(f"{count} {outcome}" for outcome, count in found.items()) or "not run"
        terminalreporter.line(f"case {number}, {CASES[number].name}: {told}")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    """Seeds, an empty parameter store and Pyro's checks; nothing that a test does outlives it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pyro.clear_param_store()
    with pyro.validation_enabled(True):
        yield
    pyro.clear_param_store()


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """The curves of a training are empty files; drawing them takes a third of the time of a tiny one."""
    with pytest.MonkeyPatch.context() as patch:
        for draw in ("learning_curves", "error_curves"):
            patch.setattr(figures, draw, lambda path, *numbers: path.touch())
        yield


@pytest.fixture(params=PAPER.names)
def variant(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=FINDERS)
def finder(request: pytest.FixtureRequest, variant: str) -> str:
    if variant == "air" and request.param != "learned":
        pytest.skip("AIR has no finder")
    return request.param


@pytest.fixture
def tiny() -> Callable[..., Tracker]:
    """Make a small tracker: ``tiny(variant, finder, num_objects=2, count=4.0, config=None)``.

    ``count`` is the bias of the proposed count's mean; at 4 both objects are active, at -4 only the first is.
    """

    def make(
        variant: str = "vtssi",
        finder: str = "learned",
        num_objects: int = 2,
        count: float = 4.0,
        config: ModelConfig | None = None,
    ) -> Tracker:
        tracker = build(variant, config or small(finder, num_objects)).double().eval()
        with torch.no_grad():
            tracker.attention.counter.body.loc[-1].bias.fill_(count)
        return tracker

    return make


def soft_blobs(num_sequences: int = 2, length: int = 6, side: int = SIDE) -> Tensor:
    """Sequences (B, T, H, W) of two soft blobs on straight paths, float64 in [0, 1]; no two alike."""
    centre = 12 * torch.rand(num_sequences, 1, 2, 2, dtype=torch.float64) + 4
    velocity = 2 * torch.rand(num_sequences, 1, 2, 2, dtype=torch.float64) - 1
    path = centre + velocity * torch.arange(length, dtype=torch.float64).view(-1, 1, 1)  # (B, T, 2, 2)
    axis = torch.arange(side, dtype=torch.float64) + 0.5
    x = torch.exp(-0.5 * ((axis - path[..., :1]) / 1.5) ** 2)  # (B, T, 2, W)
    y = torch.exp(-0.5 * ((axis - path[..., 1:]) / 2.5) ** 2)
    return (y.unsqueeze(-1) * x.unsqueeze(-2)).sum(-3).clamp(0, 1)


@pytest.fixture
def blobs() -> Callable[..., Tensor]:
    """Make frames: ``blobs(num_sequences=2, length=6)``."""
    return soft_blobs


@pytest.fixture
def frames() -> Tensor:
    return soft_blobs()


@pytest.fixture
def config() -> ModelConfig:
    """The configuration of ``tiny``."""
    return small()
