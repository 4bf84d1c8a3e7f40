"""Paths in a movie's clips, cut from those of the whole movie."""

from dataclasses import replace

import pytest
import torch
from small_model import SIDE, small
from torch import Tensor

from vtssi_pyro.data.clips import SYMMETRIES, Clips, turned, turned_extents, turned_places
from vtssi_pyro.model.blocks.residual_mot import ResidualMOTConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import Program
from vtssi_pyro.model.tracker import Tracker, build, evaluating
from vtssi_pyro.ops.spatial import extract_glimpses
from vtssi_pyro.train.batches import BatchSource, path_batches, program_of
from vtssi_pyro.train.paths import cut, paths
from vtssi_pyro.train.recipe import Stage

LENGTH, TOTAL = 6, 9
STAGE = Stage("motion", 5, "rollout", ("motion",), 3, cache=1000)
CPU = torch.device("cpu")


@pytest.fixture
def clips() -> Clips:
    """Two spots, which stay apart."""
    frames = torch.zeros(TOTAL, 1, SIDE, SIDE)
    for t in range(TOTAL):
        frames[t, 0, 4:7, 3 + t // 2 : 6 + t // 2] = 0.9
        frames[t, 0, 12:15, 14 - t // 2 : 17 - t // 2] = 0.6
    return Clips("movie", frames, LENGTH)


@pytest.fixture
def tracker() -> Tracker:
    torch.manual_seed(0)
    motion = ResidualMOTConfig(M=2, motion=3, units=8, heads=(8,), transition=(8, 8))
    config = replace(small("template"), attention=SpotsConfig(extent=0.8), motion=motion)
    return build(config)


def cuts(tracker: Tracker, clips: Clips, chosen: Tensor):
    with evaluating(tracker), mode():
        return cut(tracker, program_of(tracker, STAGE), clips, chosen, CPU)


def test_a_clips_paths_are_those_of_the_movie_turned_as_its_frames(tracker: Tracker, clips: Clips) -> None:
    chosen = torch.arange(len(clips))
    made = cuts(tracker, clips, chosen)
    with evaluating(tracker), mode():
        whole = paths(tracker, program_of(tracker, STAGE), clips.movie.unsqueeze(0))
    size = torch.full((1, 1, 2), 0.4)
    for i in chosen.tolist():
        begin, symmetry = i % (TOTAL - LENGTH + 1), i // (TOTAL - LENGTH + 1)
        mine = whole.position[0, begin : begin + LENGTH]
        assert made.position[i].equal(turned_places(mine, symmetry))
        assert made.visible[i].equal(whole.visible[0, begin : begin + LENGTH])
        assert made.scale[i].equal(turned_extents(whole.scale[0, begin : begin + LENGTH], symmetry))
        for t in (0, LENGTH - 1):  # what is seen at the place is turned, too
            frame = clips.movie[begin + t]
            assert clips.frames(torch.tensor([i]))[0, t].equal(turned(frame, symmetry))
            before = extract_glimpses(frame, mine[t], size.expand(1, 2, 2)[0], 7)
            after = extract_glimpses(turned(frame, symmetry), made.position[i, t], size.expand(1, 2, 2)[0], 7)
            torch.testing.assert_close(after, turned(before, symmetry))


def test_constant_features_are_of_the_turned_look(tracker: Tracker, clips: Clips) -> None:
    """Sizes and boxes are turned; what is drawn is described, as another object that looks so would be."""
    places = TOTAL - LENGTH + 1
    made = cuts(tracker, clips, torch.arange(SYMMETRIES) * places)
    with evaluating(tracker), mode():
        latents = replace(program_of(tracker, STAGE), motion=tracker.walk()).guide(clips.movie.unsqueeze(0))
    looks = 2 + tracker.config.description
    for symmetry, static in enumerate(made.static):
        torch.testing.assert_close(static[:, :2], turned_extents(latents.objects.size[0], symmetry))
        offset, box = (made.static[0, :, looks + i : looks + i + 2] for i in (0, 2))
        turned_box = torch.cat([turned_places(offset, symmetry), turned_extents(box, symmetry)], -1)
        torch.testing.assert_close(static[:, looks:], turned_box, atol=1e-4, rtol=0)
    assert not torch.allclose(made.static[0, :, 2:looks], made.static[1, :, 2:looks])


def test_the_movie_is_tracked_once(tracker: Tracker, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, guide = [], Program.guide

    def counted(self: Program, frames: Tensor, *args: object, **more: object):
        seen.append(frames.shape[:2])
        return guide(self, frames, *args, **more)

    monkeypatch.setattr(Program, "guide", counted)
    batches = path_batches(BatchSource(tracker, clips, STAGE, 1, 1.0, CPU))
    assert sum(b * t for b, t in seen) == TOTAL
    assert batches(0).position.shape[1] == LENGTH
    seen.clear()
    few = replace(STAGE, cache=1)  # as many frames as the chosen clips have
    path_batches(BatchSource(tracker, clips, few, 1, 1.0, CPU))
    assert sum(b * t for b, t in seen) == LENGTH


def test_joined_movies_are_tracked_each_by_itself(tracker: Tracker, clips: Clips) -> None:
    """The first frames of each decide its objects, and no path goes on into the next movie."""
    other = clips.movie.flip(0, -1)
    both = Clips("both", torch.cat([clips.movie, other]), LENGTH, cuts=(TOTAL,))
    assert both.pieces == [slice(0, TOTAL), slice(TOTAL, 2 * TOTAL)]
    places = TOTAL - LENGTH + 1
    chosen = torch.tensor([places, 0, 1, places + 1, 2 * places + 1])  # the last is mirrored
    made = cuts(tracker, both, chosen)
    alone = [
        cuts(tracker, Clips("one", movie, LENGTH), torch.arange(2 * places)) for movie in (clips.movie, other)
    ]
    for row, (movie, clip) in enumerate(((1, 0), (0, 0), (0, 1), (1, 1), (0, places + 1))):
        for name, values in made._asdict().items():
            assert values[row].equal(getattr(alone[movie], name)[clip]), (row, name)


def test_of_a_long_movie_the_beginning_is_tracked(tracker: Tracker, clips: Clips) -> None:
    """As many frames as the chosen clips have together; clips from behind them are spread over these."""
    made = cuts(tracker, clips, torch.tensor([2]))  # its frames 2 to 7 are behind the first six
    first = cuts(tracker, Clips("beginning", clips.movie[:LENGTH], LENGTH), torch.tensor([0]))
    assert made.position.equal(first.position)
