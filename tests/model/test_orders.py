"""Proposals of all frames at once, or frame by frame from the final positions; and all blocks with one another."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from small_model import FINDERS, positions, small
from torch import Tensor

import vtssi_pyro.model.proposals
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import Stream, forecast, joined, track
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.count_rect import CountRECTConfig
from vtssi_pyro.model.blocks.mot import RandomWalkConfig
from vtssi_pyro.model.blocks.rect import FirstFrameConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.strided import StridedFINDConfig
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.handlers import mode, propose
from vtssi_pyro.model.interfaces import Predict
from vtssi_pyro.model.proposals import ORDERS
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.types import Anneal, Detections, State

M = 3
CONSENSUSES = {
    "first-frame": FirstFrameConfig(),
    "rect": small().consensus,
    "count-rect": CountRECTConfig(K=3, units=8, dense=(8, 8)),
    "clearest": ClearestFrameConfig(K=3),
}
SEARCHES = {
    **FINDERS,
    "strided": StridedFINDConfig(**vars(FINDERS["learned"])),
}
MOTIONS = {
    "random-walk": RandomWalkConfig(),
    "mot": small().motion,
    "residual-mot": ResidualMOTConfig(M=M, motion=3, units=8, heads=(8,), transition=(8, 8)),
}


def frame_by_frame(finder: str = "learned", **fields: object) -> ModelConfig:
    return replace(small(finder), order="frame-by-frame", **fields)


@pytest.mark.parametrize(
    ("consensus", "search", "motion", "order"), list(product(CONSENSUSES, SEARCHES, MOTIONS, ORDERS))
)
def test_all_blocks_go_together(
    consensus: str, search: str, motion: str, order: str, tiny, frames: Tensor
) -> None:
    """Model and guide have the same sites, of the same shapes, under the same plates; also beyond the frames."""
    blocks = {"consensus": CONSENSUSES[consensus], "finder": SEARCHES[search], "motion": MOTIONS[motion]}
    tracker = tiny(config=replace(small(), order=order, **blocks))
    guide = poutine.trace(tracker.guide).get_trace(frames[:, :4], horizon=1)
    model = poutine.trace(tracker.model).get_trace(frames[:, :4], horizon=1)
    expected = {"count", "size", "description", *(f"position_{t}" for t in range(1, 6))}
    if motion != "random-walk":
        expected |= {f"motion_{t}" for t in range(M, 6)}
    for trace in (guide, model):
        assert {n for n in trace.stochastic_nodes if n not in ("sequences", "objects", "frames")} == expected
    for name in expected:
        first, second = guide.nodes[name], model.nodes[name]
        assert first["value"].shape == second["value"].shape
        assert first["fn"].batch_shape == second["fn"].batch_shape
        assert [f.name for f in first["cond_indep_stack"]] == [f.name for f in second["cond_indep_stack"]]


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(UsageError, match="order: expected proposals-first or frame-by-frame"):
        build("vtssi", replace(small(), order="backwards"))


def by_hand(tracker: Tracker, frames: Tensor) -> Tensor:
    """Final positions (B, T, N, 2), all variables at their modes: the loop of App. A, without a program."""
    x, plates = channelled(frames), tracker.program().plates(channelled(frames))
    with propose(), mode():
        objects, position = tracker.consensus.guide(tracker.attention, x, plates)
    objects = tracker.scene.counted(objects)
    sight = tracker.finder.look(tracker.picture, x, objects)
    motion, memory, path = None, None, list[Tensor]()
    for t in range(1, frames.shape[1] + 1):
        if t > 1 or position is None:
            before = path[-1] if path else torch.zeros_like(objects.size)
            found = tracker.finder.step(sight, t - 1, {"position": before}).mode
        else:
            found = position
        detected = Detections(found.unsqueeze(1))
        static = tracker.motion.static(tracker.picture, objects, detected)
        q, memory = tracker.motion.infer(static, detected.position, memory)
        inferred = q.mode.squeeze(1)
        if t <= M:
            path.append(found)
            motion = inferred
        else:
            ahead = tracker.motion.transition({"position": path[-1], "motion": motion})
            path.append((ahead["position"].mean + found) / 2)
            motion = (ahead["motion"].mean + inferred) / 2
    return torch.stack(path, 1)


@pytest.mark.parametrize("kind", ["mot", "residual-mot"])
@pytest.mark.parametrize("variant", ["find-mot", "vtssi"])
def test_modes_frame_by_frame_are_the_loop_of_appendix_a(
    variant: str, kind: str, finder: str, tiny, frames: Tensor
) -> None:
    tracker = tiny(variant, config=frame_by_frame(finder, motion=MOTIONS[kind]))
    with mode(), torch.no_grad():
        found = positions(tracker.guide(frames))
        torch.testing.assert_close(found, by_hand(tracker, frames), rtol=0, atol=1e-12)
        tracker.order = "proposals-first"
        other = positions(tracker.guide(frames))
    torch.testing.assert_close(other[:, : M + 1], found[:, : M + 1])  # the first fusion is of the same parts
    if finder == "learned":  # the one that looks at where an object was
        assert not torch.allclose(other[:, M + 1 :], found[:, M + 1 :], rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_the_finder_is_told_where_objects_were(order: str, tiny, frames: Tensor, monkeypatch) -> None:
    """The final state of the frame before, and the prior's density of the next, frame by frame; else a proposal."""
    tracker, told, expected = tiny(config=replace(small(), order=order)), {}, {}
    proposals, step = propose(), tracker.finder.step

    def spy(sight, index: int, previous: State, predict: Predict | None = None):
        told[index + 1] = previous["position"]
        expected[index + 1] = predict and predict()
        return step(sight, index, previous, predict)

    monkeypatch.setattr(tracker.finder, "step", spy)
    monkeypatch.setattr(vtssi_pyro.model.proposals, "propose", lambda: proposals)
    trace = poutine.trace(tracker.guide).get_trace(frames)
    assert list(told) == list(range(1, 7))
    assert told[1].eq(0).all()
    for t in range(2, 7):
        final, proposed = (
            trace.nodes[f"position_{t - 1}"]["value"],
            proposals.sites[f"position_{t - 1}"].value,
        )
        assert torch.equal(told[t], final if order == "frame-by-frame" else proposed)
        assert torch.equal(final, proposed) == (t - 1 <= M)
    if order == "proposals-first":
        assert set(expected.values()) == {None}
        return
    model = poutine.trace(poutine.replay(tracker.model, trace=trace)).get_trace(frames)
    for t, density in expected.items():
        prior = model.nodes[f"position_{t}"]["fn"].base_dist
        torch.testing.assert_close(density.base_dist.loc, prior.loc)
        torch.testing.assert_close(density.base_dist.scale, prior.scale)


@pytest.mark.parametrize("search", ["template", "following"])
def test_orders_agree_where_the_finder_does_not_ask(search: str, tiny, frames: Tensor) -> None:
    tracker = tiny(config=frame_by_frame(search))
    with mode(), torch.no_grad():
        one = positions(tracker.guide(frames))
        tracker.order = "proposals-first"
        torch.testing.assert_close(positions(tracker.guide(frames)), one)


@pytest.mark.parametrize("cut", [3, 4, 5])
@pytest.mark.parametrize("kind", MOTIONS)
@pytest.mark.parametrize("search", SEARCHES)
def test_a_chain_goes_on_frame_by_frame(search: str, kind: str, cut: int, tiny, frames: Tensor) -> None:
    tracker = tiny(
        config=replace(small(), finder=SEARCHES[search], motion=MOTIONS[kind], order="frame-by-frame")
    )
    with mode(), torch.no_grad():
        whole = tracker.guide(frames, horizon=2)
        first = tracker.guide(frames[:, :cut])
        rest = tracker.guide(frames[:, cut:], horizon=2, chain=first.chain)
    torch.testing.assert_close(torch.cat([positions(first), positions(rest)], 1), positions(whole))
    for name, value in whole.chain.state.items():
        torch.testing.assert_close(rest.chain.state[name], value)


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES)
def test_it_trains_and_forecasts_frame_by_frame(search: str, tiny, frames: Tensor) -> None:
    tracker = tiny(config=replace(small(), finder=SEARCHES[search], order="frame-by-frame")).train()
    before = {name: value.detach().clone() for name, value in tracker.named_parameters()}
    svi = SVI(tracker.model, tracker.guide, Adam({"lr": 1e-3}), Trace_ELBO())
    for _ in range(3):
        assert svi.step(frames, Anneal(bell=0.3, fuse_low=0.01, fuse_high=0.99)) > -1e6
    assert not any(torch.equal(value, before[name]) for name, value in tracker.named_parameters())
    told = forecast(tracker, frames, horizon=3, num_samples=2).tracks
    assert told.samples.shape == (2, 2, 9, 2, 2)
    assert told.samples.isfinite().all()


@pytest.mark.parametrize("name", ["air", "find", "rect-find", "find-mot", "vtssi"])
def test_frames_as_they_come_are_told_as_offline_frame_by_frame(name: str, tiny, frames: Tensor) -> None:
    tracker = tiny(name, config=frame_by_frame())
    stream, whole = Stream(tracker), track(tracker, frames)
    told = [stream.push(frames[:, t : t + 1]) for t in range(6)]
    parts = joined([estimate for estimate in told if estimate is not None], 1)
    torch.testing.assert_close(parts.tracks.position, whole.tracks.position, equal_nan=True)
    torch.testing.assert_close(parts.tracks.scale, whole.tracks.scale)


def test_proposals_by_their_means_frame_by_frame(tiny, frames: Tensor, monkeypatch) -> None:
    """Reading D5: proposals that are no final variables are means then, those up to M are drawn."""
    tracker, proposals = tiny(config=frame_by_frame(sample_intermediate=False)), propose()
    monkeypatch.setattr(vtssi_pyro.model.proposals, "propose", lambda: proposals)
    tracker.guide(frames)
    for name, hat in proposals.sites.items():
        t = int(name.rpartition("_")[2]) if name[-1].isdigit() else 0
        assert torch.equal(hat.value, hat.fn.mean) == (t > M or name.endswith("_hat")), name
