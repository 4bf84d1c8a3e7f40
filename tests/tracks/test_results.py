"""What ``track`` and ``predict`` wrote is read again as one: observed frames, then predicted ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtssi_pyro import convert
from vtssi_pyro.errors import DataError
from vtssi_pyro.tracks.export import write_predictions_csv, write_results
from vtssi_pyro.tracks.formats import read_told
from vtssi_pyro.tracks.results import holds_results, read_results
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units

B, T, N, OBSERVED = 2, 7, 2, 5


@pytest.fixture
def known() -> Tracks:
    torch.manual_seed(0)
    present = torch.ones(B, T, N, dtype=torch.bool)
    present[0, 0, 1] = False
    fields = [(50 * torch.rand(B, T, N, 2)).where(present[..., None], torch.nan) for _ in range(3)]
    return Tracks(fields[0], present, *fields[1:], torch.rand(B, T, N).where(present, torch.nan))


@pytest.fixture
def folder(known: Tracks, tmp_path: Path) -> Path:
    write_results(tmp_path, known.part(frames=slice(OBSERVED)), (60, 80), Units(0.5, "um", 25.0))
    return tmp_path


def same(one: torch.Tensor | None, other: torch.Tensor | None) -> None:
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one.double(), other.double(), atol=1e-4, rtol=0, equal_nan=True)


def test_observed_frames_alone(folder: Path, known: Tracks) -> None:
    found = read_results(folder)
    assert (found.observed, found.frame_size, found.units) == (OBSERVED, (60, 80), Units(0.5, "um", 25.0))
    for name in ("position", "box", "scale", "confidence"):
        same(getattr(found.tracks, name), getattr(known.part(frames=slice(OBSERVED)), name))


def test_predicted_frames_follow_with_the_same_identities(folder: Path, known: Tracks) -> None:
    write_predictions_csv(folder / "predictions.csv", known, OBSERVED)
    for path in (folder, folder / "predictions.csv"):
        found = read_results(path)
        assert found.observed == OBSERVED
        same(found.tracks.position, known.position)
        same(found.tracks.scale, known.scale)
    assert read_results(folder / "tracks.json").tracks.present.shape == (B, OBSERVED, N)


def test_empty_frames_at_the_end_are_frames(folder: Path, known: Tracks) -> None:
    present = known.present.clone()
    present[:, 3:] = False
    write_results(folder, known._replace(present=present).part(frames=slice(OBSERVED)), (60, 80))
    assert read_results(folder).tracks.present.shape == (B, OBSERVED, N)


def test_what_holds_results(folder: Path, tmp_path: Path) -> None:
    assert holds_results(folder)
    assert holds_results(folder / "tracks.json")
    assert not holds_results(folder / "tracks.csv")
    assert not holds_results(folder / "mot")


@pytest.mark.parametrize(
    "damage",
    [
        lambda told: told.pop("height"), lambda told: told["sequences"][0].pop("frames"),
        lambda told: told["sequences"][0]["objects"][0]["x"].pop(),
        lambda told: told["sequences"][0]["objects"][0]["frame"].__setitem__(0, OBSERVED),
        lambda told: told["sequences"][0]["objects"][0]["frame"].__setitem__(0, 0.5),
        lambda told: told["sequences"][0]["objects"][0]["y"].__setitem__(0, "much"),
    ],
)  # fmt: skip
def test_damage_is_named(damage: Callable[[dict[str, Any]], object], folder: Path) -> None:
    path = folder / "tracks.json"
    told = json.loads(path.read_text())
    damage(told)
    path.write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"tracks\.json: damaged"):
        read_results(folder)


def test_predictions_of_other_results_are_refused(folder: Path, known: Tracks) -> None:
    write_predictions_csv(folder / "predictions.csv", known, OBSERVED - 1)
    with pytest.raises(DataError, match=r"frame 4 was observed"):
        read_results(folder)


def test_some_frames_of_a_movie_count_as_they_were_read(known: Tracks, tmp_path: Path) -> None:
    """Files have the movie's numbers; in tracks frames count from 0, and conversions keep the numbers."""
    units = Units(first=100, step=2)
    write_results(tmp_path, known.part(frames=slice(OBSERVED)), (60, 80), units)
    write_predictions_csv(tmp_path / "predictions.csv", known, OBSERVED, units)
    found = read_results(tmp_path)
    assert (found.observed, found.units) == (OBSERVED, units)
    same(found.tracks.position, known.position)
    alone, size, told = read_told(tmp_path / "tracks.csv")
    assert (size, told) == ((60, 80), units)
    same(alone.position, known.part(frames=slice(OBSERVED)).position)
    convert(tmp_path / "tracks.csv", tmp_path / "again.csv")
    numbers = [[line.split(",")[1] for line in (tmp_path / name).read_text().splitlines()]
               for name in ("tracks.csv", "again.csv")]  # fmt: skip
    assert numbers[0] == numbers[1]
    assert numbers[0][1] == "100"
