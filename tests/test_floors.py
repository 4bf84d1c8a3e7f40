"""The house's floors: which part may import which, and how large a part may grow."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "vtssi_pyro"

# 0: values and errors. 1: tools that know nothing of tracking. 2: blocks. 3: where blocks meet. 4: what is
# done with a tracker, none of it importing another. 5: whole jobs. 6: the command line, which nobody imports.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "version": set(),
    "atomic": {"errors"},
    "ops": {"types"},
    "nn": {"types"},
    "handlers": {"types"},
    "config": {"types", "errors"},
    "priors": {"types"},
    "machine": {"errors"},
    "paper": set(),
    "blocks": {"types", "ops", "nn", "handlers", "config", "priors"},
    "tracker": {"types", "ops", "nn", "handlers", "blocks", "errors"},
    "variants": {"types", "ops", "handlers", "blocks", "config", "tracker", "errors"},
    "train": {
        "types",
        "errors",
        "atomic",
        "ops",
        "nn",
        "handlers",
        "config",
        "blocks",
        "tracker",
        "variants",
        "confidence",
        "machine",
    },
    "hypotheses": {"types", "ops", "handlers", "tracker"},
    "confidence": {"types", "ops"},
    "sampling": {"types", "ops", "handlers", "tracker"},
    "predict": {
        "types",
        "errors",
        "machine",
        "ops",
        "handlers",
        "tracker",
        "hypotheses",
        "confidence",
        "sampling",
    },
    "movies": {"errors", "atomic"},
    "data": {"types", "errors", "ops", "movies"},
    "matching": {"types", "errors"},
    "metrics": {"types", "matching"},
    "mot_metrics": {"types", "errors"},
    "calibration": {"types", "errors", "matching"},
    "export": {"types", "errors", "atomic"},
    "plots": {"types", "errors", "atomic", "movies", "calibration"},
}
# Whole jobs: they see all but the command line and the figures.
JOBS = {
    "runs",
    "pretrained",
    "packing",
    "report",
    "trained",
    "evaluation",
    "footage",
    "reconstruction",
    "recalibration",
    "logbook",
    "fitting",
    "benchmark",
    "provenance",
    "reproduction",
}
for job in JOBS:
    ALLOWED[job] = set(ALLOWED) - {"plots", "cli"} | JOBS

ONLY_IN = {
    "matplotlib": {"plots"},
    "click": {"cli"},
    "sklearn": {"data"},
    "pooch": {"data"},
    "tqdm": {"cli"},
    "safetensors": {"pretrained", "packing"},
    "av": {"movies"},
    "trackeval": {"mot_metrics"},
}
WITHOUT_PYRO = {
    "types",
    "errors",
    "version",
    "atomic",
    "config",
    "movies",
    "data",
    "matching",
    "metrics",
    "mot_metrics",
    "calibration",
    "export",
    "plots",
}


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
    if own == "__init__":
        return  # names of every part, resolved lazily
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


def test_blocks_do_not_import_one_another() -> None:
    """RECT and FIND read with AIR's networks; nothing else crosses."""
    for path in sources(f"{PACKAGE}/blocks"):
        if path.stem != "__init__":
            crossed = {name.split(".")[2] for name in imports(path) if name.startswith(f"{PACKAGE}.blocks.")}
            assert crossed <= {"air"}, path


def test_the_floors_have_no_cycle() -> None:
    """Whatever a part may import may not import it back."""

    def below(name: str) -> set[str]:
        return set().union(*({n} | below(n) for n in ALLOWED[name] - JOBS)) if ALLOWED[name] else set()

    for name in set(ALLOWED) - JOBS:
        assert name not in below(name)


@pytest.mark.parametrize(
    "path", sources(PACKAGE, "cli", "tests", "benchmarks"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_nothing_grows_too_large(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 60, node.name
