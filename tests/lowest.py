"""Print the lowest versions that the package declares to suffice, as constraints for pip.

``python tests/lowest.py torch`` prints torch's, too; else the pin of ``constraints.txt`` takes its place, since torch's
lowest version has no build for every machine. ``python tests/lowest.py extras`` prints those of the extras alone: some
need newer versions of the package's own dependencies than the package does.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


EXTRAS = ("video", "mot", "tables", "arviz", "formats")


def lowest(extras: tuple[str, ...] = ("video", "notebooks", "test"), own: bool = True) -> dict[str, str]:
    """The lowest version of each dependency (``own``), and of those of some extras, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *(project["dependencies"] if own else ()),
        *(each for extra in extras for each in project["optional-dependencies"][extra]),
    ]
    found: dict[str, str] = {}
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement)
        version = re.search(r">=\s*([0-9.]+)", requirement)
        assert name, requirement
        if name[0] == "vtssi-pyro":
            continue
        assert version, f"{requirement}: declares no lowest version"
        assert found.setdefault(name[0], version[1]) == version[1], f"{name[0]}: declared twice"
    return found


if __name__ == "__main__":
    wanted = lowest(EXTRAS, own=False) if "extras" in sys.argv[1:] else lowest()
    if "torch" not in sys.argv[1:]:
        wanted.pop("torch", None)
    print("\n".join(f"{name}=={version}" for name, version in wanted.items()))
