"""The house's floors: which part may import which, where public names live, and what no file may be called."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import vtssi_pyro

ROOT = Path(__file__).parents[1]
PACKAGE = "vtssi_pyro"

# The rooms, floor by floor: a room may import those below its own floor, itself, and no other; so there is no circle.
FLOORS = (
    ("errors", "types", "version"),
    ("system",),
    ("ops", "config"),
    ("model",),
    ("tracks",),
    ("movies",),
    ("inference",),
    ("baselines",),
    ("data",),  # above inference by custom alone: neither knows the other
    ("train",),
    ("evaluation",),
    ("plots",),  # draws what evaluation says
    ("artifacts",),
    ("paper", "speed"),
    ("api",),
    ("many",),
    ("napari",),
    ("__init__", "__main__"),  # the public names, resolved lazily; the command line by another name
)
ALLOWED = {
    room: {other for floor in FLOORS[:level] for other in floor}
    for level, floor in enumerate(FLOORS)
    for room in floor
}

ONLY_IN = {
    "matplotlib": {"plots"},
    "click": {"cli"},
    "sklearn": {"data"},
    "pooch": {"data"},
    "tqdm": {"cli"},
    "safetensors": {"artifacts"},
    "jinja2": {"artifacts"},
    "av": {"movies"},
    "trackeval": {"evaluation"},
    "pandas": {"tracks", "inference"},  # the latter for the types of its results alone
    "xarray": {"tracks", "inference"},
    "arviz": {"tracks"},
    "geff": {"tracks"},
    "napari": {"napari"},
    "qtpy": {"napari"},
    "distributed": {"train"},
}
WITHOUT_PYRO = {"types", "errors", "version", "system", "config", "movies", "data", "tracks", "plots"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def part(path: Path) -> str:
    """The part a file belongs to: ``ops`` for vtssi_pyro/ops/bell.py, ``cli`` for cli/fit.py."""
    names = path.relative_to(ROOT).with_suffix("").parts
    return names[1] if names[0] == PACKAGE and len(names) > 1 else names[0]


def imports(path: Path) -> Iterator[str]:
    """Absolute dotted names of everything a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level or part(path) == "cli", f"{path}: relative import"
            if not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sources(PACKAGE), ids=lambda p: str(p.relative_to(ROOT)))
def test_parts_look_down(path: Path) -> None:
    own = part(path)
    assert own in ALLOWED, f"a new part, {own}: give it a floor"
    for name in imports(path):
        top, _, rest = name.partition(".")
        if top == PACKAGE:
            target = rest.split(".")[0]
            assert target == own or target in ALLOWED[own], f"{own} must not import {name}"
        if top in ONLY_IN:
            assert own in ONLY_IN[top], f"{own} must not import {top}"
        if top == "pyro":
            assert own not in WITHOUT_PYRO, f"{own} must not import pyro"
            assert own != "ops" or name.startswith("pyro.distributions"), "ops: no effects"
        assert top != "cli"


@pytest.mark.parametrize(("name", "home"), vtssi_pyro._HOMES.items())
def test_public_names_are_at_home(name: str, home: str) -> None:
    """A lazy name's home defines it, in a room of the house; the package's own name is the same object."""
    assert home.split(".")[0] in ALLOWED["__init__"]
    assert getattr(vtssi_pyro, name) is getattr(import_module(f"{PACKAGE}.{home}"), name)


def test_contributing_shows_these_floors() -> None:
    """The picture is the built one: the same rooms, the same rows, the highest first."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    picture = text.partition("## The house")[2].partition("In `model`:")[0]
    rows = [
        {name.strip(",") for line in row.splitlines() if line.startswith("    ") for name in names(line)}
        for row in picture.split("-" * 84)
    ]
    assert [row - {"cli"} for row in rows] == [set(floor) for floor in reversed(FLOORS[:-1])]


def names(line: str) -> list[str]:
    """The rooms that a line of the picture names: in front of their question, or all there are."""
    return [line.split()[0]] if "   " in line.strip() else line.split()


# The blocks of ours, and the files of the paper's blocks in whose slots they stand.
OURS = {
    "blobs": {"air"},
    "boxed": {"air"},
    "clearest": {"rect"},
    "count_rect": {"rect"},
    "following": {"find"},
    "gated": {"find"},
    "inertia": {"mot"},
    "interaction": {"mot"},
    "layered": {"air"},
    "presence": {"air"},
    "registered": {"find"},
    "residual_mot": {"mot"},
    "saturated": {"air"},
    "solid": {"air"},
    "spots": {"air"},
    "strided": {"air", "find"},
    "template": {"find"},
    "turning": {"mot"},
    "turning_search": {"find"},
    "wide": {"air"},
}
PAPERS = {"air", "find", "mot", "rect"}


def test_every_file_of_blocks_is_the_papers_or_ours() -> None:
    files = {path.stem for path in sources(f"{PACKAGE}/model/blocks")}
    assert files == {"__init__", *PAPERS, *OURS}


def test_blocks_of_different_slots_do_not_import_one_another() -> None:
    """The paper's import no other, ours only such as stand in the same slot."""
    for path in sources(f"{PACKAGE}/model/blocks"):
        own = OURS.get(path.stem, set())
        if path.stem != "__init__":
            names = {n.split(".")[3] for n in imports(path) if n.startswith(f"{PACKAGE}.model.blocks.")}
            assert all(own & OURS.get(name, {name}) for name in names), path


@pytest.mark.parametrize(
    "path", sources(PACKAGE, "cli", "tests", "benchmarks"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_names_say_what_is_inside(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc", "manager")
