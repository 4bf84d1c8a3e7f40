"""Notebooks run from top to bottom in seconds, and are committed with the pictures that a full run drew."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
SECONDS = 60  # of one core, for one notebook under CI
KILOBYTES = 300
ABSOLUTE = re.compile(r"(?<![\w.~:/<])/(?:[\w.-]+/)+[\w.-]+|\b[A-Z]:\\\w")  # paths of a machine

notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def outputs(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [output for cell in cells(content) for output in cell["outputs"]]


def pictures(content: dict[str, Any]) -> list[str]:
    return [o["data"]["image/png"] for o in outputs(content) if "image/png" in o.get("data", {})]


def words(content: dict[str, Any]) -> str:
    """Sources and all outputs but pictures, also those within a player."""
    texts = ["".join(cell["source"]) for cell in content["cells"]]
    for output in outputs(content):
        texts.append("".join(output.get("text", "")))
        texts += ["".join(text) for kind, text in output.get("data", {}).items() if kind.startswith("text/")]
    return re.sub("base64,[A-Za-z0-9+/=]+", "", "\n".join(texts))


def test_a_notebook_plays_its_forecasts() -> None:
    players = {
        path.stem
        for path in NOTEBOOKS
        for output in outputs(json.loads(path.read_text(encoding="utf-8")))
        if "srcdoc" in "".join(output.get("data", {}).get("text/html", ""))
    }
    assert "02_own_movie" in players


def test_there_are_notebooks() -> None:
    names = {path.stem[3:] for path in NOTEBOOKS}
    wanted = "fit_and_track swap_a_prior swap_a_guide_block sample_predictions own_movie constant_velocity calibration"
    assert names >= {*wanted.split(), "occlusion", "presence", "interaction"}


@notebook
def test_is_committed_as_a_full_run_left_it(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    counts = [cell["execution_count"] for cell in cells(content)]
    assert counts == list(range(1, len(counts) + 1)), "run all cells once, in order, in a fresh kernel"
    assert pictures(content), "no picture"
    assert all(o["output_type"] != "error" and o.get("name") != "stderr" for o in outputs(content))
    assert path.stat().st_size < KILOBYTES * 1000
    assert not (found := ABSOLUTE.search(words(content))), found


@notebook
def test_is_short_and_starts_clean(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert len(content["cells"]) < 25
    first = "".join(cells(content)[0]["source"])
    assert "pyro.clear_param_store()" in first
    assert 'smoke = "CI" in os.environ' in first


@notebook
def test_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, in this environment's kernel and an empty folder, and leaves nothing there."""
    reason = "notebooks need a kernel: install vtssi-pyro[notebooks]"
    for name in ("ipykernel", "nbclient", "nbformat"):
        pytest.importorskip(name, reason=reason)
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    folder = tmp_path / "here"
    folder.mkdir()
    variables = {"CI": "1", "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    settings = {"JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    for key, value in (variables | {key: str(tmp_path / name) for key, name in settings.items()}).items():
        monkeypatch.setenv(key, value)
    content = nbformat.read(path, as_version=4)
    for cell in cells(content):
        cell["outputs"] = []
    clock = nbformat.v4.new_code_cell("import time; print(time.process_time())")
    content.cells.append(clock)
    native = KernelSpecManager(kernel_dirs=[])  # no kernel of that name that a user may have installed
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=native)
    client = NotebookClient(content, km=manager, timeout=240, resources={"metadata": {"path": str(folder)}})
    client.execute(cleanup_kc=True)
    assert pictures(content)
    assert float("".join(clock.outputs[0]["text"])) < SECONDS
    assert not list(folder.iterdir())
