"""Help is there at once, and says what the library says."""

import json
import os
import subprocess
import sys

import pytest
from tiny_run import call
from vtssi_pyro.cli import options
from vtssi_pyro.cli.main import COMMANDS

from vtssi_pyro.data import FLAVOURS, SOURCES, SPLITS
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.movies import background, inspection
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.version import __version__

HEAVY = ("torch", "pyro", "matplotlib", "numpy", "sklearn", "PIL", "tqdm")


def test_help_loads_nothing_heavy() -> None:
    """All commands in one process: none of them may load anything on the way."""
    code = (
        "import sys\nfrom vtssi_pyro.cli.main import COMMANDS, main\n"
        "for args in [['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)]:\n"
        "    try: main(args)\n"
        "    except SystemExit as end: assert end.code == 0, args\n"
        f"loaded = set({HEAVY}) & set(sys.modules)\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("args", [["--help"], ["fit", "--help"]])
def test_help_answers_in_under_half_a_second(args: list[str]) -> None:
    """In processor time, which a busy machine does not stretch."""

    def seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "vtssi_pyro.cli", *args], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) < 0.5


def test_choices_are_the_librarys() -> None:
    assert options.VARIANTS == tuple(VARIANTS)
    assert options.PRESETS == tuple(PRESETS)
    assert options.FLAVOURS == tuple(FLAVOURS)
    assert options.DIGITS == tuple(SOURCES)
    assert options.SPLITS == tuple(SPLITS)
    assert options.BACKGROUNDS == background.KINDS
    assert options.POLARITIES == inspection.POLARITIES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    text = call(command, "-h").output
    assert text.startswith(f"Usage: vtssi-pyro {command}")
    assert "--debug" in text
    assert "-h, --help" in text
    assert command in call("-h").output


def test_fit_offers_exactly_its_options() -> None:
    text = call("fit", "-h").output
    offered = {
        word.strip(",") for line in text.splitlines() for word in line.split()[:2] if word.startswith("--")
    }
    wanted = (
        "out variant from preset digits mnist objects device threads compile seed set resume debug".split()
    )
    wanted += "object-size background polarity crop".split()
    assert offered == {f"--{name}" for name in wanted} | {"--help"}


@pytest.mark.parametrize(
    "args", [["fti"], ["fit", "--presett", "quick"], ["fit", "--preset", "quik"], ["track"]]
)
def test_wrong_usage_is_2(args: list[str]) -> None:
    assert call(*args, code=2).stderr.startswith("Usage: ")


def test_info() -> None:
    found = json.loads(call("info", "--json").stdout)
    assert found["versions"]["vtssi-pyro"] == __version__
    assert found["threads"] <= found["cores"]
    assert set(found["extras"]) >= {"test"}
    lines = call("info").stdout.splitlines()
    assert lines[0].split() == ["python", found["versions"]["python"]]


@pytest.mark.parametrize(
    "command", ["fit", "track", "predict", "evaluate", "calibrate", "reproduce", "benchmark"]
)
def test_whatever_computes_can_be_told_on_what(command: str) -> None:
    text = call(command, "-h").output
    assert "--device" in text
    assert "--threads" in text
