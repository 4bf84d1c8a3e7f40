"""A tracker judged without truth, and in portions."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vtssi_pyro import load, load_digits, moving_digits
from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import spread
from vtssi_pyro.evaluation import held_out as reconstruction
from vtssi_pyro.evaluation.held_out import familiar, familiar_end, reconstruct, straight_on
from vtssi_pyro.inference.filter import estimates, forecast, track
from vtssi_pyro.inference.novelty import new, with_misfits
from vtssi_pyro.model import tracker as trackers
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.tracker import at_once, build
from vtssi_pyro.ops.channels import channelled

pytestmark = pytest.mark.slow


@pytest.fixture
def clips(frames: Tensor) -> Clips:
    movie = channelled(frames).flatten(0, 1).repeat(3, 1, 1, 1)[:23]
    return Clips("movie", movie, 5, turned=False, pixel=2.0)


def test_what_is_explained_is_what_is_not_left_over(config: ModelConfig, clips: Clips) -> None:
    torch.manual_seed(0)
    model = build("vtssi", config).eval()
    x = clips.frames(clips.disjoint)
    found, later = track(model, x), forecast(model, x[:, :3], 2)
    made = reconstruct(model, clips, 3)
    assert (made["frames"], made["ahead"], len(made["drift"])) == (20, 2, 2)
    assert made["explained"] == pytest.approx(
        1 - float((x - found.frames).square().sum() / x.square().sum()), abs=1e-4
    )
    assert made["explained_ahead"] == pytest.approx(
        1 - float((x - later.frames)[:, 3:].square().sum() / x[:, 3:].square().sum()), abs=1e-4
    )


def test_portions_are_judged_as_the_whole(
    config: ModelConfig, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = build("vtssi", config).eval()
    whole = reconstruct(model, clips, 3)
    monkeypatch.setattr(trackers, "PIXELS", 1)
    assert at_once(model, 5) == 1
    for key, value in reconstruct(model, clips, 3).items():
        assert value == pytest.approx(whole[key], abs=1e-4), key


def test_of_a_long_movie_some_clips_are_looked_at(
    config: ModelConfig, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "MOST", 2)
    assert reconstruct(build("vtssi", config).eval(), clips, 3)["frames"] == 10


def test_without_motion_nothing_is_foretold(config: ModelConfig, clips: Clips) -> None:
    assert "drift" not in reconstruct(build("rect-find", config).eval(), clips, 3)


def test_large_frames_are_looked_at_few_at_a_time(config: ModelConfig) -> None:
    large = replace(config, frame_size=2 * config.frame_size)
    assert at_once(build("vtssi", config), 10) == pytest.approx(4 * at_once(build("vtssi", large), 10), abs=3)


def test_straight_on_is_at_the_last_pace() -> None:
    path = torch.tensor([[0.0, 0], [1, 0], [3, 1], [5, 2]]).view(1, 4, 1, 2)
    found = straight_on(path, 3)
    assert found[0, :, 0].tolist() == [[7.0, 3.0], [9.0, 4.0], [11.0, 5.0]]
    assert straight_on(path[:, :2], 2)[0, :, 0].tolist() == [[2.0, 0.0], [3.0, 0.0]]
    assert straight_on(path[:, :1], 2)[0, :, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_some_of_many_are_evenly_spread() -> None:
    assert spread(100_001, 3).tolist() == [0, 50_000, 100_000]
    assert spread(3, 10).tolist() == [0, 1, 2]


def test_a_movie_whose_light_fades_is_not_unlike_itself() -> None:
    """Looks are decided upon once, so that later frames fit less than clips that are looked at by themselves."""
    tracker = load("moving-mnist")
    drawn = moving_digits("linear", load_digits("embedded", "test"), sequences=6, length=60, seed=3)
    one = (drawn.counts == 1).nonzero()[:1, 0]
    fading = drawn.frames(one) * torch.linspace(1, 0.7, 60).view(1, -1, 1, 1, 1)
    misfits = torch.cat([its for _, its in with_misfits(fading, estimates(tracker, fading))], 1)[:, -20:]
    apart = familiar(tracker, Clips("movie", fading[0, -10:], 10, turned=False))
    assert new(apart.novelty(misfits)).all()
    followed = familiar_end(tracker, fading[0], 10)
    assert not new(followed.novelty(misfits)).any()
    assert followed.frames == 10
