"""One movie of a user's: prepared for a model, the model made to suit it, and tracks in the movie's own pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.config.schedules import Constant, Cosine, Linear
from vtssi_pyro.data.clips import Clips
from vtssi_pyro.errors import DataError
from vtssi_pyro.model.blocks.air import SceneConfig, SolidConfig
from vtssi_pyro.model.blocks.following import FollowingConfig
from vtssi_pyro.model.blocks.rect import ClearestFrameConfig
from vtssi_pyro.model.blocks.residual_mot import UNIT, ResidualMOTConfig
from vtssi_pyro.model.blocks.spots import SpotsConfig
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.movies import Inspection, Movie, Preparation, open_movie, suggested_preparation
from vtssi_pyro.ops.peaks import peaks
from vtssi_pyro.ops.spatial import to_pixels
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.recipe import Stage

FEWEST = 16  # frames: what is needed to see things move, and to hold some frames out
HELD_OUT = 0.1  # of the frames, the last ones
CLIP = 20  # frames
WANTED, SMALLEST, LARGEST = 10, 64, 160  # px: of a thing in the model's frames; of these frames
WINDOW = 1.3  # of a thing's size: its attention window
SAMPLED = 64  # frames that tell how high peaks are
SURE = 30.0  # nats: what a frame that shows an object in full offers for its place
SLOWEST = 0.005  # frame coordinates a frame: the least unit that motions are seen in
BUDGET = 2 * 64**2  # objects times pixels of a frame for which the recipes' batches are meant
PATHS = 2000  # of objects in clips, which overlap: what MOT learns from
SEARCH = 80  # steps


@dataclass(frozen=True)
class Footage:
    """A movie as a model sees it.

    Args:
        name: the file or folder.
        frames: (T, S, S) uint8, things bright on black.
        preparation: what made them.
        size: (H, W) of the movie's own frames, px.
        rate: frames per second; None where nobody knows.
        found: what was seen in the movie before it was prepared; None where it was prepared as another one was.
    """

    name: str
    frames: Tensor
    preparation: Preparation
    size: tuple[int, int]
    rate: float | None = None
    found: Inspection | None = None

    @classmethod
    def of(cls, path: Path | str, preparation: Preparation) -> "Footage":
        """A movie, prepared; its frames are read one by one, and kept small.

        Raises:
            DataError: it cannot be read, or is not of the size that the preparation is for.
        """
        movie = open_movie(path)
        return cls(str(path), _prepared(movie, preparation), preparation, movie.size, movie.rate)

    @classmethod
    def suggested(cls, path: Path | str, found: Inspection, side: int | None = None) -> "Footage":
        """A movie prepared as what was found in it suggests, in frames of ``side`` pixels; None: what suits it."""
        preparation = suggested_preparation(found, side or model_side(found))
        return replace(cls.of(path, preparation), found=found)

    def clips(self, length: int) -> tuple[Clips, Clips]:
        """Clips to learn from, in all symmetries, and of the last frames, which are held out, to judge by."""
        total = len(self.frames)
        held_out = held(total)
        pixel = 1 / self._ratio
        return (
            Clips(self.name, self.frames[: total - held_out], length, pixel=pixel),
            Clips(self.name, self.frames[total - held_out :], min(length, held_out), False, pixel),
        )

    def suited(self, config: Config) -> Config:
        """A configuration with the parts, sizes and batches that what was found in the movie asks for."""
        found = self.found
        assert found is not None, "inspect the movie first"
        side, ratio = self.frames.shape[-1], self._ratio
        base = config.model
        window, objects = WINDOW * found.object_size * ratio / side, max(found.objects, 1)
        speed = min(max(2 * found.speed * ratio / side, SLOWEST), UNIT)
        gate = 2 * ratio / side * max(0.35 * found.object_size, 1.5 * found.speed)
        motion = base.motion
        if isinstance(motion, ResidualMOTConfig):
            motion = replace(motion, step=speed, inertia=True)
        model = replace(
            base,
            num_objects=objects,
            frame_size=side,
            size_loc=(window, window),
            size_scale=0.1 * window,
            walk_scale=min(4 * speed, base.walk_scale),
            scene=SceneConfig(count_loc=2.0),
            attention=SpotsConfig(extent=1 / WINDOW, level=self._level()),
            picture=SolidConfig(),
            consensus=ClearestFrameConfig(),
            finder=FollowingConfig(
                kernel_side=max(5, int(0.6 * window * side) | 1), sharpness=SURE, strength=SURE,
                floor=0.5 / side, gate=min(gate, 0.5),
            ),
            motion=motion,
        )  # fmt: skip
        model = VARIANTS[config.variant](model)
        stages = tuple(_suited(stage, objects, side) for stage in config.train.stages)
        return replace(config, model=model, train=replace(config.train, stages=stages))

    def standing_out(self, times: Sequence[int]) -> Tracks:
        """The things that stand out in some frames, as tracks (1, t, N, 2) in model pixels; they have no identity."""
        assert self.found is not None, "inspect the movie first"
        places, heights = self._peaks(times)
        position = to_pixels(places, (self.frames.shape[-1],) * 2).unsqueeze(0)
        present = heights.unsqueeze(0) > self._level()
        box = torch.full_like(position, self.found.object_size * self._ratio)
        return Tracks(position.where(present.unsqueeze(-1), torch.nan), present, box)

    @property
    def _ratio(self) -> float:
        """Pixels of a model's frame for one of the movie's."""
        zero, one = self.preparation.to_model(np.array([[0.0, 0.0], [1.0, 1.0]]))
        return float((one - zero).max())

    def _level(self) -> float:
        """Half the usual height of a thing's peak."""
        chosen = np.linspace(0, len(self.frames) - 1, min(SAMPLED, len(self.frames))).astype(int)
        return max(float(self._peaks(chosen.tolist())[1].median()) / 2, 0.01)

    def _peaks(self, times: Sequence[int]) -> tuple[Tensor, Tensor]:
        assert self.found is not None, "inspect the movie first"
        frames = self.frames[list(times)].float() / 255
        extent = torch.full((2,), self.found.object_size * self._ratio / frames.shape[-1])
        return peaks(frames, extent, max(self.found.objects, 1))

    def to_source(self, tracks: Tracks) -> Tracks:
        """Tracks in the movie's own pixels; see :func:`to_source`."""
        return to_source(tracks, self.preparation)


def _suited(stage: Stage, objects: int, side: int) -> Stage:
    """A stage for a movie of so many objects in frames of so many pixels a side."""
    stage = replace(stage, count_shift=Constant(0.0))
    if stage.objective == "rollout":
        return replace(stage, cache=max(PATHS // objects, 1))
    share = min(1.0, BUDGET / (objects * side**2))
    stage = replace(stage, batch=max(4, round(stage.batch * share)))
    if stage.objective == "full":
        return replace(stage, length=Constant(10))
    if stage.name == "search":  # of five numbers, which is all that is learned of how to follow
        return replace(
            stage, steps=SEARCH, learning_rate=Cosine(5e-3, 5e-4, 5, SEARCH), length=Linear(6, 10, 0, SEARCH)
        )
    return stage


def to_source(tracks: Tracks, preparation: Preparation) -> Tracks:
    """Tracks in the frames that a model sees as tracks in the movie's own pixels."""
    zero, one = preparation.to_source(np.array([[0.0, 0.0], [1.0, 1.0]]))
    return tracks.moved(preparation.to_source, one - zero)


def model_side(found: Inspection) -> int:
    """Pixels a side that a model's frames should have, so that things are neither lost nor larger than needed."""
    wanted = WANTED * max(found.size) / max(found.object_size, 1.0)
    return int(min(max(wanted, SMALLEST), LARGEST, max(found.size, default=LARGEST) + 32)) // 8 * 8


def held(total: int) -> int:
    """How many of a movie's frames are held out.

    Raises:
        DataError: the movie is too short to learn from.
    """
    if total < FEWEST:
        raise DataError(f"a movie of {total} frames is too short to learn from: {FEWEST} are needed at least")
    return max(round(HELD_OUT * total), min(total // 4, CLIP))


def clip_length(total: int) -> int:
    """Frames of a clip of a movie of ``total`` frames."""
    return min(CLIP, (total - held(total)) // 2 + 1)


def _prepared(movie: Movie, preparation: Preparation) -> Tensor:
    pixels, side = bytearray(), 0  # grows in place, where a list of frames would be held twice
    for frame in preparation(movie):
        pixels += np.round(255 * frame).astype(np.uint8).tobytes()
        side = frame.shape[-1]
    return torch.frombuffer(pixels, dtype=torch.uint8).view(-1, side, side)
