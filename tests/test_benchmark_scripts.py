"""The comparisons of benchmarks/ compare what they say."""

import ast
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from small_model import small
from torch.utils.flop_counter import FlopCounterMode

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.shipped import Pretrained, card
from vtssi_pyro.baselines import DDPAEConfig, SQAIRConfig
from vtssi_pyro.baselines.sqair import Figures
from vtssi_pyro.config import override
from vtssi_pyro.data import load_digits, moving_digits, samples
from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.config import VARIANTS, ModelConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.train.config import Config, DataConfig

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(FOLDER)
    return import_module(request.param)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_scripts_import_what_there_is(path: Path) -> None:
    """Most scripts take too long for a test, but none may fail on the first line, because a name has moved."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vtssi_pyro"):
            for alias in node.names:
                exec(f"from {node.module} import {alias.name}", {})


@pytest.mark.slow
@pytest.mark.parametrize("script", ["step"], indirect=True)
def test_the_naive_organisation_has_the_same_elbo(script: ModuleType) -> None:
    found = script.compare(batch=2, length=6, repeats=1)
    objective = found["objective_per_sequence"]
    assert objective["naive"] == pytest.approx(objective["package"], rel=1e-4)
    assert found["over_package"] == pytest.approx(found["seconds"]["naive"] / found["seconds"]["package"])


@pytest.mark.slow
@pytest.mark.parametrize("script", ["scene"], indirect=True)
def test_the_models_beside_a_block_are_the_same_but_for_it(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = []

    def kept(config: ModelConfig, run: str) -> Tracker:
        configs.append(config)
        return made(config, run)

    made = script.made
    monkeypatch.setattr(script, "made", kept)
    slots = {"presence": "scene", "interaction": "motion", "occlusion": "picture"}
    for block, slot in slots.items():
        configs.clear()
        told = script.compare(block, "quick", batch=1, repeats=1)
        whole, *others = configs
        for other in others:
            assert replace(other, **{slot: getattr(whole, slot)}) == whole != other
        assert told["with_over_without"] == pytest.approx(told["with"] / told["without"])


@pytest.mark.parametrize("script", ["sample"], indirect=True)
def test_the_sample_movies_that_ship_are_those_of_the_script(script: ModuleType) -> None:
    assert tuple(script.MOVIES) == samples.available()
    for name, draw in script.MOVIES.items():
        assert samples.located(name).stat().st_size < 10**6
        with np.load(samples.located(name)) as kept:
            frames, truth = kept["frames"], kept["positions"]
            drawn = draw()
            assert set(kept) == set(drawn._fields)
        off = np.abs(frames.astype(int) - drawn.frames)
        # of another processor's rounding
        assert (off.max(), truth.dtype) == (
            pytest.approx(0, abs=1),
            np.float32,
        )
        np.testing.assert_allclose(truth, drawn.positions, atol=1e-3)
        brightest = [frame[int(y), int(x)] for frame, (x, y) in zip(frames, truth[:, 0], strict=True)]
        assert np.mean(brightest) > frames.mean() + 3 * frames.std(), "a bead is where the truth says"


@pytest.mark.parametrize("script", ["crowd"], indirect=True)
def test_tracks_of_a_crowd_leap_and_change_beads_where_they_do(script: ModuleType) -> None:
    path = script.drawn(0, 4, 12, 60, 2.0)[1]
    assert np.linalg.norm(np.diff(path, axis=0), axis=-1).max() == pytest.approx(2)
    assert path.min() >= script.WALL
    path = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]]) + 2 * np.arange(12).reshape(-1, 1, 1)
    own = path.copy()
    assert script.judged(own, path, 2.0) == {"tracks": 3, "recall": 1, "nobody": 0, "changes": 0, "leaps": 0}
    own[5:, [0, 1]] = path[5:, [1, 0]]  # two change beads, with a leap each
    own[8, 2] = -50.0  # one leaves its bead for a frame
    own[10:, 2] = np.nan
    told = {"tracks": 3, "recall": 33 / 36, "nobody": 1, "changes": 2, "leaps": 4}
    assert script.judged(own, path, 2.0) == pytest.approx(told)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["brownian"], indirect=True)
def test_brownian_beads_are_followed_and_judged_by_their_own_paths(script: ModuleType) -> None:
    movie, path = script.drawn(0, 3, 200)
    assert script.squared(path, 1) == pytest.approx(2 * script.STEP**2, rel=0.15)
    assert script.squared(path, 4) == pytest.approx(8 * script.STEP**2, rel=0.3)
    found = script.judged(movie[:40], path[:40], "untrained")
    assert (found["tracks"], found["followed"]) == (3, 1)
    assert found["msd_1"] == pytest.approx(1, abs=0.05)
    assert found["bound_px"] == pytest.approx(script.NOISE / script.HEIGHT, rel=0.01)
    assert found["offset_px"] <= found["error_px"] < 1.3 * found["bound_px"]
    assert found["within_90"] == pytest.approx(0.9, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["pyro_air"], indirect=True)
def test_air_learns(script: ModuleType) -> None:
    """Pasting undoes cutting, and a few steps explain a square better."""
    frames = torch.zeros(8, 50, 50)
    frames[:, 20:30, 28:36] = 1
    air, where = script.AIR(50), torch.tensor([[1.8, 0.25, 0.0]]).expand(8, 3)
    assert (air.paste(air.cut(frames, where), where) - frames).abs().mean() < 0.01
    step = script.stepper(frames)
    losses = [step() for _ in range(12)]
    assert sum(losses[-3:]) < sum(losses[:3])


@pytest.mark.slow
@pytest.mark.parametrize("script", ["sqair"], indirect=True)
def test_the_floor_of_sqair_reaches_its_weights(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every matrix of weights has a gradient in the floor, so that no product is left out."""
    sizes = SQAIRConfig(num_objects=1, frame_size=12, glimpse=5, what=3, units=8)
    sqair, reached = sizes.build(), []
    grad = torch.autograd.grad
    monkeypatch.setattr(
        torch.autograd, "grad", lambda *args, **options: reached.extend(grad(*args, **options))
    )
    script.floor(sqair, torch.rand(2, 3, 1, 12, 12), 2)()
    own = zip(sqair.named_parameters(), reached, strict=False)  # before the leaves
    small = {"prior.body.count_by_others", "prior.body.scene", "prior.body.place", "prior.body.readout"}
    left_out = {name for (name, weight), found in own if weight.dim() > 1 and found is None}
    left_out = {name for name in left_out if not any(name.startswith(part) for part in small)}
    assert left_out == {"picture.body.background"}
    monkeypatch.undo()
    assert script.compare(2, 3, 2, 1, sizes)["over_package"] > 0


@pytest.mark.parametrize("script", ["ddpae"], indirect=True)
def test_ddpaes_floor_has_the_operations_of_its_step(script: ModuleType) -> None:
    """Every convolution, transposed or not, and every product of matrices of the step is in its floor, as large."""
    config = DDPAEConfig(frame_size=32, inputs=3, features=8, content=6, hidden=8, filters=2)
    tracker, frames = config.build(), torch.rand(2, 5, 1, 32, 32)

    def operations(run: Callable[[], object]) -> dict[str, int]:
        with FlopCounterMode(display=False) as counter:
            run()
        return {str(op): flops for op, flops in counter.get_flop_counts()["Global"].items()}

    found, least = operations(script.package(tracker, frames)), operations(script.floor(tracker, frames))
    for name in ("aten.convolution", "aten.convolution_backward", "aten.bmm"):
        assert least[name] == found[name] > 0
    assert script.compare(config, batch=2, length=5, repeats=1)["over_package"] > 0


@pytest.mark.parametrize("script", ["ddpae_marks"], indirect=True)
def test_marks_are_by_definition(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast that is right but for a brightness and a shift, with the objects in another order."""
    data = moving_digits("ddpae", load_digits("embedded", "test"), sequences=3, seed=1)
    truth, frames = data.truth, data.frames(slice(None))

    def near(tracker: object, seen: torch.Tensor, horizon: int) -> Estimate:
        assert (seen.shape[1], horizon) == (10, 10)
        shift = torch.tensor([[3.0, 4.0], [3.0, 4.0], [30.0, 40.0]])[:, None, None]
        tracks = truth._replace(position=truth.position.flip(2) + shift)
        return Estimate(tracks, (frames + 0.1).clamp(max=1), torch.zeros(3, 2, 1))

    monkeypatch.setattr(script, "forecast", near)
    found = script.marks(None, data)
    later = frames[:, 10:]
    off = (later + 0.1).clamp(max=1)
    assert found["mse"] == pytest.approx(float((off - later).square().sum((2, 3, 4)).mean()), rel=1e-4)
    bce = torch.nn.functional.binary_cross_entropy(off.clamp(1e-4, 1 - 1e-4), later)
    assert found["bce"] == pytest.approx(4096 * float(bce), rel=1e-4)
    assert found["two_digits_in_two_components"] == pytest.approx(2 / 3)
    assert len(found["distance_by_frame"]) == 20


@pytest.mark.parametrize("script", ["sqair_marks"], indirect=True)
def test_sqairs_marks_are_by_definition(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Counts that are right in half of the particles' weights but for one frame; hours are of all cores."""
    data = moving_digits("sqair-original", load_digits("embedded", "test"), sequences=5, seed=1)
    sqair = SQAIRConfig(glimpse=5, what=3, units=8).build()

    def figures(sqair: object, frames: torch.Tensor, particles: int) -> Figures:
        assert (frames.shape[1], particles) == (10, 5)
        true = torch.nn.functional.one_hot(data.counts, 4).float().unsqueeze(1).expand(-1, 10, -1)
        number = 0.5 * true + 0.5 * true.roll(1, -1)
        number[0, 0] = true[0, 0]
        value = torch.arange(5.0)
        return Figures(value, value + 1, value + 2, number)

    monkeypatch.setattr(script, "figures", figures)
    found = script.marks(sqair, data)
    assert found["count"]["mean"] == pytest.approx(0.5 + 0.5 / 50)
    assert [found[name]["mean"] for name in ("bound", "log_likelihood", "kl")] == [2, 3, 4]
    assert found["bound"]["error"] == pytest.approx((2.5 / 5) ** 0.5)
    assert found["count_of_tracks"]["mean"] == judge(ModelTracker(sqair), data, 3).count_accuracy
    run = Run.create(tmp_path / "run", Config(), machine={"threads": 2, "processes": 3})
    run.save({"step": 70})
    run.append({"step": 70, "seconds": 1200.0})
    assert script.cost(run) == {"steps": 70, "core_hours": 2.0}


@pytest.mark.parametrize("script", ["statements"], indirect=True)
def test_a_one_hot_rect_takes_all_from_one_frame(script: ModuleType) -> None:
    """At modes, the sizes of each sequence are those of one of its K frames, and no blend of them."""
    tracker = build("vtssi", small()).eval()
    frames = torch.rand(4, 6, 1, 20, 20)
    with torch.no_grad():
        single, _ = tracker.attention.locate(frames[:, : tracker.consensus.K])
        with mode():
            soft = tracker.guide(frames).objects.size
            sharp = script.one_hot(tracker).guide(frames).objects.size
    distances = [(found.unsqueeze(1) - single.mean).abs().amax((2, 3)) for found in (soft, sharp)]  # (B, K)
    assert distances[0].amin(1).min() > 1e-6
    assert distances[1].amin(1).max() < 1e-6
    with pytest.raises(UsageError, match="FirstFrame, which weighs no frames"):
        script.one_hot(build("find", small()))


@pytest.mark.parametrize("script", ["growth"], indirect=True)
def test_the_exponent_is_that_of_the_larger_half(script: ModuleType) -> None:
    assert script.exponent([1, 2, 4, 8], [9, 9, 16, 64]) == pytest.approx(2)
    assert script.exponent([1, 5, 20], [7, 5, 20]) == pytest.approx(1)


@pytest.mark.parametrize("script", ["ship"], indirect=True)
def test_a_run_is_made_to_ship(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged on the digits that its training never sees."""
    data = DataConfig(sequences=2, validation_sequences=2, test_sequences=5, length=6)
    config = override(Config("find", data=data, model=VARIANTS["find"](small())), ["model.frame_size=32"])
    run = Run.create(tmp_path / "run", config)
    run.save({"trained": build(config.model).state_dict()})
    words = [part for key in ("description", "data", "licence", "machine") for part in (f"--{key}", "words")]
    script.main(
        [str(run.folder), "tiny", *words, "--commit", "abc", "--folder", str(tmp_path), "--threads", "1"]
    )
    found = card("tiny", tmp_path)
    assert (found.commit, found.metrics["float16"]["sequences"]) == ("abc", 5)
    assert "in float16:" in capsys.readouterr().out
    Pretrained("tiny", tmp_path).tracker()


@pytest.mark.parametrize("script", ["movies"], indirect=True)
@pytest.mark.parametrize("lost", [False, True])
def test_movies_are_judged_by_their_truth(script: ModuleType, tmp_path: Path, lost: bool) -> None:
    """Three objects a movie's width apart; the tracks of two change places once, that of the third may be missing."""
    path = np.array([[50.0, 50.0], [100.0, 50.0], [150.0, 50.0]])[None].repeat(10, 0)
    rows = ["sequence,frame,particle,x,y,x_std,y_std"]
    for t in range(10):
        for slot, n in enumerate([0, 1, 2] if t < 6 else [1, 0, 2]):
            if not (lost and n == 2):
                off = 3.0 if t == 9 else 0.5  # 3 px: beyond what counts as tracked
                rows.append(f"0,{t},{slot},{path[t, n, 0] + off},{path[t, n, 1]},1.0,1.0")
    table = tmp_path / "tracks.csv"
    table.write_text("\n".join(rows))
    found = script.tracked(script.Drawn(np.zeros((10, 9, 9), np.uint8), path, 10.0), table, 2.5)
    assert (found["objects"], found["tracks"]) == (3, 2 if lost else 3)
    assert found["switches_apart"] == 2
    assert found["tracked"] == (0.0 if lost else 0.9)
    assert found["median_px"] == 0.5
    assert (found["std_px"], found["within_90"]) == (1.0, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["turning"], indirect=True)
def test_the_cost_of_angles_is_that_of_angles_alone(script: ModuleType) -> None:
    """The two models differ in nothing else; and angles do cost."""
    made = script.models()
    still, turned = made["without"], made["with"]
    assert turned.motion.of == still.motion
    assert replace(turned, motion=still.motion, finder=still.finder) == still
    found = script.compare(batch=2, length=6, repeats=1)
    assert found["step"]["ratio"] > 1
    assert found["track"]["ratio"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("script", ["compare"], indirect=True)
def test_peers_are_judged_by_the_same_rule(script: ModuleType) -> None:
    """Centres as others count them, from the middle of the first pixel, are found without error; swaps are switches."""
    drawn = scene("blobs", side=60, objects=2, size=10, length=12)
    setting = script.Setting(drawn, True)
    rows = [
        (t, n, x - 0.5, y - 0.5) for t, places in enumerate(drawn.path) for n, (x, y) in enumerate(places)
    ]
    found = script.judged(setting, script._tracks(setting, rows))
    assert (found["recall"], found["switches"], found["error"]) == (1, 0, pytest.approx(0, abs=1e-9))
    swapped = [(t, 1 - n if t >= 6 else n, x, y) for t, n, x, y in rows if (t, n) != (3, 0)]
    found = script.judged(setting, script._tracks(setting, swapped))
    assert (found["recall"], found["switches"]) == (pytest.approx(23 / 24), 2)
    assert found["objects"] == 24


@pytest.mark.parametrize("script", ["eyes"], indirect=True)
def test_movies_for_eyes_are_judged_by_their_truth(script: ModuleType) -> None:
    cases = list(script.cases(0))
    assert len({case.name for case in cases}) == len(cases) == 60
    assert {case.form for case in cases} == set(script.FORMATS)
    assert (min(case.scene.length for case in cases), max(case.scene.length for case in cases)) == (20, 2000)
    case = next(case for case in cases if case.name == "odd3")
    one, again = case.drawn(), case.drawn()
    np.testing.assert_array_equal(one.frames, again.frames)
    assert not one.frames[0].any()
    ((number, size),) = one.kinds
    wrong = [(number + 2, size), (number, 1.3 * size), (number, 0.7 * size)]
    assert script.Verdict(one.kinds, [(number + 1, 1.2 * size)], [], 0.0).right
    assert not any(script.Verdict(one.kinds, [found], [], 0.0).right for found in wrong)
    assert not script.Verdict(one.kinds, [*one.kinds, (1, 3 * size)], [], 0.0).right
