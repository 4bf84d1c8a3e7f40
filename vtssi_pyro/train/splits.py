"""The sequences of a training, from a flavour of moving digits, a file, or one movie."""

import difflib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.data import (
    FLAVOURS,
    Dataset,
    MovingDigits,
    load_digits,
    moving_digits,
    open_frames,
    split_tail,
)
from vtssi_pyro.data.clips import Clips, movie_clips
from vtssi_pyro.data.dataset import Part, channels_of
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.movies import FEWEST, clip_length, held

SMALLEST = 32  # pixels a side; the networks' convolutions need about as many for an output
# Clips of a movie's held-out frames that predictions are calibrated on; more only overlap more, and each takes as long
# as 20 steps of the search: 48 clips of 3 blobs took 71 of 169 s of a fit.
_SHORT_CLIPS = 16
# The held-out sequences are the same whatever a training's seed: two splits of every run, and those of the paper's
# table and figures, which no run has seen. Their seeds begin at 2^40, beyond the seeds that users choose.
_VALIDATION_SEED, _TEST_SEED, TABLE_SEED, LONG_SEED, FIGURE_SEED, CALIBRATION_SEED, COMPARISON_SEED = (
    2**40 + i for i in range(1, 8)
)


class Splits(NamedTuple):
    """The data sets of a training, one for each purpose."""

    train: Dataset  # to learn from
    validation: Dataset  # evaluated during the training
    test: Dataset  # evaluated at the end
    calibration: Dataset  # calibrates predictions; of a movie, shorter clips of the few test frames

    @property
    def movie(self) -> tuple[Tensor, int] | None:
        """The frames (T, C, S, S) of the movie whose end is held out, and how many of them are.

        None for sequences, and if the end is of several movies.
        """
        if not (isinstance(self.train, Clips) and isinstance(self.test, Clips)) or len(self.test.pieces) > 1:
            return None
        before = self.train.movie[self.train.pieces[-1]]
        return torch.cat([before, self.test.movie]), len(self.test.movie)


class Halves(NamedTuple):
    """Sequences to learn from, and held-out ones of the same kind."""

    name: str  # a file's path, or a name for error messages
    train: Dataset
    held_out: Dataset


def open_splits(
    config: Config,
    device: torch.device,
    given: Halves | PreparedMovie | None = None,
) -> Splits:
    """The sequences of a configuration; training and held-out ones share no digits, nor frames of a movie.

    Args:
        config: a resolved configuration.
        device: the device of drawn training sequences.
        given: the movie, or the sequences, of the configuration; None: its source is opened.
    """
    data = config.data
    if isinstance(given, PreparedMovie):
        if len(given.frames) != data.sequences:
            raise DataError(
                f"{data.source}: has {len(given.frames)} frames, the run began with {data.sequences}: put the "
                "old movie back"
            )
        clips, held_out = movie_clips(given, data.length, held(len(given.frames)))
        short = held_out.cut((config.observe + held_out.length) // 2 + 1, _SHORT_CLIPS)
        return Splits(clips, held_out, held_out, Part(short, 0, min(len(short), _SHORT_CLIPS)))
    if given is not None or data.source not in FLAVOURS:
        name, train, kept = given or open_file(data.source)
        if (len(train), len(kept), train.length) != (
            data.sequences,
            data.validation_sequences,
            data.length,
        ):
            raise DataError(
                f"{name}: holds {len(train) + len(kept)} sequences of {train.length} frames, "
                f"the run began "
                f"with {data.sequences + data.validation_sequences} of {data.length}: put the old file back"
            )
        return Splits(train, kept, kept, kept)

    validation = digits(config, "validation", data.validation_sequences, _VALIDATION_SEED)
    return Splits(
        digits(config, "train", data.sequences, config.seed, data.train_length).to(device),
        validation,
        digits(config, "test", data.test_sequences, _TEST_SEED),
        validation,
    )


def is_flavour(source: str) -> bool:
    """Whether a source names a flavour, whose sequences are drawn, and not a file."""
    return source in FLAVOURS


def digits(
    config: Config,
    split: str,
    sequences: int,
    seed: int,
    length: int | None = None,
) -> MovingDigits:
    """Moving digits of a configuration from a split of the digits; ``length`` in frames, None: the configuration's."""
    data, model = config.data, config.model
    sprites = load_digits(data.digits, split)
    return moving_digits(
        data.source, sprites, sequences=sequences, length=length or data.length, frame_size=model.frame_size,
        objects=model.num_objects, seed=seed, blend=data.blend,
    )  # fmt: skip


def of_movie(movie: PreparedMovie) -> dict[str, object]:
    """The configuration keys that follow from a movie; the numbers of sequences are numbers of frames here."""
    total, whole = len(movie.frames), movie.movie.whole
    if len(whole) > 1:
        for part, length in zip(whole, movie.lengths, strict=True):
            if length < FEWEST:
                raise DataError(
                    f"{part.name}: a movie of {length} frames is too short to learn from: {FEWEST} are needed"
                )
    return {
        "data.source": _place(whole[0].name),
        "data.movie": True,
        "data.sequences": total,
        "data.validation_sequences": held(total),
        "data.test_sequences": held(total),
        "data.length": min(clip_length(total), *movie.lengths),
    }


def of_flavour(flavour: str) -> dict[str, object]:
    """The configuration keys that follow from a flavour's name; the paper's own leave sizes to the model."""
    kind = FLAVOURS[flavour]
    keys = {
        "data.source": flavour,
        "data.length": kind.length,
        "data.blend": kind.blend,
        "model.frame_size": kind.frame_size,
        "model.num_objects": kind.objects,
        "model.channels": kind.channels,
    }
    return {key: value for key, value in keys.items() if value is not None}


def of_sequences(given: Halves) -> dict[str, object]:
    """The configuration keys that follow from sequences: the model has the data's sides and channels.

    Those of a movie's frames are in its configuration; see :func:`~vtssi_pyro.train.movies.suited`.
    """
    return {
        "data.source": _place(given.name),
        "data.sequences": len(given.train),
        "data.validation_sequences": len(given.held_out),
        "data.test_sequences": len(given.held_out),
        "data.length": given.train.length,
        "model.frame_size": given.train.frame_size[0],
        "model.channels": channels_of(given.train),
    }


def open_file(source: str) -> Halves:
    """Open a file or folder of sequences to learn from."""
    path = Path(source)
    if not path.exists():
        near = difflib.get_close_matches(source, FLAVOURS, 1)
        hint = f"did you mean {near[0]}?" if near else "check the path, or put the file back"
        kind = UsageError if near else DataError
        raise kind(f"{source}: neither a file nor a flavour ({', '.join(FLAVOURS)}); {hint}")
    return halves(open_frames(path), source)


def halves(data: Dataset, name: str = "sequences", held_out: Dataset | None = None) -> Halves:
    """Split sequences into training and held-out ones.

    Args:
        data: sequences of square frames.
        name: a file's path, or a name for error messages.
        held_out: the held-out sequences; None: the last tenth of ``data``, which is then no part of the training.
    """
    height, width = data.frame_size
    if height != width or height < SMALLEST:
        raise DataError(
            f"{name}: frames are {height}x{width} pixels (H x W), expected square ones "
            f"of {SMALLEST}x{SMALLEST} or more: crop, pad or enlarge them"
        )
    if held_out is not None:
        shapes = [(channels_of(some), *some.frame_size) for some in (data, held_out)]
        if shapes[0] != shapes[1]:
            raise DataError(
                f"{name}: frames have shape {shapes[0]}, held-out ones {shapes[1]}: expected the same"
            )
        return Halves(name, data, held_out)
    try:
        return Halves(name, *split_tail(data))
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _place(name: str) -> str:
    """The absolute path of a file, so that it is found from any folder; any other name unchanged."""
    return str(Path(name).resolve()) if Path(name).exists() else name
