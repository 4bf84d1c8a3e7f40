"""Frames of a user's read by a run's tracker, part by part, so that large files need no large memory."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import Trained
from vtssi_pyro.cli.failures import FULL
from vtssi_pyro.cli.options import warn
from vtssi_pyro.cli.progress import watched
from vtssi_pyro.data import Dataset, VideoFile, open_frames
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference.filter import Reading, concatenated, readings
from vtssi_pyro.model.program import Tracker
from vtssi_pyro.movies import open_movie, thumbnails
from vtssi_pyro.movies.prepared import Footage, moved
from vtssi_pyro.plots.contact_sheet import is_movie, look
from vtssi_pyro.plots.style import Frames
from vtssi_pyro.tracks.export import write_mot_challenge, write_tracks_csv, write_tracks_json
from vtssi_pyro.types import Tracks

PART = 64  # sequences
SHOWN = 4  # sequences in an animation
WIDEST, LONGEST = 400, 300  # pixels and frames of a movie in an animation


class Opened(NamedTuple):
    """Frames as a run's model sees them, and the movie that they were made of, if they were."""

    data: VideoFile
    footage: Footage | None = None

    @property
    def frame_size(self) -> tuple[int, int]:
        """(H, W) of the frames as they are stored, pixels."""
        return self.footage.size if self.footage else self.data.frame_size

    @property
    def rate(self) -> float | None:
        """Frames per second; None where it is not known."""
        return self.footage.rate if self.footage else None

    def to_source(self, tracks: Tracks) -> Tracks:
        """Tracks in the pixels of the frames as they are stored."""
        return self.footage.to_source(tracks) if self.footage else tracks

    def shown(self, tracks: Tracks, frames: int, first: int = 0) -> tuple[Frames, Tracks]:
        """The first sequences, or frames of a movie from ``first`` on, for a picture; and tracks, in its pixels."""
        if self.footage is None:
            return self.data.frames(slice(0, SHOWN), length=min(self.data.length, frames)), head(
                tracks, SHOWN
            )
        small = thumbnails(open_movie(self.footage.name), WIDEST, min(frames - first, LONGEST), first)
        tracks = head(tracks, frames=LONGEST, first=first)
        return small.frames[None], moved(tracks, lambda points: points * small.ratio, small.ratio)


def open_for(path: str, trained: Trained, anew: bool = False) -> Opened:
    """Frames for a run's model: sequences, or, where it learned from a movie, a movie prepared as that one was.

    Args:
        path: file or folder.
        trained: the run.
        anew: whether the movie is of another camera or place, and is to be inspected and prepared by itself.
    """
    preparation = trained.preparation
    if preparation is None:
        if anew:
            raise UsageError(f"--prepare-anew: {trained.name} did not learn from a movie; leave it out")
        return Opened(open_sequences(path, trained))
    if not is_movie(path):
        raise _sequences_for_a_movie(path, trained)
    side = trained.config.model.air.frame_size
    footage = look(path, side=side) if anew else Footage.of(path, preparation)
    return Opened(VideoFile(path, footage.frames.numpy()), footage)


def open_sequences(path: str, trained: Trained) -> VideoFile:
    """Frames of the size that a run's model was trained on."""
    if trained.preparation:
        raise _sequences_for_a_movie(path, trained)
    data, side = open_frames(path), trained.config.model.air.frame_size
    if data.frame_size != (side, side):
        height, width = data.frame_size
        raise DataError(
            f"{path}: frames are {height}x{width} pixels (H x W), the run's model expects {side}x{side}:"
            f" resize them, or train on such frames with vtssi-pyro fit {path}"
        )
    return data


def _sequences_for_a_movie(path: str, trained: Trained) -> DataError:
    return DataError(
        f"{path}: {trained.name} learned from a movie, whose frames it prepares, and reads no sequences: track and "
        "predict take one movie at a time, be it an array (T, H, W); fit has judged the run by held-out frames"
    )


class Read(NamedTuple):
    """What was read of all sequences."""

    tracks: Tracks
    appearance: Tensor  # (S, N, D)
    rendered: Tensor | None = None  # (SHOWN, T, H, W) the rendered frames of the first sequences


def read_movie(tracker: Tracker, footage: Footage, device: torch.device) -> Read:
    """Read one movie from end to end, in its own pixels."""
    parts, looks = [], torch.empty(0)
    for reading in readings(tracker, footage.frames[None].to(device)):
        parts.append(reading.tracks.cpu())
        looks = reading.appearance.cpu()
    return Read(footage.to_source(concatenated(parts, 1)), looks)


def warn_if_short(tracker: Tracker, length: int) -> None:
    """Fewer frames than the consensus of objects looks at are read, but less surely."""
    wanted = getattr(tracker.consensus, "K", 1)
    if length < wanted:
        warn(f"{length} frames a sequence, the model looks for objects in {wanted}: counts will be less sure")


def read_all(
    dataset: Dataset, length: int, device: torch.device, read: Callable[[Tensor, int], Reading]
) -> Read:
    """Read the first ``length`` frames of every sequence.

    Args:
        dataset: whose frames are looked at, and nothing else.
        length: frames.
        device: to read on.
        read: what to do with frames (b, length, H, W), the first of which is of the sequence of that number.
    """
    parts: list[Tracks] = []
    looks: list[Tensor] = []
    rendered: list[Tensor] = []
    with watched(dataset, "reading") as frames:
        for index in torch.arange(len(dataset)).split(PART):
            reading = read(frames.frames(index, length=length).to(device), int(index[0]))
            parts.append(reading.tracks.cpu())
            looks.append(reading.appearance.cpu())
            if not rendered:
                rendered.append(reading.frames[:SHOWN].cpu())
    return Read(concatenated(parts), torch.cat(looks), rendered[0])


def head(tracks: Tracks, sequences: int | None = None, frames: int | None = None, first: int = 0) -> Tracks:
    """The tracks of the first sequences, in so many frames from ``first`` on."""
    rows = (slice(sequences), slice(first, None if frames is None else first + frames))
    samples = None if tracks.samples is None else tracks.samples[(slice(None), *rows)]
    fields = (None if field is None else field[rows] for field in tracks._replace(samples=None))
    return Tracks._make(fields)._replace(samples=samples)


def folder(out: str, option: str = "--out") -> Path:
    """The folder for results, made if missing, in which something can be written."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {out}: cannot be made ({error.strerror}); choose another") from error
    try:
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UsageError(f"{option} {out}: cannot be written ({error.strerror}); choose another") from error
    return Path(out)


def write_tracks(
    out: Path,
    tracks: Tracks,
    frame_size: tuple[int, int],
    rate: float | None = None,
    appearance: Tensor | None = None,
) -> list[Path]:
    """Write ``tracks.csv``, ``tracks.json`` and a MOTChallenge folder, ``mot/``; returns the files and the folder."""
    write_tracks_csv(out / "tracks.csv", tracks)
    write_tracks_json(out / "tracks.json", tracks, frame_size, rate, appearance)
    write_mot_challenge(out / "mot", tracks, frame_size, rate)
    return [out / "tracks.csv", out / "tracks.json", out / "mot"]
