"""GEFF, the Graph Exchange File Format: nodes are objects in frames, edges lead to the next frame of an object.

Coordinates are pixels, with the centre of the first one at 0, as in the images that such a graph belongs to; the axes
tell the factor to lengths and seconds.

Reference: https://liveimagetrackingtools.org/geff, read and written by its own package.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.system.atomic import atomic_folder
from vtssi_pyro.system.extras import extra
from vtssi_pyro.tracks.about import About
from vtssi_pyro.tracks.columns import FIRST_PIXEL, table
from vtssi_pyro.tracks.lineage import edges_of, identities
from vtssi_pyro.tracks.rows import VALUES, Row, counted
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units, known_length
from vtssi_pyro.version import __version__

# Names that OME-NGFF has for units; others are written as they are.
NAMES = {
    "nm": "nanometer", "um": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter", "km": "kilometer",
}  # fmt: skip


def holds(path: Path) -> bool:
    """Whether a path looks like a graph: a Zarr group of nodes and edges."""
    marks = (".zgroup", "zarr.json")
    return all((path / part).is_dir() for part in ("nodes", "edges")) and any(
        (path / m).is_file() for m in marks
    )


def write(path: Path, tracks: Tracks, about: About) -> Iterator[Path]:
    """Write one sequence; node properties are the known columns of :meth:`~vtssi_pyro.Tracks.to_dataframe`.

    Args:
        path: the folder; a graph that is there is replaced.
        tracks: (1, T, N, 2), px.
        about: size of the frames, and units.

    Raises:
        UsageError: the extra is not installed, or something else is there.
    """
    geff, units = library(), about.units
    spec = extra("geff_spec", "formats", "GEFF needs its package, geff")
    if path.is_symlink() or (path.exists() and not holds(path)):
        raise UsageError(f"{path}: is there, and no graph of its own; move it away, or choose another name")
    columns = {column.name: column.values for column in table(tracks, units.counting, origin="centre")}
    space = {"type": "space", "unit": "pixel"}
    if units.unit is not None:
        space |= {"scale": units.pixel_size, "scaled_unit": NAMES.get(units.unit, units.unit)}  # type: ignore[dict-item]
    time: dict[str, Any] = {"type": "time", "unit": "frame"}
    if units.frame_rate is not None:
        time |= {"scale": 1 / units.frame_rate, "scaled_unit": "second"}
    axes = [spec.Axis(name="t", **time), spec.Axis(name="y", **space), spec.Axis(name="x", **space)]
    nodes: dict[str, Any] = {"t": (columns["frame"], None), "particle": (columns["particle"], None)}
    for name in VALUES:
        values = columns.get(name)
        if values is not None and np.isfinite(values).any() | (name in ("x", "y")):
            missing = ~np.isfinite(values)
            nodes[name] = (np.nan_to_num(values), missing if missing.any() else None)
    metadata = spec.GeffMetadata(
        directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={},
        track_node_props={"tracklet": "particle"}, extra={"vtssi_pyro": __version__},
    )  # fmt: skip
    ids = np.arange(len(columns["frame"]), dtype=np.uint64)
    edges = edges_of(tracks).astype(np.uint64)
    properties = {name: {"values": values, "missing": missing} for name, (values, missing) in nodes.items()}
    with atomic_folder(path) as graph:
        geff.core_io.write_arrays(graph, ids, properties, edges, None, metadata)
    yield from sorted(file for file in path.rglob("*") if file.is_file())


def read(path: Path, sequence: int, length: int | None, units: Units) -> list[Row]:
    """Read one graph.

    Args:
        path: the folder.
        sequence: its number.
        length: expected number of frames; None: any.
        units: the size of a pixel, if coordinates are lengths.

    Raises:
        DataError: the graph is damaged, has no times or places, lengths of unknown pixels, or goes beyond ``length``.
        UsageError: the extra is not installed.
    """
    geff = library()
    try:
        graph = _read(geff, path)
        axes = graph["metadata"].axes or []
        times = [axis for axis in axes if axis.type == "time"]
        across = _across([axis for axis in axes if axis.type == "space"])
        if len(times) != 1:
            raise ValueError(f"{len(times)} axes of time")
        properties = graph["node_props"]
        frame = np.asarray(properties[times[0].name]["values"], np.float64)
        if not counted(frame, length).all():
            raise ValueError(
                "times beyond the whole numbers from 0" + ("" if length is None else f" to {length - 1}")
            )
        y, x = (_pixels(properties[axis.name]["values"], axis, units) for axis in across)
        values = np.full((len(frame), len(VALUES)), np.nan)
        for column, name in enumerate(VALUES):
            if name in properties and name not in ("x", "y"):
                given = properties[name]
                missing = given["missing"] if given["missing"] is not None else np.zeros(len(frame), bool)
                values[:, column] = np.where(missing, np.nan, np.asarray(given["values"], np.float64))
        values[:, 0], values[:, 1] = x, y
        if not np.isfinite(values[:, :2]).all():
            raise ValueError("nodes without a place")
        order = {int(node): number for number, node in enumerate(graph["node_ids"].tolist())}
        edges = np.array([[order[a], order[b]] for a, b in graph["edge_ids"].tolist()], int).reshape(-1, 2)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise DataError(f"{path}: damaged, or no graph of tracks ({error})") from error
    edges = np.where(frame[edges[:, :1]] <= frame[edges[:, 1:]], edges, edges[:, ::-1])
    names = identities(edges, len(frame))
    return [
        Row(f"{path}, node {node}", sequence, int(frame[k]), int(names[k]), tuple(values[k].tolist()))
        for k, node in enumerate(graph["node_ids"].tolist())
    ]


def _read(geff: Any, path: Path) -> Any:
    """The arrays of a graph; what its codecs raise at damage has no class in common."""
    try:
        return geff.core_io.read_to_memory(path)
    except MemoryError:
        raise
    except Exception as error:
        first, *_ = str(error).splitlines() or [""]
        raise ValueError(first) from error


def _across(axes: list[Any]) -> list[Any]:
    """The axes of y and x: by their names, such as ``y`` or ``POSITION_Y``, else the last two, as of an image."""
    named = [[axis for axis in axes if axis.name.lower().endswith(letter)] for letter in "yx"]
    if all(len(found) == 1 for found in named):
        return [found[0] for found in named]
    if len(axes) < 2:
        raise ValueError(f"{len(axes)} axes of space")
    return axes[-2:]


def _pixels(values: Any, axis: Any, units: Units) -> np.ndarray:
    """Coordinates in pixels from the frame's corner."""
    side = 1.0
    if axis.unit is not None and known_length(axis.unit):
        if units.pixel_size is None:
            raise ValueError(f"{axis.name} in {axis.unit}, of pixels whose size is not known: say it, units")
        side = units.pixel_size
    return np.asarray(values, np.float64) / side + FIRST_PIXEL["corner"]


def library() -> Any:
    """Import GEFF's package; a long computation calls this before it starts."""
    found = extra("geff", "formats", "GEFF needs its package, geff")
    extra("geff.core_io", "formats", "GEFF needs its package, geff")
    return found
