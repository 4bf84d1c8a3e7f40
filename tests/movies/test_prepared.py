"""One movie prepared for a model, the model made to suit it, and the way back to the movie's own pixels."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from staged import encode

from vtssi_pyro.data.clips import movie_clips
from vtssi_pyro.data.scenes import KINDS, scene
from vtssi_pyro.errors import DataError
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.blocks.presence import PresenceConfig
from vtssi_pyro.model.blocks.turning import TurningConfig
from vtssi_pyro.model.config import ablated
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.model.tracker import build
from vtssi_pyro.movies import (
    Hints,
    Movie,
    Preparation,
    array_movie,
    film,
    inspect,
    open_movie,
    suggested_preparation,
    thumbnails,
)
from vtssi_pyro.movies.prepared import PreparedMovie, look, model_side, to_source
from vtssi_pyro.movies.transforms import Luminance, Resize
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.checks import check
from vtssi_pyro.train.movies import anticipated, at_first, clip_length, held, suited, unlearned
from vtssi_pyro.train.presets import PRESETS, quick


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> PreparedMovie:
    path = tmp_path_factory.mktemp("prepared") / "movie.npy"
    np.save(path, scene("rings", length=30, side=120, objects=2, size=30, seed=1).frames)
    return PreparedMovie.suggested(path, inspect(open_movie(path)))


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_are_what_they_say(kind: str) -> None:
    drawn = scene(kind, length=24, side=100, objects=2, size=18, seed=2)
    assert drawn.frames.shape == (24, 100, 100) + (3,) * (kind == "hues")
    assert drawn.path.shape == (24, 2, 2)
    np.testing.assert_array_equal(drawn.frames, scene(kind, 24, 100, 2, 18, seed=2).frames)
    assert (drawn.frames != scene(kind, 24, 100, 2, 18, seed=3).frames).any()
    background = np.median(drawn.frames.astype(float), 0)
    there = np.abs(drawn.frames[0] - background).reshape(100, 100, -1).max(-1)
    y, x = np.mgrid[0.5:100, 0.5:100]
    near = np.min([np.hypot(x - px, y - py) for px, py in drawn.path[0]], 0) < drawn.size
    assert there[near].max() > 3 * there[~near].mean()
    assert there[near].mean() > 1.5 * there[~near].mean(), "objects are where the truth says"


def test_the_model_suits_the_movie(movie: PreparedMovie) -> None:
    config = suited(quick("ours"), movie)
    side = movie.frames.shape[-1]
    assert side == model_side(movie.found) == config.model.frame_size == 64
    assert config.model.num_objects == 2
    window = config.model.size_loc[0] * 120
    assert movie.found.object_size < window < 2 * movie.found.object_size
    assert config.model.finder.kernel_side % 2 == 1
    assert config.model.motion.inertia, "one movie is too little to learn from that objects go on"
    assert config.model.motion.fading, "and has noise, which the last difference keeps"
    assert config.model.motion.walls, "and few turns"
    tracker = build(config.model)
    assert not any("locator" in name for name, _ in tracker.named_parameters()), "spots need no networks"
    more = suited(quick("ours"), replace(movie, found=replace(movie.found, objects=8, fewest=8)))
    for before, after in zip(config.train.stages, more.train.stages, strict=True):
        assert after.batch <= before.batch, "more objects, smaller batches"
        assert after.cache <= before.cache, "and no more paths to find"
    steps = {stage.name: stage.steps for stage in config.train.stages}
    whole = {stage.name: stage.steps for stage in quick("ours").train.stages}
    assert all(steps[name] <= whole[name] / 3 for name in ("objects", "search", "motion", "futures")), (
        "one scene is learned sooner"
    )
    patient = {stage.name for stage in config.train.stages if stage.patience}
    assert patient == {"objects"}
    kept = suited(PRESETS["paper-fast"]("vtssi"), movie).train.stages
    motion = next(stage for stage in kept if stage.name == "motion")
    assert motion.optimizer == "muon", "it has no inertia"


@pytest.mark.parametrize("fewest", [2, 1], ids=["there", "coming and going"])
def test_objects_that_turn_have_angles(fewest: int, movie: PreparedMovie) -> None:
    """Beside whatever else the inspection asks for; before a training, round bumps have none."""
    still = replace(movie, found=replace(movie.inspected, objects=2, fewest=fewest))
    turning = replace(still, found=replace(still.inspected, turning=9.0))
    upright, config = suited(quick("ours"), still), suited(quick("ours"), turning)
    assert isinstance(config.model.motion, TurningConfig)
    assert config.model.motion.of == upright.model.motion
    assert config.model.finder.kernel_side == upright.model.finder.kernel_side
    for slot in ("scene", "attention", "picture"):
        assert getattr(config.model, slot) == getattr(upright.model, slot)
    assert check(config).motion.angles
    search = next(stage for stage in config.train.stages if stage.name == "search")
    assert search.blocks == ("finder", "motion.angles")
    assert at_first(config.model, 30).motion == at_first(upright.model, 30).motion
    assert unlearned(turning) == unlearned(still)
    slower = replace(still, found=replace(still.inspected, turning=1.0))
    assert suited(quick("ours"), slower) == upright
    other = quick("template-search-residual-mot")  # a variant asks for its own blocks
    assert suited(other, turning).model == suited(other, still).model


def test_objects_that_come_and_go_have_a_scene_in_which_they_can(movie: PreparedMovie) -> None:
    """As untrained tracks have, but for a variant that asks for other blocks; paths of such objects teach no motion."""
    found = replace(movie.inspected, objects=4, fewest=1)
    visited = replace(movie, found=found)
    config = suited(quick("ours"), visited)
    assert isinstance(config.model.scene, PresenceConfig)
    assert {stage.objective for stage in config.train.stages if stage.steps} == {"frames", "full"}
    assert check(config).scene.changes
    untrained = unlearned(visited).model
    for slot in ("scene", "consensus", "finder", "motion"):
        assert getattr(config.model, slot) == getattr(untrained, slot)
    assert config.model.attention != untrained.attention, "looks are learned"
    assert not config.model.motion.walls, "objects leave"
    for whole in (
        config.model,
        suited(quick("ours"), movie).model,
    ):  # what is drawn before a training is untrained
        first = at_first(whole, len(movie.frames))
        assert first == unlearned(visited if whole is config.model else movie).model
    assert not isinstance(suited(quick("ours"), movie).model.scene, PresenceConfig)
    assert not isinstance(suited(quick("template-search-residual-mot"), visited).model.scene, PresenceConfig)
    named = {stage.name for stage in anticipated(quick("ours")).train.stages}
    assert named >= {stage.name for stage in config.train.stages}


@pytest.mark.parametrize(
    ("preset", "variant", "name"),
    [
        ("quick", "ours", "ours"),
        ("quick", "template-search", "template-search"),
        ("quick", "template-search-residual-mot", "template-search-residual-mot"),
        ("quick", "count-rect-template-search", "custom"),  # one frame decides, no RECT
        ("quick", "air", "custom"),  # spots, not AIR
        ("paper-fast", "vtssi", "custom"),  # the paper's MOT, and blocks of ours
    ],
)
def test_a_movies_blocks_have_no_name_that_they_do_not_keep(
    preset: str, variant: str, name: str, movie: PreparedMovie
) -> None:
    recipe = PRESETS[preset](variant)
    config = suited(recipe, movie)
    assert config.variant == name
    assert ablated(config.model) == ablated(recipe.model)


@dataclass(frozen=True)
class Paced:
    """The configuration of somebody else's motion, which has a speed."""

    speed: float = 0.0

    def build(self, sizes: Sizes) -> None:
        raise AssertionError

    def suited(self, speed: float) -> "Paced":
        return Paced(speed)


def test_a_foreign_motion_suits_the_movie(movie: PreparedMovie) -> None:
    """If it says how; the paper's does not, and stays as it is."""
    recipe = quick("ours")
    step = suited(recipe, movie).model.motion.step
    paced, papers = (
        suited(replace(recipe, model=replace(recipe.model, motion=motion)), movie).model.motion
        for motion in (Paced(), MOTConfig(M=7))
    )
    assert paced == Paced(step)
    assert papers == MOTConfig(M=7)


def test_things_that_stand_out_are_found(movie: PreparedMovie) -> None:
    drawn = scene("rings", length=30, side=120, objects=2, size=30, seed=1)
    there = to_source(movie.standing_out([0, 20]), movie.preparation)
    for index, time in enumerate((0, 20)):
        gap = np.linalg.norm(drawn.path[time][:, None] - there.position[0, index].numpy(), axis=-1)
        assert np.nanmin(gap, 1).max() < 2 / movie.ratio, "two pixels of the model's frame"


@pytest.mark.parametrize("total", [16, 30, 100, 1000])
def test_some_frames_are_held_out(total: int) -> None:
    assert 0 < held(total) <= total / 4 + 1
    assert 2 <= clip_length(total) <= total - held(total)
    frames = torch.arange(total, dtype=torch.uint8)[:, None, None, None].expand(total, 1, 8, 8)
    movie = PreparedMovie.of(array_movie("movie", frames[:, 0].numpy()), Preparation((Luminance(),)))
    learned, kept = movie_clips(movie, clip_length(total), held(total))
    last = round(255 * float(learned.frames(slice(len(learned) // 8 - 1, len(learned) // 8)).max()))
    first = round(255 * float(kept.frames(slice(0, 1)).min()))
    assert (first - last) % 256 == 1, "what is held out begins where the rest ends"


def test_few_frames_are_too_few() -> None:
    with pytest.raises(DataError, match="a movie of 15 frames is too short"):
        held(15)


def test_points_and_lengths_come_back(movie: PreparedMovie) -> None:
    preparation = movie.preparation
    points = torch.tensor([[[[3.0, 5.0], [60.0, 100.0]]]])
    model = torch.as_tensor(preparation.to_model(points.numpy()), dtype=points.dtype)
    tracks = Tracks(
        model, torch.ones(1, 1, 2, dtype=bool), torch.full((1, 1, 2, 2), 6.4), samples=model[None]
    )
    back = to_source(tracks, preparation)
    torch.testing.assert_close(back.position, points)
    torch.testing.assert_close(back.samples[0], points)
    torch.testing.assert_close(back.box, torch.full((1, 1, 2, 2), 12.0))
    assert back.scale is None
    half = back.moved(lambda p: p / 2, np.array([0.5, 0.5]))
    torch.testing.assert_close(half.box, back.box / 2)


def test_thumbnails_are_small_and_show_the_whole_range(tmp_path: Path) -> None:
    frames = np.linspace(1000, 3000, 4 * 40 * 80).reshape(4, 40, 80).astype(np.uint16)
    np.save(tmp_path / "movie.npy", frames)
    small = thumbnails(open_movie(tmp_path / "movie.npy"), widest=20, most=3)
    assert small.frames.shape == (3, 1, 10, 20)
    np.testing.assert_allclose(small.ratio, [0.25, 0.25])
    later = thumbnails(open_movie(tmp_path / "movie.npy"), widest=20, most=3, first=2)
    assert len(later.frames) == 2
    assert small.frames.min() < 5
    assert small.frames.max() > 180, "3,000 of 65,535 is bright where nothing is brighter"


def test_preparation_of_another_size_is_refused(movie: PreparedMovie, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((20, 60, 120), np.uint8))
    with pytest.raises(DataError, match="60x120"):
        _ = PreparedMovie.of(tmp_path / "wide.npy", suggested_preparation(movie.found, 64)).frames


def test_a_part_alone_is_looked_at_and_told_in_the_whole_frames_pixels(tmp_path: Path) -> None:
    drawn = scene("blobs", length=30, side=100, objects=2, size=16, seed=3)
    frames = np.full((30, 150, 240), 60, np.uint8)
    frames[:, 40:140, 120:220] = drawn.frames
    frames[::2, 5:25, 5:60] = 255  # a blinking region beside it is no object
    np.save(tmp_path / "whole.npy", frames)
    found = inspect(open_movie(tmp_path / "whole.npy"), Hints(crop=(120, 40, 100, 100)))
    assert (found.objects, found.size) == (2, (100, 100))
    movie = PreparedMovie.suggested(tmp_path / "whole.npy", found)
    assert movie.size == (150, 240)
    times = list(range(0, 30, 3))
    seen = movie.to_source(movie.standing_out(times)).position[0].numpy()  # in no order
    apart = np.linalg.norm(seen[:, :, None] - (drawn.path[times] + (120, 40))[:, None], axis=-1)
    assert np.median(apart.min(1)) < 1
    model = suited(quick("ours"), movie).model
    assert model.size_loc[0] == pytest.approx(1.3 * found.object_size / 100, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("length", "size"), [(10_000, (180, 320)), (500, (1080, 1920))])
def test_ten_thousand_frames_and_those_of_1080p_take_the_memory_of_a_few(
    length: int, size: tuple[int, int]
) -> None:
    """Each pass reads each frame once, and keeps the prepared ones alone: what is kept grows with neither."""
    side, read, square = 64, [0], size[0] // 18

    def reader() -> Iterator[np.ndarray]:
        frame = np.zeros(size, np.uint8)
        for t in range(length):
            read[0] += 1
            y, x = t % (size[0] - square), 3 * t % (size[1] - square)
            frame[y : y + square, x : x + square] = 200
            yield frame
            frame[y : y + square, x : x + square] = 0

    movie = Movie("made", size, length, 25.0, reader)
    tracemalloc.start()
    try:
        found = inspect(movie)
        assert read == [length + 1]  # the first tells how frames are stored
        assert (found.length, found.objects) == (length, 1)
        prepared = PreparedMovie.suggested(movie, found, side)
        assert read == [length + 1], "who asks for no frame waits for none"
        assert prepared.frames.shape == (length, 1, side, side)
        assert prepared.lengths == (length,)
        assert read == [2 * (length + 1)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 * prepared.frames.numel() + 130 * size[0] * size[1]  # 16 frames in double precision


def test_who_asks_for_findings_waits_for_no_frames() -> None:
    frames, read = scene("blobs", length=24, side=96, objects=2, size=16, seed=4).frames, [0]

    def reader() -> Iterator[np.ndarray]:
        for frame in frames:
            read[0] += 1
            yield frame

    movie = look(Movie("made", (96, 96), 24, 25.0, reader))
    assert read == [24 + 1]  # the first tells how frames are stored
    assert movie.inspected.objects == 2
    last = movie.preparation.transforms[-1]
    assert isinstance(last, Resize)
    smaller = movie.sized(last.side - 8)
    assert read == [24 + 1]
    assert len(smaller.frames) == len(smaller.frames) == sum(smaller.lengths) == 24
    assert read == [2 * (24 + 1)], "they are read once"


def test_a_film_is_decoded_once_to_be_prepared(
    movie: PreparedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the preparation of another movie of its camera, as it is tracked: no frame exceeds the range of 8 bits."""
    pytest.importorskip("av", reason="needs PyAV, the extra named video")
    path = encode(tmp_path / "a.mp4", "libx264", scene("rings", 30, 120, 2, 30, seed=1).frames, "yuv420p")
    frames, read = film._frames, [0]

    def counted(*args: Any, **kwargs: Any) -> Iterator[np.ndarray]:
        for frame in frames(*args, **kwargs):
            read[0] += 1
            yield frame

    monkeypatch.setattr(film, "_frames", counted)
    assert len(PreparedMovie.of(path, movie.preparation).frames) == 30
    assert read == [31]  # the first tells how frames are stored
