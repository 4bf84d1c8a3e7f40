"""The table over several seeds and its words; the paper's numbers; where results come from."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from vtssi_pyro.config.variants import OURS, PAPER
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.metrics import CLOSENESS, evaluate
from vtssi_pyro.inference.filter import Filter
from vtssi_pyro.model.tracker import build
from vtssi_pyro.paper import markdown, table1
from vtssi_pyro.paper.cells import Key
from vtssi_pyro.paper.published import FLAVOURS, MODELS, TABLE1, TITLES, usual_preset
from vtssi_pyro.system.provenance import commit, provenance
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.presets import PRESETS

HERE = {"commit": None, "versions": {"vtssi-pyro": "1.2.3"},
        "hardware": {"processor": "abacus", "threads": 2, "gpu": None}}  # fmt: skip


def cell(seed: int, error: float, variant: str = "ours", preset: str = "quick") -> dict[str, Any]:
    """A cell whose objects stand 3 px apart and are all found, ``error`` px beside where they are."""
    position = torch.tensor([[20.0, 20.0], [23.0, 20.0]]).expand(4, 6, 2, 2)
    truth = Tracks(position, torch.ones(4, 6, 2, dtype=torch.bool))
    found = truth._replace(position=position + torch.tensor([0.0, error]))
    metrics = evaluate(truth, found, found, 3, frame_size=(50, 50)).as_dict()
    return {
        "variant": variant, "flavour": "linear", "seed": seed, "preset": preset, "digits": "mnist", "sequences": 4,
        "observe": 3, "procedure": "our own" if preset == "quick" else "the paper's", "metrics": metrics,
        "all_frames": {"count_accuracy": 0.5, "count_accuracy_sem": 0.25, "count_frames": 6},
        "bare": {**metrics, "inference_error": 7.0}, "command": "do it", "long": {
            "prediction_error_by_frame": [float(h) for h in range(1, 101)], "predictions_outside": 0.25},
        "training": {"minutes": 15.0 + 30 * seed, "steps": 5, "starts": [], "start": None},
        "evaluation": {"minutes": 1.0, **HERE},
    }  # fmt: skip


COMMAND = "vtssi-pyro reproduce"


def test_seeds_are_averaged_and_their_range_told() -> None:
    rows = table1.rows([cell(1, 2.0), cell(0, 1.0)])
    row = next(row for row in rows if row["cells"])
    assert [held["seed"] for held in row["cells"]] == [0, 1]
    assert row["measures"]["inference_error"] == pytest.approx({"mean": 1.5, "low": 1.0, "high": 2.0})
    text = markdown.markdown(rows)
    assert (
        "| all of ours | quick | our own, on 3 frames | 100.00 % (100.00 to 100.00) | 50.00 % (50.00 to 50.00) | "
        "1.500 (1.000 to 2.000) | 1.500 (1.000 to 2.000) | 1.00 | "  # 15 and 45 minutes of two threads
        f"`{COMMAND} ours-linear-0 ours-linear-1 --preset quick --sequences 4 --digits mnist` | version 1.2.3 | "
        "abacus, 2 threads |"
    ) in text
    assert "| count, first 3 frames | count, all frames |" in text
    assert "seeds 0, 1" in text
    # all pairs are closer than 5 px
    assert "| linear | all of ours | quick | 100.0 % | - | - | - | - |" in text
    assert "| linear | all of ours | quick | 100.0 % | 7.00 | 1.50 |" in text  # the blocks alone
    assert (
        "| linear | all of ours | quick | 1.00 | 2.00 | 5.00 | 10.00 | 20.00 | 50.00 | 100.00 | 25.0 % |"
        in text
    )
    assert all(line.startswith("|") == line.endswith("|") for line in text.splitlines())


def test_one_seed_has_a_standard_error() -> None:
    rows = table1.rows([cell(0, 1.0)])
    row = next(row for row in rows if row["cells"])
    assert row["measures"]["prediction_error"] == pytest.approx({"mean": 1.0, "sem": 0.0})
    assert "| 50.00 ± 25.00 % | 1.000 ± 0.000 | 1.000 ± 0.000 | 0.50 |" in markdown.markdown(rows)


def test_hours_of_a_gpu_are_no_core_hours() -> None:
    """The table says so of each training that a cell starts from; others are of two threads here."""
    shared = cell(0, 1.0)
    air = {"name": "air", "minutes": 60.0, "start": None}
    shared["training"]["start"] = {"name": "first", "minutes": 8.1, "gpu": "a GPU", "start": air}
    assert "| 0.50 + 8 minutes on a GPU of first + 2.00 of air |" in markdown.markdown(table1.rows([shared]))


def test_the_paper_its_blocks_and_ours_stand_side_by_side() -> None:
    """In this order, whether they are made or not; a missing cell has the command that makes it."""
    shared = cell(0, 1.0, "vtssi", "paper-fast")
    shared["training"]["start"] = {"name": "air-mixed-0", "minutes": 60.0}
    lines = markdown.markdown(table1.rows([shared])).splitlines()
    linear = lines[lines.index("## linear") + 4 : lines.index("## linear-overlap")]
    first = [line.split(" | ")[:3] for line in linear if line]
    assert first[:3] == [
        ["| *AIR*", "*the paper*", "the paper's"], ["| AIR", "paper-fast", "-"], ["| AIR", "standard", "-"]
    ]  # fmt: skip
    assert first[3:6] == [
        ["| *FIND*", "*the paper*", "the paper's"],
        ["| FIND", "paper-fast", "-"],
        ["| template search", "standard", "-"],
    ]
    assert first[-4:] == [
        ["| *VTSSI*", "*the paper*", "the paper's"],
        ["| VTSSI", "paper-fast", "the paper's"],
        ["| VTSSI, trained on all four", "paper-fast", "-"],
        ["| all of ours", "standard", "-"],
    ]
    assert "| *VTSSI* | *the paper* | the paper's | 99.99 % | n/a | 1.035 | 3.442 |  |  |  |  |" in linear
    assert (
        "| *AIR* | *the paper* | the paper's | 97.63 % of frames | n/a | 5.953 | n/a |  |  |  |  |" in linear
    )
    assert (
        f"| all of ours | standard | - | - | - | - | - | - | `{COMMAND} ours-linear-0 --preset standard` | - | - |"
        in linear
    )
    assert any("`vtssi-pyro reproduce vtssi-mixed-0 --preset paper-fast`" in line for line in linear)
    assert any("| 0.50 + 2.00 of air-mixed-0 |" in line for line in linear)


def test_missing_measures_of_a_cell_are_told_from_those_it_cannot_have() -> None:
    made = cell(0, 1.0)
    for name in ("inference_error", "prediction_error"):
        made["metrics"][name] = None
    made["all_frames"] = None
    assert "| 100.00 ± 0.00 % | n/a | - | - |" in markdown.markdown(table1.rows([made]))
    made["long"] = None
    assert "| 100.00 ± 0.00 % | n/a | - | n/a |" in markdown.markdown(table1.rows([made]))


def test_an_empty_table_has_every_row() -> None:
    rows = table1.rows([])
    text = markdown.markdown(rows)
    assert "No cell is made yet" in text
    for flavour in FLAVOURS:
        variants = [(row["variant"], row["preset"]) for row in rows if row["flavour"] == flavour]
        for family, preset in ((PAPER, None), (PAPER, "paper-fast"), (OURS, "standard")):
            names = [variant for variant, other in variants if other == preset]
            assert list(dict.fromkeys(names)) == list(family.names)
        assert {preset for _, preset in variants} == {None, "paper-fast", "standard"}


def test_the_lists_are_the_librarys() -> None:
    assert tuple(TITLES) == (*PAPER.titles, *(name for name in OURS.titles if name != "air"))
    assert set(MODELS) == set(TITLES)
    edges = [f"{edge:g}" for edge in CLOSENESS]
    assert markdown.BINS == (*(f"{a}-{b}" for a, b in pairwise(edges)), f"{edges[-1]}+")
    assert tuple(TABLE1) == FLAVOURS
    assert all(tuple(row) == PAPER.names for row in TABLE1.values())


def test_items_are_cells_of_the_preset_that_has_them() -> None:
    """Names of the paper's blocks are of paper-fast, others of standard, unless the preset is said."""
    found = table1.wanted(["vtssi-mixed-0", "ours-linear-2", "air-linear-0", "figure3"], None, (0,))
    assert found == {
        "paper-fast": [Key("vtssi", flavour, 0, "mixed") for flavour in FLAVOURS],
        "standard": [Key("ours", "linear", 2), Key("air", "linear", 0)],
    }
    assert table1.wanted(["air-linear-0"], "paper", (0,)) == {"paper": [Key("air", "linear", 0)]}
    assert {usual_preset(name) for name in ("vtssi-without-mot", "find-mot")} == {"paper-fast"}
    table = table1.wanted(["table1"], None, (0,))["standard"]
    assert [key.variant for key in table[:6]] == list(OURS.titles)
    assert len(table) == 24
    assert table1.wanted(["table1"], "paper-fast", (0,))["paper-fast"][0] == Key(
        "vtssi", "linear", 0, "mixed"
    )
    with pytest.raises(UsageError, match="take preset paper-fast"):
        table1.wanted(["vtssi-without-mot-linear-0"], "standard", (0,))


@pytest.mark.parametrize("preset", table1.ROWS)
def test_as_many_frames_decide_as_are_observed(preset: str) -> None:
    """No variant of the table needs more than the paper's K = 5, nor decides on more."""
    for name in PRESETS[preset].system.family.names:
        config = PRESETS[preset](name)
        filter_ = Filter(build(config.model))
        assert filter_.needed <= config.observe == 5
        assert filter_.count_frames(20, config.observe) in (1, 5)


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
