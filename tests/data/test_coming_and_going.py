"""Objects that come and go, hide and turn: truth tells what frames show, and frames follow the rules."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vtssi_pyro.data import FLAVOURS, MovingDigits, Sprites, moving_digits
from vtssi_pyro.data.billiard import _moved
from vtssi_pyro.data.drawings import TEXTURES
from vtssi_pyro.data.sprites_mot import COLOURS, PAUSE, SHAPES, coloured, sprite_visits
from vtssi_pyro.data.visits import SPEED, crossings

HIDING = tuple(name for name, flavour in FLAVOURS.items() if flavour.hides)
BORDER = 40  # px around a frame, more than any object is large; even, so that halves are rounded alike


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(flavour: str, sprites: Sprites, sequences: int = 12, length: int = 8) -> MovingDigits:
    return moving_digits(flavour, sprites, sequences=sequences, length=length, seed=3)


def opacity(data: MovingDigits, slot: int, border: int = 0) -> Tensor:
    """The opacity of one object alone, in frames with a border around them, (S, T, H, W)."""
    images = data.sprites.images
    mask = images if images.dim() == 3 else images[:, -1]
    height, width = data.frame_size
    alone = replace(
        data,
        sprites=data.sprites._replace(images=mask),
        which=data.which[:, [slot]],
        position=data.position[:, :, [slot]] + border,
        counts=(data.counts > slot).long(),
        frame_size=(height + 2 * border, width + 2 * border),
        present=None if data.present is None else data.present[..., [slot]],
        depth=None,
        angle=None if data.angle is None else data.angle[..., [slot]],
        front=None,
        blend="sum",
    )
    return alone.frames(slice(None))[:, :, 0]


def test_the_flavours_that_hide() -> None:
    assert set(HIDING) == {"sqair", "sqair-original", "visitors", "discs-behind", "sprites"}


@pytest.mark.parametrize("flavour", [*HIDING, "rods", "balls"])
def test_objects_are_where_truth_says_and_nowhere_else(flavour: str, shapes: Sprites) -> None:
    """An object's ink is in its box, but for a pixel of each interpolation; there is no other ink."""
    data = made(flavour, shapes, length=20 if flavour == "sqair" else 8)
    truth, (height, width) = data.truth, data.frame_size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], -1)  # (H, W, 2)
    room = 1 if data.angle is None else 2  # what is turned is interpolated twice
    assert (truth.position.isnan().all(-1) == ~truth.present).all()
    covered = torch.zeros(len(data), data.length, height, width, dtype=torch.bool)
    for slot in range(data.which.shape[1]):
        ink, there = opacity(data, slot), truth.present[..., slot]
        assert (ink[~there] == 0).all()
        middle, box = (v[:, :, slot, None, None].nan_to_num(-99.0) for v in (truth.position, truth.box))
        inside = ((pixels - middle).abs() <= box / 2 + room).all(-1)  # (S, T, H, W)
        assert (ink[~inside] == 0).all()
        covered |= inside & there[..., None, None]
    assert (data.frames(slice(None)).amax(2)[~covered] == 0).all()
    assert (truth.present.sum(-1) <= (FLAVOURS[flavour].objects or 2)).all()


@pytest.mark.parametrize("flavour", HIDING)
def test_visibility_is_the_share_of_the_opacity_that_is_shown(flavour: str, shapes: Sprites) -> None:
    """By loops over pairs of objects, with the whole objects drawn in larger frames."""
    data = made(flavour, shapes, length=15 if flavour.startswith("sqair") else 8)
    truth, number = data.truth, data.which.shape[1]
    alone = [opacity(data, slot) for slot in range(number)]
    covers = data.blend == "depth"
    for slot in range(number):
        light = torch.ones_like(alone[slot])
        if data.front is not None:
            light = light * (1 - data.front[-1])
        for other in range(number) if covers else ():
            nearer = data.depth[:, other] < data.depth[:, slot]
            light = light * torch.where(nearer[:, None, None, None], 1 - alone[other], 1)
        whole = opacity(data, slot, BORDER).sum((-2, -1))
        expected = ((alone[slot] * light).sum((-2, -1)) / whole)[truth.present[..., slot]]
        found = truth.visible[..., slot][truth.present[..., slot]]
        torch.testing.assert_close(found, expected.clamp(0, 1), rtol=1e-4, atol=1e-4)
    known = truth.visible[truth.present]
    assert (truth.visible.isnan() == ~truth.present).all()
    assert known.max() > 0.99
    assert known.min() < 0.9


def test_an_object_is_present_as_long_as_its_box_reaches_into_the_frame(shapes: Sprites) -> None:
    data = made("sqair", shapes, sequences=60, length=40)
    corner = (data.position - data.sprites.sizes[data.which].unsqueeze(1) / 2).round()
    used = (torch.arange(2) < data.counts[:, None])[:, None]
    expected = used & (corner < 50).all(-1)  # corners stay in the frame on the other sides
    assert torch.equal(data.truth.present, expected)
    gone = used & ~expected
    assert gone.any()
    assert (gone.any(1) & expected[:, -1]).any()  # digits come back, in their own slot


def test_nearer_objects_cover_the_others(shapes: Sprites) -> None:
    """Where the nearest object is opaque the frame is its own, but behind the bar, where it is the bar's."""
    data = made("discs-behind", shapes, sequences=40)
    frames, height = data.frames(slice(None))[:, :, 0], data.frame_size[0]
    bar = data.front[1] == 1
    assert (frames[..., bar] == 0).all()
    assert bar.sum() == 14 * height
    nearest = data.depth.where(torch.arange(3) < data.counts[:, None], torch.inf).argmin(1)
    both = 0
    for s in range(len(data)):
        slot = int(nearest[s])
        one = replace(
            data, which=data.which[:, [slot]], position=data.position[:, :, [slot]], depth=None, front=None
        )
        own = replace(one, counts=(data.counts > slot).long()).frames(torch.tensor([s]))[0, :, 0]
        solid = (opacity(data, slot)[s] > 1 - 1e-6) & ~bar
        torch.testing.assert_close(frames[s][solid], own[solid])
        others = [opacity(data, n)[s] for n in range(int(data.counts[s])) if n != slot]
        both += sum(int((solid & (other > 0.5)).sum()) for other in others)
    assert both > 100
    depth = data.truth.depth
    assert torch.equal(depth.isnan(), ~data.truth.present)
    assert (depth[:, 0].nan_to_num() == depth[:, -1].nan_to_num()).all()


def test_every_disc_has_a_texture_of_its_own(shapes: Sprites) -> None:
    data = made("discs-behind", shapes)
    assert len(data.sprites.images.flatten(1).unique(dim=0)) == TEXTURES
    colour, mask = data.sprites.images.unbind(1)
    assert (colour <= mask).all()


@pytest.mark.parametrize("kind", [0, 1])
def test_the_angle_is_that_of_the_drawn_axis(kind: int, shapes: Sprites) -> None:
    """The axis of largest variance of the ink; and boxes end with the ink."""
    data = made("rods", shapes, sequences=40)
    alone = (data.counts == 1) & (data.which[:, 0] == kind)
    truth, ink = data.truth.part(alone.nonzero()[:, 0].tolist()), data.frames(alone.nonzero()[:, 0])[:, :, 0]
    axis = torch.arange(50) + 0.5
    mass = ink.sum((-2, -1))
    x, y = (ink.sum(-2) * axis).sum(-1) / mass, (ink.sum(-1) * axis).sum(-1) / mass
    torch.testing.assert_close(torch.stack([x, y], -1), truth.position[:, :, 0], atol=0.02, rtol=0)
    dx, dy = axis - x[..., None], axis - y[..., None]
    xx, yy = (ink.sum(-2) * dx**2).sum(-1), (ink.sum(-1) * dy**2).sum(-1)
    xy = (ink * dy[..., :, None] * dx[..., None, :]).sum((-2, -1))
    drawn = 0.5 * torch.atan2(2 * xy, xx - yy)
    error = (truth.angle[:, :, 0] - drawn).remainder(math.pi)
    assert torch.minimum(error, math.pi - error).max() < math.radians(1)
    speed = truth.angle[:, 1:, 0].diff(dim=1).abs()
    assert 0.099 < speed.min()
    assert speed.max() < 0.351
    for side, shown in enumerate((ink.amax(-2), ink.amax(-1))):
        inked = shown > 0.5 * shown.amax(-1, keepdim=True)
        first, last = inked.int().argmax(-1), 50 - inked.flip(-1).int().argmax(-1)
        low, high = (truth.position[:, :, 0, side] + sign * truth.box[:, :, 0, side] / 2 for sign in (-1, 1))
        assert (first - low).abs().max() < 1.6
        assert (last - high).abs().max() < 1.6


def test_rods_stay_in_the_frame(shapes: Sprites) -> None:
    truth = made("rods", shapes, sequences=100, length=30).truth
    low, high = truth.position - truth.box / 2, truth.position + truth.box / 2
    assert low[truth.present].min() >= -1e-4
    assert high[truth.present].max() <= 50 + 1e-4
    assert truth.visible is None


@pytest.mark.slow
def test_visitors_come_from_every_side_at_any_time(shapes: Sprites) -> None:
    """0 to 3 at once; all sides and all frames see entrances, the first frame as many visitors as the last."""
    data = made("visitors", shapes, sequences=1000, length=20)
    truth = data.truth
    at_once = truth.present.sum(-1)
    assert len(at_once.unique()) == 4
    assert (at_once.flatten().bincount() > 1000).all()
    first, last = at_once[:, 0].double(), at_once[:, -1].double()
    error = math.sqrt((first.var() + last.var()) / len(data))
    assert abs(float(first.mean() - last.mean())) < 4 * error
    come = truth.present[:, 1:] & ~truth.present[:, :-1]
    by_frame = come.sum((0, 2)).double()
    assert (by_frame > 0.7 * by_frame.mean()).all()
    low = (truth.position - truth.box / 2)[:, 1:][come]
    high = 50 - (truth.position + truth.box / 2)[:, 1:][come]
    side = torch.cat([low, high], 1).argmin(1)  # the side that the box is furthest beyond
    share = side.bincount() / len(side)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=4 * math.sqrt(0.25 * 0.75 / len(side)))


@pytest.mark.slow
def test_a_slot_is_one_visitor(shapes: Sprites) -> None:
    """It is there once, for frames in a row; slots are in the order of entrances, and filled from the front."""
    for flavour in ("visitors", "sprites"):
        data = made(flavour, shapes, sequences=100, length=50)
        present = data.truth.present
        starts = present & ~torch.cat([torch.zeros_like(present[:, :1]), present[:, :-1]], 1)
        assert torch.equal(starts.sum(1), (torch.arange(present.shape[2]) < data.counts[:, None]).long())
        begin = starts.int().argmax(1)
        used = present.any(1)
        assert (begin.diff(dim=1)[used[:, 1:]] >= 0).all()
        assert present.shape[2] == int(data.counts.max()) > 3


def test_visitors_cross_straight_to_the_opposite_side() -> None:
    sizes = torch.tensor([[10, 20], [6, 8]])
    visits = crossings(sizes, 500, 3, (40, 60), 30, generator())
    box, wall = sizes[visits.which].double(), torch.tensor([60.0, 40.0]).double()
    end = visits.begin + visits.velocity * visits.stay.unsqueeze(-1)
    speed = visits.velocity.norm(dim=-1)
    assert SPEED[0] <= speed.min()
    assert speed.max() <= SPEED[1]
    out = [(x + box / 2).isclose(0 * wall) | (x - box / 2).isclose(wall) for x in (visits.begin, end)]
    assert (out[0] & out[1]).any(-1).all()  # touching the frame from outside, on the same axis
    assert (visits.begin - end).abs().amax(-1).min() > 40
    for lane in range(3):  # one after another
        begin = visits.first.where(visits.lane == lane, torch.inf).sort(1)
        stay = visits.stay.gather(1, begin.indices)
        later = begin.values[:, 1:].isfinite()
        assert (begin.values[:, 1:] - (begin.values + stay)[:, :-1])[later].min() >= 0


def test_sprites_follow_the_benchmark_in_its_own_frames() -> None:
    frame = (128, 128)
    bank = coloured(Sprites(*(torch.empty(0),) * 3), frame)
    assert (int(bank.sizes.min()), int(bank.sizes.max())) == (17, 26)
    visits, position = sprite_visits(bank.sizes, 400, 3, frame, 60, generator(2))
    present = visits.present(60)
    assert present.sum(-1).max() == 3
    middle = visits.position(60).round()[present]
    assert middle.min() == 10
    assert middle.max() == 117
    corner = position - bank.sizes[visits.which].unsqueeze(1) / 2
    assert torch.equal(corner, corner.round())
    torch.testing.assert_close(
        visits.velocity.norm(dim=-1), torch.tensor(5.3).double().expand_as(visits.stay)
    )
    both = present[:, 1:] & present[:, :-1]
    step = position.diff(dim=1)[both].double().norm(dim=-1)
    assert step.mean() == pytest.approx(5.3, abs=0.05)
    for lane in range(3):
        first = visits.first.where((visits.lane == lane) & present.any(1), torch.inf).sort(1)
        gap = first.values[:, 1:] - (first.values + visits.stay.gather(1, first.indices))[:, :-1]
        gap = gap[first.values[:, 1:].isfinite()]
        assert gap.min() == PAUSE
        assert gap.mean() == pytest.approx(PAUSE + 1, abs=0.25)  # and on average one failure


def test_sprites_are_coloured(shapes: Sprites) -> None:
    data = made("sprites", shapes, sequences=60, length=2)
    frames = data.frames(slice(None))
    assert frames.shape == (60, 2, 3, 64, 64)
    assert data.truth.box[data.truth.present].amax() <= 13
    kinds = data.which[torch.arange(data.which.shape[1]) < data.counts[:, None]] // (
        len(data.sprites.sizes) // 18
    )
    assert len(kinds.unique()) == len(SHAPES) * len(COLOURS)
    full = frames.movedim(2, -1)[frames.amax(2) == 1].unique(dim=0)
    assert {tuple(colour) for colour in COLOURS.float().tolist()} <= {tuple(c) for c in full.tolist()}


def test_collisions_keep_energy_and_balls_apart() -> None:
    random = generator(5)
    low, high = torch.full((2,), 10.0).double(), torch.full((2,), 90.0).double()
    grid = torch.tensor([[20.0, 20], [20, 70], [70, 20], [70, 70]]).double()
    place = grid + 10 * torch.rand(50, 4, 2, generator=random, dtype=torch.float64)
    velocity = 16 * torch.rand(50, 4, 2, generator=random, dtype=torch.float64) - 8
    energy = velocity.square().sum((1, 2))
    before = velocity
    for _ in range(40):
        place, velocity = _moved(place, velocity, low, high)
        torch.testing.assert_close(velocity.square().sum((1, 2)), energy)
        assert torch.cdist(place, place).add(99 * torch.eye(4)).min() > 20 - 1e-6
    assert (velocity.square().sum(-1) - before.square().sum(-1)).abs().max() > 1  # they exchanged some


@pytest.mark.parametrize("flavour", [*HIDING, "rods"])
def test_parts_are_drawn_as_in_the_whole(flavour: str, shapes: Sprites) -> None:
    data = made(flavour, shapes, sequences=5)
    whole = data.frames(slice(None))
    index = torch.tensor([4, 1])
    torch.testing.assert_close(data.frames(index, 3, start=2), whole[index, 2:5])
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert data.frames(slice(0, 0)).shape == (0, *whole.shape[1:])


@pytest.mark.parametrize("flavour", HIDING)
def test_pieces_are_drawn_as_the_whole(
    flavour: str, shapes: Sprites, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long sequences, of many visitors, are drawn some frames at a time, and only those who are there."""
    data = made(flavour, shapes, sequences=5)
    frames, visible = data.frames(slice(None)), data.truth.visible
    monkeypatch.setattr("vtssi_pyro.data.moving_mnist._PIXELS", 3 * math.prod(data.frame_size))
    again = replace(data)  # without what it has measured
    torch.testing.assert_close(again.frames(slice(None)), frames)
    torch.testing.assert_close(again.truth.visible, visible, equal_nan=True)
