"""Every public name has an example in its docstring, which runs, unless it needs a training or minutes."""

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

import vtssi_pyro
from vtssi_pyro import fit

CONSTANTS = {"__version__", "PRESETS", "VARIANTS", "PUBLISHED"}  # the reference describes them
NAMES = [name for name in vtssi_pyro.__all__ if name not in CONSTANTS]
# Movies of one's own, live frames, a measurement of minutes, or a name for all of this process.
SKIPPED = {"benchmark", "fit_each", "forecast_all", "register", "reproduce", "track_live"}
RUN = "runs/ours-linear-0001"  # of which examples speak
# A thousandth of a training, on few short sequences.
TINY = [
    "train.budget=0.001",
    "data.sequences=16",
    "data.length=8",
    "data.validation_sequences=8",
    "data.test_sequences=8",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Examples write to it; it has the run of which they speak, once one of them does."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", NAMES)
def test_the_example_of_a_public_name_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = getattr(vtssi_pyro, name).__doc__
    *_, example = re.split(r"^ *Examples?:\n", text, flags=re.MULTILINE)
    found = doctest.DocTestParser().get_doctest(example, {}, name, None, 0)
    assert any(name in each.source for each in found.examples), "an example uses what it is of"
    runs = not found.examples[-1].options.get(doctest.SKIP)
    assert runs == (name not in SKIPPED)
    if RUN in example and runs and not Path(RUN).exists():
        fit("linear", digits="embedded", run=RUN, changes=TINY)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found)
    assert result.failed == 0, told.getvalue()
