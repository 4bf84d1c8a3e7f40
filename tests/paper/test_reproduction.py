"""The table over several seeds and its words; the paper's numbers; where results come from."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from vtssi_pyro.evaluation.metrics import CLOSENESS, evaluate
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.paper import markdown, table1
from vtssi_pyro.paper.published import FLAVOURS, MODELS, TABLE1, WITHOUT_MOT
from vtssi_pyro.system.provenance import commit, provenance
from vtssi_pyro.tracks.tracks import Tracks

HERE = {"commit": None, "versions": {"vtssi-pyro": "1.2.3"},
        "hardware": {"processor": "abacus", "threads": 2, "gpu": None}}  # fmt: skip


def cell(seed: int, error: float, variant: str = "vtssi") -> dict[str, Any]:
    """A cell whose objects stand 3 px apart and are all found, ``error`` px beside where they are."""
    position = torch.tensor([[20.0, 20.0], [23.0, 20.0]]).expand(4, 6, 2, 2)
    truth = Tracks(position, torch.ones(4, 6, 2, dtype=torch.bool))
    found = truth._replace(position=position + torch.tensor([0.0, error]))
    metrics = evaluate(truth, found, found, 3, frame_size=(50, 50)).as_dict()
    return {
        "variant": variant, "flavour": "linear", "seed": seed, "preset": "quick", "digits": "mnist", "sequences": 4,
        "observe": 3, "metrics": metrics, "plain": {**metrics, "inference_error": 7.0}, "command": "do it", "long": {
            "prediction_error_by_frame": [float(h) for h in range(1, 101)], "predictions_outside": 0.25},
        "training": {"minutes": 10.0 + seed, "steps": 5, "starts": []}, "evaluation": {"minutes": 1.0, **HERE},
    }  # fmt: skip


def test_seeds_are_averaged_and_their_range_told() -> None:
    rows = table1.rows([cell(1, 2.0), cell(0, 1.0)])
    row = next(row for row in rows if row["cells"])
    assert [held["seed"] for held in row["cells"]] == [0, 1]
    assert row["ours"]["inference_error"] == pytest.approx({"mean": 1.5, "low": 1.0, "high": 2.0})
    text = markdown.markdown(rows)
    line = "| linear | VTSSI | 100.00 % (100.00 to 100.00) | 99.99 % | 1.500 (1.000 to 2.000) | 1.035 |"
    assert f"{line} 1.500 (1.000 to 2.000) | 3.442 | 10 |" in text
    assert "seeds 0, 1" in text
    assert "| linear | VTSSI | 100.0 % | - | - | - | - |" in text  # all pairs are closer than 5 px
    assert "| linear | VTSSI | 100.0 % | 7.00 | 1.50 |" in text  # by the paper's own procedure
    assert "| linear | VTSSI | 1.00 | 2.00 | 5.00 | 10.00 | 20.00 | 50.00 | 100.00 | 25.0 % |" in text
    assert "| vtssi-linear-1 | `do it` | version 1.2.3 | abacus, 2 threads | 11 |" in text
    assert all(line.startswith("|") == line.endswith("|") for line in text.splitlines())


def test_one_seed_has_a_standard_error() -> None:
    row = next(row for row in table1.rows([cell(0, 1.0)]) if row["cells"])
    assert row["ours"]["prediction_error"] == pytest.approx({"mean": 1.0, "sem": 0.0})
    assert "| 1.000 ± 0.000 | 1.035 | 1.000 ± 0.000 | 3.442 | 10 |" in markdown.markdown([row])


def test_an_empty_table_has_every_row() -> None:
    text = markdown.markdown(table1.rows([]))
    assert "No cell is made yet" in text
    assert sum(line.startswith(f"| {flavour} |") for flavour in FLAVOURS for line in text.splitlines()) == 24


def test_the_lists_are_the_librarys() -> None:
    assert (*VARIANTS, WITHOUT_MOT) == MODELS == tuple(markdown.NAMES)
    edges = [f"{edge:g}" for edge in CLOSENESS]
    assert markdown.BINS == (*(f"{a}-{b}" for a, b in pairwise(edges)), f"{edges[-1]}+")
    assert tuple(TABLE1) == FLAVOURS
    assert all(tuple(row) == tuple(VARIANTS) for row in TABLE1.values())


def test_only_motion_predicts_in_the_paper() -> None:
    for row in TABLE1.values():
        assert {name for name, c in row.items() if c.prediction_error is not None} == {"find-mot", "vtssi"}


def test_provenance_names_code_and_machine() -> None:
    found = provenance(torch.device("cpu"))
    assert found["hardware"]["threads"] == 1
    assert found["hardware"]["processor"]
    assert "vtssi-pyro" in found["versions"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_checkout(tmp_path: Path) -> None:
    assert commit(tmp_path) is None

    def git(*args: str) -> None:
        name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *name, *args], check=True, capture_output=True)

    git("init")
    assert commit(tmp_path) is None  # no commit yet
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    clean = commit(tmp_path)
    assert clean is not None
    assert len(clean) == 12
    (tmp_path / "file").write_text("2")
    assert commit(tmp_path) == f"{clean}-dirty"
