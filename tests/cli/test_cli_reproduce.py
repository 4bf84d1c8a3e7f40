"""``vtssi-pyro reproduce``: a table and figures from tiny runs, trained when missing and never twice."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import STAGES, call, keys_of, refused

from vtssi_pyro import PUBLISHED, TestTime, judge, reproduce
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import override
from vtssi_pyro.config.variants import OURS
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.paper import cells as reproduction
from vtssi_pyro.paper import comparisons, reproducing, table1
from vtssi_pyro.paper import figures as paper_figures
from vtssi_pyro.paper.cells import Cells, Key, tracker_of
from vtssi_pyro.paper.figures import FIGURES
from vtssi_pyro.paper.items import ITEMS, PRESETS
from vtssi_pyro.paper.published import FLAVOURS, TABLE1
from vtssi_pyro.system import checkpoint
from vtssi_pyro.train import presets, training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Silent
from vtssi_pyro.train.splits import TABLE_SEED
from vtssi_pyro.train.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

CPU = torch.device("cpu")
SEQUENCES = 9
SEARCH, CONSENSUS = "template-search", "count-rect-template-search"
WITHOUT_MOTION = OURS.without_motion.name
_STAGES = {"air": STAGES[:1], SEARCH: STAGES[:2], CONSENSUS: STAGES[:2]}
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


QUICK = replace(presets.PRESETS["quick"], recipe=tiny)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(presets.PRESETS, "quick", QUICK)
    monkeypatch.setattr(table1, "HORIZON", 7)
    monkeypatch.setattr(paper_figures, "POOL", 40)


class Heard(Silent):
    """Keeps every message and file."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.files: list[Path] = []

    def wrote(self, path: Path) -> None:
        self.files.append(path)

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


def table(out: Path, *more: object, variants: str = "ours", flavours: str = "linear-overlap") -> list[object]:
    cells = [f"{variant}-{flavours}-0" for variant in variants.split(",")]
    return ["reproduce", *cells, *asked(out, "--sequences", SEQUENCES, *more)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three cells, made by one command."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "quick", QUICK)
        patch.setattr(table1, "HORIZON", 7)
        result = call(*table(out, variants=f"air,ours,{WITHOUT_MOTION}"))
    assert result.stdout.split() == [str(out / "table1.md"), str(out / "table1.json")]
    return out


@pytest.mark.parametrize("variant", ["air", "ours", WITHOUT_MOTION])
def test_a_cell_is_what_judge_says(variant: str, made: Path) -> None:
    key = Key(variant, "linear-overlap", 0)
    cell = Cells(made, "quick").read(key)
    assert cell is not None
    test = moving_digits(
        "linear-overlap", load_digits("embedded", "test"), sequences=SEQUENCES, frame_size=40, seed=TABLE_SEED
    )
    tracker = tracker_of(Run(made / "runs" / "quick" / key.trained.name), variant, CPU)
    assert cell["metrics"] == judge(tracker, test, 3, settle=3).as_dict()
    assert cell["procedure"] == "our own"
    assert cell["metrics"]["count_frames"] == (1 if variant == "air" else 5)  # registration needs five
    everything = judge(tracker, test, 3).as_dict()
    names = ("count_accuracy", "count_accuracy_sem", "count_frames")
    counted = None if variant == "air" else {name: everything[name] for name in names}
    assert cell["all_frames"] == counted
    bare = judge(tracker, test, 3, settle=3, test_time=TestTime()).as_dict()
    assert cell["bare"] == {name: bare[name] for name in cell["bare"]}
    assert (cell["metrics"]["prediction_error"] is None) == (variant != "ours")
    assert cell["metrics"]["sequences"] == cell["sequences"] == SEQUENCES
    assert (Key.of(cell), cell["observe"]) == (key, 3)
    assert cell["command"] == (
        f"vtssi-pyro reproduce {variant}-linear-overlap-0 --preset quick --sequences {SEQUENCES} --digits embedded"
    )
    assert len(cell["training"]["starts"]) == 1
    assert cell["training"]["starts"][0]["hardware"]["threads"] == 1
    assert {"commit", "versions", "hardware", "minutes"} == cell["evaluation"].keys()
    if variant == "ours":
        assert len(cell["long"]["prediction_error_by_frame"]) == 7
        assert len(cell["long"]["predictions_outside_by_frame"]) == 7
    else:
        assert cell["long"] is None


def test_it_is_one_call_in_python(made: Path, tmp_path: Path) -> None:
    """It returns the files that it reports, and takes what is finished, each item once."""
    heard = Heard()
    names = [f"{variant}-linear-overlap-0" for variant in ("air", "ours", "air")]
    same = {"preset": "quick", "digits": "embedded", "sequences": SEQUENCES, "device": "cpu", "threads": 1}
    files = reproduce(names, out=made, report=heard, **same)
    assert files == heard.files == [made / "table1.md", made / "table1.json"]
    assert heard.lines == [f"cell {n} of 2, {name}: is there" for n, name in enumerate(names[:2], start=1)]
    with pytest.raises(UsageError, match="'table2' is none of table1, figure1c"):
        reproduce("table2", out=tmp_path / "out", **same)
    with pytest.raises(UsageError, match="preset paper-sqair: expected one of quick"):
        reproduce("table1", out=tmp_path / "out", **(same | {"preset": "paper-sqair"}))
    assert not (tmp_path / "out").exists()


def test_without_mot_nothing_is_trained(made: Path) -> None:
    assert {path.name for path in (made / "runs" / "quick").iterdir()} == {
        "air-linear-overlap-0",
        "ours-linear-overlap-0",
    }


def test_one_training_of_all_flavours_is_judged_on_each(tmp_path: Path) -> None:
    """Its rows say so, and the rows of trainings on one flavour alone stay empty."""
    call("reproduce", f"{SEARCH}-mixed-0", *asked(tmp_path, "--sequences", SEQUENCES))
    assert [run.name for run in (tmp_path / "runs" / "quick").iterdir()] == [f"{SEARCH}-mixed-0"]
    for flavour in FLAVOURS:
        cell = Cells(tmp_path, "quick").read(Key(SEARCH, flavour, 0, "mixed"))
        assert cell is not None
        test = moving_digits(
            flavour, load_digits("embedded", "test"), sequences=SEQUENCES, frame_size=40, seed=TABLE_SEED
        )
        tracker = tracker_of(Run(tmp_path / "runs" / "quick" / f"{SEARCH}-mixed-0"), SEARCH, CPU)
        assert cell["metrics"] == judge(tracker, test, 3, settle=3).as_dict()
        assert cell["command"].startswith(f"vtssi-pyro reproduce {SEARCH}-mixed-0 --preset quick ")
    rows = [row for row in json.loads((tmp_path / "table1.json").read_text()) if row["cells"]]
    assert [(row["flavour"], row["learned"]) for row in rows] == [(flavour, "mixed") for flavour in FLAVOURS]
    text = (tmp_path / "table1.md").read_text()
    assert text.count("| template search, trained on all four | quick | our own, on 3 frames | ") == len(
        FLAVOURS
    )
    assert "| template search | quick |" not in text
    assert text.count("| template search | standard | - |") == len(FLAVOURS)


def test_cells_may_share_the_first_blocks_of_one_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shared training is made once, of all flavours; the others begin with its weights, after its stages."""
    monkeypatch.setitem(presets.SHARED, "quick", ("air", "objects"))
    cells = (f"{SEARCH}-linear-0", f"{CONSENSUS}-linear-0")
    call("reproduce", *cells, *asked(tmp_path, "--sequences", SEQUENCES))
    runs = tmp_path / "runs" / "quick"
    assert {run.name for run in runs.iterdir()} == {"air-mixed-0", *cells}
    shared = Run(runs / "air-mixed-0").tracker().state_dict()
    for name in cells:
        run = Run(runs / name)
        made = json.loads((tmp_path / "cells" / "quick" / f"{name}.json").read_text())
        assert made["training"]["start"] == {
            "name": "air-mixed-0",
            "minutes": Run(runs / "air-mixed-0").minutes,
            "steps": Run(runs / "air-mixed-0").load()["step"],
            "gpu": None,
            "start": None,
        }
        assert run.config.start == str(runs / "air-mixed-0")
        assert next(stage.steps for stage in run.config.train.stages if stage.name == "objects") == 0
        start = checkpoint.load(run.checkpoint("start"))["trained"]
        assert start
        assert all(torch.equal(value, shared[name]) for name, value in start.items())
    (tmp_path / "cells" / "quick" / f"{cells[0]}.json").unlink()
    again = call("reproduce", *cells, *asked(tmp_path, "--sequences", SEQUENCES))
    assert "other numbers" not in again.stderr


def test_the_table_stands_beside_the_papers(made: Path) -> None:
    rows = json.loads((made / "table1.json").read_text())
    for row in rows:
        name = f"cells/{row['preset']}/{row['variant']}-{row['flavour']}-0.json"
        assert row["cells"] == ([name] if (made / name).exists() else [])
        if row["preset"] is None:
            published = TABLE1[row["flavour"]][row["variant"]]
            assert row["measures"]["inference_error"] == {"mean": published.inference_error, "sem": None}
        else:
            assert (row["measures"] is not None) == bool(row["cells"])
    there = {row["variant"]: row["measures"] for row in rows if row["cells"]}
    assert set(there) == {"air", "ours", WITHOUT_MOTION}
    cell = Cells(made, "quick").read(Key("ours", "linear-overlap", 0))
    assert cell is not None
    metrics, counted = cell["metrics"], cell["all_frames"]
    for name, held in (
        ("count_accuracy", metrics), ("inference_error", metrics), ("prediction_error", metrics),
    ):  # fmt: skip
        assert there["ours"][name] == {"mean": held[name], "sem": held[f"{name}_sem"]}
    assert there["ours"]["count_accuracy_all_frames"]["mean"] == counted["count_accuracy"]
    lines = (made / "table1.md").read_text().splitlines()
    first, all_frames = (
        f"{100 * held['count_accuracy']:.2f} ± {100 * held['count_accuracy_sem']:.2f} %"
        for held in (metrics, counted)
    )
    start = f"| all of ours | quick | our own, on 3 frames | {first} | {all_frames} |"
    assert any(line.startswith(start) and f"`{cell['command']}`" in line for line in lines)
    assert any(line.startswith("| AIR | quick |") and "% of frames | n/a |" in line for line in lines)
    assert any(line.startswith("| all of ours without residual MOT | quick |") for line in lines)


def test_what_is_finished_is_not_done_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError

    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file() and path.name != ".lock"}
    monkeypatch.setattr(training, "train", never)
    monkeypatch.setattr(reproduction, "judge", never)
    result = call(*table(made, variants=f"air,ours,{WITHOUT_MOTION}"))
    assert result.stderr.count("is there") == 3
    assert before == {path: path.read_bytes() for path in before}


def test_other_sequences_are_judged_without_training(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train", None)
    path = Cells(made, "quick").path(Key("air", "linear-overlap", 0))
    before = path.read_bytes()
    call(*table(made, "--sequences", 4, variants="air"))
    assert json.loads(path.read_text())["metrics"]["sequences"] == 4
    call(*table(made, variants="air"))
    again, first = json.loads(path.read_text()), json.loads(before)
    assert again["metrics"] == first["metrics"]


def test_an_interrupted_training_goes_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, advance = Key("ours", "linear-overlap", 0), Trainer.advance

    def stopped(self: Trainer) -> Any:
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", stopped)
        result = call(*table(tmp_path), code=143)
    assert "the same vtssi-pyro reproduce goes on" in result.stderr
    assert Cells(tmp_path, "quick").read(key) is None
    assert "No cell is made yet" in (tmp_path / "table1.md").read_text()
    assert "going on after step 7" in call(*table(tmp_path)).stderr
    cell, whole = Cells(tmp_path, "quick").read(key), Cells(made, "quick").read(key)
    assert cell is not None
    assert whole is not None
    assert (cell["metrics"], cell["long"]) == (whole["metrics"], whole["long"])
    assert len(cell["training"]["starts"]) == 2


def test_runs_and_cells_of_another_kind_are_refused(made: Path) -> None:
    assert "--digits embedded, not mnist" in refused(2, *table(made, "--digits", "mnist"))
    figure = ["reproduce", "figure3", *asked(made, "--digits", "mnist")]
    assert "runs/quick/ours-linear-overlap-0: was made with --digits embedded, not mnist" in refused(
        2, *figure
    )


def test_presets_stand_side_by_side(made: Path) -> None:
    """One folder holds the cells of several; a preset is asked for its own variants alone."""
    before = {path.name for path in (made / "cells").iterdir()}
    line = refused(2, *table(made, variants="vtssi"))
    assert "preset quick has not: take --preset paper-fast, or fit --variant ours" in line
    assert {path.name for path in (made / "cells").iterdir()} == before == {"quick"}
    order = reproducing.Order("paper-fast", "embedded", made, CPU, 1, False)
    assert order.procedure == PUBLISHED
    assert order._replace(preset="quick").procedure is None
    assert table1.make(order, [Key("air", "linear-overlap", 0)], SEQUENCES)  # none is trained
    assert {path.name for path in (made / "cells").iterdir()} == before


def test_a_former_folder_goes_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a former version stood in ``runs`` itself, by the paper's names; they are judged anew, not trained."""
    monkeypatch.setattr(training, "train", None)
    former = tmp_path / "runs" / "vtssi-linear-overlap-0"
    shutil.copytree(made / "runs" / "quick" / "ours-linear-overlap-0", former)
    config = json.loads((former / "config.json").read_text())
    config["config"]["variant"], config["format"] = "vtssi", 2
    (former / "config.json").write_text(json.dumps(config))
    call(*table(tmp_path))
    key = Key("ours", "linear-overlap", 0)
    again, first = (Cells(folder, "quick").read(key) for folder in (tmp_path, made))
    assert again is not None
    assert first is not None
    assert again["metrics"] == first["metrics"]
    assert not (tmp_path / "runs" / "quick").exists()


def test_without_training_what_is_missing_is_left_out(made: Path, tmp_path: Path) -> None:
    said = Heard()
    order = reproducing.Order("quick", "embedded", tmp_path, CPU, 1, False, said)
    table1.make(order, [Key(variant, "linear-overlap", 0) for variant in (SEARCH, "ours")], SEQUENCES)
    assert sum("not trained, left out" in line for line in said.lines) == 2
    assert not (tmp_path / "runs").exists()
    assert (tmp_path / "table1.md").exists()
    with pytest.raises(CheckpointError, match="runs/quick/ours-linear-overlap-0: not trained"):
        paper_figures.draw("figure4", order, 0)


def test_a_damaged_cell_is_named(tmp_path: Path) -> None:
    (tmp_path / "cells" / "quick").mkdir(parents=True)
    (tmp_path / "cells" / "quick" / "ours-linear-0.json").write_text("{}")
    assert "ours-linear-0.json: damaged" in refused(3, *table(tmp_path))


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
    assert set(ITEMS) == {"table1", *FIGURES, *comparisons.FIGURES}
    assert set(PRESETS) == set(presets.ROUTES)


@pytest.fixture
def of_one_flavour(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whatever flavour a figure asks for, its runs are trained on one."""

    def found(order: reproducing.Order, key: Key) -> Run:
        return reproducing.trained(order, key._replace(flavour="linear-overlap"))

    monkeypatch.setattr(paper_figures, "trained", found)
    return made


ROWS = {
    "figure1c": 2,
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
    path = of_one_flavour / "figures" / "quick" / f"{item}.png"
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


@pytest.mark.parametrize("item", ["figure3", "figure4", "figure12"])
def test_figures_show_objects_that_the_observed_frames_decide(
    item: str, of_one_flavour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    track, settled = paper_figures.track, []

    def seen(tracker: Any, frames: Any, **procedure: Any) -> Any:
        settled.append(procedure)
        return track(tracker, frames, **procedure)

    monkeypatch.setattr(paper_figures, "track", seen)
    monkeypatch.setattr(paper_figures, "film_strip", lambda *args: None)
    order = reproducing.Order("quick", "embedded", of_one_flavour, CPU, 1, False)
    paper_figures.draw(item, order, 0)
    assert settled
    assert all(procedure == {"settle": 3, "test_time": None} for procedure in settled)


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
