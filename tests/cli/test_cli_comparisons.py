"""``vtssi-pyro reproduce figure5`` to ``figure9``, from tiny trainings."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_run import STAGES, call, keys_of, refused

from vtssi_pyro import judge, load, reproduce
from vtssi_pyro.artifacts.planning import Change, configured
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import override
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.errors import CheckpointError, UsageError
from vtssi_pyro.paper import comparisons, curves, figures
from vtssi_pyro.paper.comparisons import FIGURES, WIDE, Comparing
from vtssi_pyro.paper.contenders import HOURS, USUAL, Contender, contenders
from vtssi_pyro.paper.curves import sequences_of
from vtssi_pyro.paper.figures import Studio
from vtssi_pyro.paper.reproducing import Order
from vtssi_pyro.paper.statements import STATEMENTS
from vtssi_pyro.plots import CurvePanel, compared_curves
from vtssi_pyro.plots.film import Row
from vtssi_pyro.train import baseline_presets, presets, training
from vtssi_pyro.train.baseline_presets import BASELINES, ddpae_fast, recipe, sqair_fast
from vtssi_pyro.train.comparisons import COMPARISONS
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.reporting import Silent
from vtssi_pyro.train.splits import COMPARISON_SEED

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

CPU, SEQUENCES = torch.device("cpu"), 5
DATA = {"data.sequences": 12, "data.validation_sequences": 4, "data.test_sequences": 4, "calibration": 0}


def changed(config: Config, keys: dict[str, Any]) -> Config:
    return override(config, [f"{key}={json.dumps(value)}" for key, value in keys.items()])


def tiny(model: str) -> presets.Preset:
    """The preset quick under a comparison, whose trainings take seconds."""
    preset = presets.PRESETS[f"quick-{model}"]

    def made(variant: str) -> Config:
        config = preset.recipe(variant)
        kept = ("model.frame_size", "model.motion.M", "model.consensus.K", "observe")
        keys = {key: value for key, value in keys_of(variant).items() if key not in kept}
        return changed(config, {**keys, **DATA, "train.stages": STAGES})

    return replace(preset, recipe=made)


def tiny_ddpae() -> Config:
    sizes = {"features": 8, "content": 6, "hidden": 8, "filters": 2}
    keys = {f"model.{key}": value for key, value in sizes.items()}
    return changed(ddpae_fast(), {**keys, **DATA, **shortened("frames", "sequences")})


def tiny_sqair() -> Config:
    sizes = {"glimpse": 5, "what": 3, "units": 8}
    keys = {f"model.{key}": value for key, value in sizes.items()} | {"train.particles": 2}
    return changed(sqair_fast(), {**keys, **DATA, **shortened("frames", "sequences", "prior")})


def shortened(*stages: str) -> dict[str, object]:
    """Keys that leave two steps of three sequences to each stage."""
    short = {"steps": 2, "batch": 3}
    return {f"train.stages.{stage}.{key}": value for stage in stages for key, value in short.items()}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink(monkeypatch)


def shrink(patch: pytest.MonkeyPatch) -> None:
    for model in COMPARISONS:
        patch.setitem(presets.PRESETS, f"quick-{model}", tiny(model))
    patch.setitem(BASELINES, "ddpae", {"fast": tiny_ddpae})
    patch.setitem(BASELINES, "sqair", {"fast": tiny_sqair})


def asked(out: Path, *more: object) -> list[object]:
    options = [
        "--preset",
        "quick",
        "--digits",
        "embedded",
        "--sequences",
        SEQUENCES,
        "--threads",
        1,
        "--device",
        "cpu",
    ]
    return [*options, "--out", out, *more]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the figures of six trainings."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        result = call("reproduce", *FIGURES, *asked(out))
    written = [
        f"{item}{suffix}" for item in ("figure5", "figure6", "figure7") for suffix in (".png", ".json", ".md")
    ]
    written += [f"{item}{suffix}" for item in ("figure8", "figure9") for suffix in (".png", ".json")]
    assert result.stdout.split() == [str(out / "figures" / "quick" / name) for name in written]
    assert "figure5: to be trained\nddpae-ddpae-0, DDPAE by preset fast: 4 steps, about " in result.stderr
    assert "ours-ddpae-0, ours by preset quick-ddpae: 15 steps, about " in result.stderr
    assert "figure6: to be trained\nsqair-sqair-0, SQAIR by preset fast: 6 steps, about " in result.stderr
    return out


def shown(out: Path, item: str) -> dict[str, Any]:
    found = json.loads((out / "figures" / "quick" / f"{item}.json").read_text())
    assert isinstance(found, dict)
    return found


PARTNER = "template-search-residual-mot"


def test_runs_lie_where_those_of_the_table_do(made: Path) -> None:
    runs = {str(path.parent.relative_to(made / "runs")) for path in (made / "runs").rglob("config.json")}
    assert runs == {
        "fast/ddpae-ddpae-0", "quick-ddpae/ours-ddpae-0", "fast/sqair-sqair-0", "fast/sqair-linear-wide-0",
        f"quick-sqair/{PARTNER}-sqair-0", f"quick-sqair/{PARTNER}-linear-wide-0",
    }  # fmt: skip
    files = {str(path.relative_to(made / "curves")) for path in (made / "curves").rglob("*.json")}
    bare = {f"quick-sqair/{PARTNER}-{data}-0-without-motion.json" for data in ("sqair", "linear-wide")}
    assert files == {f"{run}.json" for run in runs} | bare


def test_a_curve_is_what_judge_says(made: Path) -> None:
    """Of either model, by its tracker alone, on the same sequences of 100 frames and equal information."""
    (panel,) = shown(made, "figure5")["panels"]
    assert [(curve["variant"], curve["preset"]) for curve in panel["curves"]] == [
        ("ddpae", "fast"), ("ours", "quick-ddpae"),
    ]  # fmt: skip
    sprites = load_digits("embedded", "test")
    test = moving_digits("ddpae", sprites, sequences=SEQUENCES, length=100, seed=COMPARISON_SEED)
    for curve, settle in zip(panel["curves"], (None, 10), strict=True):
        run = made / "runs" / curve["preset"] / f"{curve['variant']}-ddpae-0"
        found = judge(load(run), test, 10, settle=settle)
        assert curve["tracking"]["mean"] == found.inference_error_by_frame
        assert curve["prediction"]["mean"][10:] == found.prediction_error_by_frame
        assert len(curve["prediction"]["mean"]) == len(curve["prediction"]["sem"]) == 100
        assert curve["metrics"]["count_accuracy"] == found.count_accuracy
        assert (curve["observe"], curve["trained_length"], curve["sequences"]) == (10, 20, SEQUENCES)
        trained = Run(run).read_summary()
        assert (curve["training"]["steps"], curve["training"]["minutes"]) == (
            trained["steps"],
            trained["minutes"],
        )
        assert curve["training"]["hours"] == pytest.approx(trained["minutes"] / 60)
        assert f"{trained['steps']} steps, 0.0 core-hours" in curve["label"]
        assert curve["evaluation"]["hardware"]["threads"] == 1
    assert [row["sentence"] for row in panel["statements"]] == [
        s.sentence for s in STATEMENTS["figure5", "ddpae"]
    ]
    assert all(row["holds"] is not None for row in panel["statements"])
    assert shown(made, "figure5")["command"] == (
        f"vtssi-pyro reproduce figure5 --sequences {SEQUENCES} --digits embedded --preset quick"
    )


def test_tracks_are_shown_with_motion_and_without(made: Path) -> None:
    found = shown(made, "figure7")
    for panel, flavour in zip(found["panels"], ("sqair", "linear-wide"), strict=True):
        other, own, bare = panel["curves"]
        assert (other["variant"], other["flavour"], other["without_motion"]) == ("sqair", flavour, False)
        assert other["metrics"]["per_frame_count"]
        assert (own["flavour"], own["without_motion"], bare["without_motion"]) == (flavour, False, True)
        assert own["tracking"] != bare["tracking"]
        assert bare["prediction"] is None
        assert own["training"] == bare["training"]
        assert own["metrics"]["count_frames"] <= own["observe"] == 3
    assert not found["missing"]
    assert [len(panel["curves"]) for panel in shown(made, "figure6")["panels"]] == [2, 2]
    text = (made / "figures" / "quick" / "figure7.md").read_text()
    assert "not decided" not in text
    assert "VTSSI keeps a constant error over long horizons" in text


def test_the_picture_shows_what_the_json_holds(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[CurvePanel] = []

    def seen(path: Path, panels: list[CurvePanel]) -> None:
        drawn.extend(panels)
        compared_curves(path, panels)

    monkeypatch.setattr(comparisons, "compared_curves", seen)
    before = (made / "figures" / "quick" / "figure7.png").read_bytes()
    call("reproduce", "figure7", *asked(made))
    assert (made / "figures" / "quick" / "figure7.png").read_bytes() == before
    for panel, told in zip(drawn, shown(made, "figure7")["panels"], strict=True):
        assert (panel.title, panel.last) == (told["title"], told["frames"])
        for line, curve in zip(panel.lines, told["curves"], strict=True):
            assert line.label == curve["label"]
            assert (line.mean, line.sem) == (curve["tracking"]["mean"], curve["tracking"]["sem"])


def test_what_is_made_is_neither_trained_nor_judged_again(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", None)
    monkeypatch.setattr(curves, "find", None)
    before = {path: path.read_bytes() for path in made.rglob("*.json")}
    result = call("reproduce", "figure5", "figure6", *asked(made))
    assert result.stderr.count("are there") == 6
    assert "to be trained" not in result.stderr
    for path in before:
        if path.parent.name != "quick":  # the figures' own, which tell when they were drawn
            assert path.read_bytes() == before[path]
    with pytest.raises(TypeError):  # another number of sequences has curves of its own
        reproduce("figure5", preset="quick", digits="embedded", sequences=2, out=made, device="cpu")


def test_strips_show_one_sequence_in_every_row(made: Path) -> None:
    """Its truth, SQAIR, and the model with its motion and without; predictions after the observed frames."""
    for item, rows, flavour in (("figure8", 3, "sqair"), ("figure9", 2, "linear-wide")):
        found = shown(made, item)
        assert (found["flavour"], len(found["rows"]), len(found["truth"])) == (flavour, rows, 100)
        assert all(len(row["position"]) == 100 for row in found["rows"])
        assert len(found["truth"][0]) == 2
        with Image.open(made / "figures" / "quick" / f"{item}.png") as image:
            pixels = np.asarray(image.convert("L"))
        tile = 50 * comparisons.SCALE
        assert pixels.shape[0] == 34 + (rows + 1) * (tile + 6) - 6 + 16
        assert pixels[34 : 34 + tile, 300:].std() > 2


def test_runs_made_elsewhere_are_taken(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their presets and seeds; without training the rest is left out, with the command that makes it."""
    monkeypatch.setattr(training, "train", None)
    run = made / "runs" / "fast" / "ddpae-ddpae-0"
    result = call("reproduce", "figure5", *asked(tmp_path, "--no-training", "--run", f"ddpae-ddpae-0={run}"))
    folder = tmp_path / "runs" / "quick-ddpae" / "ours-ddpae-0"
    makes = f"vtssi-pyro fit ddpae --model ours --preset quick-ddpae --digits embedded --out {folder}"
    assert "figure5: not trained\nours-ddpae-0" in result.stderr
    assert f"ours-ddpae-0 is left out; it is made by: {makes}" in result.stderr
    found = shown(tmp_path, "figure5")
    (panel,) = found["panels"]
    assert panel["curves"] == [
        {**curve, "evaluation": panel["curves"][0]["evaluation"]}
        for curve in shown(made, "figure5")["panels"][0]["curves"][:1]
    ]
    assert [one["command"] for one in found["missing"]] == [makes]
    assert f"--run ddpae-ddpae-0={run}" in found["command"]
    assert not (tmp_path / "runs").exists()


def test_what_is_refused(made: Path, tmp_path: Path) -> None:
    partner = made / "runs" / "quick-sqair" / f"{PARTNER}-sqair-0"
    for given, words in (
        ("ddpae-ddpae-0", "'ddpae-ddpae-0' is not NAME=FOLDER"),
        (f"ours-linear-0={partner}", "--run ours-linear-0: expected one of ddpae-ddpae-0, ours-ddpae-0"),
        (f"ddpae-ddpae-0={partner}", f"its model is {PARTNER}, not ddpae"),
    ):
        assert words in call("reproduce", "figure5", *asked(tmp_path, "--run", given), code=2).stderr
    assert "--run ours-ddpae-0: none is needed here" in refused(
        2, "reproduce", "figure3", *asked(tmp_path, "--run", f"ours-ddpae-0={partner}")
    )
    other = made / "runs" / "fast" / "ddpae-ddpae-0"
    given = ["--run", f"ddpae-ddpae-0={other}", "--digits", "mnist"]
    assert "its digits is embedded, not mnist" in refused(2, "reproduce", "figure5", *asked(tmp_path, *given))
    options = {
        "preset": "quick",
        "digits": "embedded",
        "out": tmp_path / "new",
        "device": "cpu",
        "train": False,
    }
    for item in ("figure5", "figure8"):
        with pytest.raises(CheckpointError, match=f"{item}: no run is finished"):
            reproduce(item, **options)
    assert not (tmp_path / "new" / "curves").exists()
    with pytest.raises(UsageError, match="decides the objects on 5 frames cannot be compared on 3"):
        curves.judged(load("moving-mnist"), 3)


def test_interrupted_trainings_are_told_by_what_is_left(made: Path, tmp_path: Path) -> None:
    order, setting = Order("quick", "embedded", tmp_path, CPU, 1, False, Silent()), comparisons.DDPAES
    party = contenders(setting, "quick", {})[1]
    run = Run.create(party.folder(order), party.order(order).config(party.key))
    run.append({"step": 6, "seconds": 1.0})
    assert comparisons.plan([party, party], order) == [
        f"ours-ddpae-0, ours by preset quick-ddpae: step 6 of 15, about {HOURS['quick-ddpae'] * 0.6:.1f} hours of one "
        "core"
    ]
    assert party.command(order) == f"vtssi-pyro fit --out {run.folder} --resume"


@pytest.mark.parametrize("setting", [comparisons.DDPAES, comparisons.SQAIRS, comparisons.WIDE])
def test_the_command_of_a_training_makes_the_same_configuration(
    setting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    order = Order("quick", "mnist", Path("out"), CPU, 1, False)
    found: list[Contender] = contenders(setting, None, {})
    own = [party for party in found if party.partner]
    assert [party.preset for party in own] == [f"{route}-{setting.model}" for route in USUAL]
    assert len(found) == len(own) + 1
    for party in found:
        words = party.command(order).split()
        assert words[:3] == ["vtssi-pyro", "fit", setting.flavour]
        said = dict(zip(words[3::2], words[4::2], strict=True))
        made = configured(
            recipe(said["--model"], said["--preset"]),
            words[2],
            [Change(f'data.digits="{said["--digits"]}"', "digits")],
        )
        assert made == party.order(order).config(party.key)
        assert said["--out"] == str(party.folder(order))
        assert party.recipe in HOURS


def test_every_panel_of_curves_has_sentences() -> None:
    panels = {(item, plot.setting.flavour) for item, plots in FIGURES.items() for plot in plots}
    assert {panel for panel in panels if panel[0] not in comparisons.FILMS} == set(STATEMENTS)
    assert Comparing(Order("quick", "mnist", Path(), CPU, 1, True), None, 10, {}).command("figure5") == (
        "vtssi-pyro reproduce figure5 --sequences 10 --digits mnist"
    )
    assert baseline_presets.BASELINES is BASELINES


class Said(Silent):
    """Keeps every message."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_figure_4_shows_sqair_where_its_training_is_finished(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the folder's own run or a given one, on the frames of the other rows; without one its command is told."""
    drawn: list[list[Row]] = []
    monkeypatch.setattr(figures, "film_strip", lambda path, rows, *more: drawn.append(rows))
    monkeypatch.setattr(Studio, "tracker", lambda *_: load("moving-mnist"))
    monkeypatch.setattr(
        Studio, "sequences", lambda studio, flavour, length: sequences_of(WIDE, "embedded", 9)
    )
    monkeypatch.setattr(Studio, "observe", 3)
    said, folder = Said(), made / "runs" / "fast" / "sqair-linear-wide-0"
    nothing = Order("quick", "embedded", tmp_path, CPU, 1, True, said)
    figures.draw("figure4", nothing._replace(out=made), 0)
    assert not said.lines
    figures.draw("figure4", nothing, 0, given={"sqair-linear-wide-0": folder})
    figures.draw("figure4", nothing, 0)
    own, given, without = drawn
    assert [title for title, *_ in own] == ["template search", "all of ours", "SQAIR"]
    assert [title for title, *_ in without] == ["template search", "all of ours"]
    assert torch.equal(own[2][2].position, given[2][2].position)
    assert torch.equal(own[2][1], own[0][1])
    assert not (tmp_path / "runs").exists()
    assert "SQAIR is left out; it is made by: vtssi-pyro fit linear-wide --model sqair" in said.lines[-1]
