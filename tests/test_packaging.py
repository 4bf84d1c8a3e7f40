"""The installed package holds all files."""

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import vtssi_pyro

pytestmark = pytest.mark.slow

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
    code = "import sys, vtssi_pyro; print(*{'torch', 'pyro', 'numpy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_a_wheel_holds_everything(tmp_path: Path) -> None:
    """Weights and their cards too; built from a copy, which the build may fill with its own files."""
    pytest.importorskip("setuptools", "77", reason="needs the setuptools of pyproject.toml")
    copy = tmp_path / "copy"
    for folder in ("vtssi_pyro", "cli"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    weights = copy / "vtssi_pyro" / "artifacts" / "weights"
    weights.mkdir(exist_ok=True)
    for suffix in ("json", "safetensors"):
        (weights / f"a-name.{suffix}").write_text("")
    code = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=copy, stdout=subprocess.DEVNULL)
    (wheel,) = copy.glob("*.whl")
    files = [path.relative_to(copy) for path in copy.glob("vtssi_pyro/**/*") if path.is_file()]
    files += [Path("vtssi_pyro") / path.relative_to(copy) for path in copy.glob("cli/*")]
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == {path.as_posix() for path in files}
    assert "vtssi_pyro/artifacts/weights/a-name.safetensors" in found
