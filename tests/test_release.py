"""What is released says one version everywhere, and asks for the same packages."""

import json
import re
import tomllib
from datetime import date
from importlib import import_module
from pathlib import Path

import pytest

import vtssi_pyro

ROOT = Path(__file__).parents[1]
VERSION = vtssi_pyro.__version__
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ON_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # names that differ


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere() -> None:
    headings = re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released, day = headings[1].split(" - ")
    assert released == VERSION
    assert date.fromisoformat(day)
    citation = text("CITATION.cff")
    assert f"\nversion: {VERSION}\n" in citation
    assert f"\ndate-released: {day}\n" in citation
    assert f'version: "{VERSION}"' in text("conda/recipe.yaml")


def test_conda_asks_for_the_same_packages() -> None:
    run = text("conda/recipe.yaml").split("  run:\n")[1].split("\ntests:")[0]
    asked = {line.strip("- ").partition(" ")[::2] for line in run.strip().splitlines()}
    wanted = {re.split(r"(?=[<>])", each, maxsplit=1)[0]: each for each in PROJECT["dependencies"]}
    expected = {(ON_CONDA.get(name, name), each.removeprefix(name)) for name, each in wanted.items()}
    assert asked == expected | {("python", PROJECT["requires-python"])}
    (entry,) = (f"{name} = {place}" for name, place in PROJECT["scripts"].items())
    assert f"- {entry}\n" in text("conda/recipe.yaml")


def test_the_oldest_and_the_newest_python_are_tested() -> None:
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert PROJECT["requires-python"] == f">={declared[0]}"
    (matrix,) = re.findall(r"^ +python: (\[.*\])$", text(".github/workflows/tests.yml"), re.MULTILINE)
    assert json.loads(matrix) == [declared[0], declared[-1]]
    assert f"FROM python:{declared[-1]}-" in text("Dockerfile")


@pytest.mark.parametrize("name", ["bug", "movie"])
def test_reports_tell_the_installation(name: str) -> None:
    """Which the command prints; a form that does not ask for it gets no answer that helps."""
    form = text(f".github/ISSUE_TEMPLATE/{name}.yml")
    _, asked = form.split("    id: info\n")
    assert "`vtssi-pyro info`" in asked
    assert "required: true" in asked
    for command in re.findall(r"`vtssi-pyro (\w+)", form):
        import_module(f"vtssi_pyro.cli.{command}")


def test_what_the_image_copies_is_there() -> None:
    copied = re.findall(r"^COPY (.*) \S+$", text("Dockerfile"), re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    assert {"constraints.txt", "vtssi_pyro", "cli"} <= set(names)
    let_in = set(re.findall(r"^!(.*)$", text(".dockerignore"), re.MULTILINE))
    assert let_in == set(names)
    assert all((ROOT / name).exists() for name in names)
