import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vtssi_pyro.data import FLAVOURS, MovingDigits, Sprites, flavours, moving_digits
from vtssi_pyro.data.motion import elliptic, linear
from vtssi_pyro.data.render import draw
from vtssi_pyro.errors import DataError, UsageError

FAILURE_RATE = 1e-4  # of each statistical test, if its seed were not fixed


def boxes(number: int) -> Tensor:
    """(number, 2, 2) integer boxes of 4 to 20 px."""
    return torch.randint(4, 21, (number, 2, 2))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def single(data: MovingDigits, slot: int) -> MovingDigits:
    """The same data with one object only."""
    fields = ("which", "position", "present", "depth", "angle")
    kept = {name: getattr(data, name) for name in fields}
    one = {name: values[..., [slot], :] if name == "position" else values[..., [slot]]
           for name, values in kept.items() if values is not None}  # fmt: skip
    return replace(data, counts=(data.counts > slot).long(), **one)


def placed(sprites: Sprites, centres: Tensor, frame_size: tuple[int, int]) -> Tensor:
    """One sequence (T, H, W) of the first sprite at centres (T, 2)."""
    which, counts = torch.zeros(1, 1, dtype=torch.long), torch.ones(1, dtype=torch.long)
    data = MovingDigits(sprites, which, centres[None, :, None], counts, frame_size)
    return data.frames(slice(None))[0, :, 0]


def chi_square(observed: Tensor) -> float:
    """Of equally likely outcomes."""
    expected = observed.sum() / len(observed)
    return float(((observed - expected) ** 2 / expected).sum())


# Motion


@pytest.mark.parametrize("margin", [0.0, 3.0])
def test_linear_paths_equal_bouncing_step_by_step(margin: float) -> None:
    """Each axis alone: a step of constant size, reflected where it would pass a wall."""
    box, (height, width) = boxes(200), (40, 60)
    path = linear(box, (height, width), 40, generator(), margin).double()
    low = box.double() / 2 - margin
    high = torch.tensor([width, height]) - box.double() / 2 + margin
    step = path.diff(dim=1).abs().amax(1)  # a step without a bounce is the largest
    matched = torch.zeros_like(step, dtype=torch.bool)
    for sign in (1, -1):
        here, velocity, right = path[:, 0], sign * step, torch.ones_like(matched)
        for time in range(1, path.shape[1]):
            here = here + velocity
            out = (here < low) | (here > high)
            velocity = torch.where(out, -velocity, velocity)
            here = torch.where(here < low, 2 * low - here, torch.where(here > high, 2 * high - here, here))
            right &= (here - path[:, time]).abs() < 1e-3
        matched |= right
    assert matched.all()


def test_speeds_are_uniform_and_directions_too() -> None:
    """Chi-square over 10 bins each; in a huge frame nothing bounces."""
    path = linear(boxes(20_000), (10_000, 10_000), 2, generator(1)).double()
    inside = ((path > 20) & (path < 9980)).flatten(1).all(1)
    step = (path[:, 1] - path[:, 0])[inside]
    speed, angle = step.norm(dim=-1).flatten(), torch.atan2(step[..., 1], step[..., 0]).flatten()
    assert 1 - 1e-2 <= speed.min()
    assert speed.max() <= 5 + 1e-2
    limit = 33.72  # chi-square, 9 degrees of freedom, exceeded with probability 1e-4
    assert chi_square(torch.histc(speed, 10, 1, 5)) < limit
    assert chi_square(torch.histc(angle, 10, -math.pi, math.pi)) < limit


@pytest.mark.parametrize("frame_size", [(50, 50), (30, 64), (20, 20)])
@pytest.mark.parametrize("motion", [linear, elliptic])
def test_boxes_stay_in_the_frame(motion: object, frame_size: tuple[int, int]) -> None:
    box = boxes(500)
    path = motion(box, frame_size, 60, generator())  # type: ignore[operator]
    half = box.unsqueeze(1) / 2
    assert (path - half >= 0).all()
    assert (path + half <= torch.tensor(frame_size[::-1])).all()


def test_a_margin_moves_the_walls_but_not_the_starts() -> None:
    box = boxes(500)
    path, half = linear(box, (50, 50), 30, generator(), margin=3.0), box.unsqueeze(1) / 2
    out = torch.maximum(half - path, path + half - 50)  # by how much a box leaves the frame
    assert (out[:, 0] <= 0).all()
    assert 2.9 < out.max() <= 3


def test_ellipses_are_ellipses_at_constant_angular_speed() -> None:
    """x_{t+1} + x_{t-1} - 2 m = 2 cos(w) (x_t - m), so second differences are proportional to offsets."""
    path = elliptic(boxes(500), (50, 50), 200, generator()).double()
    first = path.diff(dim=1)  # the middle drops out
    ahead, at = first[:, 2:] + first[:, :-2], first[:, 1:-1]
    cosine = (ahead * at).sum((1, 3), keepdim=True) / (at**2).sum((1, 3), keepdim=True) / 2
    assert (ahead - 2 * cosine * at).abs().max() < 1e-3
    speed = cosine.clamp(-1, 1).acos()
    assert 0.099 < speed.min()
    assert speed.max() < 0.351
    turn = torch.sign(first[:, 0, :, 0] * first[:, 1, :, 1] - first[:, 0, :, 1] * first[:, 1, :, 0])
    assert 0.4 < (turn > 0).double().mean() < 0.6  # both ways round


# Drawing


@pytest.mark.parametrize("corner", [(0, 0), (6, 3), (11, 7)])
def test_an_aligned_sprite_is_reproduced_exactly(one_sprite: Sprites, corner: tuple[int, int]) -> None:
    x, y = corner
    frame = placed(one_sprite, torch.tensor([[x + 2.0, y + 2.5]]), (12, 15))[0]
    expected = torch.zeros(12, 15)
    expected[y : y + 5, x : x + 4] = one_sprite.images[0, :5, :4].float() / 255
    assert torch.equal(frame, expected)


def test_what_lies_outside_is_cut_off(one_sprite: Sprites) -> None:
    frame = placed(one_sprite, torch.tensor([[-1.0, 11.5]]), (12, 15))[0]  # corner at (-3, 9)
    expected = torch.zeros(12, 15)
    expected[9:, :1] = one_sprite.images[0, :3, 3:4].float() / 255
    assert torch.equal(frame, expected)


def test_sub_pixel_drawing_equals_bilinear_interpolation(shapes: Sprites) -> None:
    """Against loops over pixels, at random places, two objects added up."""
    which, place = torch.tensor([[3, 17]]), torch.rand(1, 2, 2, 2) * 30 - 2
    images, size = shapes.images[which].double() / 255, shapes.sizes[which].double()
    frames = draw(images, size, place.double(), (26, 24))
    expected = torch.zeros_like(frames)
    for t in range(2):
        for n in range(2):
            left, top = (place[0, t, n].double() - size[0, n] / 2).tolist()
            for row in range(28):
                for column in range(28):
                    y, x = math.floor(top) + row, math.floor(left) + column
                    for dy, wy in ((0, 1 - top % 1), (1, top % 1)):
                        for dx, wx in ((0, 1 - left % 1), (1, left % 1)):
                            if 0 <= y + dy < 26 and 0 <= x + dx < 24:
                                expected[0, t, y + dy, x + dx] += wy * wx * images[0, n, row, column]
    torch.testing.assert_close(frames, expected)


def test_truth_is_the_middle_of_what_is_drawn(embedded: dict[str, Sprites]) -> None:
    """Of the first and last inked column and row, to within half a pixel."""
    data = moving_digits("linear", embedded["test"], sequences=60, length=8, objects=1)
    inked = data.frames(slice(None))[data.counts == 1, :, 0] > 0  # (b, T, 50, 50)
    truth = data.truth.position[data.counts == 1, :, 0]  # (b, T, 2)
    for axis, ink in enumerate((inked.any(-2), inked.any(-1))):
        first = ink.int().argmax(-1)
        last = 49 - ink.flip(-1).int().argmax(-1)
        assert ((first + last + 1) / 2 - truth[..., axis]).abs().max() <= 0.5


def test_overlap_adds_up_and_is_cut_off_at_one(shapes: Sprites) -> None:
    data = moving_digits("linear-overlap", shapes, sequences=200, length=3, frame_size=24)
    alone = [single(data, slot).frames(slice(None)) for slot in range(2)]
    total = alone[0] + alone[1]
    assert total.max() > 1
    torch.testing.assert_close(data.frames(slice(None)), total.clamp(0, 1))


# Data sets


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_first_frames_share_no_pixel_unless_they_may(flavour: str, embedded: dict[str, Sprites]) -> None:
    data = moving_digits(flavour, embedded["train"], sequences=400, length=12)
    alone = [single(data, slot).frames(slice(None)) > 0 for slot in range(2)]
    shared = (alone[0] & alone[1]).flatten(2).any(-1)  # (S, T)
    assert shared[:, 0].any() == FLAVOURS[flavour].overlap
    assert shared[:, 1:].any() == (flavour != "balls")  # later all may, but balls, which collide


def test_pixels_count_not_boxes(embedded: dict[str, Sprites]) -> None:
    """Some clean starts have boxes that intersect: the rule is about pixels."""
    data = moving_digits("linear", embedded["train"], sequences=2000, length=1)
    position, _, box, *_ = data.truth
    gap = (position[:, 0, 0] - position[:, 0, 1]).abs() - (box[:, 0, 0] + box[:, 0, 1]) / 2
    assert (gap < 0).all(-1).any()


def test_too_small_a_frame_for_clean_starts_says_so(shapes: Sprites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flavours, "MAX_REDRAWS", 5)
    with pytest.raises(UsageError, match="larger frame"):
        moving_digits("linear", shapes, sequences=50, frame_size=20, objects=6)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_same_seed_same_bytes(flavour: str, shapes: Sprites) -> None:
    first, again, other = (moving_digits(flavour, shapes, sequences=20, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first.frames(slice(None)), again.frames(slice(None)))
    assert torch.equal(first.position, again.position)
    assert not torch.equal(first.position, other.position)


def test_the_global_generator_is_left_alone(shapes: Sprites) -> None:
    before = torch.get_rng_state()
    moving_digits("linear", shapes, sequences=5)
    assert torch.equal(before, torch.get_rng_state())


def test_counts_are_uniform(shapes: Sprites) -> None:
    """Chi-square with 2 degrees of freedom: P(X > -2 log a) = a."""
    counts = moving_digits("linear-overlap", shapes, sequences=30_000, length=1).counts
    assert chi_square(counts.bincount(minlength=3).double()) < -2 * math.log(FAILURE_RATE)


def test_images_of_a_sequence_differ_and_every_choice_is_as_likely(shapes: Sprites) -> None:
    """All 24 ordered triples of 4 images; chi-square with 23 degrees of freedom."""
    four = Sprites(*(values[:4] for values in shapes))
    which = moving_digits("linear-overlap", four, sequences=24_000, length=1, objects=3).which
    triples, observed = which.unique(dim=0, return_counts=True)
    assert len(triples) == 24
    assert all(len(set(triple)) == 3 for triple in triples.tolist())
    assert chi_square(observed.double()) < 56.0  # exceeded with probability below 2e-4


@pytest.mark.parametrize("frame_size", [50, (40, 60)])
def test_the_interface(frame_size: int | tuple[int, int], shapes: Sprites) -> None:
    data = moving_digits("elliptic", shapes, sequences=30, length=7, frame_size=frame_size, objects=3)
    height, width = data.frame_size
    whole = data.frames(slice(None))
    assert (len(data), data.length) == (30, 7)
    assert (height, width) == ((50, 50) if frame_size == 50 else frame_size)
    assert whole.shape == (30, 7, 1, height, width)
    assert whole.dtype == torch.float32
    index = torch.tensor([4, 29, 4, -1])
    assert torch.equal(data.frames(index, 3, start=2), whole[index, 2:5])
    assert torch.equal(data.frames(slice(3, 9, 2)), whole[3:9:2])
    position, present, box, *_ = data.truth
    assert torch.equal(present.sum(-1), data.counts[:, None].expand(30, 7))
    assert torch.equal(position.isnan().all(-1), ~present)
    assert torch.equal(box.isnan().any(-1), ~present)
    assert (whole[data.counts == 0] == 0).all()


def test_linear_wide_is_ten_frames_behind_shifted_walls(shapes: Sprites) -> None:
    data = moving_digits("linear-wide", shapes, sequences=500)
    position, _, box, *_ = data.truth
    assert data.length == 10
    lowest = (position - box / 2).nan_to_num(0.0).min()
    assert -3 <= lowest < -2.5


def test_asking_for_too_much_is_an_error(shapes: Sprites) -> None:
    data = moving_digits("linear", shapes, sequences=3)
    with pytest.raises(DataError, match="20"):
        data.frames(slice(None), 15, start=6)
    with pytest.raises(IndexError):
        data.frames(torch.tensor([3]))


@pytest.mark.parametrize(
    ("flavour", "options", "message"),
    [
        ("liner", {}, "did you mean linear"),
        ("linear", {"sequences": 0}, "sequences: expected a whole number from 1"),
        ("linear", {"length": 0}, "length: expected a whole number from 1"),
        ("linear", {"objects": 41}, "there are 40"),
        ("linear", {"frame_size": 10}, "larger frame size"),
    ],
)
def test_impossible_requests(flavour: str, options: dict[str, int], message: str, shapes: Sprites) -> None:
    with pytest.raises(UsageError, match=message):
        moving_digits(flavour, shapes, **{"sequences": 3, **options})  # type: ignore[arg-type]


def test_blend_of_overlapping_digits(shapes: Sprites) -> None:
    """Both blends agree where one digit is; where two are, the sum (cut off at 1) is at least the brighter."""
    settings = {"sequences": 40, "length": 3, "seed": 3}
    total = moving_digits("linear-overlap", shapes, **settings).frames(slice(None))
    brighter = moving_digits("linear-overlap", shapes, **settings, blend="max").frames(slice(None))
    assert (total >= brighter - 1e-6).all()
    assert (total > brighter + 0.1).any()
    one = moving_digits("linear", shapes, **settings, objects=1)
    torch.testing.assert_close(one.frames(slice(None)), replace(one, blend="max").frames(slice(None)))
    with pytest.raises(UsageError, match="blend"):
        moving_digits("linear", shapes, sequences=1, blend="mean")


def test_a_mixture_takes_its_flavours_in_turns(shapes: Sprites) -> None:
    mixed = moving_digits("mixed", shapes, sequences=10, seed=3)
    for i, name in enumerate(("linear", "linear-overlap", "elliptic", "elliptic-overlap")):
        part = moving_digits(name, shapes, sequences=3, seed=3 + 1_000_003 * i)
        rows = slice(i, None, 4)
        found = mixed.frames(rows)
        assert torch.equal(found, part.frames(slice(0, len(found))))
        assert torch.equal(mixed.counts[rows], part.counts[: len(found)])
