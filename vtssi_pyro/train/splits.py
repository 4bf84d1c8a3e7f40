"""Where a run's sequences come from: a flavour of moving digits, or a file."""

import difflib
from pathlib import Path
from typing import NamedTuple

import torch

from vtssi_pyro.config.model import kernel_side
from vtssi_pyro.data import (
    FLAVOURS,
    Dataset,
    MovingDigits,
    VideoFile,
    load_digits,
    moving_digits,
    open_frames,
    split_tail,
)
from vtssi_pyro.data.dataset import Part
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.movies.prepared import Footage, clip_length, held
from vtssi_pyro.train.config import Config

SMALLEST = 32  # pixels: what the convolutions of the networks leave something of
_SHORT_CLIPS = (
    48  # of a movie's held-out frames, that predictions are calibrated on; more would only overlap more
)
# The same held-out sequences whatever a training's seed: two splits of every run, and what the paper's table and
# figures are made of, which no run has seen in any way.
_VALIDATION_SEED, _TEST_SEED, TABLE_SEED, LONG_SEED, FIGURE_SEED, CALIBRATION_SEED = (
    2**40 + i for i in range(1, 7)
)


class Splits(NamedTuple):
    """What is learned from, what is looked at meanwhile, what judges in the end, and what calibrates predictions."""

    train: Dataset
    validation: Dataset
    test: Dataset
    calibration: Dataset  # of a movie, shorter clips of the frames that judge: there are so few of these


def open_splits(
    config: Config, mnist: str | None, device: torch.device, footage: Footage | None = None
) -> Splits:
    """The sequences of a configuration; digits that one split shows are in no other, nor frames of ``footage``."""
    data = config.data
    if footage is not None:
        if len(footage.frames) != data.sequences:
            raise DataError(
                f"{data.source}: has {len(footage.frames)} frames, the run began with {data.sequences}: put the "
                "old movie back"
            )
        clips, held_out = footage.clips(data.length)
        short = held_out.cut((config.observe + held_out.length) // 2 + 1, _SHORT_CLIPS)
        return Splits(clips, held_out, held_out, Part(short, 0, min(len(short), _SHORT_CLIPS)))
    if data.source not in FLAVOURS:
        train, held_out = _halves(open_file(data.source))
        if (len(train), len(held_out), train.length) != (
            data.sequences,
            data.validation_sequences,
            data.length,
        ):
            raise DataError(
                f"{data.source}: holds {len(train) + len(held_out)} sequences of {train.length} frames, "
                f"the run began "
                f"with {data.sequences + data.validation_sequences} of {data.length}: put the old file back"
            )
        return Splits(train, held_out, held_out, held_out)

    validation = digits(config, mnist, "validation", data.validation_sequences, _VALIDATION_SEED)
    return Splits(
        digits(config, mnist, "train", data.sequences, config.seed).to(device),
        validation,
        digits(config, mnist, "test", data.test_sequences, _TEST_SEED),
        validation,
    )


def is_flavour(source: str) -> bool:
    """Whether sequences are drawn, not read from a file."""
    return source in FLAVOURS


def digits(
    config: Config, mnist: str | None, split: str, sequences: int, seed: int, length: int | None = None
) -> MovingDigits:
    """Moving digits as a configuration has them, of a split; ``length`` in frames, None for the configuration's."""
    data, air = config.data, config.model.air
    sprites = load_digits(data.digits, split, Path(mnist) if mnist else None)
    return moving_digits(
        data.source, sprites, sequences=sequences, length=length or data.length, frame_size=air.frame_size,
        objects=air.num_objects, seed=seed, blend=data.blend,
    )  # fmt: skip


def filmed(footage: Footage) -> dict[str, object]:
    """The keys of the configuration that follow from a movie; its sequences are counted in frames."""
    total = len(footage.frames)
    return {
        "data.source": str(Path(footage.name).resolve()),
        "data.movie": True,
        "data.sequences": total,
        "data.validation_sequences": held(total),
        "data.test_sequences": held(total),
        "data.length": clip_length(total),
    }


def described(source: str) -> dict[str, object]:
    """The keys of the configuration that follow from a flavour's or a file's name."""
    if source in FLAVOURS:
        return {"data.source": source, "data.length": FLAVOURS[source].length}
    file = open_file(source)
    train, held_out = _halves(file)
    return {
        "data.source": str(Path(source).resolve()),
        "data.sequences": len(train),
        "data.validation_sequences": len(held_out),
        "data.test_sequences": len(held_out),
        "data.length": file.length,
        "model.air.frame_size": file.frame_size[0],
        "model.template.kernel_side": kernel_side(file.frame_size[0]),
    }


def open_file(source: str) -> VideoFile:
    """A file or folder of square frames."""
    path = Path(source)
    if not path.exists():
        near = difflib.get_close_matches(source, FLAVOURS, 1)
        hint = f"did you mean {near[0]}?" if near else "check the path, or put the file back"
        kind = UsageError if near else DataError
        raise kind(f"{source}: neither a file nor a flavour ({', '.join(FLAVOURS)}); {hint}")
    file = open_frames(path)
    height, width = file.frame_size
    if height != width or height < SMALLEST:
        raise DataError(
            f"{source}: frames are {height}x{width} pixels (H x W), expected square ones "
            f"of {SMALLEST}x{SMALLEST} or more: crop, pad or enlarge them"
        )
    return file


def _halves(file: VideoFile) -> tuple[Dataset, Dataset]:
    try:
        return split_tail(file)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from error
