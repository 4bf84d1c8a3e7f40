"""Objects that stand out and look alike: spots, the frame that shows most of them, and a FIND that follows."""

from dataclasses import replace

import pytest
import torch
from small_model import FINDERS
from torch import Tensor

from vtssi_pyro.data.clips import SYMMETRIES, Clips, turned
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.filter import Filter, Stream, track
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.following import FollowingFIND, Prediction
from vtssi_pyro.model.blocks.solid import SolidConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.peaks import peaks, summit
from vtssi_pyro.ops.spatial import to_frame
from vtssi_pyro.types import Objects

SIDE = 40
SIZE = 10  # px of an attention window around an object
SETTLED = TestTime(refine=2, tight=True)


def shown(path: Tensor, hidden: tuple[int, int, int] | None = None, bright: float = 1.0) -> Tensor:
    """Frames (1, T, H, W) of equal blobs on paths (T, N, 2), px; object ``hidden[0]`` is away in some frames."""
    axis = torch.arange(SIDE, dtype=path.dtype) + 0.5
    x, y = (torch.exp(-0.5 * ((axis - path[..., i : i + 1]) / 2) ** 2) for i in (0, 1))  # (T, N, L)
    each = bright * y.unsqueeze(-1) * x.unsqueeze(-2)
    if hidden:
        each[hidden[1] : hidden[2], hidden[0]] = 0
    return each.sum(1).clamp(0, 1).unsqueeze(0)


def straight(begin: list[list[float]], velocity: list[list[float]], frames: int) -> Tensor:
    """Paths (T, N, 2), px."""
    return torch.tensor(begin) + torch.arange(frames).view(-1, 1, 1) * torch.tensor(velocity)


class Drawn(torch.nn.Module):
    """A decoder that has learned what the objects look like."""

    def forward(self, description: Tensor) -> Tensor:
        axis = ((torch.arange(11) + 0.5) / 11 - 0.5) * SIZE
        blob = torch.exp(-0.5 * (axis / 2) ** 2)
        glimpse = (blob[:, None] * blob).clamp(1e-4, 1 - 1e-4).logit()
        return glimpse.flatten().expand(*description.shape[:-1], -1)


class Shaded(Drawn):
    """The same, as bright as the description's first number says."""

    def forward(self, description: Tensor) -> Tensor:
        shade = description[..., :1]
        return (super().forward(description).sigmoid() * shade).clamp(1e-4, 1 - 1e-4).logit()


@pytest.fixture
def follower(config: ModelConfig) -> Tracker:
    finder = replace(
        FINDERS["following"], kernel_side=7, sharpness=30, strength=30, gate=0.1, floor=0.02
    )  # fmt: skip
    tracker = build(
        "rect-find",
        replace(
            config,
            num_objects=3, frame_size=SIDE, glimpse=11, size_loc=(SIZE / SIDE,) * 2, size_scale=0.02,
            attention=SpotsConfig(level=0.25, encoder=config.attention.encoder),
            picture=SolidConfig(decoder=config.picture.decoder), consensus=ClearestFrameConfig(K=3),
            finder=finder, fusion="product", test_time=SETTLED,
        ),
    ).eval()  # fmt: skip
    tracker.picture.decoder = Drawn()
    return tracker


def search(tracker: Tracker, frames: Tensor, objects: Objects) -> Tensor:
    """Where the finder alone sees objects in the first frame, (N, 2), frame coordinates."""
    with torch.no_grad():
        sight = tracker.finder.look(tracker.picture, channelled(frames), objects)
    return sight.evidence.loc[0, 0]


def error(tracker: Tracker, path: Tensor, frames: Tensor) -> Tensor:
    """Distances (T, N) of objects from their tracks, px; each object's track is the nearest one in the first frame."""
    found = track(tracker, frames).tracks
    apart = (path[:, :, None] - found.position[0][:, None]).norm(dim=-1)  # (T, N, slots)
    mine = apart[0].nan_to_num(torch.inf).argmin(-1)
    assert len(set(mine.tolist())) == len(mine), "two objects, one track"
    return apart.gather(-1, mine.expand(len(path), -1).unsqueeze(-1)).squeeze(-1)


def test_peaks_are_where_the_objects_are_and_as_high_as_they_are_bright() -> None:
    path = straight([[10.3, 12.8], [30.2, 9.6], [22.7, 31.1]], [[0, 0]] * 3, 1)
    frames = shown(path) * torch.linspace(1, 0.5, 1)
    places, heights = peaks(channelled(frames), torch.tensor([0.2, 0.2]), 4)
    found = (places[0, 0, :3] + 1) / 2 * SIDE
    nearest = (path[0][:, None] - found).norm(dim=-1).min(-1).values
    assert nearest.max() < 0.3
    assert heights[0, 0, 2] > 3 * heights[0, 0, 3], "three objects, not four"
    dim = peaks(channelled(shown(path, bright=0.5)), torch.tensor([0.2, 0.2]), 4)[1]
    torch.testing.assert_close(2 * dim, heights)


@pytest.mark.parametrize("top", [(3.0, 8.0), (4.3, 5.8), (-0.2, 11.4), (8.4, 0.4)])
def test_the_summit_of_a_parabola_is_found(top: tuple[float, float]) -> None:
    rows, columns = (torch.arange(length) - at for length, at in zip((9, 12), top, strict=True))
    maps = 2 - 0.1 * rows.square()[:, None] - 0.2 * columns.square() - torch.tensor([0.0, 1.0])[:, None, None]
    height, cell = summit(maps)
    inside = torch.tensor([0.5 < top[0] < 7.5, 0.5 < top[1] < 10.5])
    torch.testing.assert_close(cell[:, inside], torch.tensor(top)[inside].expand(2, -1))
    assert (cell - torch.tensor(top)).abs().max() < 1  # at a border it is known to a cell
    if inside.all():
        torch.testing.assert_close(height, torch.tensor([2.0, 1.0]))


def test_a_peak_at_the_border_stays_inside() -> None:
    frames = torch.zeros(1, SIDE, SIDE)
    frames[0, 0, SIDE - 1] = 1
    place = peaks(frames, torch.tensor([0.2, 0.2]), 1)[0]
    assert place.abs().max() <= 1


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_spots_are_counted(follower: Tracker, number: int) -> None:
    path = straight(
        [[10.3, 12.8], [30.2, 9.6], [22.7, 31.1]][:number] or [[0.0, 0.0]], [[0, 0]] * max(number, 1), 3
    )
    frames = shown(path) if number else torch.zeros(1, 3, SIDE, SIDE)
    assert track(follower, frames).tracks.present.sum(-1).unique().tolist() == [number]


def test_the_clearest_frame_decides(follower: Tracker) -> None:
    path = straight([[10, 12], [30, 10]], [[0, 0]] * 2, 3)
    frames = shown(path, hidden=(1, 0, 2))  # only the third frame shows both
    assert track(follower, frames).tracks.present.sum(-1).unique().tolist() == [2]
    assert track(follower, frames[:, :2]).tracks.present.sum(-1).unique().tolist() == [1]


def test_objects_that_look_alike_keep_their_identities(follower: Tracker) -> None:
    path = straight([[6, 10], [34, 14], [20, 34]], [[1.4, 0.0], [-1.4, 0.0], [0.0, -0.3]], 20)
    gap = (path[:, 0] - path[:, 1]).norm(dim=-1).min()
    assert gap < 5, "they pass each other closely"
    assert error(follower, path, shown(path)).max() < 1


def test_an_object_is_found_again_and_told_to_be_away(follower: Tracker) -> None:
    path = straight([[8, 8], [30, 30]], [[1.0, 0.3], [-0.5, -0.2]], 20)
    frames = shown(path, hidden=(0, 8, 13))
    away = error(follower, path, frames)
    assert torch.cat([away[:8], away[14:]]).max() < 1
    found = track(follower, frames).tracks
    slot = (found.position[0, 0] - path[0, 0]).norm(dim=-1).nan_to_num(torch.inf).argmin()
    sure = found.confidence[0, :, slot]
    assert sure[8:13].max() < 0.3
    assert torch.cat([sure[:8], sure[14:]]).min() > 0.8
    assert found.confidence[0, :, 1 - slot].min() > 0.8


def test_confidence_stays_where_the_light_fades(follower: Tracker) -> None:
    path = straight([[8, 8], [30, 30]], [[1.0, 0.3], [-0.5, -0.2]], 20)
    frames = shown(path) * torch.linspace(1, 0.55, 20).view(1, 20, 1, 1)  # a dye that bleaches
    found = track(follower, frames).tracks
    assert error(follower, path, frames).max() < 1
    assert found.confidence[found.present].min() > 0.8
    gone = shown(path, hidden=(0, 8, 13)) * torch.linspace(1, 0.55, 20).view(1, 20, 1, 1)
    found = track(follower, gone).tracks
    slot = (found.position[0, 0] - path[0, 0]).norm(dim=-1).nan_to_num(torch.inf).argmin()
    assert found.confidence[0, 8:13, slot].max() < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("away", [(0, 5), (5, 40), (60, 100), (20, 100), (0, 90)])
def test_an_object_that_comes_late_or_leaves_is_told_as_it_is(
    follower: Tracker, away: tuple[int, int]
) -> None:
    turns = 14 * torch.arange(100).mul(0.05).sin().view(-1, 1)
    path = torch.tensor([[[20.0, 8.0], [20.0, 30.0]]]) + torch.cat([turns, 0 * turns], -1).view(-1, 1, 2)
    found = track(follower, shown(path, hidden=(0, *away)), test_time=replace(SETTLED, hypotheses=4)).tracks
    assert found.present.sum(-1).unique().tolist() == [2]
    gap = (
        (found.position[0].unsqueeze(-2) - path[:, None]).norm(dim=-1).nan_to_num(torch.inf)
    )  # (T, slots, N)
    there = torch.ones(100, dtype=bool)
    there[max(away[0] - 1, 0) : away[1] + 2] = False
    slot = gap[there, :, 0].mean(0).argmin()
    assert gap[there, slot, 0].max() < 1
    sure = found.confidence[0, :, slot]
    assert sure[there].min() > 0.8
    assert sure[away[0] : away[1]].max() < 0.3


def test_frames_as_they_come_are_followed_alike(follower: Tracker) -> None:
    path = straight([[6, 10], [34, 14]], [[1.4, 0.0], [-1.4, 0.0]], 16)
    frames, stream = shown(path), Stream(follower)
    parts = [stream.push(frames[:, t : t + 1]) for t in range(16)]
    found = torch.cat([part.tracks.position for part in parts if part], 1)
    expected = track(follower, frames, settle=stream.needed).tracks.position
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_what_objects_look_like_is_prepared_once(follower: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared: list[Objects] = []
    dictionary = FollowingFIND._dictionary
    monkeypatch.setattr(
        FollowingFIND,
        "_dictionary",
        lambda self, picture, objects: prepared.append(objects) or dictionary(self, picture, objects),
    )
    reader = Filter(follower)
    frames = shown(straight([[6, 10], [34, 14]], [[1.4, 0.0], [-1.4, 0.0]], 16))
    belief = reader.init(frames)
    prepared.clear()
    for part in frames.split(8, 1):
        belief, _ = reader.step(belief, part)
    assert len(prepared) == 1


def test_a_faint_halo_on_one_side_does_not_move_an_object(follower: Tracker) -> None:
    path = straight([[12.0, 12.0], [28.0, 24.0]], [[0.4, 0.2], [-0.3, 0.2]], 12)
    frames = torch.maximum(shown(path), 0.3 * shown(path + torch.tensor([3.0, 0.0])))
    assert error(follower, path, frames).mean() < 0.25  # a tight box around both is half a pixel off


@pytest.mark.parametrize("apart", [3.0, 5.0, 7.0])
def test_objects_whose_light_adds_up_are_both_found(follower: Tracker, apart: float) -> None:
    follower.picture.decoder = Shaded()
    path = straight([[20 - apart / 2, 20.3], [20 + apart / 2, 20.3]], [[0, 0]] * 2, 1)
    shades = torch.full((1, 3, 4), 0.5)
    two = follower.scene.counted(Objects(torch.tensor([[0.6]]), torch.full((1, 3, 2), SIZE / SIDE), shades))
    place = search(follower, shown(path, bright=0.5), two)
    between = torch.cdist(place[:2], to_frame(path[0], (SIDE, SIDE))) * SIDE / 2
    assert between.min(-1).values.max() < 2.5  # px


@pytest.mark.parametrize("faint", [0.4, 0.6])
@pytest.mark.parametrize("apart", [8.0, 16.0])
def test_a_bright_object_is_not_taken_for_a_faint_one(follower: Tracker, faint: float, apart: float) -> None:
    follower.picture.decoder = Shaded()
    path = straight([[20 - apart / 2, 20.3], [20 + apart / 2, 18.6]], [[0, 0]] * 2, 1)
    bright, dim = (shown(path[:, i : i + 1], bright=(1.0, faint)[i]) for i in (0, 1))
    shades = torch.tensor([[[faint], [1.0], [0.0]]]).expand(1, 3, 4)  # the faint one's slot comes first
    two = follower.scene.counted(Objects(torch.tensor([[0.6]]), torch.full((1, 3, 2), SIZE / SIDE), shades))
    place = search(follower, (bright + dim).clamp(0, 1), two)
    assert (place[:2] - to_frame(path[0].flip(0), (SIDE, SIDE))).norm(dim=-1).max() < 4 / SIDE  # two px


def test_empty_slots_keep_nobody_away(follower: Tracker) -> None:
    path = straight([[10, 12], [30, 10]], [[0, 0]] * 2, 3)
    frames = shown(path)
    two = follower.scene.counted(
        Objects(torch.tensor([[0.6]]), torch.full((1, 3, 2), SIZE / SIDE), torch.zeros(1, 3, 4))
    )
    place = search(follower, frames, two)
    apart = (place[:2, None] - to_frame(path[0], (SIDE, SIDE))).norm(dim=-1)
    assert apart.min(-1).values.max() < 0.05, "the third slot, which is empty, took a place"
    assert set(apart.argmin(-1).tolist()) == {0, 1}, "one place, one object"


def headed(follower: Tracker, seen: float, place: tuple[float, float] = (0.2, -0.1)) -> Prediction:
    """After a frame that shows an object, so much of it, from the origin where it moved by 0.1 to the right."""
    before = Prediction(torch.zeros(1, 2), torch.tensor([[0.1, 0.0]]), torch.ones(1))
    return follower.finder._predicted(before, torch.tensor([place]), torch.tensor([seen]))


def test_half_of_the_old_velocity_stays_where_an_object_is_seen(follower: Tracker) -> None:
    after = headed(follower, seen=1.0)
    torch.testing.assert_close(after.place, torch.tensor([[0.2, -0.1]]))
    torch.testing.assert_close(after.velocity, torch.tensor([[0.15, -0.05]]))
    first = follower.finder._predicted(None, torch.ones(1, 2), torch.ones(1))
    assert first.velocity.eq(0).all()


def test_an_object_that_is_not_seen_slows_down_by_a_tenth(follower: Tracker) -> None:
    """Wherever the search thinks it is; one half seen counts for a quarter."""
    torch.testing.assert_close(headed(follower, seen=0.0).velocity, torch.tensor([[0.09, 0.0]]))
    quarter = 0.25 * headed(follower, seen=1.0).velocity + 0.75 * headed(follower, seen=0.0).velocity
    torch.testing.assert_close(headed(follower, seen=0.5).velocity, quarter)


def test_an_object_that_is_found_again_elsewhere_begins_at_rest(follower: Tracker) -> None:
    """At six deviations of the gate its floor is much likelier, and at three much less likely."""
    assert headed(follower, seen=1.0, place=(0.1, 0.6)).velocity.abs().max() < 0.005
    torch.testing.assert_close(
        headed(follower, seen=1.0, place=(0.1, 0.3)).velocity, torch.tensor([[0.1, 0.15]]), rtol=1e-3, atol=0
    )


def test_a_track_that_has_lost_its_object_stays_where_it_finds_another(follower: Tracker) -> None:
    """Of two that come where its own vanishes it takes the brighter one, and keeps it when the other is brighter."""
    path = straight([[8, 8], [31, 8], [31, 31], [8, 31]], [[0.0, 0.0]] * 4, 12)
    first, vanishes, *come = (shown(path[:, i : i + 1]) for i in range(4))
    light = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).repeat(6, 1).T.view(2, 1, 12, 1, 1)
    frames = first + vanishes
    frames[:, 4:] = (first + light[0] * come[0] + light[1] * come[1])[:, 4:]
    two = follower.scene.counted(
        Objects(torch.tensor([[0.6]]), torch.full((1, 3, 2), SIZE / SIDE), torch.zeros(1, 3, 4))
    )
    with torch.no_grad():
        sight = follower.finder.look(follower.picture, channelled(frames), two)
    apart = torch.cdist(sight.evidence.loc[0, :, :2], to_frame(path[0], (SIDE, SIDE))) * SIDE / 2  # (T, 2, 4)
    own = apart.argmin(-1).tolist()
    lost = [row[1 - own[0].index(0)] for row in own]
    assert apart.amin(-1).max() < 1
    assert lost == [1] * 4 + [2] * 8


def test_the_gate_is_a_gaussian_on_a_floor(follower: Tracker) -> None:
    """Around where the object moves to; anywhere else costs 0.45 of what an object that is seen in full offers."""
    prediction = Prediction(torch.tensor([[0.1, -0.2]]), torch.tensor([[0.0, 0.05]]), torch.ones(1))
    with torch.no_grad():
        gate = follower.finder._gate(prediction, torch.zeros(1, 20, 20))[0]
        floor = -0.45 * follower.finder.log_sharpness.exp()
    grid = 2 * (2 * torch.arange(20) + 1.0) / SIDE - 1
    squares = (grid - 0.1).square() + (grid + 0.15).square()[:, None]
    torch.testing.assert_close(gate, torch.logaddexp(-squares / (2 * 0.1**2), floor), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(gate[0, 0], floor, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("shade", "told"), [(0.5, 1), (0.42, 1), (0.38, 0), (0.25, 0)])
def test_less_than_two_fifths_of_an_object_is_none(follower: Tracker, shade: float, told: int) -> None:
    """The evidence counts an object in a frame that shows more, and no empty slot in any."""
    path = straight([[10.3, 12.8], [30.2, 9.6]], [[0.7, 0.3], [0.0, 0.4]], 4)
    frames = channelled(shown(path, bright=shade))
    two = follower.scene.counted(
        Objects(torch.tensor([[0.6]]), torch.full((1, 3, 2), SIZE / SIDE), torch.zeros(1, 3, 4))
    )
    place = to_frame(path, (SIDE, SIDE))
    place = torch.cat([place, place[:, :1]], 1).unsqueeze(0)  # an empty slot, where there is something
    with torch.no_grad():
        glimpses = follower.picture.decode(two.description)
        visible = follower.finder.visible(frames, glimpses, place, two)
    assert visible.shape == (1, 4, 3)
    assert visible[..., :2].eq(told).all()
    assert visible[..., 2].eq(0).all()


def test_clips_overlap_and_turn() -> None:
    movie = torch.randint(0, 256, (12, 1, 6, 6), dtype=torch.uint8)
    clips = Clips("movie", movie, 5)
    assert (len(clips), clips.length, clips.frame_size) == (8 * SYMMETRIES, 5, (6, 6))
    torch.testing.assert_close(clips.frames(slice(3, 4))[0], movie[3:8].float() / 255)
    torch.testing.assert_close(
        clips.frames(torch.tensor([8 + 2]), 2, 1)[0], turned(movie[3:5].float() / 255, 1)
    )
    ways = {tuple(turned(movie[0], k).flatten().tolist()) for k in range(SYMMETRIES)}
    assert len(ways) == SYMMETRIES
    assert len(Clips("movie", movie, 5, turned=False)) == 8
    frames = Clips("movie", movie, 5, oblong=True).frames(slice(None))
    assert len(frames) == 8 * 4
    marked = torch.zeros(12, 1, 6, 6, dtype=torch.uint8)
    marked[..., 1:3, :] = 255  # wider than high: it stays so
    oblong = Clips("movie", marked, 5, oblong=True)
    lying = oblong.frames(slice(None)).mean(-1).amax(-1).eq(1)
    assert lying.all()
    assert len(oblong.cut(4, 3)) == 3 * 4
    short = clips.cut(4, 3)  # from three places, the first, the middle and the last
    assert (len(short), short.length) == (3 * SYMMETRIES, 4)
    torch.testing.assert_close(short.frames(slice(0, 3))[:, 0], movie[[0, 4, 8]].float() / 255)
    with pytest.raises(DataError, match="12 frames are too few for clips of 13"):
        Clips("movie", movie, 13)
