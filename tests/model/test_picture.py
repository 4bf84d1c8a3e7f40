"""How objects look in frames: layers, how they are composed, poses that change, and colours through the whole model."""

import math
from dataclasses import replace

import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from small_model import small
from torch import Tensor

from vtssi_pyro.inference import confidence
from vtssi_pyro.inference.confidence import explained_share
from vtssi_pyro.inference.filter import Stream, forecast, joined, track
from vtssi_pyro.model.blocks.air import AdditiveConfig, AdditivePicture
from vtssi_pyro.model.blocks.clearest import ClearestFrameConfig
from vtssi_pyro.model.blocks.layered import LayeredConfig
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.saturated import SaturatedConfig
from vtssi_pyro.model.blocks.solid import SolidConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.config import ModelConfig, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.model.tracker import Tracker, build
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.types import Anneal, Objects, Pose

F64 = torch.float64
B, T, N, G, SIDE = 2, 4, 3, 9, 20
PICTURES = pytest.mark.parametrize("kind", [AdditiveConfig, SolidConfig, SaturatedConfig])
DIM = 0.3  # of three objects no pixel is white
CHANNELS = pytest.mark.parametrize("channels", [1, 3])


def made(kind: type = AdditiveConfig, channels: int = 1) -> AdditivePicture:
    sizes = Sizes(num_objects=N, frame_size=SIDE, glimpse=G, description=4, channels=channels)
    return kind(decoder=(8, 16)).build(sizes).double()


def some(presence: str = "static", looks: str = "described", angle: bool = False, channels: int = 1):
    """Objects and their pose, at random; presence and looks of every sequence, or of every frame."""
    objects = Objects(
        torch.randn(B, 1, dtype=F64),
        0.3 + 0.2 * torch.rand(B, N, 2, dtype=F64),
        torch.randn(B, N, 4, dtype=F64),
    )
    there = torch.rand(B, T if presence == "per frame" else 1, N, dtype=F64)
    glimpses = {
        "described": None,
        "static": torch.rand(B, 1, N, channels, G, G, dtype=F64),
        "per frame": torch.rand(B, T, N, channels, G, G, dtype=F64),
    }[looks]
    turned = 3 * torch.randn(B, T, N, dtype=F64) if angle else None
    position = 1.6 * torch.rand(B, T, N, 2, dtype=F64) - 0.8
    return objects, Pose(position, objects.size, there, angle=turned, appearance=glimpses)


ALL = [
    (presence, looks, angle)
    for presence in ("static", "per frame")
    for looks in ("described", "static", "per frame")
    for angle in (False, True)
]


@pytest.mark.parametrize(
    ("kind", "resolves"),
    [(AdditiveConfig, True), (SaturatedConfig, True), (SolidConfig, False), (LayeredConfig, False)],
)
def test_frames_tell_boxes_only_where_all_ink_is_of_objects_and_adds_up(kind: type, resolves: bool) -> None:
    picture = made(kind)
    place = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.5]], dtype=F64) + 0.02 * torch.rand(
        B, T, N, 2, dtype=F64
    )
    glimpses, size = torch.rand(B, N, 1, G, G, dtype=F64), torch.full((B, N, 2), 0.35, dtype=F64)
    pose = Pose(place, size, torch.ones(B, T, N, dtype=F64), appearance=glimpses.unsqueeze(-5))
    frames = made().draw(pose, some()[0])
    found, rough = picture.box_within(frames, glimpses, pose), picture.box(glimpses, size)
    assert torch.equal(found[1], rough[1]) != resolves


@PICTURES
@CHANNELS
@pytest.mark.parametrize(("presence", "looks", "angle"), ALL)
def test_to_draw_is_to_compose_layers(
    kind: type, channels: int, presence: str, looks: str, angle: bool
) -> None:
    picture = made(kind, channels)
    objects, pose = some(presence, looks, angle, channels)
    with torch.no_grad():
        layers = picture.layers(pose, objects)
        assert layers.shape == (B, T, N, channels, SIDE, SIDE)
        drawn = picture.draw(pose, objects)
        torch.testing.assert_close(drawn, picture.compose(layers, pose))
        assert drawn.shape == (B, T, channels, SIDE, SIDE)
        # with leading particles
        others = [
            kind(*(None if x is None else x.expand(3, *x.shape) for x in value))
            for kind, value in ((Pose, pose), (Objects, objects))
        ]
        many = picture.draw(*others)
        torch.testing.assert_close(many, drawn.expand(3, *drawn.shape))


@PICTURES
@pytest.mark.parametrize(("presence", "looks", "angle"), ALL)
def test_others_are_what_is_drawn_without_an_object(
    kind: type, presence: str, looks: str, angle: bool
) -> None:
    picture = made(kind)
    objects, pose = some(presence, looks, angle)
    pose = pose._replace(presence=DIM * pose.presence)
    with torch.no_grad():
        others = picture.others(picture.layers(pose, objects), pose)
        for i in range(N):
            away = pose.presence.clone()
            away[..., i] = 0
            torch.testing.assert_close(others[:, :, i], picture.draw(pose._replace(presence=away), objects))


@pytest.mark.parametrize(("presence", "looks", "angle"), ALL)
def test_no_pixel_is_brighter_than_white(presence: str, looks: str, angle: bool) -> None:
    """Where the sum is darker, nothing changes; what is left to each object of an expected frame is what it shows."""
    cut, additive = made(SaturatedConfig), made()
    cut.load_state_dict(additive.state_dict())
    objects, pose = some(presence, looks, angle)
    pose = pose._replace(position=0.2 * pose.position, presence=0.5 + pose.presence / 2)  # many cross
    with torch.no_grad():
        whole = additive.draw(pose, objects)
        assert (whole > 1).any()
        frames = cut.draw(pose, objects)
        assert frames.equal(whole.clamp_max(1))
        layers = cut.layers(pose, objects)
        assert layers.equal(additive.layers(pose, objects))
        left = frames.unsqueeze(-4) - cut.others(layers, pose)
        torch.testing.assert_close(left, cut.shown(layers, pose))
        worse = (frames - whole).square().sum((-3, -2, -1)) > 0
        told = cut.likelihood(frames).log_prob(frames) > additive.likelihood(whole).log_prob(frames)
        assert told.equal(worse)


@pytest.mark.parametrize(("presence", "looks", "angle"), ALL)
def test_frames_are_drawn_one_by_one(presence: str, looks: str, angle: bool) -> None:
    """A frame shows what its own pose says, whatever the other frames'."""
    picture = made()
    objects, pose = some(presence, looks, angle)

    def at(value: Tensor, t: int) -> Tensor:
        return value[:, [t if value.shape[1] == T else 0]]

    with torch.no_grad():
        drawn = picture.draw(pose, objects)
        for t in range(T):
            own = Pose(*(
                value if name == "size" or value is None else at(value, t)
                for name, value in pose._asdict().items()
            ))  # fmt: skip
            torch.testing.assert_close(drawn[:, [t]], picture.draw(own, objects))


def test_presence_is_how_much_of_an_object_there_is() -> None:
    picture = made()
    objects, pose = some("per frame")
    full = pose._replace(presence=torch.ones_like(pose.presence))
    with torch.no_grad():
        layers, whole = picture.layers(pose, objects), picture.layers(full, objects)
    torch.testing.assert_close(layers, whole * pose.presence[..., None, None, None])
    assert whole.flatten(3).amax(-1).min() > 0.1


def test_training_sees_what_the_test_does_where_the_bell_is_flat() -> None:
    picture = made()
    objects, pose = some()
    with torch.no_grad():
        flat = picture.render(objects, pose)
        torch.testing.assert_close(flat, picture.draw(pose, objects))
        assert (picture.render(objects, pose, 0.2) < flat + 1e-9).all()
        assert picture.render(objects, pose, 0.2).sum() < 0.9 * flat.sum()


def test_an_angle_of_nought_is_none() -> None:
    picture = made()
    objects, pose = some()
    with torch.no_grad():
        straight = picture.draw(pose, objects)
        still = picture.draw(pose._replace(angle=torch.zeros(B, T, N, dtype=F64)), objects)
        once = picture.draw(pose._replace(angle=torch.zeros(B, 1, N, dtype=F64)), objects)
        around = picture.draw(pose._replace(angle=torch.full((B, T, N), 2 * math.pi, dtype=F64)), objects)
    for other in (still, once, around):
        torch.testing.assert_close(other, straight, rtol=0, atol=1e-9)


@pytest.mark.parametrize("looks", ["static", "per frame"])
@CHANNELS
def test_confidence_is_sure_of_frames_as_they_are_drawn(channels: int, looks: str) -> None:
    """Each object explains all that the others leave; one that is away in a frame explains nothing of it."""
    picture = made(channels=channels)
    objects, pose = some("per frame", looks, False, channels)
    pose = pose._replace(presence=torch.ones(B, T, N, dtype=F64))
    with torch.no_grad():
        frames = picture.draw(pose, objects)
        rendered, sure = explained_share(frames, picture, pose, objects)
        torch.testing.assert_close(rendered, frames)
        torch.testing.assert_close(sure, torch.ones(B, T, N, dtype=F64))
        away = pose.presence.clone()
        away[:, 1, 2] = 0
        gone = picture.draw(pose._replace(presence=away), objects)
        told = explained_share(gone, picture, pose, objects)[1]
    assert told[:, 1, 2].max() < 0.05
    torch.testing.assert_close(told[:, 2:], sure[:, 2:])


@pytest.mark.parametrize("looks", ["static", "per frame"])
def test_confidences_are_computed_in_parts(looks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = made(channels=3)
    objects, pose = some("per frame", looks, False, 3)
    with torch.no_grad():
        frames = picture.draw(pose, objects) + 0.1
        whole = explained_share(frames, picture, pose, objects)
        monkeypatch.setattr(confidence, "AT_ONCE", 1)
        for together, apart in zip(whole, explained_share(frames, picture, pose, objects), strict=True):
            torch.testing.assert_close(together, apart)


COLOUR = torch.tensor([1.0, 0.3, 0.6], dtype=F64).view(3, 1, 1)


@pytest.mark.parametrize("variant", ["air", "find", "rect-find", "find-mot", "vtssi"])
@pytest.mark.parametrize("search", ["learned", "template", "following"])
def test_colours_go_through_the_whole_model(variant: str, search: str, tiny, frames: Tensor) -> None:
    """Sites, gradients, tracks, streams and forecasts of frames of three channels."""
    tracker = tiny(variant, config=replace(small(search), channels=3))
    x = channelled(frames) * COLOUR
    trace = poutine.trace(tracker.model).get_trace(x)
    assert trace.nodes["x"]["fn"].event_shape == (3, SIDE, SIDE)
    anneal = Anneal(bell=0.3, fuse_low=0.01, fuse_high=0.99)
    Trace_ELBO().differentiable_loss(tracker.model, tracker.guide, x, anneal).backward()
    for part in (
        "attention.encoder",
        "attention.counter_features",
        "attention.locator_features",
        "picture.decoder",
    ):
        gradients = [p.grad for p in tracker.get_submodule(part).parameters()]
        assert any(g is not None and g.abs().max() > 0 for g in gradients), part
    told = track(tracker, x)
    assert told.frames.shape == x.shape
    assert told.tracks.position.shape == (2, 6, 2, 2)
    stream = Stream(tracker)
    parts = [stream.push(x[:, t : t + 1]) for t in range(6)]
    rest = joined([part for part in parts if part is not None], 1)
    torch.testing.assert_close(rest.tracks.position, told.tracks.position, equal_nan=True)
    torch.testing.assert_close(rest.frames, told.frames)
    if tracker.motion.predicts:
        assert forecast(tracker, x, 3, num_samples=2).frames.shape == (2, 9, 3, SIDE, SIDE)
    swapped = track(tracker, x.flip(2))  # every channel counts
    assert not torch.equal(swapped.frames, told.frames)


def repeated(tracker: Tracker, colourful: Tracker) -> None:
    """Give a tracker of three channels the same mind as one of grey frames."""
    weights = tracker.state_dict()
    for name, value in colourful.state_dict().items():
        own = weights[name]
        if value.shape != own.shape:
            if name.startswith("picture.decoder"):  # every channel as the grey one
                own = own.repeat(3, *[1] * (own.dim() - 1))
            elif name.startswith("attention.encoder"):  # of their mean
                own = own.repeat(1, 3) / 3
            else:
                raise AssertionError(name)
        value.copy_(own)


@pytest.mark.parametrize("refine", [0, 2])
@pytest.mark.parametrize("search", ["template", "following"])
def test_grey_in_three_channels_is_grey(search: str, refine: int, blobs) -> None:
    """A tracker of grey frames, and the same one of three channels, told the same thrice, agree on all tracks.

    Three channels are three times the evidence; only the search by a template of unit norm, whose sharpness is of
    what a frame has, sees sqrt(3) times as much. Registration has a ridge that does not grow with the channels, and
    takes what these leave over for three independent noises.
    """
    shared = {
        "attention": SpotsConfig(level=0.1, encoder=(16, 8)),
        "consensus": ClearestFrameConfig(K=3),
        "motion": ResidualMOTConfig(M=3, motion=3, units=8, heads=(8,), transition=(8, 8)),
        "size_loc": (0.4, 0.4),
        "test_time": TestTime(refine=refine, tight=True),
    }
    grey, colour = (seeded(replace(small(search), channels=channels, **shared)) for channels in (1, 3))
    repeated(grey, colour)
    if search == "template":
        with torch.no_grad():
            colour.finder.log_sharpness -= 0.5 * math.log(3)
    x = channelled(blobs(2, 8))
    one, three = track(grey, x), track(colour, x.expand(-1, -1, 3, -1, -1))
    for name, a, b in zip(one.tracks._fields, one.tracks, three.tracks, strict=True):
        if a is not None and not (refine and name == "scale"):
            torch.testing.assert_close(b, a, equal_nan=True, rtol=0, atol=1e-3 if refine else 1e-9, msg=name)
    torch.testing.assert_close(
        three.frames, one.frames.expand_as(three.frames), rtol=0, atol=1e-3 if refine else 1e-9
    )
    ratio = three.tracks.scale / one.tracks.scale
    assert ratio.min() > 3**-0.5 - 1e-6
    assert ratio.max() < 1 + 1e-6
    assert one.tracks.present.any()


def seeded(config: ModelConfig) -> Tracker:
    torch.manual_seed(3)
    return build("vtssi", config).double().eval()


@pytest.mark.parametrize("search", ["learned", "template", "following"])
def test_an_object_is_found_by_its_colour(search: str, tiny, frames: Tensor) -> None:
    """The finder's evidence depends on each channel by itself."""
    tracker = tiny(config=replace(small(search), channels=3))
    x = channelled(frames) * COLOUR
    with mode(), torch.no_grad():
        objects = tracker.guide(x).objects

        def found(seen: Tensor) -> Tensor:
            sight = tracker.finder.look(tracker.picture, seen, objects)
            return tracker.finder.step(sight, 2, {"position": 0 * objects.size}).mean

        before = found(x)
        for channel in range(3):
            changed = x.clone()
            changed[:, :, channel] = changed[:, :, channel].flip(-1)
            assert (found(changed) - before).abs().max() > 1e-6, channel
    assert counting.present(objects.count, 2).all()


@pytest.mark.parametrize("bright", [0.25, 0.5, 0.7, 1.0, 1.9, 2.0, 4.0])
def test_light_may_change_by_a_factor_of_two(bright: float) -> None:
    """Beyond that, an object explains as much of its pixels as it may be brighter, or dimmer."""
    picture = made()
    objects, pose = some()
    pose = pose._replace(presence=torch.tensor([1.0, 0.0, 0.0], dtype=F64).expand(B, 1, N))
    with torch.no_grad():
        frames = bright * picture.draw(pose, objects)
        sure = explained_share(frames, picture, pose, objects)[1][..., 0]
    allowed = min(max(bright, 0.5), 2.0)
    expected = max(1 - ((bright - allowed) / bright) ** 2, 0.0)
    torch.testing.assert_close(sure, torch.full_like(sure, expected))


@pytest.mark.parametrize("settled", [2, 4])
def test_looks_are_settled_on_the_first_frames(settled: int, tiny, frames: Tensor) -> None:
    """Each of these tells, and no later one."""
    tracker, x = tiny("vtssi", "template"), channelled(frames)
    search = tracker.refined(TestTime(refine=1, settled=settled)).finder
    with mode(), torch.no_grad():
        objects = tracker.guide(x).objects
        before = search.look(tracker.picture, x, objects).appearance.glimpses
        for t in range(6):
            changed = x.clone()
            changed[:, t] = 0.5
            after = search.look(tracker.picture, changed, objects).appearance.glimpses
            assert torch.equal(after, before) == (t >= settled), t
