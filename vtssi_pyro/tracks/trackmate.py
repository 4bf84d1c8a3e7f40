"""TrackMate's XML: spots, and tracks of edges between them.

TrackMate's lengths are in the image's unit, and the centre of its first pixel is at 0: x = (px - 0.5) pixelwidth.

Reference: TrackMate's own XML files of version 7; Ershov et al., TrackMate 7, Nature Methods 2022.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from vtssi_pyro.errors import DataError
from vtssi_pyro.system.atomic import write_bytes
from vtssi_pyro.system.files import regular
from vtssi_pyro.tracks.about import About
from vtssi_pyro.tracks.columns import FIRST_PIXEL, INDEX, table
from vtssi_pyro.tracks.lineage import edges_of, identities
from vtssi_pyro.tracks.rows import Row, counted
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units, known_length
from vtssi_pyro.version import __version__

VERSION = "7.11.1"  # of the files that these are like
BRUSH = 5.0  # px: the radius of spots that a person adds, TrackMate's own default
HEAD = 2**10  # bytes in which a file has named its kind
# Features by the element that has them: name, dimension, whether a whole number. BOX_ and CONFIDENCE are ours.
FEATURES: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "SpotFeatures": (
        ("QUALITY", "QUALITY", False), ("POSITION_X", "POSITION", False), ("POSITION_Y", "POSITION", False),
        ("POSITION_Z", "POSITION", False), ("POSITION_T", "TIME", False), ("FRAME", "NONE", True),
        ("RADIUS", "LENGTH", False), ("VISIBILITY", "NONE", True), ("CONFIDENCE", "NONE", False),
        ("BOX_WIDTH", "LENGTH", False), ("BOX_HEIGHT", "LENGTH", False),
    ),
    "EdgeFeatures": (
        ("SPOT_SOURCE_ID", "NONE", True), ("SPOT_TARGET_ID", "NONE", True), ("DISPLACEMENT", "LENGTH", False),
    ),
    "TrackFeatures": (("TRACK_INDEX", "NONE", True), ("TRACK_ID", "NONE", True), ("NUMBER_SPOTS", "NONE", True)),
}  # fmt: skip


def holds(path: Path) -> bool:
    """Whether a path looks like one of TrackMate's files."""
    if path.suffix.lower() != ".xml" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"<TrackMate" in file.read(HEAD)


def write(path: Path, tracks: Tracks, about: About) -> Iterator[Path]:
    """Write one sequence.

    A spot's radius is that of a disc with the area of its box, its quality the confidence (1 if that is not known). An
    object that is there in one frame alone is a spot without a track, of which TrackMate has no other form.

    Args:
        path: the file.
        tracks: (1, T, N, 2), px.
        about: size of the frames, and units; without these, lengths are in pixels and times in frames.
    """
    columns = {column.name: column.values for column in table(tracks, about.units.counting, origin="centre")}
    side, step = about.units.pixel_size or 1.0, 1 / (about.units.frame_rate or 1.0)
    root = Element("TrackMate", version=VERSION)
    SubElement(root, "Log").text = f"written by vtssi_pyro {__version__}"
    model = SubElement(
        root, "Model", spatialunits=about.units.unit or "pixel",
        timeunits="sec" if about.units.frame_rate is not None else "frame",
    )  # fmt: skip
    declared = SubElement(model, "FeatureDeclarations")
    for kind, features in FEATURES.items():
        group = SubElement(declared, kind)
        for name, dimension, whole in features:
            words = name.replace("_", " ").capitalize()
            SubElement(
                group, "Feature", feature=name, name=words, shortname=words, dimension=dimension,
                isint=str(whole).lower(),
            )  # fmt: skip
    _add_spots(model, columns, side, step)
    _add_tracks(model, columns, edges_of(tracks), side)
    _add_settings(
        root, int(about.units.numbered(np.array(tracks.present.shape[1] - 1))) + 1, about, side, step
    )
    ElementTree.indent(root)
    write_bytes(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    yield path


def _add_spots(model: Element, columns: dict[str, np.ndarray], side: float, step: float) -> None:
    frame = columns["frame"]
    spots = SubElement(model, "AllSpots", nspots=str(len(frame)))
    for t in np.unique(frame).tolist():
        group = SubElement(spots, "SpotsInFrame", frame=str(t))
        for row in (frame == t).nonzero()[0].tolist():
            value = {name: float(values[row]) for name, values in columns.items() if name not in INDEX}
            sure, radius = value["confidence"], math.sqrt(value["width"] * value["height"] / math.pi)
            features = {
                "QUALITY": 1.0 if math.isnan(sure) else sure, "POSITION_X": value["x"] * side,
                "POSITION_Y": value["y"] * side, "POSITION_Z": 0.0, "POSITION_T": t * step,
                "RADIUS": radius * side, "CONFIDENCE": sure, "BOX_WIDTH": value["width"] * side,
                "BOX_HEIGHT": value["height"] * side,
            }  # fmt: skip
            words = {name: _text(number) for name, number in features.items()}
            SubElement(
                group, "Spot", ID=str(row), name=f"ID{row}", FRAME=str(t), VISIBILITY="1", attrib=words
            )


def _add_tracks(model: Element, columns: dict[str, np.ndarray], edges: np.ndarray, side: float) -> None:
    every = SubElement(model, "AllTracks")
    particle, x, y = columns["particle"], columns["x"], columns["y"]
    own = particle[edges[:, 0]]
    shown = SubElement(model, "FilteredTracks")
    for index, n in enumerate(np.unique(own).tolist()):
        links = edges[own == n]
        track = SubElement(
            every, "Track", name=f"Track_{n}", TRACK_INDEX=str(index), TRACK_ID=str(n),
            NUMBER_SPOTS=str(len(links) + 1),
        )  # fmt: skip
        for source, target in links.tolist():
            way = math.hypot(x[target] - x[source], y[target] - y[source]) * side
            SubElement(
                track, "Edge", SPOT_SOURCE_ID=str(source), SPOT_TARGET_ID=str(target), DISPLACEMENT=_text(way)
            )
        SubElement(shown, "TrackID", TRACK_ID=str(n))


def _add_settings(root: Element, length: int, about: About, side: float, step: float) -> None:
    settings = SubElement(root, "Settings")
    height, width = about.frame_size
    SubElement(
        settings, "ImageData", filename="", folder="", width=str(width), height=str(height), nslices="1",
        nframes=str(length), pixelwidth=_text(side), pixelheight=_text(side), voxeldepth="1.0",
        timeinterval=_text(step),
    )  # fmt: skip
    # a threshold that all spots pass
    SubElement(settings, "InitialSpotFilter", feature="QUALITY", value="-1.0", isabove="true")
    for name in ("SpotFilterCollection", "TrackFilterCollection"):
        SubElement(settings, name)
    # TrackMate complains of a file without these. Nothing of its own has found spots or tracks, as if a person had.
    SubElement(settings, "DetectorSettings", DETECTOR_NAME="MANUAL_DETECTOR", RADIUS=_text(BRUSH * side))
    SubElement(settings, "TrackerSettings", TRACKER_NAME="MANUAL_TRACKER")
    analyzers = SubElement(settings, "AnalyzerCollection")
    for name in ("SpotAnalyzers", "EdgeAnalyzers", "TrackAnalyzers"):
        SubElement(analyzers, name)
    SubElement(root, "GUIState", state="ConfigureViews")  # the page on which it opens: all is found


def _text(number: float) -> str:
    """A number as Java reads it."""
    return "NaN" if math.isnan(number) else f"{number:.9g}"


def read(path: Path, sequence: int, length: int | None, units: Units) -> list[Row]:
    """Read the spots of the tracks that TrackMate shows ("filtered" ones); spots without a track are left out.

    Args:
        path: the file.
        sequence: its number.
        length: expected number of frames; None: any.
        units: the size of a pixel, if the file does not tell it.

    Raises:
        DataError: the file is damaged, or goes beyond ``length``.
    """
    try:
        root = ElementTree.parse(regular(path)).getroot()
        model, image = root.find("Model"), root.find("Settings/ImageData")
        if model is None:
            raise ValueError("no Model")
        sides = (
            [float(image.get(f"pixel{side}", 1.0)) for side in ("width", "height")]
            if image is not None
            else []
        )
        if not sides:
            told = model.get("spatialunits", "pixel")
            if known_length(told) and units.pixel_size is None:
                raise ValueError(f"lengths in {told}, and no pixelwidth: say the size of a pixel, units")
            sides = [units.pixel_size or 1.0] * 2
        if not all(math.isfinite(side) and side > 0 for side in sides):
            raise ValueError(f"pixels of {sides[0]} x {sides[1]}")
        return list(_rows(path, model, sides, sequence, length))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except (ElementTree.ParseError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged, or no file of TrackMate's ({error})") from error


def _rows(path: Path, model: Element, sides: list[float], sequence: int, length: int | None) -> Iterator[Row]:
    found = [spot.attrib for spot in model.iter("Spot")]
    spots = {spot["ID"]: spot for spot in found}
    if len(spots) < len(found):
        raise ValueError(f"{len(found)} spots with {len(spots)} ID")
    place = {name: number for number, name in enumerate(spots)}
    shown = {each.attrib["TRACK_ID"] for each in model.iterfind("FilteredTracks/TrackID")}
    links = [
        (place[edge.attrib["SPOT_SOURCE_ID"]], place[edge.attrib["SPOT_TARGET_ID"]])
        for track in model.iterfind("AllTracks/Track") if track.attrib["TRACK_ID"] in shown
        for edge in track.iterfind("Edge")
    ]  # fmt: skip
    edges = np.array(links, int).reshape(-1, 2)
    frames = np.array([float(spot["FRAME"]) for spot in spots.values()])
    if not counted(frames, length).all():
        raise ValueError(
            "a FRAME is not " + ("a whole number from 0" if length is None else f"of {length} frames")
        )
    # TrackMate keeps links of one track in any direction
    edges = np.where((frames[edges[:, :1]] <= frames[edges[:, 1:]]), edges, edges[:, ::-1])
    names, linked = identities(edges, len(spots)), set(edges.ravel().tolist())
    for number, (name, spot) in enumerate(spots.items()):
        if number in linked:
            x, y = (
                float(spot[f"POSITION_{axis}"]) / side + FIRST_PIXEL["corner"]
                for axis, side in zip("XY", sides, strict=True)
            )
            across = 2 * float(spot.get("RADIUS", math.nan))
            box = (
                float(spot.get(f"BOX_{axis}", across)) / side
                for axis, side in zip(("WIDTH", "HEIGHT"), sides, strict=True)
            )
            if not math.isfinite(x + y):
                raise ValueError(f"spot {name} is nowhere")
            values = (x, y, *box, math.nan, math.nan, float(spot.get("CONFIDENCE", math.nan)))
            yield Row(f"{path}, spot {name}", sequence, int(frames[number]), int(names[number]), values)
