"""A block of somebody else's, for every slot: trained by a recipe, kept in a run, loaded, and used."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Independent, Normal
from pyro.nn import PyroModule
from small_model import M, small
from torch import Tensor, nn

from vtssi_pyro import DiagNormal, build, fit, forecast, load, register, track
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.air import AdditiveConfig, AdditivePicture, CountedScene, SceneConfig
from vtssi_pyro.model.blocks.find import FinderBase
from vtssi_pyro.model.blocks.mot import StateSpace
from vtssi_pyro.model.blocks.template import TemplateConfig
from vtssi_pyro.model.config import OUR_SYSTEM, ModelConfig, TestTime
from vtssi_pyro.model.interfaces import SCALES, Picture, Predict, Sight
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.ops.peaks import peaks
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.train.recipe import Stage
from vtssi_pyro.types import Detections, Objects, Paths, Plates, Pose, Site, State

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    """Kinds that a test registers are forgotten with it."""
    before = {slot: dict(kinds._known) for slot, kinds in SLOTS.items()}
    for slot, (kind, config) in FOREIGN.items():
        register(slot, kind)(config)
    yield
    for slot, kinds in SLOTS.items():
        kinds._known = before[slot]


class Two(CountedScene):
    """A scene that is sure of its number."""

    def __init__(self, config: "TwoConfig", sizes: Sizes) -> None:
        super().__init__(SceneConfig(count_loc=2.0, count_scale=0.5), sizes)
        self.config = config


@dataclass(frozen=True)
class TwoConfig:
    def build(self, sizes: Sizes) -> Two:
        return Two(self, sizes)


class Bright(PyroModule):
    """An attention that looks for bright places, and describes nothing but how bright they are."""

    def __init__(self, config: "BrightConfig", sizes: Sizes) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        self.scale = nn.Parameter(torch.zeros(4))
        self.register_buffer("size", torch.tensor(sizes.size_loc), persistent=False)

    def infer_count(self, frames: Tensor) -> Independent:
        share = frames.flatten(-3).mean(-1, keepdim=True)
        return Normal(4 + share, self.scale[0].exp().expand_as(share)).to_event(1)

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        places, _ = peaks(frames, self.size, self.sizes.num_objects)
        size, place = (self.scale[i].exp().expand_as(places) * 0.1 for i in (1, 2))
        return Normal(self.size.expand_as(places), size).to_event(1), Normal(places, place).to_event(1)

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Independent:
        mean = (frames.flatten(-3).mean(-1) + 0 * position[..., 0]).unsqueeze(-1)
        mean = mean.expand(*mean.shape[:-1], self.sizes.description)
        return Normal(mean, self.scale[3].exp().expand_as(mean)).to_event(1)


@dataclass(frozen=True)
class BrightConfig:
    def build(self, sizes: Sizes) -> Bright:
        return Bright(self, sizes)


class Brightest(AdditivePicture):
    """A picture in which the brightest object hides the others."""

    def draw(self, pose: Pose, objects: Objects) -> Tensor:
        return self.compose(self.layers(pose, objects), pose)

    def compose(self, layers: Tensor, pose: Pose) -> Tensor:
        del pose
        return layers.amax(-4)

    def others(self, layers: Tensor, pose: Pose) -> Tensor:
        slots = range(layers.shape[-4])
        left = [layers[..., [i for i in slots if i != n], :, :, :].amax(-4) for n in slots]
        return torch.stack(left, -4)


@dataclass(frozen=True)
class BrightestConfig(AdditiveConfig):
    def build(self, sizes: Sizes) -> Brightest:
        return Brightest(self, sizes)


class LastFrame(PyroModule):
    """A consensus that believes the last of K frames."""

    def __init__(self, config: "LastFrameConfig") -> None:
        super().__init__()
        self.config, self.K = config, config.K

    def guide(self, attention: Any, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        last = frames[:, : self.K][:, -1]
        q = attention.infer_count(last).base_dist
        with plates.sequences:
            count = pyro.sample("count", Normal(q.loc.unsqueeze(-2), q.scale.unsqueeze(-2)).to_event(1))
            q_size, q_position = attention.locate(last)
            with plates.objects:
                size = pyro.sample("size", q_size)
                q_description = attention.describe(last.unsqueeze(-4), q_position.mean, size)
                description = pyro.sample("description", q_description)
        return Objects(count.squeeze(-2), size, description), None


@dataclass(frozen=True)
class LastFrameConfig:
    K: int = 2

    def build(self, sizes: Sizes) -> LastFrame:
        return LastFrame(self)


class Drifting(FinderBase):
    """A finder that moves a little from where each object was towards the brightest place."""

    def __init__(self, config: "DriftingConfig", sizes: Sizes) -> None:
        super().__init__()
        self.config = config
        self.step_size = nn.Parameter(torch.tensor(config.step_size))
        self.register_buffer("size", torch.tensor(sizes.size_loc), persistent=False)

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        return Sight(peaks(frames, self.size, 1)[0])  # (B, T, 1, 2)

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        place = previous["position"]
        mean = place + self.step_size * (sight.evidence[..., index, :, :] - place)
        return Normal(mean, torch.full_like(mean, 0.1)).to_event(1)


@dataclass(frozen=True)
class DriftingConfig:
    step_size: float = 0.5

    def build(self, sizes: Sizes) -> Drifting:
        return Drifting(self, sizes)


class Glide(StateSpace):
    """Constant velocity, with a noise that is learned."""

    def __init__(self, config: "GlideConfig", sizes: Sizes) -> None:
        super().__init__(M=M, dims=2, scale=sizes.walk_scale)
        self.config = config
        self.log_noise = nn.Parameter(torch.full((2,), config.noise).log())

    def transition(self, previous: State) -> dict[str, Independent]:
        noise = self.log_noise.exp()
        place = Normal(previous["position"] + previous["motion"], noise[0]).to_event(1)
        return {"position": place, "motion": Normal(previous["motion"], noise[1]).to_event(1)}

    def infer(self, static: Tensor, position: Tensor, memory: Any = None) -> tuple[Independent, Tensor]:
        last = position[..., :1, :, :] if memory is None else memory
        velocity = torch.cat([last, position], -3).diff(dim=-3)
        return Normal(velocity, 0.01 * torch.ones_like(velocity)).to_event(1), position[..., -1:, :, :]


@dataclass(frozen=True)
class GlideConfig:
    noise: float = 0.02

    def build(self, sizes: Sizes) -> Glide:
        return Glide(self, sizes)


class Repelling(Glide):
    """Objects of a scene push each other away."""

    def examples(self, paths: Paths) -> Paths:
        return paths

    def transition(self, previous: State) -> dict[str, Independent]:
        density, position = super().transition(previous), previous["position"]
        between = position.unsqueeze(-2) - position.unsqueeze(-3)  # (..., N, N, 2)
        push = (between * torch.exp(-between.square().sum(-1, keepdim=True) / 0.1)).sum(-2)
        place = density["position"].base_dist
        return density | {"position": Normal(place.loc + 0.05 * push, place.scale).to_event(1)}


@dataclass(frozen=True)
class RepellingConfig(GlideConfig):
    def build(self, sizes: Sizes) -> Repelling:
        return Repelling(self, sizes)


class Turning(Glide):
    """Objects turn by as much as they have moved sideways, and the state of its motion has a name of its own."""

    def __init__(self, config: "TurningConfig", sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.sites = (self.sites[0], Site("velocity", 2))

    def transition(self, previous: State) -> dict[str, Independent]:
        density = super().transition({**previous, "motion": previous["velocity"]})
        return {"position": density["position"], "velocity": density["motion"]}

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        pose = super().pose(objects, states, presence)
        return pose._replace(angle=pose.position[..., 0])


@dataclass(frozen=True)
class TurningConfig(GlideConfig):
    def build(self, sizes: Sizes) -> Turning:
        return Turning(self, sizes)


class Peaky(FinderBase):
    """A finder that looks at the brightest place alone, and lets test time refine it."""

    registers = True

    def __init__(self, config: "PeakyConfig", sizes: Sizes) -> None:
        super().__init__()
        self.config, self.num_objects = config, sizes.num_objects
        self.log_scale = nn.Parameter(torch.tensor(-2.0))
        self.register_buffer("size", torch.tensor(sizes.size_loc), persistent=False)

    def look(
        self, picture: Picture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        place = peaks(frames, self.size, self.num_objects)[0]  # (B, T, N, 2)
        place = place.expand(*objects.size.shape[:-3], *place.shape)
        return Sight(Normal(place, self.log_scale.exp().expand_as(place)))

    def step(self, sight: Sight, index: int, previous: State, predict: Predict | None = None) -> Independent:
        q = sight.evidence
        return Normal(q.loc[..., index, :, :], q.scale[..., index, :, :]).to_event(1)


@dataclass(frozen=True)
class PeakyConfig:
    def build(self, sizes: Sizes) -> Peaky:
        return Peaky(self, sizes)


OTHERS = {
    "interacting motion": ("motion", RepellingConfig),
    "turning motion": ("motion", TurningConfig),
    "registering finder": ("finder", PeakyConfig),
}
FOREIGN: dict[str, tuple[str, type]] = {
    "scene": ("two", TwoConfig),
    "attention": ("bright", BrightConfig),
    "picture": ("brightest", BrightestConfig),
    "consensus": ("last-frame", LastFrameConfig),
    "finder": ("drifting", DriftingConfig),
    "motion": ("glide", GlideConfig),
}
SIDE = 32  # px: the smallest frames that may be learned from
SMALL = replace(small(), frame_size=SIDE)
STEPS = {"objects": 4, "search": 3, "motion": 4, "futures": 2}


PLAIN = SMALL.test_time  # the extras of test time are off, or as recipes have them
EAGER = replace(OUR_SYSTEM.model.test_time, settled=3)


def recipe(model: ModelConfig) -> Config:
    """The quick recipe, in a few steps, for another model."""
    config = PRESETS["quick"]("ours")
    refined = model.test_time.refine > 0
    stages = tuple(
        replace(stage, steps=STEPS[stage.name], batch=4, cache=8, refined=stage.refined and refined)
        for stage in config.train.stages
        if any(True for _ in stage.blocks)
    )
    return replace(config, model=model, train=replace(config.train, stages=stages), calibration=0)


@pytest.mark.parametrize("test_time", [PLAIN, EAGER], ids=["plain", "eager"])
@pytest.mark.parametrize("slot", [*FOREIGN, "interacting motion", "turning motion", "registering finder"])
def test_it_is_fitted_kept_loaded_and_tracks(
    slot: str, test_time: TestTime, tmp_path: Path, blobs: Any
) -> None:
    frames = blobs(num_sequences=12, length=7, side=SIDE).float()
    name, config = OTHERS.get(slot) or (slot, FOREIGN[slot][1])
    register(name, config.__name__)(config)
    finder = TemplateConfig(kernel_side=5) if test_time is EAGER else SMALL.finder
    model = replace(SMALL, **{"finder": finder, name: config()}, test_time=test_time)

    fitted = fit(frames, recipe(model), run=tmp_path / "run")
    again = load(tmp_path / "run")

    assert type(getattr(again, name)) is type(getattr(fitted.tracker, name))
    assert again.config == fitted.tracker.config == model
    pairs = zip(again.state_dict().items(), fitted.tracker.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)
    seen, expected = (track(tracker, frames).tracks for tracker in (again, fitted.tracker))
    assert torch.equal(seen.position.nan_to_num(), expected.position.nan_to_num())
    future = forecast(again, frames[:, :4], horizon=3, num_samples=2).tracks
    assert future.samples.shape == (2, 12, 7, 2, 2)
    there = future.present[:, 4:]
    assert there.any()
    assert future.samples[:, :, 4:][:, there].isfinite().all()


def test_its_parameters_are_trained(tmp_path: Path, blobs: Any) -> None:
    frames = blobs(num_sequences=12, length=7, side=SIDE).float()
    config = recipe(replace(SMALL, motion=GlideConfig()))
    # on the ELBO, for which objects that are hardly seen yet count, too; roll-outs learn from those in sight alone
    last = Stage("joint", 2, blocks=(SCALES,), batch=4, learning_rate=Constant(1e-2))
    config = replace(config, train=replace(config.train, stages=(*config.train.stages, last)))
    fitted = fit(frames, config, run=tmp_path / "run")
    assert not torch.equal(fitted.tracker.motion.log_noise, torch.full((2,), 0.02).log())


def test_an_interacting_motion_sees_whole_scenes(
    tmp_path: Path, blobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[torch.Size] = []
    infer = Glide.infer

    def watched(self: Any, static: Tensor, position: Tensor, memory: Any = None) -> Any:
        shapes.append(position.shape)
        return infer(self, static, position, memory)

    monkeypatch.setattr(Glide, "infer", watched)
    frames = blobs(num_sequences=12, length=7, side=SIDE).float()
    for config, objects in ((GlideConfig, {1, 2}), (RepellingConfig, {2})):
        shapes.clear()
        register("motion", config.__name__)(config)
        fit(frames, recipe(replace(SMALL, motion=config())), run=tmp_path / config.__name__)
        assert {shape[-2] for shape in shapes} == objects, config


def test_who_has_no_name_is_told_to_register(blobs: Any, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Nameless(GlideConfig):
        pass

    with pytest.raises(UsageError, match=r"vtssi_pyro\.register"):
        fit(
            blobs(num_sequences=12, length=7, side=SIDE).float(),
            recipe(replace(SMALL, motion=Nameless())),
            run=tmp_path / "run",
        )
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_unknown_kind_names_the_known_ones(tmp_path: Path, blobs: Any) -> None:
    register("motion", "glide")(GlideConfig)
    fit(
        blobs(num_sequences=12, length=7, side=SIDE).float(),
        recipe(replace(SMALL, motion=GlideConfig())),
        run=tmp_path / "r",
    )
    del SLOTS["motion"]._known["glide"]
    with pytest.raises(Exception, match=r"unknown kind 'glide'.*residual-mot.*import the module") as caught:
        load(tmp_path / "r")
    assert caught.type.__name__ == "CheckpointError"
    with pytest.raises(UsageError, match="expected one of scene, attention"):
        register("transition", "glide")


def test_a_recipe_leaves_out_a_stage_without_anything_to_learn(tmp_path: Path, blobs: Any) -> None:
    """The motion of ``docs/python.md``: it has no parameter, and a recipe all the same."""

    class Fixed(Glide):
        def __init__(self, config: GlideConfig, sizes: Sizes) -> None:
            super().__init__(config, sizes)
            del self.log_noise
            self.log_noise = torch.full((2,), config.noise).log()

    @dataclass(frozen=True)
    class FixedConfig(GlideConfig):
        def build(self, sizes: Sizes) -> Fixed:
            return Fixed(self, sizes)

    register("motion", "fixed")(FixedConfig)
    frames = blobs(num_sequences=12, length=7, side=SIDE).float()
    fitted = fit(frames, recipe(replace(SMALL, motion=FixedConfig())), run=tmp_path / "run")
    assert [stage.name for stage in fitted.run.config.train.stages] == ["objects", "search"]
    assert forecast(fitted, frames[:, :4], horizon=3).tracks.position.shape == (12, 7, 2, 2)


def test_a_tracker_made_by_hand_is_fitted_from_where_it_is(tmp_path: Path, blobs: Any) -> None:
    """Unless a run could not build it again."""
    frames = blobs(num_sequences=12, length=7, side=SIDE).float()
    tracker = build(replace(SMALL, motion=GlideConfig(noise=0.07)))
    changes = ["train.stages.objects.steps=0", "train.stages.search.steps=0", "train.stages.motion.steps=0",
               "train.stages.futures.steps=1", "train.stages.futures.batch=4", "calibration=0"]  # fmt: skip
    fitted = fit(frames, tracker, changes=changes, run=tmp_path / "run")
    for name, value in tracker.named_parameters():
        assert torch.allclose(fitted.tracker.get_parameter(name), value, atol=0.02), name
    assert load(tmp_path / "run").config == tracker.config
    tracker.scene.size = DiagNormal((0.5, 0.5), 0.2)
    with pytest.raises(UsageError, match="size"):
        fit(frames, tracker, changes=changes, run=tmp_path / "other")


def test_a_pose_of_ones_own_reaches_every_picture_that_is_drawn(blobs: Any) -> None:
    """Those of the search, of hypotheses and of refinement, too; and its transition is what predicts."""
    model = replace(SMALL, finder=TemplateConfig(kernel_side=5), motion=TurningConfig(), test_time=EAGER)
    torch.manual_seed(0)
    tracker, poses, calls = build(model).eval(), [], []
    layers, transition = tracker.picture.layers, tracker.motion.transition

    def spied(pose: Pose, objects: Objects) -> Tensor:
        poses.append(pose)
        return layers(pose, objects)

    def counted(previous: State) -> dict[str, Independent]:
        calls.append(previous)
        return transition(previous)

    tracker.picture.layers, tracker.motion.transition = spied, counted
    forecast(tracker, blobs(num_sequences=3, length=6, side=SIDE).float(), horizon=4)
    assert len(poses) > 5
    assert all(torch.equal(pose.angle, pose.position[..., 0]) for pose in poses)
    assert len(calls) == 6 - M + 4


class Leaving(Glide):
    """Objects are gone from the third frame on."""

    def pose(self, objects: Objects, states: State, presence: Tensor) -> Pose:
        pose = super().pose(objects, states, presence)
        here = torch.arange(pose.position.shape[-3]) < 2
        return pose._replace(presence=pose.presence * here.unsqueeze(-1))


def test_presence_of_ones_own_reaches_the_tracks(blobs: Any) -> None:
    """An object that its pose takes away is absent from its track, unseen and unpainted."""
    tracker = build(SMALL).eval()
    with torch.no_grad():
        tracker.attention.counter.body.loc[-1].bias[:] = 5.0  # sure of two objects
    tracker.motion = Leaving(GlideConfig(), SMALL)
    told = track(tracker, blobs(num_sequences=3, length=6, side=SIDE).float())
    assert told.tracks.present[:, :2].all()
    assert not told.tracks.present[:, 2:].any()
    assert told.tracks.position[:, 2:].isnan().all()
    assert told.tracks.confidence[:, 2:].eq(0).all()
    assert told.frames[:, 2:].eq(0).all()
