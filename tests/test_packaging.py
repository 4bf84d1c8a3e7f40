"""What is installed is what there is."""

import configparser
import re
import tomllib
from pathlib import Path

import vtssi_pyro

ROOT = Path(__file__).parents[1]


def setup() -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser["options"]


def test_every_folder_of_python_is_a_listed_package() -> None:
    """The folder cli is installed as vtssi_pyro.cli; a folder that is not listed would not be."""
    folders = {path.parent for top in ("vtssi_pyro", "cli") for path in (ROOT / top).rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    expected = {re.sub(r"^cli\b", "vtssi_pyro.cli", name) for name in names}
    listed = setup()["packages"].split()
    assert sorted(listed) == sorted(expected)


def test_folders_are_mapped() -> None:
    mapping = dict(
        line.replace(" ", "").split("=") for line in setup()["package_dir"].split("\n") if line.strip()
    )
    assert mapping == {"vtssi_pyro": "vtssi_pyro", "vtssi_pyro.cli": "cli"}
    assert (ROOT / "vtssi_pyro" / "py.typed").is_file()


def test_the_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert "version" not in project["project"]
    module, _, name = project["tool"]["setuptools"]["dynamic"]["version"]["attr"].rpartition(".")
    path = ROOT / Path(*module.split(".")).with_suffix(".py")
    assert f'{name} = "{vtssi_pyro.__version__}"' in path.read_text()


def test_importing_the_package_loads_nothing_heavy() -> None:
    """``vtssi_pyro.cli`` lies below the package, and ``--help`` must not wait for torch."""
    import subprocess
    import sys

    code = "import sys, vtssi_pyro; print(*{'torch', 'pyro', 'numpy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_texts_are_finished_and_their_links_lead_somewhere() -> None:
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert len(texts) >= 5
    for path in texts:
        text = path.read_text()
        assert not re.findall(r"@[A-Z]+@|__[A-Z0-9]+__", text), path
        for link in re.findall(r"\]\(([^)#: ]+)\)", text) if path.suffix == ".md" else []:
            assert (path.parent / link).exists(), f"{path}: {link}"
