"""Objects that meet: the definition on paths that cross, shares of samples, and the column of forecasts."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vtssi_pyro.tracks.export import write_predictions_csv
from vtssi_pyro.tracks.meetings import meeting, meetings
from vtssi_pyro.tracks.tracks import Tracks

T = 8


def crossing(apart: float = 0.0) -> Tensor:
    """Places (1, T, 3, 2) of two objects that pass each other at a distance in frame 4, and of a far one."""
    time = torch.arange(T) - 4.0
    one = torch.stack([4 * time, torch.zeros(T)], -1)
    other = torch.stack([-4 * time, torch.full((T,), apart)], -1)
    return torch.stack([one, other, torch.full((T, 2), 500.0)], 1)[None]


def tracks(
    position: Tensor, samples: Tensor | None = None, width: float = 4.0, height: float = 8.0
) -> Tracks:
    box = torch.tensor([width, height]).repeat(*position.shape[:-1], 1)
    return Tracks(position, torch.ones(position.shape[:-1], dtype=torch.bool), box, samples=samples)


def test_a_pair_meets_in_the_frames_before_it_is_near() -> None:
    """Eight pixels a frame together: nearer than 6 px in frame 4 alone, which is one of the next 3 in frames 2 to 4."""
    found = meetings(tracks(crossing()), within=3)
    assert found[0, :, 0, 1].tolist() == [0, 0, 1, 1, 1, 0, 0, 0]
    assert torch.equal(found[0, :, 0, 1], found[0, :, 1, 0])
    assert not found[0, :, 0, 2].any()
    assert found.diagonal(dim1=-2, dim2=-1).isnan().all()


@pytest.mark.parametrize(("apart", "met"), [(5.9, 1.0), (6.1, 0.0)])
def test_near_is_nearer_than_the_mean_of_both_sizes(apart: float, met: float) -> None:
    assert meetings(tracks(crossing(apart)))[0, 0, 0, 1] == met
    unequal = tracks(crossing(apart + 2))
    assert unequal.box is not None
    unequal.box[..., 1, :] += 4  # a size of 10 beside one of 6
    assert meetings(unequal)[0, 0, 0, 1] == met


def test_a_probability_is_the_share_of_the_samples_that_are_known() -> None:
    samples = torch.stack([crossing(apart) for apart in (0.0, 3.0, 20.0, 20.0, 0.0)])
    samples[4, :, :, 1] = torch.nan
    found = tracks(crossing(), samples)
    assert meetings(found)[0, 0, 0, 1] == 2 / 4
    assert meeting(found)[0, 0].tolist() == pytest.approx([2 / 5, 2 / 4, 0.0])


def test_an_object_meets_anybody_of_the_same_future() -> None:
    """Two samples, in each of which another one is met: half of the futures for each pair, all for the object."""
    samples = torch.stack([crossing(), crossing()[:, :, [0, 2, 1]]])
    found = tracks(crossing(), samples)
    assert meetings(found)[0, 0, 0].nan_to_num(-1).tolist() == [-1, 0.5, 0.5]
    assert meeting(found)[0, 0].tolist() == [1.0, 0.5, 0.5]


def test_the_order_of_objects_does_not_matter() -> None:
    torch.manual_seed(0)
    samples, order = 20 * torch.randn(30, 2, T, 3, 2), [2, 0, 1]
    found, swapped = tracks(samples[0], samples), tracks(samples[0][:, :, order], samples[:, :, :, order])
    torch.testing.assert_close(
        meetings(swapped), meetings(found)[:, :, order][..., order], rtol=0, atol=0, equal_nan=True
    )
    torch.testing.assert_close(meeting(swapped), meeting(found)[:, :, order])


def test_who_is_absent_or_has_no_box_meets_nobody() -> None:
    found = tracks(crossing())
    found.present[:, 4:, 1] = False
    assert meetings(found)[0, 0, 0, 1] == 0
    found.present[:, :, 1] = False
    assert found.box is not None
    found.box[:, :, 2] = torch.nan
    assert meeting(found).isnan().all()


def test_predictions_have_a_column_and_tracks_without_samples_none(tmp_path: Path) -> None:
    samples = torch.stack([crossing(apart) for apart in (0.0, 20.0)])
    write_predictions_csv(tmp_path / "sampled.csv", tracks(crossing(), samples), 3)
    with (tmp_path / "sampled.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["meeting"]) for row in rows[:3]] == [0.5, 0.5, 0.0]
    write_predictions_csv(tmp_path / "none.csv", tracks(crossing()), 3)
    with (tmp_path / "none.csv").open() as file:
        assert {row["meeting"] for row in csv.DictReader(file)} == {""}
