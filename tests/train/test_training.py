"""A training that was stopped anywhere, in any way, ends as if it had not been."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_model import small

from vtssi_pyro.api import judge
from vtssi_pyro.artifacts.fitting import metrics_so_far, summarise
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config import override
from vtssi_pyro.config.schedules import Constant, Linear, Staircase
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.errors import CheckpointError, Diverged, OutOfResources
from vtssi_pyro.inference.filter import track
from vtssi_pyro.model.blocks.registered import RegisteredConfig
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.tracker import build
from vtssi_pyro.system import checkpoint
from vtssi_pyro.train import logbook, training
from vtssi_pyro.train.batches import BatchSource, path_batches
from vtssi_pyro.train.config import Config, DataConfig, renamed
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.train.group import Group
from vtssi_pyro.train.logbook import validation_elbo
from vtssi_pyro.train.presets import OBJECTS
from vtssi_pyro.train.recipe import Stage, TrainConfig
from vtssi_pyro.train.reporting import Silent
from vtssi_pyro.train.trainer import Trainer

pytestmark = pytest.mark.slow

# Every objective, and within each something that changes with the step.
STAGES = (
    Stage("objects", 5, "frames", OBJECTS, 3, Linear(1e-3, 1e-4, 0, 5), Constant(1), True,
          bell=Linear(0, 1, 0, 5)),
    Stage("places", 5, "walk", (*OBJECTS, "consensus", "finder"), 3, Constant(1e-3), Staircase(3, 1, 2, 5),
          air_weight=Linear(1, 0, 1, 3), step_weight=Linear(0, 1, 0, 5)),
    Stage("motion", 5, "rollout", ("motion",), 3, Constant(1e-3), cache=6),
    Stage("joint", 4, "full", (), 3, Constant(1e-3), Constant(6), rollout_weight=Constant(1.0),
          analytic=False),
    Stage("search", 4, "imitation", ("finder",), 3, Constant(1e-3), Constant(5),
          finder=RegisteredConfig(TemplateConfig(kernel_side=5)), cache=6),
)  # fmt: skip
STEPS = 23
MODEL = small("template")
CPU = torch.device("cpu")


class Asks(Silent):
    """A reporter that asks to stop after a step."""

    def __init__(self, step: int) -> None:
        self.last, self.step = step, 0

    def advance(self, step: int, stage: str) -> None:
        self.step = step

    def stopping(self) -> bool:
        return self.step == self.last


class Killed(BaseException):
    """An exception that no code catches, as close to a kill as an exception comes."""


class At(Silent):
    """A reporter that does something once a step is reached; step 0: when the training begins."""

    def __init__(self, step: int | None = None, do: Callable[[], None] | None = None) -> None:
        self.step, self.do = step, do

    def begin(self, config: Config, step: int) -> None:
        if self.do and self.step == 0:
            self.do()

    def advance(self, step: int, stage: str) -> None:
        if self.do and step == self.step:
            self.do()


def kill() -> None:
    raise Killed


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def configuration(variant: str = "vtssi", stages: tuple[Stage, ...] = STAGES) -> Config:
    train = TrainConfig(stages, average=0.9, evaluate_every=6, save_every=4, log_every=3)
    return renamed(Config("vtssi", "test", 1, 3, DataConfig(length=8), VARIANTS[variant](MODEL), train))


def videos() -> ArrayDataset:
    """Two soft blobs a sequence on straight paths."""
    random = np.random.default_rng(0)
    start, speed = random.uniform(6, 14, (10, 1, 2, 2)), random.uniform(-0.5, 0.5, (10, 1, 2, 2))
    path = start + speed * np.arange(8).reshape(8, 1, 1)  # (S, T, N, 2)
    axis = np.arange(20) + 0.5
    x, y = (np.exp(-(((axis - path[..., i, None]) / 2) ** 2)) for i in (0, 1))  # (S, T, N, 20)
    frames = (y[..., :, None] * x[..., None, :]).sum(2).clip(0, 1)
    return ArrayDataset("blobs", frames.astype(np.float32), path.astype(np.float32))


DATA = videos()


def train(
    config: Config,
    run: Run,
    reporter: Silent,
    resume: bool = False,
    name: str = "last",
    device: torch.device = CPU,
) -> Any:
    known = partial(metrics_so_far, observe=config.observe)
    return training.train(
        config, DATA, DATA, run, device, reporter, resume, judge=known, checkpoint_name=name
    )


def outcome(run: Run) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Records but for the clock, and both checkpoints."""
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in run.records()]
    last = checkpoint.load(run.checkpoint())
    return records, {k: v for k, v in last.items() if k != "seconds"}, checkpoint.load(run.checkpoint("best"))


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that nothing stopped."""
    torch.set_num_threads(1)
    run = Run.create(tmp_path_factory.mktemp("whole") / "run", configuration())
    train(configuration(), run, At())
    return run


def test_records_are_complete(whole: Run) -> None:
    records = whole.records()
    trained = [r for r in records if r["kind"] == "train"]
    judged = [r for r in records if r["kind"] == "validation"]
    # every third, the last of a stage
    assert {r["step"] for r in trained} == {*range(3, STEPS, 3), 5, 10, 15, 19, STEPS}
    assert [r["step"] for r in judged] == [6, 12, 18, STEPS]
    assert [r["length"] for r in trained if r["stage"] == "places"] == [3, 4, 5]
    for record in trained:
        assert record["objective"] == pytest.approx(sum(record["terms"].values()))
    assert all({"elbo", "count_accuracy", "inference_error", "prediction_error"} < r.keys() for r in judged)
    assert [r["seconds"] for r in records] == sorted(r["seconds"] for r in records)


@pytest.mark.parametrize(
    "step", [0, 5, 10, 13, 18, 21]
)  # off and on checkpoints, inside and at the edges of stages
def test_killed_at_any_step(step: int, whole: Run, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(Killed):
        train(configuration(), run, At(step, kill))
    torch.manual_seed(99)
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


@pytest.mark.parametrize("step", [7, 15])
def test_stopped_by_a_signal(step: int, whole: Run, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(training.Interrupted, match=r"SIGTERM after step \d+, saved.*--resume") as caught:
        train(configuration(), run, At(step, interrupt))
    assert caught.value.exit_code == 143
    assert checkpoint.load(run.checkpoint())["step"] == step
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


def test_stopped_by_its_report(whole: Run, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(training.Interrupted, match=r"SIGINT after step 7, saved.*--resume") as caught:
        train(configuration(), run, Asks(7))
    assert caught.value.folder == run.folder
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


def test_a_second_signal_ends_it_at_once(whole: Run, tmp_path: Path) -> None:
    """And loses the steps since the last checkpoint alone."""
    run = Run.create(tmp_path / "run", configuration())

    def twice() -> None:
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        train(configuration(), run, At(7, twice))
    assert checkpoint.load(run.checkpoint())["step"] == 4
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


def test_resumed_again_and_again(whole: Run, tmp_path: Path) -> None:
    """Twice without a step in between, then for two steps."""
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(training.Interrupted):
        train(configuration(), run, At(9, interrupt))
    for _ in range(2):
        with pytest.raises(Killed):
            train(configuration(), run, At(0, kill), resume=True)
    with pytest.raises(training.Interrupted):
        train(configuration(), run, At(11, interrupt), resume=True)
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


def test_the_seed_decides(whole: Run, tmp_path: Path) -> None:
    runs = []
    for name, seed in (("again", 1), ("other", 2)):
        config = replace(configuration(), seed=seed)
        runs.append(Run.create(tmp_path / name, config))
        torch.manual_seed(123)  # what happened before in the process does not matter
        train(config, runs[-1], At())
    assert same(outcome(runs[0]), outcome(whole))
    assert not same(outcome(runs[1])[1]["trained"], outcome(whole)[1]["trained"])


@pytest.mark.parametrize("variant", ["air", "find-mot"])
def test_other_variants_resume(variant: str, tmp_path: Path) -> None:
    config = configuration(variant, STAGES[:1] if variant == "air" else STAGES)
    runs = [Run.create(tmp_path / name, config) for name in ("whole", "stopped")]
    train(config, runs[0], At())
    with pytest.raises(Killed):
        train(config, runs[1], At(config.train.steps - 1, kill))
    train(config, runs[1], At(), resume=True)
    assert same(outcome(runs[0]), outcome(runs[1]))


def test_looking_draws_no_random_number() -> None:
    """Work that a resumed run repeats, or does earlier, must leave the random state alone."""
    tracker = build("vtssi", MODEL)
    before = torch.get_rng_state()
    batches = [path_batches(BatchSource(tracker, DATA, STAGES[2], 1, 1.0, CPU)) for _ in range(2)]
    validation_elbo(tracker, DATA, CPU, Elbo())
    judge(tracker, DATA, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(batches[0](4), batches[1](4))
    assert not same(batches[0](4), batches[0](5))
    assert tracker.training


def test_divergence_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    slow, fast = STAGES[0], replace(STAGES[3], learning_rate=Constant(1.0), steps=30)
    config = configuration(stages=(slow, fast))
    # exponentials of weights that grow by 1 a step soon exceed single precision
    config = replace(config, model=replace(config.model, scale_transform="exp"))
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(Diverged, match="finite") as caught:
        train(config, run, At())
    assert caught.value.exit_code == 5
    for path in (run.checkpoint("last"), run.checkpoint("best")):
        if path.exists() or path.stem == "last":
            assert all(v.isfinite().all() for v in checkpoint.load(path)["trained"].values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advance = Trainer.advance

    def poisoned(self: Trainer) -> Any:
        terms = advance(self)
        if self.step == 8:
            next(self.tracker.parameters()).data.fill_(torch.inf)
        return terms

    monkeypatch.setattr(Trainer, "advance", poisoned)
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(Diverged, match=r"step 8 .* not finite; the last checkpoint is good"):
        train(configuration(), run, At())
    assert checkpoint.load(run.checkpoint())["step"] == 4


def test_an_infinite_gradient_under_a_finite_objective_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not skipped: the clipped step leaves weights that are not finite, which are never saved."""
    advance = Trainer.advance

    def spoiled(self: Trainer) -> Any:
        weight = self.tracker.picture.decoder.body[-1].weight
        handle = weight.register_hook(lambda gradient: gradient * torch.inf) if self.step == 5 else None
        terms = advance(self)
        if handle:
            handle.remove()
            assert all(value.isfinite() for value in terms.values())
        return terms

    monkeypatch.setattr(Trainer, "advance", spoiled)
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(Diverged, match=r"step 6 .* not finite; the last checkpoint is good"):
        train(configuration(), run, At())
    last = checkpoint.load(run.checkpoint())
    assert last["step"] == 4
    assert all(value.isfinite().all() for value in last["trained"].values())


def test_out_of_memory_costs_the_steps_since_the_last_checkpoint(whole: Run, tmp_path: Path) -> None:
    def full() -> None:
        raise MemoryError

    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(MemoryError):
        train(configuration(), run, At(7, full))
    assert checkpoint.load(run.checkpoint())["step"] == 4
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


LEARNS = replace(
    STAGES[0], name="looks", steps=6, patience=2, learning_rate=Constant(0.02), bell=Constant(1.0)
)
# two stages that learn nothing, one that learns, and one without patience
PATIENT = configuration(
    stages=(
        replace(STAGES[0], steps=30, patience=8, learning_rate=Constant(0.0)),
        LEARNS,
        replace(STAGES[2], steps=12, patience=4, learning_rate=Constant(0.0)),
        STAGES[3],
    )
)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    run = Run.create(tmp_path_factory.mktemp("patient") / "run", PATIENT)
    train(PATIENT, run, At())
    return run


def test_a_stage_that_gains_nothing_ends_early(patient: Run) -> None:
    """After the first check and its patience; its other steps count as made, and the next stage has all of its own."""
    steps = [r["step"] for r in patient.records() if r["kind"] == "train"]
    assert steps == [3, 6, 9, 30, 33, 36, 39, 48, 51, 52]
    assert [r["step"] for r in patient.records() if r["kind"] == "validation"][-1] == 52


def test_an_early_end_is_recorded_as_of_the_step_made_judged_and_saved(tmp_path: Path) -> None:
    """Whether or not the steps are among those left out after which a judgement and a checkpoint were due."""
    slow = replace(
        STAGES[1], steps=30, patience=4, learning_rate=Constant(0.0), length=Staircase(3, 1, 10, 5)
    )
    config = configuration(stages=(slow, STAGES[3]))
    config = replace(config, train=replace(config.train, evaluate_every=100, save_every=100))
    run = Run.create(tmp_path / "run", config)
    with pytest.raises(Killed):
        train(config, run, At(31, kill))
    *_, last, judged = run.records()
    assert (last["kind"], last["step"], last["length"]) == ("train", 30, 3), "the stage ended after 5 steps"
    assert (judged["kind"], judged["step"]) == ("validation", 30)
    assert checkpoint.load(run.checkpoint())["step"] == 30


def test_the_first_process_decides_where_a_stage_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the others find, whose last bits may differ."""
    monkeypatch.setattr(Group, "_tell", lambda group, answer: answer.__setitem__(0, 1.0))
    trainer = Trainer(build(PATIENT.model), PATIENT, DATA, CPU, Group(1, 2), DATA)
    trainer._enter(PATIENT.train.stages[0])
    assert trainer.early is not None
    own = count(0.0, 100.0)  # a gain each time
    monkeypatch.setattr(trainer.early, "objective", lambda: next(own))
    ends = [step for step in range(1, 12) if trainer.early.ends(step)]
    assert ends == [10], "after the first check and 8 steps"


@pytest.mark.parametrize("step", [9, 30, 34, 40])
def test_where_a_stage_ends_early_does_not_depend_on_stops(step: int, patient: Run, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", PATIENT)
    with pytest.raises(Killed):
        train(PATIENT, run, At(step, kill))
    torch.manual_seed(99)
    train(PATIENT, run, At(), resume=True)
    assert same(outcome(run), outcome(patient))


def test_another_number_of_threads_is_close(whole: Run, tmp_path: Path) -> None:
    """Sums in another order differ in their last bits, which the steps of a short training hardly enlarge.

    Weights on which nothing depends, such as a bias under a softmax, may differ: Adam's steps are as large for
    gradients of rounding errors as for others.
    """
    run = Run.create(tmp_path / "run", configuration())
    torch.set_num_threads(2)
    try:
        train(configuration(), run, At())
    finally:
        torch.set_num_threads(1)
    close(run, whole)


def close(run: Run, whole: Run) -> None:
    for record, expected in zip(run.records(), whole.records(), strict=True):
        key = "objective" if expected["kind"] == "train" else "elbo"
        assert record[key] == pytest.approx(expected[key], rel=1e-3)


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.cuda
@on_a_gpu
def test_a_gpu_trains_and_resumes_nearly_the_same(tmp_path: Path) -> None:
    """Its sums are in no fixed order, so that nothing is bit for bit; steps are captured where they can be."""
    runs = [Run.create(tmp_path / name, configuration()) for name in ("whole", "again", "killed")]
    gpu = torch.device("cuda")
    for run in runs[:2]:
        train(configuration(), run, At(), device=gpu)
    with pytest.raises(Killed):
        train(configuration(), runs[2], At(13, kill), device=gpu)
    torch.manual_seed(99)
    train(configuration(), runs[2], At(), resume=True, device=gpu)
    for run in runs[1:]:
        close(run, runs[0])


@pytest.mark.cuda
@on_a_gpu
@pytest.mark.parametrize("kinds", [("cuda", "cpu"), ("cpu", "cuda")], ids=" then ".join)
def test_a_training_goes_on_on_another_device(kinds: tuple[str, str], tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(Killed):
        train(configuration(), run, At(13, kill), device=torch.device(kinds[0]))
    kept = checkpoint.load(run.checkpoint(), kinds[1])
    assert all(value.device.type == kinds[1] for value in kept["trained"].values())
    train(configuration(), run, At(), resume=True, device=torch.device(kinds[1]))
    assert checkpoint.load(run.checkpoint())["step"] == STEPS
    assert run.tracker().state_dict().keys() == kept["trained"].keys()


@pytest.mark.parametrize("level", [0, 128, 255], ids=["black", "grey", "white"])
def test_frames_without_anything_to_see_are_learned_from(level: int, tmp_path: Path) -> None:
    """Nothing is found in them, and nothing ceases to be finite."""
    empty = ArrayDataset("empty", np.full((4, 8, 20, 20), level, np.uint8))
    run = Run.create(tmp_path / "run", configuration())
    tracker = training.train(configuration(), empty, empty, run, CPU)
    assert [r["step"] for r in run.records() if r["kind"] == "validation"] == [6, 12, 18, STEPS]
    assert all(np.isfinite([*r["terms"].values()]).all() for r in run.records() if r["kind"] == "train")
    found = track(tracker, empty.frames(slice(None)))
    assert found.frames.isfinite().all()
    assert found.tracks.present.shape == (4, 8, 2)


def test_a_smaller_last_batch_counts_each_sequence_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plate is as large as each batch: the ELBO per sequence is that of all sequences together."""
    tracker = build("vtssi", MODEL)
    found = []
    for number in (len(DATA), 4, 3, 1):  # of 10 sequences: the last batches have 10, 2, 1 and 1
        monkeypatch.setattr(logbook, "at_once", lambda *_, number=number: number)
        with mode():
            found.append(validation_elbo(tracker, DATA, CPU, Elbo()))
    assert found == pytest.approx(found[:1] * 4, rel=1e-6)


def test_a_failed_save_keeps_the_one_before(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run", configuration())
    replace_, calls = os.replace, []

    def breaks(source: Any, target: Any) -> None:
        if str(target).endswith("last.pt"):
            calls.append(target)
            if len(calls) == 2:
                raise OSError(28, "No space left on device", str(target))
        replace_(source, target)

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(OutOfResources, match=r"last\.pt: no room left on the disk .No space"):
        train(configuration(), run, At())
    monkeypatch.undo()
    assert checkpoint.load(run.checkpoint())["step"] == 4
    train(configuration(), run, At(), resume=True)
    assert same(outcome(run), outcome(whole))


@pytest.mark.parametrize("step", [2, 4, 10])
def test_a_checkpoint_that_was_saved_and_is_gone_is_missed(step: int, tmp_path: Path) -> None:
    """One that never was is not: a training that was killed before its first checkpoint begins anew."""
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(Killed):
        train(configuration(), run, At(step, kill))
    saved = step > 4
    assert run.checkpoint().exists() == saved
    if saved:
        run.checkpoint().unlink()
        before = run.metrics.read_bytes()
        with pytest.raises(
            CheckpointError,
            match=r"last\.pt: is missing, .* reach step 9; nothing was changed",
        ):
            train(configuration(), run, At(), resume=True)
        assert run.metrics.read_bytes() == before
    else:
        train(configuration(), run, At(), resume=True)
        assert run.records()[-1]["step"] == STEPS
        run.checkpoint().unlink()
        with pytest.raises(CheckpointError, match="is missing"):
            train(configuration(), run, At(), resume=True)


def test_records_of_a_former_version_without_their_checkpoint_are_not_erased(
    whole: Run, tmp_path: Path
) -> None:
    """Such a run does not say whether a checkpoint was saved."""
    run = Run.create(tmp_path / "run", configuration())
    run.append({"kind": "train", "step": 3, "seconds": 0.1})
    with pytest.raises(CheckpointError, match="reach step 3"):
        train(configuration(), run, At(), resume=True)
    assert len(run.records()) == 1


def test_it_goes_on_from_the_best_checkpoint_when_told_to(whole: Run, tmp_path: Path) -> None:
    """Its records, weights and step are of one moment, wherever it ends next."""
    run = Run.create(tmp_path / "run", configuration())
    with pytest.raises(Killed):
        train(configuration(), run, At(14, kill))
    run.checkpoint().unlink()
    best = checkpoint.load(run.checkpoint("best"))
    with pytest.raises(Killed):
        train(configuration(), run, At(best["step"] + 1, kill), True, "best")
    last = checkpoint.load(run.checkpoint())
    assert last["step"] == best["step"]
    assert same(last["trained"], best["trained"])
    steps = [record["step"] for record in whole.records()]
    assert [record["step"] for record in run.records()] == [step for step in steps if step <= best["step"]]
    assert last["best"] == max(r["elbo"] for r in run.records() if r["kind"] == "validation")
    train(configuration(), run, At(), True)
    assert checkpoint.load(run.checkpoint())["step"] == STEPS
    assert [record["step"] for record in run.records()] == steps


def test_a_checkpoint_of_another_model_is_refused(whole: Run, tmp_path: Path) -> None:
    shutil.copytree(whole.folder, tmp_path / "run")
    config = override(configuration(), ["model.consensus.units=12"])
    with pytest.raises(CheckpointError, match=r"does not fit the run's config\.json"):
        train(config, Run(tmp_path / "run"), At(), resume=True)


def test_the_summary_says_what_was_reached(whole: Run) -> None:
    tracker = build("vtssi", MODEL)
    tracker.load_state_dict(checkpoint.load(whole.checkpoint())["trained"])
    summary = summarise(configuration(), whole, tracker, DATA)
    judged = [r for r in whole.records() if r["kind"] == "validation"][-1]
    assert {k: summary["metrics"][k] for k in judged if k.endswith(("error", "accuracy"))} == {
        k: v for k, v in judged.items() if k.endswith(("error", "accuracy"))
    }
    assert (summary["seed"], summary["steps"]) == (1, STEPS)
    assert summary["minutes"] == round(judged["seconds"] / 60, 2)
    without = ArrayDataset("no truth", np.zeros((2, 8, 20, 20), np.uint8))
    assert summarise(configuration(), whole, tracker, without)["metrics"] is None
