"""What napari opens: folders of results, tracks of any known format, runs, and films."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from vtssi_pyro.artifacts.report import PICTURES
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data.samples import located
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import film, open_movie
from vtssi_pyro.napari.layers import LayerData, Shown, coloured, layers_of
from vtssi_pyro.system.files import belongs
from vtssi_pyro.system.memory import refuse_beyond_memory
from vtssi_pyro.tracks.export import TRACKS
from vtssi_pyro.tracks.formats import format_of, read_told
from vtssi_pyro.tracks.results import holds_results, read_results

SEQUENCES = (
    8  # of a file of many, each with layers of its own: as many as a list of layers shows without scrolling
)
Reader = Callable[[str | Path], list[LayerData]]


def reader(path: str | Path | Sequence[str]) -> Reader | None:
    """The reader of a path, as npe2 asks for it; None: this plugin reads no such path."""
    if not isinstance(path, str | Path):
        return reader(path[0]) if len(path) == 1 else None
    path = Path(path)
    if holds_results(path) or format_of(path) is not None:
        return lambda path: coloured(read_layers(Path(path)))
    if (path / "config.json").is_file():
        return lambda path: read_run(Path(path))
    return (lambda path: read_film(Path(path))) if path.suffix.lower() in film.SUFFIXES else None


def read_layers(path: Path) -> list[LayerData]:
    """The layers of :func:`read_shown`; of several sequences only those of the first are visible at first."""
    return [
        (data, {**style, "visible": number == 0}, kind)
        for number, shown in enumerate(read_shown(path))
        for data, style, kind in layers_of(shown)
    ]


def read_shown(path: Path) -> list[Shown]:
    """Read results or tracks of any known format: the first :data:`SEQUENCES` sequences that hold an object.

    Raises:
        DataError: they cannot be read, or hold no object.
    """
    size: tuple[int, int] | None
    observed: int | None
    if holds_results(path):
        tracks, observed, size, units = read_results(path)
    else:
        (tracks, size, units), observed = read_told(path), None
    some = tracks.present.flatten(1).any(1).nonzero()[:, 0].tolist()
    if not some:
        raise DataError(f"{path}: holds no object")
    name = path.parent.name if path.name == TRACKS else path.stem
    several = len(tracks.present) > 1
    return [
        Shown(
            tracks.part(slice(b, b + 1)), f"{name}, sequence {b}" if several else name, units, size, observed
        )
        for b in some[:SEQUENCES]
    ]


def read_run(path: Path) -> list[LayerData]:
    """Read the pictures of a run: its held-out sequences as an animation, and its curves.

    Raises:
        DataError: it has none yet.
    """
    run = Run(path)
    layers: list[LayerData] = []
    for name, title, _ in PICTURES:
        file = run.figures / name
        if belongs(file, run.folder):
            with Image.open(file) as picture:
                frames = np.stack(
                    [np.asarray(page.convert("RGB")) for page in ImageSequence.Iterator(picture)]
                )
            whole = frames if len(frames) > 1 else frames[0]
            layers.append(
                (whole, {"name": f"{path.name}: {title}", "rgb": True, "visible": not layers}, "image")
            )
    if not layers:
        raise DataError(f"{path}: has no pictures yet; they are drawn at the end of its training")
    return layers


def read_film(path: Path) -> list[LayerData]:
    """Read a film whole, (T, H, W) or (T, H, W, 3).

    Raises:
        OutOfResources: it takes more memory than is free.
        UsageError: PyAV is not installed (extra ``video``).
    """
    movie = open_movie(path)
    frames: list[np.ndarray] = []
    for frame in movie:
        if not frames:
            takes = 2 * (movie.length or 1) * frame.nbytes  # all frames, and their copy as one array
            refuse_beyond_memory(takes, f"{path}, whole,", "cut it, or track it from the command line")
        frames.append(frame)
    return [(np.stack(frames), {"name": path.stem, "rgb": frames[0].ndim == 3}, "image")]


def sample() -> list[LayerData]:
    """The sample movie of beads, which is drawn."""
    frames = np.stack(list(open_movie(located("beads"))))
    return [(frames, {"name": "beads"}, "image")]
