"""Write data with truth, and tracks in other formats."""

import os
from pathlib import Path
from typing import Annotated

from vtssi_pyro.artifacts.opening import File
from vtssi_pyro.config import checked
from vtssi_pyro.config.ranges import FRAMES, OBJECTS, SEED, SEQUENCES, SIDE, STORED_SIDE
from vtssi_pyro.data import MovingDigits, load_digits, moving_digits, samples, write
from vtssi_pyro.data.store import read
from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.system.atomic import make_parent, refuse_existing, write_bytes
from vtssi_pyro.tracks.formats import FormatName, read_told, write_tracks
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.reporting import Reporter, Silent


@checked
def convert(
    tracks: File,
    target: File,
    format: FormatName = None,
    *,
    frame_size: Annotated[tuple[int, int] | None, STORED_SIDE] = None,
    force: bool = False,
    report: Reporter | None = None,
) -> Tracks:
    """Write tracks of any program in another format.

    Args:
        tracks: their file or folder; see :func:`vtssi_pyro.read_tracks`.
        target: the file or folder to write; see :func:`vtssi_pyro.write_tracks`.
        format: its format; None: as its name ends.
        frame_size: (H, W) of the frames, px; None: as a ``tracks.json`` beside the tracks tells, like the units, else
            the least that holds all objects.
        force: whether ``target`` may be replaced.
        report: receives the target.

    Example:
        >>> import torch
        >>> from vtssi_pyro import Tracks, convert, write_tracks
        >>> tracks = Tracks(torch.full((1, 2, 1, 2), 5.0), torch.ones(1, 2, 1, dtype=torch.bool))
        >>> write_tracks(tracks, "tracks.csv")
        >>> convert("tracks.csv", "tracks.xml").position.shape
        torch.Size([1, 2, 1, 2])
    """
    source, path = Path(tracks), Path(target)
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source)):
        raise UsageError(Argument("target"), f" {target}: is what is read, or in it; choose another name")
    refuse_existing(path, force, "target")
    found, told_size, units = read_told(source)
    write_tracks(found, path, format, frame_size=frame_size or told_size, units=units)
    (report or Silent()).wrote(path)
    return found


@checked
def generate(
    flavour: str,
    out: File,
    *,
    digits: str = "embedded",
    split: str = "test",
    sequences: Annotated[int, SEQUENCES] = 1000,
    length: Annotated[int | None, FRAMES] = None,
    frame_size: Annotated[int | None, SIDE] = None,
    objects: Annotated[int | None, OBJECTS] = None,
    seed: Annotated[int, SEED] = 0,
    force: bool = False,
    report: Reporter | None = None,
) -> MovingDigits:
    """Write moving digits, or other objects, with their positions, to a new file.

    Args:
        flavour: the kind of objects and motion, a key of :data:`vtssi_pyro.data.FLAVOURS`.
        out: the file, with a name that ends in .npz.
        digits: ``embedded``, or ``mnist``, whose files are in the folder that the environment variable VTSSI_MNIST
            names, or are downloaded once.
        split: the split of the digits, ``train``, ``validation`` or ``test``; no digit is in two of them.
        sequences: number of sequences.
        length: number of frames of each; None: the flavour's.
        frame_size: side of the frames, px; None: the flavour's, of the paper's own 50.
        objects: largest number of objects at once, of ``ddpae`` and ``balls`` their number; None: the flavour's, of
            the paper's own 2.
        seed: the same seed gives the same file.
        force: whether ``out`` may replace a file.
        report: receives the progress, and the file.

    Example:
        >>> from vtssi_pyro import generate
        >>> generate("linear", "test.npz", sequences=2).length
        20
    """
    report, path = report or Silent(), Path(out)
    if path.suffix.lower() != ".npz":
        raise UsageError(Argument("out"), f" {out}: expected a name that ends in .npz")
    refuse_existing(path, force)
    data = moving_digits(
        flavour, load_digits(digits, split), sequences=sequences, length=length, frame_size=frame_size,
        objects=objects, seed=seed,
    )  # fmt: skip
    with report.watched(data, "drawing") as drawn:
        write(path, drawn)
    (height, width), at_once = data.frame_size, data.truth.present.sum(-1)
    fewest, most = int(at_once.min()), int(at_once.max())
    number = f"{most}" if fewest == most else f"{fewest} to {most}"
    report.say(
        f"{len(data)} sequences of {data.length} frames, {height}x{width} px, {number} objects at once"
    )
    report.found({"sequences": len(data), "frames": data.length, "fewest": fewest, "most": most})
    report.wrote(path)
    return data


@checked
def sample_movie(
    name: str = "beads", out: File | None = None, *, force: bool = False, report: Reporter | None = None
) -> Path:
    """Write a sample movie, which is drawn, not recorded, with the true places of its objects, to a new file.

    ``beads`` is of four beads under a microscope: the stage drifts, the light is uneven and bleaches them, and the
    camera adds noise, hot pixels and dust.

    Args:
        name: the movie, which ships with the package.
        out: the file, with a name that ends in .npz; None: ``NAME.npz``.
        force: whether ``out`` may replace a file.
        report: receives the file.

    Returns:
        The file, a movie for :func:`track` and :func:`fit`, and sequences with positions for :func:`evaluate`.

    Example:
        >>> from vtssi_pyro import open_frames, sample_movie
        >>> open_frames(sample_movie(out="sample.npz")).frame_size
        (112, 144)
    """
    report, source = report or Silent(), samples.located(name)
    path = Path(out or f"{name}.npz")
    if path.suffix.lower() != ".npz":
        raise UsageError(Argument("out"), f" {out}: expected a name that ends in .npz")
    refuse_existing(path, force)
    make_parent(path)
    write_bytes(path, source.read_bytes())
    data = read(path)
    assert data.truth is not None
    (height, width), number = data.frame_size, data.truth.present.shape[-1]
    found = {"frames": data.length, "height": height, "width": width, "objects": number}
    report.say(
        "drawn, not recorded: {frames} frames of {width}x{height} px, {objects} objects".format_map(found)
    )
    report.found(found)
    report.wrote(path)
    return path
