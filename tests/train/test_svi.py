"""Training is SVI: with Pyro's own classes in place of ours the same steps are made."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam, PyroOptim
from small_model import small
from test_training import CPU, DATA, STAGES, At, Killed, configuration, kill, outcome, same, train
from torch import Tensor, nn

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.baselines.sqair import VIMCO
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.train import training
from vtssi_pyro.train.elbo import ELBOS, Elbo
from vtssi_pyro.train.optimizers import OPTIMIZERS
from vtssi_pyro.train.recipe import Scheduled, Stage, TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.train.svi import StageOptim, StageSVI
from vtssi_pyro.train.trainer import Trainer
from vtssi_pyro.types import Anneal

pytestmark = pytest.mark.slow

TRAINING = Anneal(count_shift=1.0, bell=0.3, fuse_low=0.1, fuse_high=0.9)
RATE = 1e-3
# Adam makes whole steps of gradients that are rounding errors, too
ROUNDING = {"rtol": 0.0, "atol": 0.01 * RATE}
# what the steps compared here move: dense layers of every block with such, which both variants have
BLOCKS = (
    "attention.counter",
    "attention.encoder",
    "picture.decoder",
    "motion.readout",
    "motion.position",
    "motion.motion",
)


def handed(tracker: Tracker) -> list[nn.Parameter]:
    return [p for name in BLOCKS for p in tracker.get_submodule(name).parameters()]


def adam(tracker: Tracker, clip: float = 5.0, name: str = "adam") -> StageOptim:
    optim = StageOptim(handed(tracker), 0.5, clip, name=name)
    optim.set_learning_rate(RATE)
    return optim


def svi(tracker: Tracker, elbo: Any = None, clip: float = 5.0, name: str = "adam") -> StageSVI:
    return StageSVI(tracker.model, tracker.guide, adam(tracker, clip, name), elbo or Elbo())


def three_steps(step: Any, frames: Tensor, seed: int = 0) -> None:
    for i in range(3):
        torch.manual_seed(seed + i)
        step(frames, TRAINING)


def same_weights(first: Tracker, second: Tracker, **tolerances: float) -> None:
    tolerances = tolerances or ROUNDING
    torch.testing.assert_close(dict(first.named_parameters()), dict(second.named_parameters()), **tolerances)


def twins(tracker: Tracker) -> tuple[Tracker, Tracker]:
    return tracker.train(), deepcopy(tracker).train()


def moved(tracker: Tracker, before: Tracker) -> int:
    pairs = zip(tracker.parameters(), before.parameters(), strict=True)
    return sum(not torch.equal(a, b) for a, b in pairs)


def test_a_step_is_one_of_torchs_adam(tiny, frames: Tensor) -> None:
    """Three steps, written by hand: loss per sequence, global-norm clip, Adam."""
    ours, theirs = twins(tiny())
    optimizer = torch.optim.Adam(handed(theirs), lr=RATE, betas=(0.5, 0.999))
    made, norms = svi(ours), []
    for i in range(3):
        torch.manual_seed(i)
        terms, norm = made.step(frames, TRAINING, per=2)
        torch.manual_seed(i)
        loss = Elbo().differentiable_loss(theirs.model, theirs.guide, frames, TRAINING) / 2
        optimizer.zero_grad()
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(handed(theirs), 5.0))
        optimizer.step()
        torch.testing.assert_close(norm, norms[-1])
        torch.testing.assert_close(-sum(terms.values()), loss.detach())
    assert max(norms) > 5.0  # the clip had something to do
    same_weights(ours, theirs)


def test_the_clip_is_of_the_global_norm(tiny, frames: Tensor) -> None:
    tracker = tiny().train()
    _, before = svi(tracker).step(frames, TRAINING)
    norms = [parameter.grad.norm() for parameter in handed(tracker)]
    assert before > 5.0
    torch.testing.assert_close(torch.stack(norms).norm(), torch.tensor(5.0, dtype=torch.float64))


def test_pyros_svi_makes_the_same_steps(tiny, frames: Tensor) -> None:
    """Given our optimiser and loss; the sum over sequences is its loss, and so ours unless told otherwise."""
    ours, plain = twins(tiny())
    three_steps(svi(ours).step, frames)
    three_steps(SVI(plain.model, plain.guide, adam(plain), Elbo()).step, frames)
    same_weights(ours, plain)


def test_pyros_svi_with_pyros_adam_makes_the_same_steps(tiny, frames: Tensor) -> None:
    """Without a clip; it moves what it finds, not what is handed over, so that the comparison ends after a step."""
    ours, plain = twins(tiny())
    start = deepcopy(ours)
    torch.manual_seed(0)
    svi(ours, Elbo(analytic=False), clip=1e9).step(frames, TRAINING)
    torch.manual_seed(0)
    optimizer = Adam({"lr": RATE, "betas": (0.5, 0.999)})
    SVI(plain.model, plain.guide, optimizer, Trace_ELBO()).step(frames, TRAINING)
    for mine, other in zip(handed(ours), handed(plain), strict=True):
        torch.testing.assert_close(mine, other, **ROUNDING)
    assert moved(ours, start) == len(handed(ours))


def test_elbo_is_a_loss_for_pyros_svi(tiny, frames: Tensor) -> None:
    tracker = tiny(count=0.0).train()
    plain = SVI(tracker.model, tracker.guide, Adam({"lr": 3e-3}), Elbo())
    losses = [plain.step(frames) for _ in range(30)]
    assert sum(losses[-5:]) < sum(losses[:5])
    torch.manual_seed(0)
    value = plain.evaluate_loss(frames)
    torch.manual_seed(0)
    assert value == pytest.approx(Elbo().loss(tracker.model, tracker.guide, frames))


@pytest.mark.parametrize("elbo", [Elbo, Trace_ELBO])
def test_two_trackers_train_side_by_side(elbo: Any, tiny, blobs) -> None:
    """In turns as alone, and the global store neither gets nor loses a parameter."""
    frames = blobs(2, 4)
    alone = [tiny("find-mot").train() for _ in range(2)]
    together, starts = deepcopy(alone), deepcopy(alone)
    pyro.param("somebody's", torch.ones(2))
    for tracker in alone:
        three_steps(svi(tracker, elbo()).step, frames)
    made = [svi(tracker, elbo()) for tracker in together]
    for i in range(3):
        for each in made:
            torch.manual_seed(i)
            each.step(frames, TRAINING)
    for tracker, other, start in zip(alone, together, starts, strict=True):
        same_weights(tracker, other, rtol=0, atol=0)
        assert moved(tracker, start) == len(handed(start))
    assert list(pyro.get_param_store()) == ["somebody's"]


SAME_AS_OURS = {
    "Trace_ELBO": False, "TraceGraph_ELBO": False, "TraceEnum_ELBO": False, "TraceTMC_ELBO": False,
    "TraceMeanField_ELBO": True,
}  # fmt: skip


@pytest.mark.parametrize("variant", ["find-mot", "vtssi"])
@pytest.mark.parametrize(("name", "analytic"), SAME_AS_OURS.items())
def test_stages_step_on_pyros_own_elbos(
    name: str, analytic: bool, variant: str, tiny, frames: Tensor
) -> None:
    """Each is ours, with KLs drawn or closed: the same weights after three steps, extra terms and all."""
    stage = Stage("all", 9, blocks=BLOCKS, analytic=analytic)
    now = Scheduled(TRAINING, air_weight=0.5, rollout_weight=0.3, learning_rate=RATE)
    trackers = twins(tiny(variant))
    start = deepcopy(trackers[0])
    found = []
    for tracker, elbo in zip(trackers, ("Elbo", name), strict=True):
        step = Step(tracker, tracker, TrainConfig((stage,), elbo=elbo, particles=1), stage)
        three_steps(lambda x, _, step=step: found.append(step(channelled(x), now)[0]), frames)
    same_weights(*trackers)
    assert moved(trackers[0], start) == len(handed(start))
    for ours, theirs in zip(found[:3], found[3:], strict=True):
        extras = {"air", "rollout"}
        expected = {name: ours.pop(name) for name in extras}
        expected["elbo"] = sum(ours.values())
        torch.testing.assert_close(theirs, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("variant", ["find-mot", "vtssi"])
@pytest.mark.parametrize("name", list(ELBOS))
def test_recipes_take_any_elbo(name: str, variant: str, tmp_path: Path) -> None:
    """Three steps of every stage; roll-out and imitation, which are no ELBO, stay what they are."""
    config = configuration(variant, tuple(replace(stage, steps=3) for stage in STAGES))
    config = replace(config, train=replace(config.train, elbo=name, log_every=1))
    run = Run.create(tmp_path / "run", config)
    trained = train(config, run, At())
    records = [record for record in run.records() if record["kind"] == "train"]
    assert [record["step"] for record in records] == list(range(1, 16))
    terms = {record["stage"]: set(record["terms"]) for record in records}
    assert (terms["motion"], terms["search"]) == ({"rollout"}, {"imitation"})
    assert ("elbo" in terms["joint"]) == (name != "Elbo")
    assert {record["stage"] for record in records if record["bound"]} == {"objects"}
    assert all(parameter.isfinite().all() for parameter in trained.parameters())
    assert not list(pyro.get_param_store())


def test_runs_on_pyros_own_elbos_resume(tmp_path: Path) -> None:
    """With one that would guess how plates nest by running the programs, which draws."""
    config = configuration(stages=STAGES[:1])
    config = replace(config, train=replace(config.train, elbo="TraceEnum_ELBO"))
    runs = [Run.create(tmp_path / name, config) for name in ("whole", "stopped")]
    train(config, runs[0], At())
    with pytest.raises(Killed):
        train(config, runs[1], At(4, kill))
    train(config, runs[1], At(), resume=True)
    assert same(outcome(runs[0]), outcome(runs[1]))


def test_renyis_particles_are_the_keys(tiny, frames: Tensor) -> None:
    """The default is its own, two; one gives the ELBO of one draw; more of them a tighter bound."""
    stage, now, found = Stage("all", 9, analytic=False), Scheduled(TRAINING), {}
    tracker = tiny("find")
    for name, particles in (("Elbo", None), ("RenyiELBO", 1), ("RenyiELBO", 2), ("RenyiELBO", None)):
        config = TrainConfig((stage,), elbo=name, particles=particles)
        torch.manual_seed(1)
        terms, _ = Step(tracker, tracker, config, stage)(frames, now)
        found[name, particles] = float(sum(terms.values()))
    assert found["RenyiELBO", 1] == pytest.approx(found["Elbo", None])
    assert found["RenyiELBO", None] == found["RenyiELBO", 2] != found["RenyiELBO", 1]


def test_vimco_steps_by_its_terms_alone(tiny, frames: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have gradients, unlike Pyro's own losses; the weights are those of its gradients."""
    ours, theirs = twins(tiny(count=0.0))
    made, plain = svi(ours, VIMCO(3)), adam(theirs)
    monkeypatch.setattr(made, "loss_and_grads", None)
    three_steps(made.step, frames)
    for i in range(3):
        torch.manual_seed(i)
        plain.zero_grad()
        VIMCO(3).loss_and_grads(theirs.model, theirs.guide, frames, TRAINING)
        plain()
    same_weights(ours, theirs)


def test_those_of_pyro_are_not_captured(tiny) -> None:
    tracker, cuda = tiny(), torch.device("cuda")
    for name in ELBOS:
        config = configuration()
        config = replace(config, train=replace(config.train, elbo=name))
        assert Trainer(tracker, config, DATA, cuda).capture == (name in ("Elbo", "VIMCO", "VIMCO-SQAIR"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"elbo": "Trace_MMD"}, r"elbo: expected Elbo, VIMCO, .*, found 'Trace_MMD'"),
        ({"particles": 0}, r"particles: expected a whole number from 1 to 1000, or null, found 0"),
        ({"particles": 1, "elbo": "VIMCO"}, "VIMCO compares particles: expected 2 or more, found 1"),
    ],
)
def test_an_unknown_elbo_is_refused_first(change: Any, reason: str, tmp_path: Path) -> None:
    def trained() -> None:
        config = replace(configuration(), train=replace(configuration().train, **change))
        training.train(config, DATA, DATA, Run(tmp_path / "run"), CPU, At())

    with pytest.raises(UsageError, match=reason):
        trained()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_goes_on_from_what_it_kept(tiny, frames: Tensor, name: str) -> None:
    """Later steps leave that as it is."""
    tracker = tiny("find-mot").train()
    first = svi(tracker, name=name)
    three_steps(first.step, frames)
    other = deepcopy(tracker)
    second, state = svi(other, name=name), first.optim.get_state()
    kept = deepcopy(state)
    second.optim.set_state(state)
    three_steps(second.step, frames, seed=3)
    for part, before in zip(state["parts"], kept["parts"], strict=True):
        torch.testing.assert_close(part["state"], before["state"], rtol=0, atol=0)
    three_steps(first.step, frames, seed=3)
    same_weights(tracker, other, rtol=0, atol=0)
    assert isinstance(first.optim, PyroOptim)


def test_a_state_of_an_adam_alone_is_read(tiny, frames: Tensor) -> None:
    """Runs of version 1 keep one."""
    tracker = tiny("find-mot").train()
    first = svi(tracker)
    three_steps(first.step, frames)
    (adams,) = first.optim.get_state()["parts"]
    second = svi(tracker)
    second.optim.set_state(adams)
    torch.testing.assert_close(second.optim.get_state(), first.optim.get_state(), rtol=0, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_moves_every_parameter_at_its_rate(name: str) -> None:
    """Matrices, vectors and kernels; twice the rate makes a first step twice as long."""
    torch.manual_seed(0)
    start = [nn.Parameter(torch.randn(shape)) for shape in ((4, 6), (5,), (2, 3, 3, 3))]
    gradients = [torch.randn_like(parameter) for parameter in start]

    def step(rate: float) -> list[Tensor]:
        parameters = deepcopy(start)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        optim = StageOptim(parameters, 0.5, 1e9, name=name)
        optim.set_learning_rate(rate)
        optim()
        return [new.detach() - old for new, old in zip(parameters, start, strict=True)]

    for once, twice, gradient in zip(step(1e-3), step(2e-3), gradients, strict=True):
        assert (once * gradient).sum() < 0
        torch.testing.assert_close(twice, 2 * once, rtol=1e-3, atol=1e-7)


def test_muon_moves_all_directions_of_a_matrix_alike() -> None:
    """Its gradient's singular values differ a hundred times, those of the step by a few; its size is that of Adam's."""
    left, right = (torch.linalg.qr(torch.randn(8, 8))[0] for _ in range(2))
    matrix = nn.Parameter(torch.zeros(8, 8))
    matrix.grad = (left @ torch.diag(torch.logspace(0, -2, 8)) @ right).detach()
    optim = StageOptim([matrix], 0.5, 1e9, name="muon")
    optim.set_learning_rate(1e-2)
    optim()
    values = torch.linalg.svdvals(matrix.detach())
    assert values.max() < 3 * values.min()
    assert matrix.detach().square().mean().sqrt() == pytest.approx(0.2e-2, rel=0.3)


def test_every_parameter_is_moved_by_its_own_gradient() -> None:
    """One step equals a plain Adam's on clipped copies of the gradients, convolutions and recurrent biases included."""
    torch.manual_seed(0)
    ours = build("vtssi", small("learned")).eval()
    theirs = deepcopy(ours)
    frames = DATA.frames(slice(0, 3))
    parameters = list(ours.parameters())
    optim = StageOptim(parameters, 0.5, 1e-2)
    optim.set_learning_rate(RATE)
    torch.manual_seed(1)
    StageSVI(ours.model, ours.guide, optim, Elbo()).step(frames, TRAINING)

    torch.manual_seed(1)
    loss = -sum(Elbo().terms(theirs.model, theirs.guide, frames, TRAINING).values())
    own = list(theirs.parameters())
    for parameter, gradient in zip(own, torch.autograd.grad(loss, own, allow_unused=True), strict=True):
        parameter.grad = None if gradient is None else gradient.clone(memory_format=torch.contiguous_format)
    nn.utils.clip_grad_norm_(own, 1e-2)
    torch.optim.Adam(own, RATE, (0.5, 0.999), foreach=False).step()
    for (name, a), b in zip(ours.named_parameters(), own, strict=True):
        torch.testing.assert_close(a, b, **ROUNDING, msg=name)
