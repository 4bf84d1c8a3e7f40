"""The Cell Tracking Challenge: masks of labels, a picture for each frame, and a line for each track.

Reference: https://celltrackingchallenge.net, naming and file content conventions; Maška et al., Nature Methods 2023.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vtssi_pyro.errors import Argument, DataError
from vtssi_pyro.system.atomic import atomic_write, write_bytes
from vtssi_pyro.system.files import regular
from vtssi_pyro.system.memory import refuse_beyond_memory
from vtssi_pyro.system.naming import natural
from vtssi_pyro.tracks.about import About
from vtssi_pyro.tracks.rows import Row
from vtssi_pyro.tracks.tracks import Tracks, as_array
from vtssi_pyro.tracks.units import Units

LINES = ("res_track.txt", "man_track.txt")  # of results, and of true tracks
MASKS = re.compile(r"(?:mask|man_track)(\d+)\.tif")
MOST = 2**16 - 1  # labels of a mask
DIGITS = 3  # of a frame's number, more in longer sequences


def holds(path: Path) -> bool:
    """Whether a path looks like a sequence of results or of true tracks."""
    return any((path / name).is_file() for name in LINES)


def write(path: Path, tracks: Tracks, about: About) -> Iterator[Path]:
    """Write one sequence: each object is the ellipse that fills its box, one pixel at least.

    Nearer objects cover others, without depths those of later slots. An object that is covered, beyond the frame or
    absent in some frames has another label after them, whose parent is the one before.

    Args:
        path: the folder, such as ``01_RES``.
        tracks: (1, T, N, 2), px, with boxes.
        about: size of the frames, and units.

    Raises:
        DataError: there are no boxes, or more labels than a mask can hold.
    """
    if tracks.box is None:
        raise DataError(f"{path}: masks need boxes: write another format")
    path.mkdir(parents=True, exist_ok=True)
    slots = _painted(tracks, about.frame_size)  # (T, H, W), slots from 1
    labels, lines = _labelled(slots)
    digits = max(DIGITS, len(str(len(slots) - 1)))
    from PIL import Image

    for t, mask in enumerate(slots):
        file = path / f"mask{t:0{digits}d}.tif"
        with atomic_write(file) as temporary:
            Image.fromarray(labels[t][mask].astype(np.uint16)).save(
                temporary, "TIFF", compression="tiff_deflate"
            )
        yield file
    write_bytes(path / LINES[0], "".join(f"{' '.join(map(str, line))}\n" for line in lines).encode())
    yield path / LINES[0]


def _painted(tracks: Tracks, frame_size: tuple[int, int]) -> np.ndarray:
    """Slots, from 1, of the pixels of each frame, (T, H, W); 0 where there is no object."""
    assert tracks.box is not None
    height, width = frame_size
    position, box = (as_array(field[0]) for field in (tracks.position, tracks.box))
    present = tracks.present[0].cpu().numpy() & np.isfinite(position + box).all(-1)
    depth = None if tracks.depth is None else np.nan_to_num(as_array(tracks.depth[0]))
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    refuse_beyond_memory(
        len(present) * height * width * np.dtype(np.uint16).itemsize,
        f"{len(present)} masks of {width}x{height} pixels",
        "write another format, or say ", Argument("frame_size"),
    )  # fmt: skip
    frames = np.zeros((len(present), height, width), np.uint16)
    for t, there in enumerate(present):
        slots = there.nonzero()[0]
        if depth is not None:
            slots = slots[np.argsort(-depth[t, slots], kind="stable")]  # the nearest last, over the others
        for n in slots:
            (centre_x, centre_y), (w, h) = position[t, n], np.maximum(box[t, n], 1e-6)
            within = (2 * (x - centre_x) / w) ** 2 + (2 * (y[:, None] - centre_y) / h) ** 2 <= 1
            if not within.any() and 0 <= centre_x < width and 0 <= centre_y < height:
                within[int(centre_y), int(centre_x)] = True
            frames[t][within] = n + 1
    return frames


def _labelled(slots: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """The label of each slot in each frame, (T, N + 1), and the lines: label, first and last frame, parent or 0."""
    most = int(slots.max(initial=0))
    counts = [np.bincount(mask.ravel(), minlength=most + 1) for mask in slots]
    shown = np.array(counts).reshape(len(slots), most + 1) > 0
    labels = np.zeros((len(slots), most + 1), int)
    lines: list[tuple[int, int, int, int]] = []
    for slot in range(1, most + 1):
        frames, parent = shown[:, slot].nonzero()[0], 0
        for run in np.split(frames, (np.diff(frames) > 1).nonzero()[0] + 1) if len(frames) else ():
            label = len(lines) + 1
            labels[run, slot] = label
            lines.append((label, int(run[0]), int(run[-1]), parent))
            parent = label
    if len(lines) > MOST:
        raise DataError(f"{len(lines)} tracks, more than the {MOST} labels of a mask: write another format")
    return labels, lines


def read(path: Path, sequence: int, length: int | None, units: Units) -> list[Row]:
    """Read one sequence; an object's box is that of its mask, and its place the centre of this box.

    A label whose parent has no other child is the same object, seen again.

    Args:
        path: the folder.
        sequence: its number.
        length: expected number of frames; None: any.
        units: not used; masks are in pixels.

    Raises:
        DataError: a file is damaged, a label has no line, or there are more frames than ``length``.
    """
    from PIL import Image
    from scipy.ndimage import find_objects

    lines = next(path / name for name in LINES if (path / name).is_file())
    same = _identities(lines)
    masks = sorted((file for file in path.iterdir() if MASKS.fullmatch(file.name)), key=natural)
    rows = []
    for file in masks:
        number = int(MASKS.fullmatch(file.name)[1])  # type: ignore[index]
        if length is not None and number >= length:
            raise DataError(f"{file}: of frame {number}, expected {length} frames")
        try:
            with Image.open(regular(file)) as opened:
                labels = np.asarray(opened)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"{file} is no mask that can be decoded ({error})") from error
        if labels.ndim != 2:
            raise DataError(f"{file}: has {labels.ndim} axes, expected a picture of labels")
        if not ((labels == np.round(labels)).all() and 0 <= labels.min() and labels.max() <= MOST):
            raise DataError(f"{file}: expected labels, whole numbers from 0 to {MOST:,}")
        for label, part in enumerate(find_objects(labels.astype(np.int64)), 1):
            if part is None:
                continue
            if label not in same:
                raise DataError(f"{file}: label {label} has no line in {lines.name}")
            down, across = part
            centre = ((across.start + across.stop) / 2, (down.start + down.stop) / 2)
            extent = (float(across.stop - across.start), float(down.stop - down.start))
            rows.append(Row(f"{file}, label {label}", sequence, number, same[label], (*centre, *extent)))
    return rows


def _identities(path: Path) -> dict[int, int]:
    """The identity of each label: the first label of those that are one object."""
    parents: dict[int, int] = {}
    try:
        lines = regular(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({error})") from error
    for number, line in enumerate(lines, 1):
        numbers = line.split()
        if numbers and not (len(numbers) == 4 and all(each.isdecimal() for each in numbers)):
            raise DataError(
                f"{path}, line {number}: {line!r}, expected label, first frame, last frame, parent"
            )
        if numbers and int(numbers[0]) in parents:
            raise DataError(f"{path}, line {number}: label {numbers[0]} again, expected a line for each")
        if numbers:
            parents[int(numbers[0])] = int(numbers[3])
    children, same = Counter(parents.values()), {0: 0}
    for label in parents:
        family = [label]
        while children[parents.get(family[-1], 0)] == 1 and parents[family[-1]] not in (0, *family):
            family.append(parents[family[-1]])
        same[label] = family[-1]
    return same
