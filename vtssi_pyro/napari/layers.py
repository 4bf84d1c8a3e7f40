"""Tracks as layers of napari, and layers as tracks.

napari places the centre of the top-left pixel at (0, 0), this package at (0.5, 0.5); both ways are converted here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.plots.scene import REGION
from vtssi_pyro.plots.style import IDENTITIES
from vtssi_pyro.tracks.columns import FIRST_PIXEL, HIDDEN, table
from vtssi_pyro.tracks.export import write_results
from vtssi_pyro.tracks.formats import write_tracks
from vtssi_pyro.tracks.rows import VALUES, Row, collected, counted
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import NO_UNITS, Units, known_length

LayerData = tuple[Any, dict[str, Any], str]  # data, keyword arguments, and kind of a layer, as npe2 has them

KEY = "vtssi_pyro"  # under which a layer's metadata hold what it shows
HALF = FIRST_PIXEL["corner"] - FIRST_PIXEL["centre"]
LEAST = 1.0  # px, diameter of points: smaller ones are hard to see and to click
USUAL = 3.0  # px, that of points whose uncertainty is not known
TAIL = 30  # frames of a path behind an object, napari's own number
EDGE = 0.6  # px, width of a box's line: thin beside objects of 5 px and more
OF_IDENTITY = "colour"  # the feature by which paths are coloured: it chooses one of IDENTITIES


@dataclass(frozen=True)
class Shown:
    """Tracks of one sequence, and how they are shown; every layer of them holds it.

    Args:
        tracks: (1, T, N, 2), px; a slot is a ``track_id``.
        name: the first part of the layers' names.
        units: known units.
        frame_size: (H, W), px; None: not known.
        observed: number of frames that were observed, before others were predicted; None: all.
        place: the layers' ``scale``, ``translate`` and ``units``, those of the movie's layer.
        before: what was shown before the last correction; None: there was none.
    """

    tracks: Tracks
    name: str = "tracks"
    units: Units = NO_UNITS
    frame_size: tuple[int, int] | None = None
    observed: int | None = None
    place: Mapping[str, Any] = field(default_factory=dict)
    before: Optional["Shown"] = None

    def corrected(self, tracks: Tracks) -> "Shown":
        """The same with corrected tracks."""
        return replace(self, tracks=tracks, before=self)

    @property
    def identities(self) -> list[int]:
        """The slots that hold an object."""
        found: list[int] = self.tracks.present[0].any(0).nonzero()[:, 0].tolist()
        return found

    def write(self, path: Path, format: str | None = None) -> None:
        """Write the tracks in a format of :data:`~vtssi_pyro.tracks.formats.FORMATS`; None: as the name ends."""
        write_tracks(self.tracks, path, format, frame_size=self.frame_size, units=self.units)

    def write_all(self, folder: Path) -> list[Path]:
        """Write ``tracks.csv``, ``tracks.json`` and ``mot/``, as ``vtssi-pyro track`` does."""
        if self.frame_size is None:
            raise DataError("the size of the frames is not known: choose a file's format instead of a folder")
        return write_results(folder, self.tracks, self.frame_size, self.units)


def layers_of(shown: Shown) -> list[LayerData]:
    """Make the layers of tracks: paths, points and boxes; none without an object.

    Points are as large as the central 90 % of their position, on average of x and y, but :data:`LEAST`; their colour,
    from dark to bright, is their confidence. Paths and boxes are coloured by identity. Points of predicted frames are
    rings.
    """
    columns = {column.name: column.values for column in table(shown.tracks, shown.units, origin="centre")}
    frame, particle = columns["frame"], columns["particle"]
    if not len(frame):
        return []
    order = np.lexsort((frame, particle))  # as napari keeps tracks
    columns = {name: values[order] for name, values in columns.items() if name != "sequence"}
    frame, particle = frame[order], particle[order]
    columns["uncertainty"] = np.sqrt((columns["x_std"] ** 2 + columns["y_std"] ** 2) / 2)
    columns["predicted"] = frame >= (np.inf if shown.observed is None else shown.observed)
    known = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    place = np.stack([frame, columns["y"], columns["x"]], -1)
    common = {"metadata": {KEY: shown}, **shown.place}
    # a feature of which a value is not known could colour no path
    whole = {name: values for name, values in known.items() if np.isfinite(values).all()}
    slot = particle % len(IDENTITIES)
    whole[OF_IDENTITY] = (slot + 0.5) / len(IDENTITIES)
    paths: dict[str, Any] = {
        "name": f"{shown.name}: paths", "features": whole, "color_by": OF_IDENTITY, "tail_length": TAIL, **common,
    }  # fmt: skip
    colours = np.array(IDENTITIES)[slot] / 255
    points: dict[str, Any] = {
        "name": f"{shown.name}: points", "features": known, "size": _diameters(columns["uncertainty"]),
        "symbol": np.where(columns["predicted"], "ring", "disc"), "border_width": 0.0, "face_color": colours,
        "opacity": 0.8, "text": {"string": "{particle}", "anchor": "upper_left", "color": "white", "size": 9},
        **common,
    }  # fmt: skip
    if "confidence" in whole:
        points |= {"face_color": "confidence", "face_colormap": "viridis", "face_contrast_limits": (0.0, 1.0)}
    layers: list[LayerData] = [
        (np.column_stack([particle, place]), paths, "tracks"),
        (place, points, "points"),
    ]
    return layers if shown.tracks.box is None else [*layers, *_boxes(shown, place, columns, colours, common)]


def _diameters(uncertainty: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(uncertainty), np.maximum(2 * REGION * uncertainty, LEAST), USUAL)


def _boxes(
    shown: Shown,
    place: np.ndarray,
    columns: Mapping[str, np.ndarray],
    colours: np.ndarray,
    common: Mapping[str, Any],
) -> list[LayerData]:
    """The layer of boxes, those of objects that are hardly seen fainter; none without a box."""
    half = np.stack([columns["height"], columns["width"]], -1) / 2
    rows = np.isfinite(half).all(-1)
    if not rows.any():
        return []
    corners = np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])  # y and x, around
    around = place[rows, None, 1:] + half[rows, None] * corners
    frame = np.broadcast_to(place[rows, None, :1], (*around.shape[:-1], 1))
    seen = np.where(columns["confidence"][rows] < HIDDEN, 0.4, 1.0)
    style = {
        "name": f"{shown.name}: boxes", "shape_type": "rectangle", "edge_width": EDGE, "face_color": "transparent",
        "edge_color": np.column_stack([colours[rows], seen]),
        "features": {"particle": columns["particle"][rows], "confidence": columns["confidence"][rows]}, **common,
    }  # fmt: skip
    return [(np.concatenate([frame, around], -1), style, "shapes")]


def coloured(layers: Sequence[LayerData]) -> list[LayerData]:
    """The same with the colours of identities, which are an object of napari, for paths."""
    from napari.utils import Colormap

    colours = Colormap(np.array(IDENTITIES) / 255, name="identities", interpolation="zero")
    return [
        (data, {**style, "colormaps_dict": {OF_IDENTITY: colours}} if kind == "tracks" else style, kind)
        for data, style, kind in layers
    ]


def shown_by(data: np.ndarray, style: Mapping[str, Any]) -> Shown:
    """What a layer of tracks shows, be it made by another program or changed by one.

    Args:
        data: the layer's vertices (rows, 4): identity, frame, y, x, with the centre of the first pixel at 0.
        style: its name, features, metadata and so on.

    Raises:
        DataError: these are no tracks in a plane over time.
    """
    held = (style.get("metadata") or {}).get(KEY)
    data = np.asarray(data, np.float64)
    if isinstance(held, Shown):
        own = layers_of(held)
        if own and own[0][0].shape == data.shape and np.allclose(own[0][0], data):
            return replace(held, place=_place(style) or held.place)
    name = str(style.get("name", "tracks"))
    if data.ndim != 2 or data.shape[1] != 4:
        raise DataError(
            f"{name}: has vertices of shape {data.shape}, expected identity, frame, y and x of each"
        )
    if not (counted(data[:, 1], None).all() and (data[:, 0] == np.floor(data[:, 0])).all()):
        raise DataError(f"{name}: identities or frames that are no whole numbers from 0")
    features = style.get("features")
    values = np.full((len(data), len(VALUES)), np.nan)
    values[:, :2] = data[:, :1:-1] + HALF
    for column, known in enumerate(VALUES[2:], 2):
        if features is not None and known in features:
            values[:, column] = np.asarray(features[known], np.float64)
    rows = [
        Row(f"{name}, vertex {k}", 0, int(vertex[1]), int(vertex[0]), tuple(values[k].tolist()))
        for k, vertex in enumerate(data)
    ]
    size = held.frame_size if isinstance(held, Shown) else None
    return Shown(
        collected(rows, 1, None, 0), name.removesuffix(": paths"), units_of(style), size, place=_place(style)
    )


def units_of(style: Mapping[str, Any]) -> Units:
    """The size of a pixel that a layer tells by its scale and units; unknown if they are pixels, or not square."""
    scale, names = style.get("scale"), style.get("units")
    if scale is None or names is None or isinstance(names, str) or len(names) < 2 or len(scale) < 2:
        return NO_UNITS
    (height, width), (row, column) = scale[-2:], (str(each) for each in names[-2:])
    if row != column or not known_length(row) or not np.isclose(height, width) or width <= 0:
        return NO_UNITS
    return Units(float(width), row)


def _place(style: Mapping[str, Any]) -> dict[str, Any]:
    """Where a layer lies, as others of the same movie must."""
    return {key: style[key] for key in ("scale", "translate", "units") if style.get(key) is not None}
