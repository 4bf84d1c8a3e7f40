"""Laws of SQAIR's model and guide: sites, sizes, presence, and the log weights of a literal loop."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from tiny_sqair import CONFIG, frames, tiny
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from torch.nn.functional import affine_grid, elu, grid_sample, softplus

from vtssi_pyro.baselines import SQAIR, SQAIRConfig
from vtssi_pyro.baselines.sqair import VIMCO
from vtssi_pyro.baselines.sqair.dynamics import count_logits
from vtssi_pyro.baselines.sqair.networks import cut, window
from vtssi_pyro.baselines.sqair.state import Slots, merge
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.ops.spatial import covered, extract_glimpses, paste
from vtssi_pyro.types import Anneal

Traces = tuple[poutine.Trace, poutine.Trace]


def traces(sqair: SQAIR, x: Tensor, particles: int = 6, seed: int = 3) -> Traces:
    """Of model and guide, from particles that are drawn together."""
    torch.manual_seed(seed)
    return VIMCO(particles).traces(sqair.model, sqair.guide, x)


def latent(trace: poutine.Trace) -> dict[str, dict]:
    return {n: s for n, s in trace.nodes.items() if s["type"] == "sample" and not s["is_observed"]}


def test_the_official_configuration_has_some_2_95_million_parameters() -> None:
    count = sum(parameter.numel() for parameter in SQAIRConfig().build().parameters())
    assert 2.95e6 <= count <= 3.0e6
    assert count == 2_952_542


def test_guide_and_model_have_the_same_sites() -> None:
    model, guide = traces(tiny(), frames(length=2))
    expected = {
        "disc_count_1", "disc_where_1_1", "disc_where_1_2", "disc_what_1", "prop_pres_2", "prop_where_2",
        "prop_what_2", "disc_count_2", "disc_where_2_1", "disc_where_2_2", "disc_what_2",
    }  # fmt: skip
    assert set(latent(model)) == set(latent(guide)) == expected
    for name in expected:  # reached under the same plates and the same mask
        first, second = model.nodes[name], guide.nodes[name]
        assert [f.name for f in first["cond_indep_stack"]] == [f.name for f in second["cond_indep_stack"]]
        assert first["value"] is second["value"]
        if not name.startswith("disc_count"):
            assert torch.equal(first["mask"].expand(second["mask"].shape), second["mask"])
    exchangeable = {
        n for n in expected if any(f.name == "objects" for f in model.nodes[n]["cond_indep_stack"])
    }
    assert exchangeable == {n for n in expected if n.startswith(("prop", "disc_what"))}


def test_every_parameter_gets_a_gradient() -> None:
    sqair = tiny()
    for seed in range(3):
        torch.manual_seed(seed)
        VIMCO(4).loss_and_grads(sqair.model, sqair.guide, frames())
    missing = [n for n, p in sqair.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not missing
    assert all(parameter.grad.isfinite().all() for parameter in sqair.parameters())


def test_an_object_that_is_absent_stays_absent() -> None:
    """Presence never grows by propagation, discoveries are counted from the front, and present objects come first."""
    sqair = tiny()
    _, guide = traces(sqair, frames(length=5), particles=20)
    slots = guide.nodes["_RETURN"]["value"]
    assert {0, 1, 2} == {int(n) for slot in slots for n in slot.presence.sum(-1).unique()}
    for t, (before, now) in enumerate(pairwise(slots), 2):
        stays = guide.nodes[f"prop_pres_{t}"]["value"]
        assert (stays <= before.presence).all()
        assert (stays < before.presence).any()
        for slot in (before, now):
            assert (slot.presence.diff(dim=-1) <= 0).all()
        found = guide.nodes[f"disc_count_{t}"]["value"].squeeze(-1)
        assert torch.equal(now.presence.sum(-1), (stays.sum(-1) + found).clamp(max=CONFIG.slots))


def test_present_objects_come_first_and_keep_their_order() -> None:
    def slots(first: float, presence: list[float]) -> Slots:
        value = (first + torch.arange(2.0)).view(1, 2, 1)
        return Slots(value, value, torch.tensor([presence]), value, torch.zeros(1, 2, dtype=torch.long))

    merged = merge(slots(1, [0, 1]), slots(3, [1, 0]))
    assert merged.what.flatten().tolist() == merged.memory.flatten().tolist() == [2, 3]
    assert merged.origin.tolist() == [[1, 2]]
    merged = merge(slots(1, [0, 1]), slots(3, [0, 0]))
    assert merged.what.flatten().tolist() == [2, 0]  # and absent slots hold nothing
    merged = merge(slots(1, [1, 1]), slots(3, [1, 0]))
    assert merged.what.flatten().tolist() == [1, 2]  # cut to the slots
    assert merge(None, slots(3, [1, 0])).origin.tolist() == [[2, 3]]


def test_the_count_stops_where_a_step_stops() -> None:
    logits = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    p = torch.sigmoid(logits)
    expected = [1 - p[0], p[0] * (1 - p[1]), p[0] * p[1] * (1 - p[2]), p.prod()]
    torch.testing.assert_close(count_logits(logits).exp(), torch.stack(expected))


def test_the_shift_makes_each_object_that_a_later_frame_discovers_so_much_dearer() -> None:
    """In nats, against none, and not in the first frame; the program takes it from what is annealed."""
    sqair, x = tiny(), frames()
    trace = poutine.trace(sqair.guide).get_trace(x)

    def logits(shift: float) -> list[torch.Tensor]:
        model = poutine.trace(poutine.replay(sqair.model, trace=trace)).get_trace(
            x, Anneal(discovery_shift=shift)
        )
        found = [model.nodes[f"disc_count_{t}"]["fn"].logits for t in range(1, x.shape[1] + 1)]
        return [of - of[..., :1] for of in found]

    (first, *later), (first_shifted, *later_shifted) = logits(0.0), logits(-3.0)
    torch.testing.assert_close(first_shifted, first)
    assert later
    for plain, shifted in zip(later, later_shifted, strict=True):
        torch.testing.assert_close(shifted, plain - 3.0 * torch.arange(plain.shape[-1]))


def test_propagated_objects_are_exchangeable_in_the_prior_and_in_the_picture() -> None:
    sqair, x = tiny(), frames()
    _, guide = traces(sqair, x)
    before: Slots = guide.nodes["_RETURN"]["value"][1]
    turned = Slots(*(v.flip(-2 if v.dim() == before.what.dim() else -1) for v in before))
    dynamics = sqair.prior_dynamics(x)
    one, other = dynamics.propagate(3, before), dynamics.propagate(3, turned)
    for name in ("where", "what"):
        torch.testing.assert_close(getattr(one, name).mean.flip(-2), getattr(other, name).mean)
    torch.testing.assert_close(one.presence.logits.flip(-1), other.presence.logits)
    torch.testing.assert_close(
        dynamics.discover(3, before, one).count.logits, dynamics.discover(3, turned, other).count.logits
    )
    pictures = [sqair.picture(s.what, s.where, s.presence) for s in (before, turned)]
    torch.testing.assert_close(*pictures)


def test_nothing_depends_on_absent_slots() -> None:
    sqair, x = tiny(), frames(length=3)
    model, guide = traces(sqair, x)
    changed = guide.copy()
    for name, site in latent(guide).items():
        if site["mask"] is not None and "pres" not in name:
            absent = ~site["mask"].expand(site["value"].shape[:-1])
            assert absent.any()
            changed.nodes[name] = site | {"value": site["value"] + 7.0 * absent.unsqueeze(-1)}
    elbo = VIMCO(6)
    replayed = poutine.trace(elbo._vectorized_num_particles(poutine.replay(sqair.model, trace=changed)))
    again = replayed.get_trace(x)
    torch.testing.assert_close(again.log_prob_sum(), model.log_prob_sum(), rtol=1e-12, atol=0)


def test_the_picture_is_the_official_spatial_transformer() -> None:
    """Its grids span the centres of the outermost pixels."""
    side, glimpse, objects = 12, 5, 3
    pictures = torch.rand(objects, 1, glimpse, glimpse, dtype=torch.float64)
    where = torch.randn(objects, 4, dtype=torch.float64)
    presence = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    place = window(where, side, glimpse)
    found = paste(pictures, place.position.unsqueeze(0), place.size, (side, side), presence.unsqueeze(0))[0]
    expected = sum(p * pasted(g, w, side) for g, w, p in zip(pictures, where, presence, strict=True))
    torch.testing.assert_close(found, expected)
    ones = sum(
        p * pasted(torch.ones_like(g), w, side) for g, w, p in zip(pictures, where, presence, strict=True)
    )
    torch.testing.assert_close(covered(place.position, place.size, glimpse, (side, side), presence), ones[0])


def test_glimpses_are_those_of_the_matrix_products() -> None:
    x, where = frames(sequences=3, length=1), torch.randn(2, 3, 2, 4, dtype=torch.float64)
    place = window(where, 12, 5)
    torch.testing.assert_close(cut(x, where, 5), extract_glimpses(x, place.position, place.size, 5))


def test_frames_and_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="expects"):
        tiny().guide(frames(side=13))
    for change, message in (({"num_objects": 0}, "from 1"), ({"glimpse": 1}, "from 2")):
        with pytest.raises(UsageError, match=message):
            replace(CONFIG, **change).build()


def test_frames_beyond_the_observed_have_the_priors_densities() -> None:
    """In model and guide: the same sites, the same densities, which go on from the prior's recurrent states."""
    sqair, x = tiny(), frames(sequences=20, length=3)
    guided = poutine.trace(sqair.guide).get_trace(x, horizon=2)
    with poutine.trace() as modelled, poutine.replay(trace=guided):
        slots = sqair.model(x, horizon=2)
    own, other = latent(guided), latent(modelled.trace)
    assert own.keys() == other.keys() - {"frames"}  # a plate
    assert modelled.trace.nodes["x"]["fn"].batch_shape == (20, 3)
    for name in ("prop_pres_4", "prop_what_5", "disc_count_4", "disc_where_5_2"):
        distance = kl_divergence(own[name]["fn"], other[name]["fn"])
        assert distance.abs().max() < 1e-9, name
    assert kl_divergence(own["disc_count_3"]["fn"], other["disc_count_3"]["fn"]).max() > 1e-3
    found: list[Slots] = guided.nodes["_RETURN"]["value"]
    assert {0, 1, 2} == {int(n) for n in found[2].presence.sum(-1)}
    torch.testing.assert_close(sqair.remembered(found[:3]).memory, slots[2].memory)


def test_colour_and_plain_svi_work() -> None:
    sqair = tiny(SQAIRConfig(num_objects=1, spare=0, frame_size=12, channels=3, glimpse=5, what=3, units=8))
    x = frames().expand(-1, -1, 3, -1, -1)
    for elbo in (Trace_ELBO(max_plate_nesting=2), VIMCO(2)):
        svi = SVI(sqair.model, sqair.guide, Adam({"lr": 1e-3}), elbo)
        before = sqair.picture.body.contrast.item()
        svi.step(x)
        assert sqair.picture.body.contrast.item() != before


@pytest.mark.slow
def test_the_bound_rises_by_training() -> None:
    sqair, x = tiny(), torch.zeros(2, 3, 1, 12, 12, dtype=torch.float64)
    x[..., 4:8, 3:9] = 1
    optimizer, elbo = torch.optim.Adam(sqair.parameters(), 1e-2), VIMCO(5)
    before = elbo.bound(sqair.model, sqair.guide, x).mean()
    with pyro.validation_enabled(False):
        for _ in range(40):
            optimizer.zero_grad()
            elbo.loss_and_grads(sqair.model, sqair.guide, x)
            optimizer.step()
    assert elbo.bound(sqair.model, sqair.guide, x).mean() > before + 15


# The literal loop: one particle of one sequence, one object after the other, without masks.


class Known(NamedTuple):
    what: Tensor
    where: Tensor
    q: Tensor  # recurrent state of the guide
    p: Tensor  # and of the prior


def test_log_weights_are_those_of_a_literal_loop() -> None:
    sqair, x = tiny(), frames(sequences=2, length=4)
    _, guide = traces(sqair, x)
    torch.manual_seed(3)
    found = VIMCO(6).weights(sqair.model, sqair.guide, x)
    for particle in range(6):
        for sequence in range(len(x)):
            values = {name: site["value"][particle, sequence] for name, site in latent(guide).items()}
            with torch.no_grad():
                weight, discrete = literal(sqair, x[sequence], values)
            torch.testing.assert_close(found.log_weight[particle, sequence], weight)
            torch.testing.assert_close(found.log_discrete[particle, sequence], discrete)
    dropped = guide.nodes["prop_pres_3"]["value"].sum() < guide.nodes["_RETURN"]["value"][1].presence.sum()
    assert dropped  # the loop has seen all cases
    assert (guide.nodes["disc_count_3"]["value"] > 0).any()


def literal(sqair: SQAIR, x: Tensor, values: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The log weight of one particle of one sequence (T, C, H, W), and log q of its discrete variables."""
    size = sqair.num_objects
    discovery, propagation = sqair.inference.body.discovery, sqair.inference.body.propagation
    prior, summary = sqair.prior.body, sqair.summary.body
    objects: list[Known] = []
    weight = discrete = x.new_zeros(())
    for t, frame in enumerate(x, 1):
        state, previous = propagation.cell.start, x.new_zeros(sqair.config.what + 5)
        survivors, scene, expected = [], x.new_zeros(sqair.config.units), -0.5
        for k, known in enumerate(objects):
            what, where = values[f"prop_what_{t}"][k], values[f"prop_where_{t}"][k]
            present = values[f"prop_pres_{t}"][k]
            # guide
            mask = torch.sigmoid(propagation.mask(known.q))
            glance = known.where + 0.1 * propagation.glance(known.q)
            shared = torch.cat(
                [encoded(sqair, frame, glance, mask)[0], known.what, known.where, one(x), known.q]
            )
            state = recurrent(propagation.cell, [shared], previous, state)
            shift, raw = propagation.place.layers(torch.cat([state, known.where, known.q])).chunk(2)
            scale = softplus(raw + propagation.place.offset - 1) + 0.01
            lower = torch.zeros(4, 4, dtype=x.dtype)
            lower[tuple(torch.tril_indices(4, 4))] = propagation.cholesky
            factor = scale.unsqueeze(-1) * lower + torch.diag(scale)
            q_where = MultivariateNormal(known.where + shift, factor @ factor.T)
            loc, spread = encoded(sqair, frame, where, mask)
            memory = gated(propagation.temporal.cell, torch.cat([state, where, loc, spread]), known.q)
            own_loc, own_raw = propagation.what(memory).chunk(2)
            f, i, g = (0.9999 * torch.sigmoid(propagation.gates(memory))).chunk(3)
            q_what = Normal(
                f * known.what + (1 - i) * loc + (1 - g) * own_loc,
                (1 - i) * spread + (1 - g) * (softplus(own_raw) + 0.01),
            )
            stays = torch.sigmoid(propagation.presence(torch.cat([state, known.q, what])))[0]
            previous = torch.cat([what, where, present.view(1)])
            # prior
            past = gated(prior.transition.cell, torch.cat([known.what, known.where]), known.p)
            logit, loc, raw = prior.next(past).split([1, 4 + len(what), 4 + len(what)])
            p = Normal(loc, softplus(raw) + 0.01)
            p_stays = torch.sigmoid(logit + 10)[0]
            expected = expected + p_stays / size
            discrete = discrete + chance(stays, present)
            weight = weight + chance(p_stays, present) - chance(stays, present)
            if present:
                weight = weight + p.log_prob(torch.cat([where, what])).sum()
                weight = weight - q_where.log_prob(where) - q_what.log_prob(what).sum()
                scene = scene + summary(torch.cat([what, where]))
                survivors.append(Known(what, where, memory, past))
        # discovery
        count = int(values[f"disc_count_{t}"])
        image, found, going = discovery.image(frame.flatten()), [], []
        state, previous = discovery.cell.start, x.new_zeros(sqair.config.what + 5)
        previous[-1] = 1
        e = torch.as_tensor(expected, dtype=x.dtype).view(1)
        place = elu(prior.scene[0](torch.cat([prior.scene_start, scene, e])))
        before = prior.first
        for k in range(size):
            where, what = values[f"disc_where_{t}_{k + 1}"][0], values[f"disc_what_{t}"][k]
            state = recurrent(discovery.cell, [image, scene], previous, state)
            loc, raw = discovery.place.layers(state).chunk(2)
            q_where = Normal(loc, softplus(raw + discovery.place.offset) + 0.01)
            q_what = Normal(*encoded(sqair, frame, where))
            going.append(torch.sigmoid(discovery.presence(torch.cat([state, what])))[0])
            previous = torch.cat([what, where, one(x)])
            loc, raw = prior.readout(torch.tanh(prior.place(torch.cat([before, place])))).chunk(2)
            p_where, before = Normal(loc, softplus(raw) + 0.01), where
            if k < count:
                weight = weight + (p_where.log_prob(where) - q_where.log_prob(where)).sum()
                weight = weight + (Normal(0, 1).log_prob(what) - q_what.log_prob(what)).sum()
                found.append(Known(what, where, propagation.temporal.start, prior.transition.start))
        log_q = sum((p.log() for p in going[:count]), x.new_zeros(()))
        if count < size:
            log_q = log_q + (1 - going[count]).log()
        bias = prior.count + prior.later * (t > 1)
        log_p = torch.log_softmax(elu(bias + prior.count_by_others(e)), -1)[count]
        discrete, weight = discrete + log_q, weight + log_p - log_q
        objects = (survivors + found)[:size]
        weight = weight + Normal(drawn(sqair, objects), 0.3).log_prob(frame).sum()
    return weight, discrete


def chance(probability: Tensor, happens: Tensor) -> Tensor:
    return (probability if happens else 1 - probability).log()


def one(like: Tensor) -> Tensor:
    return like.new_ones(1)


def recurrent(cell: torch.nn.Module, shared: list[Tensor], varying: Tensor, state: Tensor) -> Tensor:
    total = cell.varying.weight @ torch.cat([varying, state]) + cell.shared[0].bias
    return torch.tanh(total + sum(part.weight @ x for part, x in zip(cell.shared, shared, strict=True)))


def gated(cell: torch.nn.GRUCell, x: Tensor, state: Tensor) -> Tensor:
    (r, z, n), (hr, hz, hn) = (
        (weight @ value + bias).chunk(3)
        for weight, value, bias in (
            (cell.weight_ih, x, cell.bias_ih),
            (cell.weight_hh, state, cell.bias_hh),
        )
    )
    r, z = torch.sigmoid(r + hr), torch.sigmoid(z + hz)
    return (1 - z) * torch.tanh(n + r * hn) + z * state


def grid(where: Tensor, inverse: bool) -> Callable[[int], Tensor]:
    (w, h), (x, y) = torch.sigmoid(where[:2]), torch.tanh(where[2:])
    zero = torch.zeros_like(w)
    rows = [[1 / w, zero, -x / w], [zero, 1 / h, -y / h]] if inverse else [[w, zero, x], [zero, h, y]]
    theta = torch.stack([torch.stack(row) for row in rows]).unsqueeze(0)
    return lambda side: affine_grid(theta, [1, 1, side, side], align_corners=True)


def encoded(sqair: SQAIR, frame: Tensor, where: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    points = grid(where, inverse=False)(sqair.config.glimpse)
    glimpse = grid_sample(frame.unsqueeze(0), points, align_corners=True).flatten()
    loc, raw = sqair.inference.body.glimpses.layers(glimpse if mask is None else glimpse * mask).chunk(2)
    return loc, softplus(raw) + 0.01


def pasted(glimpse: Tensor, where: Tensor, side: int) -> Tensor:
    return grid_sample(glimpse.unsqueeze(0), grid(where, inverse=True)(side), align_corners=True)[0]


def drawn(sqair: SQAIR, objects: list[Known]) -> Tensor:
    picture, side, glimpse = sqair.picture.body, sqair.config.frame_size, sqair.config.glimpse
    frame = behind = picture.background.new_zeros(1, side, side)
    for known in objects:
        decoded = picture.contrast * picture.decoder(known.what).view(1, glimpse, glimpse)
        frame = frame + pasted(decoded, known.where, side)
        behind = behind + pasted(torch.ones_like(decoded), known.where, side)
    return frame + picture.background * torch.sigmoid(20 * behind - 10)
