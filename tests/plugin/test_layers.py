"""Layers show tracks at napari's places, and tell them again; napari itself is not needed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtssi_pyro.errors import DataError
from vtssi_pyro.napari.layers import HALF, KEY, LEAST, USUAL, Shown, layers_of, shown_by, units_of
from vtssi_pyro.napari.writing import write
from vtssi_pyro.plots.scene import REGION
from vtssi_pyro.tracks import editing
from vtssi_pyro.tracks.formats import read_tracks
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import NO_UNITS, Units

T, N = 5, 3


def tracks() -> Tracks:
    """One object ends, another comes later."""
    torch.manual_seed(0)
    present = torch.ones(1, T, N, dtype=torch.bool)
    present[0, 3:, 1] = present[0, 0, 2] = False

    def drawn(factor: float) -> torch.Tensor:
        return (factor * (0.1 + torch.rand(1, T, N, 2))).double().where(present[..., None], torch.nan)

    return Tracks(drawn(50), present, drawn(8), drawn(1), drawn(0.9)[..., 0])


def by_kind(shown: Shown) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    return {kind: (data, style) for data, style, kind in layers_of(shown)}


def test_places_are_half_a_pixel_less_than_ours() -> None:
    """The centre of the top-left pixel, (0.5, 0.5) here, is (0, 0) there."""
    given = tracks()
    found = by_kind(Shown(given))
    vertices = found["tracks"][0]
    assert len(vertices) == int(given.present.sum())
    for slot, frame, y, x in vertices.tolist():
        place = given.position[0, int(frame), int(slot)]
        assert [x + 0.5, y + 0.5] == pytest.approx(place.tolist())
    assert np.array_equal(found["points"][0], vertices[:, 1:])
    assert (np.lexsort((vertices[:, 1], vertices[:, 0])) == np.arange(len(vertices))).all()


def test_boxes_lie_around_their_points() -> None:
    found = by_kind(Shown(tracks()))
    corners, points = found["shapes"][0], found["points"][0]
    assert corners.shape == (len(points), 4, 3)
    assert np.allclose(corners.mean(1), points)
    frame, slot = points[:, 0].astype(int), found["points"][1]["features"]["particle"]
    width, height = tracks().box[0, frame, slot].T.numpy()  # type: ignore[index]
    assert np.allclose(np.ptp(corners[..., 2], axis=1), width)
    assert np.allclose(np.ptp(corners[..., 1], axis=1), height)


def test_points_are_as_large_as_their_uncertainty() -> None:
    """Across: the central 90 %, of x and y on average; small ones can still be seen."""
    given = tracks()
    _, style = by_kind(Shown(given))["points"]
    scale = given.scale[0].transpose(0, 1)[given.present[0].T].numpy()  # type: ignore[index]
    expected = np.maximum(2 * REGION * np.sqrt((scale**2).mean(-1)), LEAST)
    assert np.allclose(style["size"], expected)
    assert style["face_color"] == "confidence"
    _, unknown = by_kind(Shown(given._replace(scale=None, confidence=None)))["points"]
    assert (unknown["size"] == USUAL).all()
    assert len(unknown["face_color"]) == len(expected)


def test_predicted_frames_are_marked() -> None:
    points, style = by_kind(Shown(tracks(), observed=3))["points"]
    assert ((style["symbol"] == "ring") == (points[:, 0] >= 3)).all()


def test_features_that_colour_paths_are_known_everywhere() -> None:
    _, style = by_kind(Shown(tracks()))["tracks"]
    assert all(np.isfinite(values).all() for values in style["features"].values())
    assert {"confidence", "uncertainty", "width", style["color_by"]} <= set(style["features"])


def test_without_objects_there_are_no_layers() -> None:
    given = tracks()
    assert layers_of(Shown(given._replace(present=torch.zeros_like(given.present)))) == []


def test_a_layer_tells_the_tracks_that_it_shows() -> None:
    """All of them, their history and lengths too, as long as nobody changes the layer."""
    shown = Shown(tracks()).corrected(editing.delete(tracks(), 0, 0))
    data, style = by_kind(shown)["tracks"]
    again = shown_by(data, style)
    assert again.tracks is shown.tracks
    assert again.before is shown.before
    assert again.identities == [1, 2]


def test_a_layer_of_another_program_is_read_by_its_vertices() -> None:
    """Or one of ours whose vertices were changed."""
    shown = Shown(tracks(), frame_size=(40, 60))
    data, style = by_kind(shown)["tracks"]
    moved = data + np.array([0, 0, 1.0, 2.0])
    found = shown_by(moved, style)
    here, there = shown.tracks, found.tracks
    assert torch.equal(there.present, here.present)
    expected = here.position + torch.tensor([2.0, 1.0])
    torch.testing.assert_close(there.position, expected, equal_nan=True)
    for name in ("box", "scale", "confidence"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), equal_nan=True)
    assert found.frame_size == (40, 60)
    bare = shown_by(data, {"name": "theirs", "metadata": {}})
    assert bare.tracks.box is None
    torch.testing.assert_close(bare.tracks.position, here.position, equal_nan=True)


@pytest.mark.parametrize(
    "data",
    [np.zeros((3, 5)), np.zeros(4), [[0, 0.5, 1, 1]], [[0, -1, 1, 1]], [[0.5, 0, 1, 1]]],
    ids=str.split("space flat half-frame negative-frame half-identity"),
)
def test_other_data_are_refused(data: Any) -> None:
    with pytest.raises(DataError, match="theirs: "):
        shown_by(np.array(data), {"name": "theirs"})


def test_units_of_a_layer() -> None:
    known = {"scale": (1.0, 0.5, 0.5), "units": ("second", "micrometer", "micrometer")}
    assert units_of(known) == Units(0.5, "um")
    for other in (
        {}, known | {"scale": (1, 0.5, 0.4)}, known | {"units": ("pixel",) * 3}, known | {"units": None},
        known | {"units": ("second", "micrometer", "nanometer")},
    ):  # fmt: skip
        assert units_of(other) == NO_UNITS


@pytest.mark.parametrize("name", ["tracks.csv", "tracks.xml"])
def test_what_is_saved_is_read_again(name: str, tmp_path: Path) -> None:
    """In this package's pixels, whatever those of the format."""
    data, style = by_kind(Shown(tracks()))["tracks"]
    path = tmp_path / name
    assert write(str(path), data, style) == [str(path)]
    found = read_tracks(path)
    torch.testing.assert_close(
        found.position[found.present].sort(0).values, tracks().position[tracks().present].sort(0).values,
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_layers_lie_where_their_movie_lies() -> None:
    place = {"scale": (1.0, 0.5, 0.5), "translate": (0.0, 3.0, 4.0)}
    for _, style, _ in layers_of(Shown(tracks(), place=place)):
        assert {key: style[key] for key in place} == place
        assert isinstance(style["metadata"][KEY], Shown)
    assert HALF == 0.5
