"""Python's switches change nothing, and neither do its version and torch's, as far as there are others to try."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# Of every floor something, in seconds.
SOME = (
    "tests/system/test_checkpoint.py",
    "tests/config/test_schedules.py",
    "tests/model/test_state_space.py",
    "tests/data/test_bad_files.py",
    "tests/movies/test_movies.py",
    "tests/inference/test_stream.py",
    "tests/tracks/test_importing.py",
)
# under -O, that asserts elsewhere than in tests are dropped
QUIET = (
    "-W",
    "ignore::pytest.PytestConfigWarning",
)
OTHERS = "VTSSI_PYTHONS"  # paths of interpreters with the package and its tests' dependencies


def pytest_of(*interpreter: str) -> str:
    """Run some tests by an interpreter; they pass."""
    done = subprocess.run(
        [*interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *QUIET, *SOME],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_assertions() -> None:
    """``-O`` drops those of the package; pytest keeps those of the tests."""
    assert " passed" in pytest_of(sys.executable, "-O")


COMMANDS = """
from vtssi_pyro.cli.main import main
for command in (
    "generate linear --sequences 2 --out data.npz",
    "track pretrained:moving-mnist data.npz --out out",
    "evaluate pretrained:moving-mnist data.npz",
    "info",
):
    assert not main(command.split(), standalone_mode=False), command
"""


def test_no_warning_of_any_kind(tmp_path: Path) -> None:
    """From the first import on, by ``-W error``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMMANDS], cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "out"]


@pytest.mark.skipif(
    not os.environ.get(OTHERS),
    reason=f"set {OTHERS} to interpreters of other versions, {os.pathsep} between them",
)
def test_other_versions_of_python_and_torch() -> None:
    for interpreter in os.environ[OTHERS].split(os.pathsep):
        assert " passed" in pytest_of(interpreter)
