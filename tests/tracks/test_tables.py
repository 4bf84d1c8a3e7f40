"""Tracks as tables: one meaning in every form, whatever the units and the origin."""

import re
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtssi_pyro import Tracks, Units
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.tracks.columns import HEADER, QUANTITIES, covariance, displacement, rows_of, spelled_unit
from vtssi_pyro.tracks.export import write_predictions_csv, write_tracks_csv
from vtssi_pyro.tracks.formats import FORMATS

pandas = pytest.importorskip("pandas", reason="the extra named tables")
pytest.importorskip("xarray", reason="the extra named tables")

SCALED = Units(pixel_size=0.106, unit="µm", frame_rate=25.0)
B, T, N, S = 2, 7, 3, 8


def drawn(samples: bool = True) -> Tracks:
    """Objects that come and go, with all fields."""
    torch.manual_seed(1)
    present = torch.rand(B, T, N) > 0.3
    present[1, :, 2] = False  # a slot that no object fills
    absent = ~present[..., None]
    position = (20 + torch.randn(B, T, N, 2).cumsum(1)).masked_fill(absent, torch.nan)
    draws = position + torch.randn(S, B, T, N, 2) if samples else None
    box, scale = (1 + torch.rand(B, T, N, 2) for _ in range(2))
    return Tracks(position, present, box, scale, torch.rand(B, T, N), draws, torch.rand(B, T, N))


@pytest.mark.parametrize("origin", ["corner", "centre"])
def test_tables_are_taken_back(origin: Any) -> None:
    """Whatever their origin, which they tell; of others, as trackpy's, one says it. Identities count anew."""
    state = ["frame", "particle", "x", "y", "width", "height"]
    tracks = drawn(samples=False)
    table = tracks.to_dataframe(origin=origin)
    mixed = table[["sequence", *state]].sample(frac=1, random_state=0)
    for back in (Tracks.from_dataframe(table), Tracks.from_dataframe(mixed, origin)):
        found, expected = (
            each.to_dataframe()[["sequence", *state]].sort_values(["sequence", "frame", "x"])
            for each in (back, tracks)
        )
        same = found.drop(columns="particle").to_numpy(), expected.drop(columns="particle").to_numpy()
        np.testing.assert_allclose(*same, rtol=0, atol=1e-5)
        names = set(zip(found["sequence"], found["particle"], expected["particle"], strict=True))
        assert len(names) == len(expected.groupby(["sequence", "particle"]))


def test_a_table_that_is_none_of_tracks_is_refused() -> None:
    with pytest.raises(DataError, match="the DataFrame, line 1: no column particle"):
        Tracks.from_dataframe(pandas.DataFrame({"frame": [0], "x": [1.0], "y": [2.0]}))
    with pytest.raises(UsageError, match="expected corner or centre"):
        Tracks.from_dataframe(pandas.DataFrame(), origin="middle")  # type: ignore[arg-type]


@pytest.mark.parametrize("units", [Units(), SCALED, Units(frame_rate=4.0), Units(pixel_size=3e-7, unit="m")])
def test_the_file_and_the_table_are_the_same(units: Units, tmp_path: Path) -> None:
    tracks, path = drawn(), tmp_path / "tracks.csv"
    write_tracks_csv(path, tracks, units)
    read, made = pandas.read_csv(path), tracks.to_dataframe(units)
    assert list(made)[: len(HEADER)] == HEADER
    assert made[["sequence", "frame", "particle"]].values.tolist() == tracks.present.nonzero().tolist()
    assert list(read) == list(made)
    scales = {"x_m": 3e-7, "speed_m_per_frame": 3e-7}
    for name in made:
        np.testing.assert_allclose(read[name], made[name], rtol=0, atol=1e-4 * scales.get(name, 1.0))
    assert Estimate(tracks, torch.empty(0), torch.empty(0), units=units).to_dataframe().equals(made)


def test_origins_differ_by_half_a_pixel_in_coordinates_alone() -> None:
    """So that a blob on the first pixel is at 0 for trackpy and napari, and at one half here."""
    corner, centre = (drawn().to_dataframe(SCALED, origin) for origin in ("corner", "centre"))
    for name in corner:
        less = {"x": 0.5, "y": 0.5, "x_um": 0.053, "y_um": 0.053}.get(name, 0.0)
        np.testing.assert_allclose(corner[name] - centre[name], less + 0 * corner[name], atol=1e-12)
    assert (corner.attrs["first_pixel"], centre.attrs["first_pixel"]) == (0.5, 0.0)
    with pytest.raises(UsageError, match="origin 'trackpy': expected corner or centre"):
        drawn().to_dataframe(origin="trackpy")  # type: ignore[arg-type]


def test_velocities_add_up_to_the_way() -> None:
    """Whatever stands in the place of an absent object."""
    tracks = drawn()
    tracks = tracks._replace(position=tracks.position.nan_to_num(7.0))
    moved, present = displacement(tracks), tracks.present.numpy()
    both = np.zeros_like(present)
    both[:, 1:] = present[:, 1:] & present[:, :-1]
    assert (np.isfinite(moved).all(-1) == both).all(), "none in the first frame, and none after a gap"
    for b, n in np.argwhere(present[:, :3].all(1)):
        way = (tracks.position[b, 2, n] - tracks.position[b, 0, n]).numpy()
        np.testing.assert_allclose(moved[b, 1:3, n].sum(0), way, rtol=1e-5)
    table = tracks.to_dataframe(SCALED)
    np.testing.assert_allclose(table.speed, np.hypot(table.vx, table.vy))
    np.testing.assert_allclose(table.speed_um_per_s, table.speed * 0.106 * 25)


def test_uneven_times_count() -> None:
    """As of a film that leaves frames out: speeds are by the seconds since the frame before."""
    times = (0.0, 0.1, 0.4, 0.5)
    uneven, path = Units(frame_rate=10.0, times=times), torch.arange(4.0).view(1, 4, 1, 1).expand(1, 4, 1, 2)
    table = Tracks(path, torch.ones(1, 4, 1, dtype=torch.bool)).to_dataframe(uneven)
    np.testing.assert_allclose(table.time, times)
    np.testing.assert_allclose(table.vx_px_per_s[1:], [10, 1 / 0.3, 10])
    np.testing.assert_allclose(uneven.time(np.array([3, 4, 6])), [0.5, 0.6, 0.8])
    even = uneven.told(Units(frame_rate=2.0))
    np.testing.assert_allclose(even.time(np.arange(4)), [0, 0.5, 1, 1.5])


def test_covariances_are_those_of_samples() -> None:
    tracks = drawn()
    assert tracks.samples is not None
    tracks.samples[0, 0, 0, 0] = torch.nan  # a sample without this object
    found, points = covariance(tracks), tracks.samples.double().numpy()
    assert found is not None
    for b, t, n in tracks.present.nonzero().tolist():
        known = points[:, b, t, n][np.isfinite(points[:, b, t, n]).all(-1)]
        assert found[b, t, n] == pytest.approx(np.cov(known.T)[0, 1])
    bare = tracks._replace(samples=None)
    assert (covariance(bare)[rows_of(bare)] == 0).all()  # type: ignore[index]
    assert covariance(bare._replace(scale=None)) is None


def test_size_is_a_radius_of_gyration() -> None:
    """Of an evenly bright ellipse, summed pixel by pixel."""
    width, height = 60.0, 36.0
    y, x = np.mgrid[-50:50, -50:50] + 0.5
    within = (2 * x / width) ** 2 + (2 * y / height) ** 2 <= 1
    box = torch.tensor([width, height]).expand(1, 1, 1, 2)
    table = Tracks(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, dtype=torch.bool), box).to_dataframe()
    assert table["size"][0] == pytest.approx(np.sqrt((x**2 + y**2)[within].mean()), rel=0.01)


def test_a_track_as_a_whole() -> None:
    x = torch.tensor([1.0, 4.0, torch.nan, 4.0, 5.0, torch.nan])
    position = torch.stack([x, 0 * x], -1).view(1, 6, 1, 2)
    sure = torch.tensor([0.9, 0.9, torch.nan, 0.1, 0.5, torch.nan]).view(1, 6, 1)
    tracks = Tracks(position, position.isfinite().all(-1), confidence=sure).widened(2)
    (row,) = tracks.summary(Units(2.0, "um", 10.0)).to_dict("records")
    assert (row["sequence"], row["particle"], row["first"], row["last"], row["frames"]) == (0, 0, 0, 4, 4)
    assert row["seen"] == 3 / 5, "the frame without it counts, the one that hardly shows it does not"
    assert row["confidence"] == pytest.approx(0.6)
    assert (row["speed"], row["path"], row["distance"]) == (2.0, 4.0, 4.0)
    assert (row["speed_um_per_s"], row["path_um"]) == (40.0, 8.0)
    assert tracks._replace(confidence=None).summary().seen[0] == 4 / 5


def test_arrays_hold_what_the_table_holds() -> None:
    tracks = drawn()
    arrays, table = tracks.to_xarray(SCALED, "centre"), tracks.to_dataframe(SCALED, "centre")
    index = table[["sequence", "frame", "particle"]].values.T
    for name in table.columns[3:].drop("time"):
        np.testing.assert_array_equal(arrays[name].values[tuple(index)], table[name])
        assert np.isnan(arrays[name].values[~tracks.present.numpy()]).all()
    np.testing.assert_allclose(arrays.time.sel(frame=table.frame.values), table.time)
    assert (arrays.x.attrs["units"], arrays.speed_um_per_s.attrs["units"]) == ("px", "um/s")
    assert arrays.x_samples.dims == ("draw", "sequence", "frame", "particle")
    np.testing.assert_allclose(
        arrays.x_samples.values[:, tracks.present], tracks.samples[..., 0][:, tracks.present].numpy() - 0.5  # type: ignore[index]
    )  # fmt: skip
    assert "depth" not in arrays


def test_predictions_are_in_units_too(tmp_path: Path) -> None:
    write_predictions_csv(tmp_path / "p.csv", drawn(), 3, SCALED)
    table = pandas.read_csv(tmp_path / "p.csv")
    assert set(table.frame) == {3, 4, 5, 6}
    for name in ("x", "y_90_low", "x_median", "x_std"):
        np.testing.assert_allclose(table[f"{name}_um"], table[name] * 0.106, atol=2e-5)


@pytest.mark.filterwarnings("ignore")  # of trackpy's own use of pandas
def test_trackpy_takes_the_table() -> None:
    """A straight way at 0.5 px a frame: its mean squared displacement is (v t)^2."""
    trackpy = pytest.importorskip("trackpy", reason="no part of an extra")
    path = torch.arange(12.0).view(1, 12, 1, 1) * torch.tensor([0.3, 0.4])
    table = Tracks(path, torch.ones(1, 12, 1, dtype=torch.bool)).to_dataframe(origin="centre")
    found = trackpy.imsd(table, mpp=0.1, fps=10.0, max_lagtime=5)
    lags = np.arange(1, 6) / 10
    np.testing.assert_allclose(found[0], (0.5 * 0.1 * 10 * lags) ** 2, rtol=1e-5)


def arviz() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of its next version when it is imported
        return pytest.importorskip("arviz", reason="the extra named arviz")


def test_arviz_takes_samples_and_forecasts() -> None:
    az, number = arviz(), 400
    position = torch.zeros(1, 5, 2, 2)
    tracks = Tracks(position, torch.ones(1, 5, 2, dtype=torch.bool), samples=torch.randn(number, 1, 5, 2, 2))
    data = tracks.widened(3).to_arviz(observed=3)
    posterior, ahead = data["posterior"], data["predictions"]
    assert posterior["x"].dims == ("chain", "draw", "sequence", "frame", "particle")
    assert posterior["x"].shape == (4, 100, 1, 3, 2), "a slot that is never filled is left out"
    assert ahead.frame.values.tolist() == [3, 4]
    np.testing.assert_array_equal(ahead["y"].values.reshape(number, 1, 2, 2), tracks.samples[:, :, 3:, :, 1])  # type: ignore[index]
    assert float(az.ess(posterior["x"]).min()["x"]) > number / 2, "draws are independent"
    assert float(abs(az.rhat(posterior["x"]).max()["x"]) - 1) < 0.05
    table = az.summary(posterior, kind="stats")
    assert len(table) == 2 * 3 * 2
    assert tracks.to_arviz(chains=2)["posterior"]["x"].shape[:2] == (2, 200)
    with pytest.raises(UsageError, match="chains 3: 400 draws cannot be dealt evenly"):
        tracks.to_arviz(chains=3)
    with pytest.raises(DataError, match="no samples"):
        tracks._replace(samples=None).to_arviz()


def test_arviz_of_the_next_version_takes_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """From 1.0 on it has no data of its own, but reads xarray's trees of data sets."""
    import xarray

    monkeypatch.setitem(sys.modules, "arviz", types.ModuleType("arviz"))
    tree = drawn().to_arviz(observed=3)
    assert isinstance(tree, xarray.DataTree)
    assert tree["posterior"]["x"].shape == (4, S // 4, B, 3, N)
    assert tree["predictions"].frame.values.tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("module", "name", "make"),
    [("pandas", "tables", Tracks.to_dataframe), ("xarray", "tables", Tracks.to_xarray),
     ("arviz", "arviz", Tracks.to_arviz), ("pandas", "tables", Tracks.summary)],
)  # fmt: skip
def test_a_missing_extra_says_what_to_install(
    module: str, name: str, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install 'vtssi-pyro\[{name}\]'"):
        make(drawn())


@pytest.mark.parametrize(
    ("said", "message"),
    [({"pixel_size": 0.1}, "pixel_size: means nothing alone; say unit, too"), ({"unit": "um"}, "unit: means nothing"),
     ({"pixel_size": 0.1, "unit": "pixel"}, "expected a word of letters"),
     ({"pixel_size": 0.1, "unit": "u m"}, "expected a word of letters"),
     ({"pixel_size": 0.1, "unit": "m" * 300}, "expected a word of letters"),
     ({"pixel_size": -1.0, "unit": "um"}, "expected a number from"), ({"frame_rate": 0.0}, "expected a number from")],
)  # fmt: skip
def test_units_that_mean_nothing_are_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Units(**said)


def test_names_of_units_are_words() -> None:
    assert [Units(1.0, name).unit for name in ("µm", "micron", "\\u00B5m", "um", "NM", "furlong")] == [
        "um", "um", "um", "um", "NM", "furlong",
    ]  # fmt: skip
    assert {Units(1.0, "um", 1.0).name(q.length, q.time) for q in QUANTITIES} == {"", "um", "um2", "um_per_s"}
    assert Units(frame_rate=3.0).name(1, -1) == "px_per_s"
    assert Units(1.0, "mm").name(1, -1) == "mm_per_frame"


def test_the_page_describes_every_column_and_format() -> None:
    """As the page and the code call them."""
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    named = {name for line in lines for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    assert named == {"sequence", "frame", "particle", *(q.name for q in QUANTITIES), *FORMATS}
    units = {
        n: line.split("|")[2].strip()
        for line in lines
        for n in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }
    for quantity in QUANTITIES:
        expected = spelled_unit(Units().name(quantity.length, quantity.time)) or (
            "rad" * (quantity.name == "angle")
        )
        assert units[quantity.name] == expected, quantity.name
