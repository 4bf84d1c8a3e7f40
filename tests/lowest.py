"""Print the lowest versions that the package declares to suffice, as constraints for pip.

``python tests/lowest.py torch`` prints torch's, too; else the pin of ``constraints.txt`` takes its place, since torch's
lowest version has no build for every machine.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def lowest(
    extras: tuple[str, ...] = ("video", "mot", "tables", "arviz", "formats", "notebooks", "test"),
) -> dict[str, str]:
    """The lowest version of each dependency, and of those of some extras, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
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
    wanted = lowest()
    if "torch" not in sys.argv[1:]:
        del wanted["torch"]
    print("\n".join(f"{name}=={version}" for name, version in wanted.items()))
