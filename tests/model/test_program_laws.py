"""Laws of whole programs: causality, absent objects, particles, horizons, short sequences."""

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO
from pyro.poutine.messenger import Messenger
from pyro.poutine.runtime import Message
from small_model import positions
from torch import Tensor

from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import stacked
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.train.elbo import Elbo
from vtssi_pyro.types import Anneal

K = M = 3  # of the small trackers
SEQUENTIAL = ("find", "rect-find", "find-mot", "vtssi")


def latent(trace: poutine.Trace) -> list[str]:
    samples = [(name, site) for name, site in trace.nodes.items() if site["type"] == "sample"]
    return [n for n, s in samples if not s["is_observed"] and not poutine.util.site_is_subsample(s)]


def log_probs(trace: poutine.Trace) -> dict[str, Tensor]:
    trace.compute_log_prob()
    return {n: s["log_prob_sum"] for n, s in trace.nodes.items() if s["type"] == "sample"}


@pytest.mark.parametrize("name", SEQUENTIAL)
@pytest.mark.parametrize("find", ["learned", "template"])
def test_the_future_never_changes_the_past(name: str, find: str, tiny, frames: Tensor) -> None:
    """Once frames 1..K have settled the objects, changing frame t + 1 leaves all positions up to t alone."""
    tracker = tiny(name, find)
    with mode(), torch.no_grad():
        before = positions(tracker.guide(frames))
        for t in range(K, frames.shape[1]):
            changed = frames.clone()
            changed[:, t] = 1 - changed[:, t]
            after = positions(tracker.guide(changed))
            assert torch.equal(after[..., :t, :, :], before[..., :t, :, :])
            assert not torch.equal(after[..., t, :, :], before[..., t, :, :])


@pytest.mark.parametrize("find", ["learned", "template"])
def test_a_finder_is_causal_given_the_objects(find: str, tiny, frames: Tensor) -> None:
    """The same law for the block itself, from its first frame on."""
    tracker = tiny("vtssi", find)
    with mode(), torch.no_grad():
        objects = tracker.guide(frames).objects

        def locate(x: Tensor) -> Tensor:
            sight = tracker.finder.look(tracker.picture, channelled(x), objects)
            path = [torch.zeros_like(objects.size)]
            for t in range(x.shape[1]):
                path.append(tracker.finder.step(sight, t, {"position": path[-1]}).mode)
            return torch.stack(path[1:], 1)

        before = locate(frames)
        for t in range(frames.shape[1]):
            changed = frames.clone()
            changed[:, t] = torch.rand_like(changed[:, t])
            after = locate(changed)
            assert torch.equal(after[:, :t], before[:, :t])
            assert not torch.equal(after[:, t], before[:, t])


class Disturb(Messenger):
    """Shift what is drawn for one slot, proposals and final variables alike; RECT's own reading is left."""

    def __init__(self, slot: int, by: float) -> None:
        super().__init__()
        self.slot, self.by = slot, by

    def _pyro_post_sample(self, msg: Message) -> None:
        if not msg["is_observed"] and msg["name"].partition("_")[0] in (
            "size",
            "description",
            "position",
            "motion",
        ):
            if not msg["name"].endswith("_hat"):
                msg["value"] = msg["value"].clone()
                msg["value"][..., self.slot, :] += self.by


def one_object(make: Callable[..., Tracker], *args: str) -> Tracker:
    tracker = make(*args, count=-2.0)
    with torch.no_grad():
        tracker.attention.counter.body.scale[-1].bias.fill_(-20)
    return tracker


def test_an_absent_object_changes_nothing_in_the_model(
    variant: str, finder: str, tiny, frames: Tensor
) -> None:
    """The density of every site, likelihood included, whatever the values of the slot beyond the count."""
    tracker = one_object(tiny, variant, finder)
    guided = poutine.trace(tracker.guide).get_trace(frames)
    number = counting.expected_number(guided.nodes["count"]["value"].squeeze(-2), 2)
    assert (number < 1).all()
    disturbed = guided.copy()
    for name, site in guided.nodes.items():
        if name.partition("_")[0] in ("size", "description", "position", "motion"):
            disturbed.nodes[name] = {**site, "value": site["value"] + torch.tensor([[0.0], [0.7]])}
    before, after = (
        log_probs(poutine.trace(poutine.replay(tracker.model, trace=t)).get_trace(frames))
        for t in (guided, disturbed)
    )
    assert before == after
    assert (guided.nodes["size"]["value"] != disturbed.nodes["size"]["value"])[:, 1].all()


def test_an_absent_object_changes_nothing_in_the_elbo(
    variant: str, finder: str, tiny, frames: Tensor
) -> None:
    """Not even what the guide says of the objects that are there."""
    tracker = one_object(tiny, variant, finder)
    with mode(), torch.no_grad():
        before, there = (
            Elbo(analytic=False).terms(tracker.model, tracker.guide, frames),
            tracker.guide(frames),
        )
        with Disturb(slot=1, by=0.7):
            after, moved = (
                Elbo(analytic=False).terms(tracker.model, tracker.guide, frames),
                tracker.guide(frames),
            )
        with Disturb(slot=0, by=0.7):
            other = Elbo(analytic=False).terms(tracker.model, tracker.guide, frames)
    assert not torch.equal(positions(there)[..., 1, :], positions(moved)[..., 1, :])
    torch.testing.assert_close(positions(moved)[..., 0, :], positions(there)[..., 0, :], rtol=0, atol=1e-12)
    assert other["x"] != before["x"]  # the test can see a slot that is there
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=1e-9)


def test_vectorised_particles_are_particles(variant: str, finder: str, tiny, frames: Tensor) -> None:
    """Each of four vectorised particles has, alone, the very densities that it has among the others."""
    tracker = tiny(variant, finder, count=0.0)

    def under_plate(program: Callable[..., object]) -> Callable[..., object]:
        return pyro.plate("particles", 4, dim=-3)(program)

    guided = poutine.trace(under_plate(tracker.guide)).get_trace(frames)
    together = poutine.trace(poutine.replay(under_plate(tracker.model), trace=guided)).get_trace(frames)
    together.compute_log_prob()
    for particle in range(4):
        alone = guided.copy()
        for name in latent(guided):
            alone.nodes[name] = {**guided.nodes[name], "value": guided.nodes[name]["value"][particle]}
        single = poutine.trace(poutine.replay(tracker.model, trace=alone)).get_trace(frames)
        single.compute_log_prob()
        for name, site in single.nodes.items():
            if site["type"] == "sample" and not poutine.util.site_is_subsample(site):
                found = together.nodes[name]["log_prob"]
                assert found.shape == (4, *site["log_prob"].shape)
                torch.testing.assert_close(found[particle], site["log_prob"])
    assert guided.nodes["position_1"]["value"].flatten(1).unique(dim=0).shape[0] == 4


@pytest.mark.slow
def test_vectorised_and_sequential_particles_agree(variant: str, finder: str, tiny, blobs) -> None:
    """Mean losses within 4 sigma, and of an average of 20 sequential ones (fails once in 8,000 each)."""
    tracker, frames = tiny(variant, finder), blobs(1, 4)
    anneal = Anneal(fuse_low=0.1, fuse_high=0.9)
    with torch.no_grad():
        arguments = tracker.model, tracker.guide, frames, anneal
        single = torch.tensor([Trace_ELBO().loss(*arguments) for _ in range(60)])
        sequential = Trace_ELBO(num_particles=20).loss(*arguments)
        vectorised = Trace_ELBO(num_particles=200, vectorize_particles=True, max_plate_nesting=2).loss(
            *arguments
        )
    for other, number in ((sequential, 20), (vectorised, 200)):
        assert (single.mean() - other).abs() < 4 * single.std() * (1 / 60 + 1 / number) ** 0.5


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_extends_the_sequence(
    variant: str, finder: str, parallel: bool, tiny, frames: Tensor
) -> None:
    """Sites beyond the frames, rendered at ``x_future``; the observed frames stay evidence."""
    if variant == "air":
        pytest.skip("a tracker of single frames sees no time")
    tracker = tiny(variant, finder)
    predictive = Predictive(tracker.model, guide=tracker.guide, num_samples=2, parallel=parallel)
    drawn = predictive(frames, horizon=4)
    assert {f"position_{t}" for t in range(1, 11)} <= set(drawn)
    assert "position_11" not in drawn
    assert ({f"motion_{t}" for t in range(M, 11)} <= set(drawn)) == tracker.motion.predicts
    assert drawn["position_10"].shape == (2, 2, 2, 2)
    assert drawn["x_future"].shape[0] == 2
    assert drawn["x_future"].shape[-4:] == (4, 1, 20, 20)
    assert drawn["position_9"].flatten(1).unique(dim=0).shape[0] == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["find", "vtssi"])
def test_predictive_conditions_on_the_frames(name: str, tiny, frames: Tensor) -> None:
    """Its observed prefix is the posterior: moments of 200 draws agree within 5 sigma (1 in 20,000)."""
    tracker = tiny(name)
    with torch.no_grad():
        drawn = Predictive(tracker.model, guide=tracker.guide, num_samples=200, parallel=True)(
            frames, horizon=2
        )
        own = [positions(tracker.guide(frames, horizon=2)) for _ in range(200)]
    position = torch.stack(own)
    for t in (1, 4, 6, 8):
        first, second = drawn[f"position_{t}"].reshape(200, 8), position[..., t - 1, :, :].reshape(200, 8)
        error = ((first.var(0) + second.var(0)) / 200).sqrt()
        assert ((first.mean(0) - second.mean(0)).abs() < 5 * error).all()
        assert ((first.var(0) / second.var(0)).log().abs() < 5 * (4 / 199) ** 0.5).all()


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_beyond_the_frames_the_guide_is_the_prior(name: str, tiny, frames: Tensor) -> None:
    """Densities of unseen steps are the model's, of seen steps not; a horizon leaves the past alone."""
    tracker = tiny(name)
    torch.manual_seed(3)
    short = tracker.guide(frames)
    torch.manual_seed(3)
    guided = poutine.trace(tracker.guide).get_trace(frames, horizon=3)
    again = positions(guided.nodes["_RETURN"]["value"])
    torch.testing.assert_close(again[..., :6, :, :], positions(short))
    modelled = poutine.trace(poutine.replay(tracker.model, trace=guided)).get_trace(frames, horizon=3)
    for t in range(2, 10):
        p, q = modelled.nodes[f"position_{t}"]["fn"], guided.nodes[f"position_{t}"]["fn"]
        same = torch.equal(p.mean, q.mean) and torch.equal(p.stddev, q.stddev)
        assert same == (t > 6), t
    assert "x_future" in modelled.nodes
    assert "x_future" not in guided.nodes


@pytest.mark.parametrize("length", [1, 2, 4])
def test_short_sequences(variant: str, finder: str, length: int, tiny, blobs) -> None:
    """T below K and M: the same sites, a finite loss, gradients; the seed of motion moves to frame T."""
    tracker, frames = tiny(variant, finder), blobs(3, length)
    trace = poutine.trace(tracker.guide).get_trace(frames)
    last = 1 if variant == "air" else length
    assert f"position_{last}" in trace.nodes
    assert f"position_{last + 1}" not in trace.nodes
    motions = [n for n in trace.nodes if n.startswith("motion_")]
    seed = min(M, length)
    assert motions == ([f"motion_{t}" for t in range(seed, length + 1)] if tracker.motion.predicts else [])
    loss = Trace_ELBO().differentiable_loss(tracker.model, tracker.guide, frames)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in tracker.parameters() if p.grad is not None)
    drawn = Predictive(tracker.model, guide=tracker.guide, num_samples=1)(frames, horizon=2)
    assert f"position_{last + 2}" in drawn


def test_other_numbers_of_objects(variant: str, finder: str, tiny, frames: Tensor) -> None:
    """N = 3 and N = 1: sites, loss, and rendered frames that are the sum over the objects."""
    for number in (1, 3):
        tracker = tiny(variant, finder, num_objects=number)
        latents = tracker.guide(frames)
        assert positions(latents).shape[-2:] == (number, 2)
        assert torch.isfinite(torch.tensor(Trace_ELBO().loss(tracker.model, tracker.guide, frames)))
        objects = latents.objects
        pose = tracker.motion.pose(objects, stacked(latents.states), objects.steps)
        whole = tracker.picture.render(objects, pose)
        steps = counting.steps(counting.expected_number(latents.objects.count, number), number)
        parts = torch.zeros_like(whole)
        for i in range(number):
            # sigmoid 1: all slots count fully
            full = tracker.scene.counted(objects._replace(count=torch.full_like(objects.count, 40.0)))
            off = torch.full_like(pose.position, 9.0)  # out of sight
            off[..., i, :] = pose.position[..., i, :]
            alone = pose._replace(position=off, presence=full.steps.unsqueeze(-2))
            parts += steps[..., i, None, None, None, None] * tracker.picture.render(full, alone)
        torch.testing.assert_close(parts, whole)


def test_annealing_may_come_in_tensors(tiny, frames: Tensor) -> None:
    """0-d tensors and floats give the same terms to the last bits."""
    tracker = tiny(count=0.0)
    values = Anneal(count_shift=1.0, bell=0.3, fuse_low=0.2, fuse_high=0.7, step_weight=0.5)
    terms = []
    for anneal in (values, Anneal(*(torch.tensor(v, dtype=torch.float64) for v in values))):
        torch.manual_seed(4)
        terms.append(Elbo().terms(tracker.model, tracker.guide, frames, anneal))
    for name in terms[0]:
        torch.testing.assert_close(terms[0][name], terms[1][name])
