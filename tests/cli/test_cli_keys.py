"""The keys of a configuration on the command line: all are printed, and none takes a value out of its range."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from every_key import RECIPES, typed
from tiny_run import call, refused

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config.describing import keys


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["quick", "paper-fast", "ddpae/fast", "sqair/fast"])
def test_the_command_line_refuses_them_at_once(recipe: str, tmp_path: Path, monkeypatch: Any) -> None:
    """With exit code 2 and one line, before it makes a folder."""
    monkeypatch.chdir(tmp_path)
    model, _, preset = recipe.rpartition("/")
    which = (*(("--model", model) if model else ()), "--preset", preset)
    for key, value in typed(recipe):
        line = refused(2, "fit", *which, "--set", f"{key}={json.dumps(value)}", "--out", "run")
        assert f"{key}: " in line
        assert not list(tmp_path.iterdir()), key


@pytest.mark.slow
def test_a_file_with_a_value_outside_is_refused(tmp_path: Path) -> None:
    """Of a configuration as a run keeps it: each key in turn, by any command that reads the run.

    The exit code is that of a damaged run.
    """
    config = RECIPES["quick"]
    run = Run.create(tmp_path / "run", config)
    path = run.folder / "config.json"
    before = path.read_text()
    for key, value in typed("quick"):
        made = json.loads(before)
        *where, last = key.split(".")
        node = made["config"]
        for part in where:
            node = next(e for e in node if e["name"] == part) if isinstance(node, list) else node[part]
        node[last] = value
        if isinstance(value, float) and not math.isfinite(value):
            continue  # a damaged file, see the tests of formats
        path.write_text(json.dumps(made))
        assert f"{key.rpartition('.')[2]}: " in refused(4, "info", run.folder)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("generate", "linear", "--out", "x.npz", "--seed", "9" * 20), "'--seed'"),
        (("generate", "linear", "--out", "x.npz", "--sequences", "0"), "'--sequences'"),
        (("predict", "run", "data.npz", "--samples", "1000000"), "'--samples'"),
        (("predict", "run", "data.npz", "--horizon", "1000000"), "'--horizon'"),
        (("predict", "run", "data.npz", "--observe", "-3"), "'--observe'"),
        (("evaluate", "run", "data.npz", "--settle", "0"), "'--settle'"),
        (("calibrate", "run", "--observe", "0"), "'--observe'"),
        (("live", "run", "source", "--patience", "nan"), "'--patience'"),
        (("fit", "--objects", "100000"), "'--objects'"),
        (("reproduce", "table1", "--sequences", "-1"), "'--sequences'"),
    ],
)
def test_options_have_the_ranges_of_the_library(args: tuple[str, ...], words: str, tmp_path: Path) -> None:
    assert f"Invalid value for {words}" in call(*args, code=2).stderr


def test_help_keys_prints_every_key() -> None:
    """Of the options that are given: the preset, the model and the changes."""
    printed = call("fit", "--help-keys").stdout
    for key in keys(RECIPES["quick"]):
        assert f"\n{key.name}=" in printed
        assert key.declaration.sentence in printed
        assert f"[{key.declaration.expected()}]" in printed
    assert "\nmodel.finder.gate=0.1\n" in printed  # of another kind
    assert (
        "\nmodel.motion.M=5\n    First frames from which an object's motion is inferred.  [a whole" in printed
    )
    assert "\nmodel.inputs=10\n" in call("fit", "--help-keys", "--model", "ddpae").stdout
    assert "\nmodel.finder=find\n" in call("fit", "--help-keys", "--preset", "paper").stdout
    assert "\nseed=7\n" in call("fit", "--help-keys", "--set", "seed=7").stdout
    assert "seed: expected" in refused(2, "fit", "--help-keys", "--set", "seed=-7")
