"""``vtssi-pyro reproduce``: a table and figures from tiny runs, trained when missing and never twice."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import STAGES, call, keys_of, refused
from vtssi_pyro.cli.reproduce import ITEMS, PRESETS

from vtssi_pyro import judge
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import override
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.errors import CheckpointError
from vtssi_pyro.paper import cells as reproduction
from vtssi_pyro.paper import figures as paper_figures
from vtssi_pyro.paper import reproducing, table1
from vtssi_pyro.paper.cells import Cells, Key, tracker_of
from vtssi_pyro.paper.figures import FIGURES
from vtssi_pyro.paper.published import FLAVOURS, MODELS, TABLE1, WITHOUT_MOT
from vtssi_pyro.system import checkpoint
from vtssi_pyro.train import presets, training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Silent
from vtssi_pyro.train.splits import TABLE_SEED
from vtssi_pyro.train.trainer import Trainer

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SEQUENCES = 9
_STAGES = {"air": STAGES[:1], "find": STAGES[:2], "rect-find": STAGES[:2]}
_SIZES = {
    "model.frame_size": 40,
    "data.sequences": 12,
    "data.validation_sequences": 4,
    "data.test_sequences": 4,
}


def tiny(variant: str) -> Config:
    """A preset whose trainings take a second."""
    keys = {**keys_of(variant), **_SIZES, "train.stages": _STAGES.get(variant, STAGES)}
    made = override(presets.quick(variant), [f"{key}={json.dumps(value)}" for key, value in keys.items()])
    return replace(made, preset="quick")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "quick", tiny)
    monkeypatch.setattr(table1, "HORIZON", 7)
    monkeypatch.setattr(paper_figures, "POOL", 40)


class Heard(Silent):
    """Keeps every message."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def asked(out: Path, *more: object) -> list[object]:
    return [
        "--preset",
        "quick",
        "--digits",
        "embedded",
        "--threads",
        1,
        "--device",
        "cpu",
        "--out",
        out,
        *more,
    ]


def table(
    out: Path, *more: object, variants: str = "vtssi", flavours: str = "linear-overlap"
) -> list[object]:
    cells = [f"{variant}-{flavours}-0" for variant in variants.split(",")]
    return ["reproduce", *cells, *asked(out, "--sequences", SEQUENCES, *more)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three cells, made by one command."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "quick", tiny)
        patch.setattr(table1, "HORIZON", 7)
        result = call(*table(out, variants=f"air,vtssi,{WITHOUT_MOT}"))
    assert result.stdout.split() == [str(out / "table1.md"), str(out / "table1.json")]
    return out


@pytest.mark.parametrize("variant", ["air", "vtssi", WITHOUT_MOT])
def test_a_cell_is_what_judge_says(variant: str, made: Path) -> None:
    key = Key(variant, "linear-overlap", 0)
    cell = Cells(made).read(key)
    assert cell is not None
    test = moving_digits(
        "linear-overlap", load_digits("embedded", "test"), sequences=SEQUENCES, frame_size=40, seed=TABLE_SEED
    )
    run = Run(made / "runs" / key.trained.name)
    assert cell["metrics"] == judge(tracker_of(run, variant, CPU), test, 3).as_dict()
    assert (cell["metrics"]["prediction_error"] is None) == (variant != "vtssi")
    assert cell["metrics"]["sequences"] == cell["sequences"] == SEQUENCES
    assert (Key.of(cell), cell["observe"]) == (key, 3)
    assert cell["command"] == (
        f"vtssi-pyro reproduce {variant}-linear-overlap-0 --preset quick --sequences {SEQUENCES} --digits embedded"
    )
    assert len(cell["training"]["starts"]) == 1
    assert cell["training"]["starts"][0]["hardware"]["threads"] == 1
    assert {"commit", "versions", "hardware", "minutes"} == cell["evaluation"].keys()
    if variant == "vtssi":
        assert len(cell["long"]["prediction_error_by_frame"]) == 7
        assert len(cell["long"]["predictions_outside_by_frame"]) == 7
    else:
        assert cell["long"] is None


def test_without_mot_nothing_is_trained(made: Path) -> None:
    assert {path.name for path in (made / "runs").iterdir()} == {
        "air-linear-overlap-0",
        "vtssi-linear-overlap-0",
    }


def test_one_training_of_all_flavours_is_judged_on_each(tmp_path: Path) -> None:
    """Its rows say so, and the rows of trainings on one flavour alone stay empty."""
    call("reproduce", "find-mixed-0", *asked(tmp_path, "--sequences", SEQUENCES))
    assert [run.name for run in (tmp_path / "runs").iterdir()] == ["find-mixed-0"]
    for flavour in FLAVOURS:
        cell = Cells(tmp_path).read(Key("find", flavour, 0, "mixed"))
        assert cell is not None
        test = moving_digits(
            flavour, load_digits("embedded", "test"), sequences=SEQUENCES, frame_size=40, seed=TABLE_SEED
        )
        tracker = tracker_of(Run(tmp_path / "runs" / "find-mixed-0"), "find", CPU)
        assert cell["metrics"] == judge(tracker, test, 3).as_dict()
        assert cell["command"].startswith("vtssi-pyro reproduce find-mixed-0 --preset quick ")
    rows = [row for row in json.loads((tmp_path / "table1.json").read_text()) if row["cells"]]
    assert [(row["flavour"], row["learned"]) for row in rows] == [(flavour, "mixed") for flavour in FLAVOURS]
    text = (tmp_path / "table1.md").read_text()
    assert "| linear | FIND | - |" in text
    assert "| linear | FIND, trained on all four | " in text


def test_cells_may_share_the_first_blocks_of_one_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared training is made once, of all flavours; the others begin with its weights, after its stages."""
    monkeypatch.setitem(presets.SHARED, "quick", ("air", "objects"))
    call("reproduce", "find-linear-0", "rect-find-linear-0", *asked(tmp_path, "--sequences", SEQUENCES))
    runs = tmp_path / "runs"
    assert {run.name for run in runs.iterdir()} == {"air-mixed-0", "find-linear-0", "rect-find-linear-0"}
    shared = Run(runs / "air-mixed-0").tracker().state_dict()
    for name in ("find-linear-0", "rect-find-linear-0"):
        run = Run(runs / name)
        assert run.config.start == str(runs / "air-mixed-0")
        assert next(stage.steps for stage in run.config.train.stages if stage.name == "objects") == 0
        start = checkpoint.load(run.checkpoint("start"))["trained"]
        assert start
        assert all(torch.equal(value, shared[name]) for name, value in start.items())


def test_the_table_stands_beside_the_papers(made: Path) -> None:
    rows = json.loads((made / "table1.json").read_text())
    assert [(row["flavour"], row["variant"]) for row in rows] == [(f, m) for f in FLAVOURS for m in MODELS]
    for row in rows:
        name = f"cells/{row['variant']}-{row['flavour']}-0.json"
        assert row["cells"] == ([name] if (made / name).exists() else [])
        assert (row["ours"] is not None) == bool(row["cells"])
        published = TABLE1[row["flavour"]].get(row["variant"])
        assert row["paper"] == (published and published._asdict())
    there = {row["variant"]: row["ours"] for row in rows if row["ours"]}
    cell = Cells(made).read(Key("vtssi", "linear-overlap", 0))
    assert cell is not None
    for name, ours in there["vtssi"].items():
        assert ours == {"mean": cell["metrics"][name], "sem": cell["metrics"][f"{name}_sem"]}
    lines = (made / "table1.md").read_text().splitlines()
    metrics = cell["metrics"]
    count = f"{100 * metrics['count_accuracy']:.2f} ± {100 * metrics['count_accuracy_sem']:.2f} %"
    assert any(line.startswith(f"| linear-overlap | VTSSI | {count} | 99.50 % |") for line in lines)
    missing = "| elliptic | FIND | - | 99.98 % | - | 0.973 | - | n/a | - |"
    assert missing in lines
    assert any(line.startswith("| linear-overlap | AIR |") and "| n/a | n/a |" in line for line in lines)
    assert f"`{cell['command']}`" in (made / "table1.md").read_text()


def test_what_is_finished_is_not_done_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError

    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file() and path.name != ".lock"}
    monkeypatch.setattr(training, "train", never)
    monkeypatch.setattr(reproduction, "judge", never)
    result = call(*table(made, variants=f"air,vtssi,{WITHOUT_MOT}"))
    assert result.stderr.count("is there") == 3
    assert before == {path: path.read_bytes() for path in before}


def test_other_sequences_are_judged_without_training(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", None)
    path = Cells(made).path(Key("air", "linear-overlap", 0))
    before = path.read_bytes()
    call(*table(made, "--sequences", 4, variants="air"))
    assert json.loads(path.read_text())["metrics"]["sequences"] == 4
    call(*table(made, variants="air"))
    again, first = json.loads(path.read_text()), json.loads(before)
    assert again["metrics"] == first["metrics"]


def test_an_interrupted_training_goes_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, advance = Key("vtssi", "linear-overlap", 0), Trainer.advance

    def stopped(self: Trainer) -> Any:
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", stopped)
        result = call(*table(tmp_path), code=143)
    assert "the same vtssi-pyro reproduce goes on" in result.stderr
    assert Cells(tmp_path).read(key) is None
    assert "No cell is made yet" in (tmp_path / "table1.md").read_text()
    assert "going on after step 7" in call(*table(tmp_path)).stderr
    cell, whole = Cells(tmp_path).read(key), Cells(made).read(key)
    assert cell is not None
    assert whole is not None
    assert (cell["metrics"], cell["long"]) == (whole["metrics"], whole["long"])
    assert len(cell["training"]["starts"]) == 2


def test_runs_and_cells_of_another_kind_are_refused(made: Path) -> None:
    assert "--preset quick, not standard" in refused(2, *table(made, "--preset", "standard"))
    assert "--digits embedded, not mnist" in refused(2, *table(made, "--digits", "mnist"))
    figure = ["reproduce", "figure3", *asked(made, "--preset", "standard")]
    assert "runs/air-linear-overlap-0: was made with --preset quick, not standard" in refused(2, *figure)


def test_without_training_what_is_missing_is_left_out(made: Path, tmp_path: Path) -> None:
    said = Heard()
    order = reproducing.Order("quick", "embedded", tmp_path, CPU, 1, False, said)
    table1.make(order, [Key(variant, "linear-overlap", 0) for variant in ("find", "vtssi")], SEQUENCES)
    assert sum("not trained, left out" in line for line in said.lines) == 2
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "table1.md").exists()
    with pytest.raises(CheckpointError, match="runs/find-linear-overlap-0: not trained"):
        paper_figures.draw("figure4", order, 0)


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "vtssi-linear-0.json").write_text("{}")
    assert "vtssi-linear-0.json: damaged" in refused(3, *table(tmp_path))


def test_torchrun_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert "one process" in refused(2, *table(tmp_path))


@pytest.mark.parametrize(
    "args", [["table2"], [], ["vtssi-linear-0", "sqair-linear-0"], ["vtssi-linear-one"],
             ["vtssi-linear-wide-0"], ["table1", "--preset", "paper-sqair"]]
)  # fmt: skip
def test_wrong_usage(args: list[str]) -> None:
    assert call("reproduce", *args, code=2).stderr.startswith("Usage: ")


def test_the_lists_are_complete() -> None:
    assert ITEMS == ("table1", *FIGURES)
    assert set(PRESETS) < set(presets.PRESETS)


@pytest.fixture
def of_one_flavour(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whatever flavour a figure asks for, its runs are trained on one."""

    def found(order: reproducing.Order, key: Key) -> Run:
        return reproducing.trained(order, key._replace(flavour="linear-overlap"))

    monkeypatch.setattr(paper_figures, "trained", found)
    return made


ROWS = {
    "figure3": 3,
    "figure4": 2,
    "figure10": 12,
    "figure11": 12,
    "figure12": 24,
    "figure13": 24,
    "figure14": 24,
}


@pytest.mark.parametrize("item", ROWS)
def test_figures_show_something(item: str, of_one_flavour: Path) -> None:
    args = ["reproduce", item, *asked(of_one_flavour)]
    path = of_one_flavour / "figures" / f"{item}.png"
    assert call(*args).stdout.split() == [str(path)]
    first = path.read_bytes()
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    tile = 40 * paper_figures.SCALE
    assert pixels.shape[1] > 20 * tile
    edges = 34 + np.arange(ROWS[item]) * (tile + 6)  # tops of the rows
    assert pixels.shape[0] == edges[-1] + tile + 16
    for top in edges:
        assert pixels[top : top + tile, 200:].std() > 2, "a blank row"
    call(*args)
    assert path.read_bytes() == first


def test_sampled_futures_are_drawn(of_one_flavour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(paper_figures, "film_strip", lambda path, rows, *more: drawn.append(rows))
    order = reproducing.Order("quick", "embedded", of_one_flavour, CPU, 1, False)
    paper_figures.draw("figure3", order, 0, samples=4)
    samples = [tracks.samples for _, _, tracks in drawn[0]]
    assert samples[:2] == [None, None]
    assert samples[2].shape == (4, 1, 20, 2, 2)


def test_sequences_are_chosen_by_the_first_wish_that_can_be_met() -> None:
    first, then = torch.tensor([0, 0, 1, 0, 0]).bool(), torch.tensor([0, 1, 0, 1, 1]).bool()
    assert paper_figures._chosen(1, first, then).tolist() == [2]
    assert paper_figures._chosen(3, first, then).tolist() == [1, 2, 3]
    assert paper_figures._chosen(1, torch.zeros(3, dtype=torch.bool)).tolist() == [0]


def test_overlap_is_that_of_tight_boxes() -> None:
    data = moving_digits("linear-overlap", load_digits("embedded", "test"), sequences=50, length=3, seed=1)
    overlap, truth = paper_figures._overlapping(data), data.truth
    assert truth.box is not None
    for s in range(50):
        for t in range(3):
            (ax, ay), (bx, by) = truth.position[s, t].tolist()
            (aw, ah), (bw, bh) = truth.box[s, t].tolist()
            expected = 2 * abs(ax - bx) < aw + bw and 2 * abs(ay - by) < ah + bh
            assert bool(overlap[s, t]) == (expected and int(data.counts[s]) == 2)
