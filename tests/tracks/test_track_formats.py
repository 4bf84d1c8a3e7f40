"""Formats of other programs: what is written comes back, and their own readers find it where it is."""

import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from vtssi_pyro import Tracks, Units, read_tracks, write_tracks
from vtssi_pyro.errors import DataError, OutOfResources, UsageError
from vtssi_pyro.tracks.export import write_results
from vtssi_pyro.tracks.formats import FORMATS, beside, holds_tracks, read_told, write_formats
from vtssi_pyro.tracks.lineage import identities

SIZE, T = (60, 80), 6
SCALED = Units(pixel_size=0.25, unit="um", frame_rate=5.0)


def needed(name: str) -> None:
    """Skip the test of a format whose package is not installed."""
    if name == "geff":
        pytest.importorskip("geff", reason="the extra named formats")


def drawn(sequences: int = 1) -> Tracks:
    """Three objects, far apart, of which one comes, goes and comes back; boxes of whole pixels that fit a mask."""
    torch.manual_seed(2)
    corner = torch.tensor([[8.0, 9.0], [33.0, 20.0], [60.0, 40.0]]) + torch.randint(
        -3, 3, (sequences, T, 3, 2)
    )
    box = torch.tensor([[9.0, 7.0], [5.0, 5.0], [11.0, 9.0]]).expand(sequences, T, 3, 2)
    present = torch.ones(sequences, T, 3, dtype=torch.bool)
    present[:, :1, 1] = present[:, 3, 1] = False
    position = (corner + box / 2).masked_fill(~present[..., None], torch.nan)
    sure = torch.rand(sequences, T, 3).masked_fill(~present, torch.nan)
    return Tracks(position, present, box, confidence=sure)


# What a format keeps beside the place: a mask has no confidences.
KEPT = {name: ("box",) if name == "ctc" else ("box", "confidence") for name in FORMATS}


@pytest.mark.parametrize("units", [Units(), SCALED])
@pytest.mark.parametrize("sequences", [1, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_comes_back(name: str, sequences: int, units: Units, tmp_path: Path) -> None:
    needed(name)
    tracks, path = drawn(sequences), tmp_path / beside(name, drawn(sequences))
    write_tracks(tracks, path, name, frame_size=SIZE, units=units)
    assert holds_tracks(path)
    found = read_tracks(path, sequences, T)
    order = [0, 2, 1]  # by their first frames
    assert torch.equal(found.present, tracks.present[..., order])
    for field in ("position", *KEPT[name]):
        there = found.present
        here = getattr(tracks, field)[:, :, order][there].double()
        torch.testing.assert_close(getattr(found, field)[there], here, rtol=0, atol=1e-4)
    assert read_tracks(path, format=name).present.shape == found.present.shape
    if not FORMATS[name].together:  # a table may leave out sequences without objects
        with pytest.raises(DataError, match=f"expected {sequences + 1}"):
            read_tracks(path, sequences + 1, T)


@pytest.mark.parametrize("name", FORMATS)
def test_some_frames_of_a_movie_come_back_as_they_were_read(name: str, tmp_path: Path) -> None:
    """Whether files have the movie's numbers of the frames or, as masks, count those that were read."""
    needed(name)
    tracks, units = drawn(), Units(first=3, step=2)
    write_results(tmp_path, tracks, SIZE, units)
    (path,) = write_formats(tmp_path, tracks, [name], SIZE, units)
    found, size, told = read_told(path)
    assert (size, told) == (SIZE, units)
    assert torch.equal(found.present, tracks.present[..., [0, 2, 1]])


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "csv"])
def test_sequences_of_an_earlier_call_go(name: str, tmp_path: Path) -> None:
    needed(name)
    for sequences in (3, 2):
        write_tracks(drawn(sequences), tmp_path / "all", name, frame_size=SIZE)
    assert len(read_tracks(tmp_path / "all").present) == 2


def test_names_and_formats_are_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a name that ends in \.csv, \.geff, \.xml, or the format"):
        write_tracks(drawn(), tmp_path / "tracks.h5")
    with pytest.raises(UsageError, match="format"):
        read_tracks(tmp_path, format="avi")
    assert not holds_tracks(tmp_path)
    write_tracks(drawn(), tmp_path / "a.xml")
    assert b"<TrackMate" in (tmp_path / "a.xml").read_bytes()
    assert (beside("geff", drawn(2)), beside("geff", drawn(1))) == ("geff", "tracks.geff")


def test_identities_end_where_a_graph_divides_or_merges() -> None:
    """0 - 1 - 2 divides into 3 - 5 and 4; 6 and 7 merge into 8."""
    edges = np.array([[0, 1], [1, 2], [2, 3], [2, 4], [3, 5], [6, 8], [7, 8], [0, 1]])
    names = identities(edges, 9)
    groups = {frozenset(np.flatnonzero(names == name).tolist()) for name in names}
    assert groups == {frozenset(group) for group in ((0, 1, 2), (3, 5), (4,), (6,), (7,), (8,))}


def test_geffs_own_reader_finds_the_graph(tmp_path: Path) -> None:
    """Valid by its own rules, with axes in pixels from the first one's centre and the factor to lengths."""
    geff = pytest.importorskip("geff", reason="the extra named formats")
    validate = pytest.importorskip("geff.validate.structure").validate_structure
    tracks = drawn()
    write_tracks(tracks, tmp_path / "a.geff", units=SCALED)
    validate(tmp_path / "a.geff")
    graph, about = geff.read(tmp_path / "a.geff", backend="networkx")
    assert graph.number_of_nodes() == int(tracks.present.sum())
    assert graph.number_of_edges() == graph.number_of_nodes() - 3
    for node in graph.nodes.values():
        x, y = tracks.position[0, node["t"], node["particle"]].tolist()
        assert (node["x"], node["y"]) == pytest.approx((x - 0.5, y - 0.5), abs=1e-5)
    t, _, across = about.axes
    assert (t.scale, t.scaled_unit, across.scale, across.scaled_unit) == (0.2, "second", 0.25, "micrometer")
    assert about.track_node_props == {"tracklet": "particle"}


def test_a_graph_in_lengths_of_unknown_pixels_is_refused(tmp_path: Path) -> None:
    geff, spec = (
        pytest.importorskip(name, reason="the extra named formats") for name in ("geff", "geff_spec")
    )
    axes = [
        spec.Axis(name="t", type="time"),
        *(spec.Axis(name=n, type="space", unit="micrometer") for n in "yx"),
    ]
    about = spec.GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={})
    nodes = {name: {"values": np.arange(2.0), "missing": None} for name in "tyx"}
    edges = np.array([[0, 1]], np.uint64)
    geff.core_io.write_arrays(tmp_path / "a.geff", np.arange(2, dtype=np.uint64), nodes, edges, None, about)
    with pytest.raises(DataError, match="in micrometer, of pixels whose size is not known"):
        read_tracks(tmp_path / "a.geff")
    found = read_tracks(tmp_path / "a.geff", units=Units(0.5, "um"))
    assert found.position[0, :, 0].tolist() == [[0.5, 0.5], [2.5, 2.5]]
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="is there, and no graph"):
        write_tracks(drawn(), (tmp_path / "mine").rename(tmp_path / "b.geff"))


def test_readers_of_trackmates_files_find_the_spots(tmp_path: Path) -> None:
    """At (px - 0.5) 0.25 um; one converts the file to a graph, one to a table."""
    pandas = pytest.importorskip("pandas", reason="the extra named tables")
    tracks, path = drawn(), tmp_path / "a.xml"
    write_tracks(tracks, path, frame_size=SIZE, units=SCALED)
    expected = tracks.to_dataframe(SCALED, "centre")
    pytrackmate = pytest.importorskip("pytrackmate", reason="no part of an extra")
    found = pytrackmate.trackmate_peak_import(str(path), get_tracks=True)
    assert isinstance(found, pandas.DataFrame)
    for theirs, ours in (
        ("x", "x_um"),
        ("y", "y_um"),
        ("t", "time"),
        ("t_stamp", "frame"),
        ("q", "confidence"),
    ):
        np.testing.assert_allclose(found[theirs], expected[ours], rtol=1e-6)
    assert found.groupby("label").size().tolist() == expected.groupby("particle").size().tolist()


def test_trackmate_finds_all_elements_that_it_looks_for(tmp_path: Path) -> None:
    """Its reader (TmXmlReader of version 7) reports an error for each one that is missing."""
    write_tracks(drawn(), tmp_path / "a.xml", frame_size=SIZE, units=SCALED)
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    needed = {
        "Log": (), "Model": ("spatialunits", "timeunits"), "Model/FeatureDeclarations/SpotFeatures": (),
        "Model/FeatureDeclarations/EdgeFeatures": (), "Model/FeatureDeclarations/TrackFeatures": (),
        "Model/AllSpots": ("nspots",), "Model/AllTracks/Track": ("name", "TRACK_ID"),
        "Model/FilteredTracks/TrackID": ("TRACK_ID",), "Settings/InitialSpotFilter": ("feature", "value", "isabove"),
        "Settings/ImageData": ("filename", "folder", "width", "height", "nslices", "nframes", "pixelwidth",
                               "pixelheight", "voxeldepth", "timeinterval"),
        "Settings/SpotFilterCollection": (), "Settings/TrackFilterCollection": (),
        "Settings/DetectorSettings": ("DETECTOR_NAME", "RADIUS"), "Settings/TrackerSettings": ("TRACKER_NAME",),
        "Settings/AnalyzerCollection/SpotAnalyzers": (), "Settings/AnalyzerCollection/EdgeAnalyzers": (),
        "Settings/AnalyzerCollection/TrackAnalyzers": (), "GUIState": ("state",),
    }  # fmt: skip
    for path, attributes in needed.items():
        element = root.find(path)
        assert element is not None, path
        assert set(attributes) <= set(element.attrib), path
    spots = {spot.attrib["ID"] for spot in root.iter("Spot")}
    assert root.find("Model/AllSpots").get("nspots") == str(len(spots))  # type: ignore[union-attr]
    assert {
        edge.attrib[f"SPOT_{end}_ID"] for edge in root.iter("Edge") for end in ("SOURCE", "TARGET")
    } <= spots
    assert {each.attrib["TRACK_ID"] for each in root.iter("TrackID")} == {
        track.attrib["TRACK_ID"] for track in root.iter("Track")
    }
    declared = {each.attrib["feature"] for each in root.iter("Feature")}
    assert {name for spot in root.iter("Spot") for name in spot.attrib} - {"ID", "name"} <= declared


def test_geff_converts_what_is_written_for_others(tmp_path: Path) -> None:
    """Its converters of TrackMate's files and of the challenge's masks are stricter than most readers."""
    geff = pytest.importorskip("geff", reason="the extra named formats")
    tracks = drawn()
    convert = pytest.importorskip("geff.convert")
    write_tracks(tracks, tmp_path / "a.xml", frame_size=SIZE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that only TrackMate's own files have
        convert.from_trackmate_xml_to_geff(tmp_path / "a.xml", tmp_path / "x.geff")
    graph, _ = geff.read(tmp_path / "x.geff", backend="networkx")
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (3 * T - 2, 3 * T - 5)
    assert compared(read_tracks(tmp_path / "x.geff"), tracks) < 1e-4
    for needed_too in ("tifffile", "skimage", "dask"):
        pytest.importorskip(needed_too, reason="no part of an extra")
    write_tracks(tracks, tmp_path / "01_RES", "ctc", frame_size=SIZE)
    convert.from_ctc_to_geff(tmp_path / "01_RES", tmp_path / "c.geff")
    assert compared(read_tracks(tmp_path / "c.geff"), tracks) < 1e-4


def compared(found: Tracks, tracks: Tracks) -> float:
    """The largest distance, px, of tracks that are found in the order of their first frames."""
    expected = tracks.position[:, :, [0, 2, 1]].double()
    assert torch.equal(found.present, expected.isfinite().all(-1))
    return float((found.position - expected)[found.present].abs().max())


def test_the_challenges_own_metrics_take_the_masks(tmp_path: Path) -> None:
    """Tracks compared with themselves are right: TRA and SEG are 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metrics = pytest.importorskip("ctc_metrics", reason="no part of an extra")
    write_tracks(drawn(), tmp_path / "01_RES", "ctc", frame_size=SIZE)
    truth = tmp_path / "01_GT" / "TRA"
    truth.mkdir(parents=True)
    (tmp_path / "01_GT" / "SEG").mkdir()
    for file in (tmp_path / "01_RES").glob("mask*.tif"):
        (truth / f"man_track{file.stem[4:]}.tif").write_bytes(file.read_bytes())
        (tmp_path / "01_GT" / "SEG" / f"man_seg{file.stem[4:]}.tif").write_bytes(file.read_bytes())
    (truth / "man_track.txt").write_bytes((tmp_path / "01_RES" / "res_track.txt").read_bytes())
    found = metrics.evaluate_sequence(
        str(tmp_path / "01_RES"), str(tmp_path / "01_GT"), ["Valid", "TRA", "SEG"]
    )
    assert (found["Valid"], found["TRA"], found["SEG"]) == (1, 1.0, 1.0)
    assert compared(read_tracks(truth), drawn()) < 1e-6, "true tracks are read, too"


def test_masks_cover_each_other_and_go_on(tmp_path: Path) -> None:
    """The nearer of two covers the other wholly for a frame, after which it has another label and is itself."""
    position = torch.tensor([[10.0, 10.0], [10.0, 10.0]]).expand(1, 3, 2, 2).clone()
    position[0, [0, 2], 1] = 25.0
    box = torch.tensor([[9.0, 9.0], [5.0, 5.0]]).expand(1, 3, 2, 2)
    depth = torch.tensor([1.0, 2.0]).expand(1, 3, 2)
    tracks = Tracks(position, torch.ones(1, 3, 2, dtype=torch.bool), box, depth=depth)
    write_tracks(tracks, tmp_path / "01_RES", "ctc", frame_size=(40, 40))
    assert (tmp_path / "01_RES" / "res_track.txt").read_text() == "1 0 2 0\n2 0 0 0\n3 2 2 2\n"
    found = read_tracks(tmp_path / "01_RES")
    assert found.present[0].tolist() == [[True, True], [True, False], [True, True]]
    with pytest.raises(DataError, match="need boxes"):
        write_tracks(tracks._replace(box=None), tmp_path / "01_RES", "ctc")


def test_a_cell_that_divides_ends(tmp_path: Path) -> None:
    for t, labels in enumerate([[1, 0], [2, 3], [2, 0], [4, 3]]):
        mask = np.zeros((9, 20), np.uint16)
        mask[2:5, 2:6], mask[2:5, 12:16] = labels
        Image.fromarray(mask).save(tmp_path / f"man_track{t:03d}.tif")
    (tmp_path / "man_track.txt").write_text("1 0 0 0\n2 1 2 1\n3 1 3 1\n4 3 3 2\n")
    found = read_tracks(tmp_path)
    assert found.present[0].T.tolist() == [[True, False, False, False], [False, True, True, True],
                                           [False, True, False, True]]  # fmt: skip
    assert found.position[0, 0, 0].tolist() == [4.0, 3.5]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xml", "<TrackMate><Model>", "damaged, or no file of TrackMate's"),
        ("a.xml", "<TrackMate/>", "no Model"),
        ("a.xml", '<TrackMate><Model spatialunits="um"/></TrackMate>', "no pixelwidth"),
        (
            "a.xml",
            '<TrackMate><Model><Spot ID="0" FRAME="0.5"/></Model></TrackMate>',
            "FRAME is not a whole number",
        ),
        (
            "a.xml",
            '<TrackMate><Model><Spot ID="0" FRAME="0"/><Spot ID="0" FRAME="1"/></Model></TrackMate>',
            "2 spots with 1 ID",
        ),
        ("a.xml", "", "no tracks of a known format"),
        ("man_track.txt", "1 0 0 0\n1 1 1 0\n", "line 2: label 1 again"),
        ("man_track.txt", "1 0 0\n", "line 1: '1 0 0', expected label"),
        ("man_track.txt", "1 0 0 -1\n", "expected label, first frame"),
    ],
)
def test_damaged_files_are_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_tracks(tmp_path / name if name.endswith("xml") else tmp_path)
    assert name in str(caught.value)


def test_boxes_below_nothing_are_refused_in_any_format(tmp_path: Path) -> None:
    write_tracks(drawn(), tmp_path / "a.xml")
    text = (tmp_path / "a.xml").read_text()
    (tmp_path / "a.xml").write_text(text.replace('BOX_WIDTH="9"', 'BOX_WIDTH="-9"', 1))
    with pytest.raises(DataError, match=r"a\.xml, spot \d+: width is -9, expected a number from 0"):
        read_tracks(tmp_path / "a.xml")


@pytest.mark.parametrize("value", [0.5, np.nan, -1, 2**16])
def test_pictures_of_other_numbers_are_no_masks(value: float, tmp_path: Path) -> None:
    (tmp_path / "res_track.txt").write_text("1 0 0 0\n")
    kind = np.int32 if float(value).is_integer() else np.float32
    Image.fromarray(np.full((4, 4), value, kind)).save(tmp_path / "mask000.tif")
    with pytest.raises(DataError, match=r"mask000\.tif: expected labels, whole numbers from 0 to 65,535"):
        read_tracks(tmp_path)


def test_a_damaged_graph_is_named_whatever_its_codec_raises(tmp_path: Path) -> None:
    needed("geff")
    write_tracks(drawn(), tmp_path / "a.geff")
    for file in (tmp_path / "a.geff").rglob("*"):
        if file.is_file() and not file.name.startswith(".z") and file.suffix != ".json":
            file.write_bytes(file.read_bytes()[:3])
    with pytest.raises(DataError, match=r"a\.geff: damaged"):
        read_tracks(tmp_path / "a.geff")


def test_a_link_is_no_graph_to_replace(tmp_path: Path) -> None:
    needed("geff")
    write_tracks(drawn(), tmp_path / "a.geff")
    (tmp_path / "b.geff").symlink_to(tmp_path / "a.geff")
    with pytest.raises(UsageError, match=r"b\.geff: is there, and no graph of its own"):
        write_tracks(drawn(), tmp_path / "b.geff")


@pytest.mark.parametrize("name", FORMATS)
def test_no_frames_are_written_as_such(name: str, tmp_path: Path) -> None:
    needed(name)
    nothing = drawn().part(frames=slice(0))
    path = tmp_path / beside(name, nothing)
    write_tracks(nothing, path, name)
    assert not read_tracks(path, format=name).present.any()


def test_masks_larger_than_memory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutOfResources, match="6 masks of 16777216x16777216 pixels would take"):
        write_tracks(drawn(), tmp_path / "01_RES", "ctc", frame_size=(2**24, 2**24))


def test_a_mask_without_a_line_is_refused(tmp_path: Path) -> None:
    (tmp_path / "res_track.txt").write_text("1 0 0 0\n")
    Image.fromarray(np.full((4, 4), 2, np.uint16)).save(tmp_path / "mask000.tif")
    with pytest.raises(DataError, match=r"mask000\.tif: label 2 has no line in res_track\.txt"):
        read_tracks(tmp_path)
    (tmp_path / "mask000.tif").write_bytes(b"II*\0")
    with pytest.raises(DataError, match=r"mask000\.tif is no mask"):
        read_tracks(tmp_path)


def test_without_geff_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    missing: dict[str, Any] = {"geff": None, "geff_spec": None, "geff.core_io": None}
    for name, module in missing.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(UsageError, match=r"pip install 'vtssi-pyro\[formats\]'"):
        write_tracks(drawn(), tmp_path / "a.geff")
