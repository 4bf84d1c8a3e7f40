"""Metrics of objects that come and go, hide and turn, by tracks made by hand."""

import json
import math
from itertools import permutations
from pathlib import Path

import pytest
import torch

from vtssi_pyro.data import ArrayDataset, Sprites, moving_digits, read, write
from vtssi_pyro.evaluation.events import REACH, comes_and_goes, eventful, events
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.evaluation.metrics import evaluate
from vtssi_pyro.tracks.export import write_mot_challenge
from vtssi_pyro.tracks.matching import pairs
from vtssi_pyro.tracks.tracks import Tracks

T = 10


def tracks(present: list[str], **values: list[list[float]]) -> Tracks:
    """Objects 30 px apart, in the frames with an x; further values (N, T)."""
    there = torch.tensor([[mark == "x" for mark in row] for row in present]).T[None]  # (1, T, N)
    place = torch.stack([30.0 * torch.arange(len(present)), torch.zeros(len(present))], -1)
    position = place.expand(*there.shape, 2).where(there.unsqueeze(-1), torch.nan)
    box = torch.full_like(position, 12.0).where(there.unsqueeze(-1), torch.nan)
    more = {name: torch.tensor(rows).T[None].where(there, torch.nan) for name, rows in values.items()}
    return Tracks(position, there, box, **more)


def swapped(found: Tracks, start: int) -> Tracks:
    """Tracks whose two slots change places in some frame."""
    return Tracks._make(
        None if x is None else torch.cat([x[:, :start], x[:, start:].flip(2)], 1) for x in found
    )


def test_perfect_tracks_are_perfect() -> None:
    truth = tracks(["xxxxx.....", "..xxxx..xx", "..........", ".....xxxxx"])
    found = events(truth, truth)
    assert (found.count_per_frame, found.found, found.found_error) == (1, 1, 0)
    assert (found.entrances, found.entrances_found) == (3, 1)  # the first object was there from the beginning
    assert (found.occlusions, found.occlusions_found, found.switches_per_occlusion) == (1, 1, 0)
    assert found.angle_error is None


@pytest.mark.parametrize(("late", "share"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_an_entrance_is_found_within_one_frame(late: int, share: float) -> None:
    truth = tracks(["xxxxxxxxxx", "...xxxxxxx"])
    found = events(truth, tracks(["xxxxxxxxxx", "." * (3 + late) + "x" * (7 - late)]))
    assert (found.entrances, found.entrances_found) == (1, share)
    assert found.count_per_frame == pytest.approx(1 - late / 10)
    assert found.found == pytest.approx(1 - late / 17)


@pytest.mark.parametrize(("visible", "share"), [(0.05, 1.0), (0.15, 0.8)])
def test_an_object_of_which_hardly_anything_is_visible_may_count_or_not(visible: float, share: float) -> None:
    """It enters through two frames, in which a track is optional; one too many is wrong all the same."""
    truth = tracks(["x" * T, "...xxxxxxx"], visible=[[1.0] * T, [0.0] * 3 + [visible] * 2 + [1.0] * 5])
    late, prompt = tracks(["x" * T, ".....xxxxx"]), tracks(["x" * T, "...xxxxxxx"])
    assert events(truth, late).count_per_frame == pytest.approx(share)
    assert events(truth._replace(visible=None), late).count_per_frame == pytest.approx(0.8)
    assert events(truth, prompt).count_per_frame == 1
    assert events(truth, tracks(["x" * T, "..xxxxxxxx"])).count_per_frame == pytest.approx(0.9)
    assert evaluate(truth, late, None, 3, per_frame_count=True).count_accuracy == pytest.approx(0.8)


def test_a_track_of_another_object_finds_nothing() -> None:
    truth = tracks(["xxxxxxxxxx", "...xxxxxxx"])
    found = events(truth, tracks(["xxxxxxxxxx"]))
    assert (found.entrances_found, found.found) == (0, pytest.approx(10 / 17))
    nobody = events(truth, tracks([".........."]))
    assert (nobody.found, nobody.found_error, nobody.entrances_found) == (0, None, 0)
    none = events(truth, Tracks(torch.zeros(1, T, 0, 2), torch.zeros(1, T, 0, dtype=torch.bool)))
    assert (none.found, none.found_error) == (0, None)


@pytest.mark.parametrize("hidden", ["behind", "outside"])
def test_switches_per_occlusion(hidden: str) -> None:
    """Two objects that hide in frames 4 to 6: the slots change places there, or one of them is lost."""
    if hidden == "behind":
        share = [1.0] * 4 + [0.4, 0.0, 0.4] + [1.0] * 3
        truth = tracks(["x" * T, "x" * T], visible=[share, share])
    else:
        truth = tracks(["xxxx...xxx", "xxxx...xxx"])
    same = tracks(["x" * T, "x" * T])
    kept, switched = events(truth, same), events(truth, swapped(same, 5))
    assert (kept.occlusions, kept.occlusions_found, kept.switches_per_occlusion) == (2, 1, 0)
    assert (switched.occlusions, switched.occlusions_found, switched.switches_per_occlusion) == (2, 1, 1)
    # a switch in sight is none of an occlusion
    assert events(truth, swapped(same, 8)).switches_per_occlusion == 0
    lost = events(truth, tracks(["x" * T, "xxxxx....."]))
    assert (lost.occlusions, lost.occlusions_found, lost.switches_per_occlusion) == (2, 0.5, 0)


def test_what_is_hidden_need_not_be_found() -> None:
    share = [1.0] * 4 + [0.4, 0.0, 0.4] + [1.0] * 3
    truth = tracks(["x" * T], visible=[share])
    assert events(truth, tracks(["xxxx...xxx"])).found == 1
    assert events(truth, tracks(["xxx....xxx"])).found == pytest.approx(6 / 7)
    ends = tracks(["x" * T], visible=[[0.0] * 3 + [1.0] * 4 + [0.0] * 3])
    assert events(ends, ends).occlusions == 0  # it was not seen before, or is not seen again


def test_an_axis_has_no_direction() -> None:
    angles = torch.linspace(-7, 7, T)
    truth = tracks(["x" * T, "x" * T], angle=[angles.tolist(), angles.tolist()])
    for turned, error in ((0.1, 0.1), (math.pi + 0.1, 0.1), (math.pi - 0.2, 0.2), (math.pi / 2, math.pi / 2)):
        found = truth._replace(angle=truth.angle + turned)
        assert events(truth, found).angle_error == pytest.approx(math.degrees(error), abs=1e-3)
    half = truth._replace(angle=truth.angle + torch.tensor([0.1, -0.3]))
    assert events(truth, half).angle_error == pytest.approx(math.degrees(0.2), abs=1e-3)
    assert events(truth, half._replace(angle=None)).angle_error is None


@pytest.mark.parametrize(("N", "M"), [(1, 1), (2, 3), (3, 2), (0, 2), (2, 0), (5, 1)])
def test_pairs_are_the_most_and_then_the_nearest(N: int, M: int) -> None:
    """By trying all assignments in every frame."""
    torch.manual_seed(N + 10 * M)

    def drawn(number: int) -> Tracks:
        present = torch.rand(4, 5, number) < 0.8
        position = 20 * torch.rand(4, 5, number, 2)
        return Tracks(position.where(present.unsqueeze(-1), torch.nan), present)

    truth, found, reach = drawn(N), drawn(M), 4 + 4 * torch.rand(4, 5, N)
    slots = pairs(truth, found, reach)
    distance = (truth.position[..., :, None, :] - found.position[..., None, :, :]).double().norm(dim=-1)
    for b in range(4):
        for t in range(5):
            best = (0, 0.0)
            for order in permutations([*range(M), *[-1] * N], N):
                near = [float(distance[b, t, i, j]) for i, j in enumerate(order) if j >= 0]
                limits = [float(reach[b, t, i]) for i, j in enumerate(order) if j >= 0]
                good = [d for d, limit in zip(near, limits, strict=True) if d <= limit]
                best = min(best, (-len(good), sum(good)))
            own = [float(distance[b, t, i, j]) for i, j in enumerate(slots[b, t].tolist()) if j >= 0]
            assert (-len(own), sum(own)) == (best[0], pytest.approx(best[1]))
            used = slots[b, t][slots[b, t] >= 0].tolist()
            assert len(set(used)) == len(used)


def test_errors_while_hidden_are_compared_with_straight_paths() -> None:
    """An object turns back while it is hidden: its own track follows it, a straight path goes on."""
    truth = tracks(["x" * T, "x" * T], visible=[[1, 1, 1, 0.4, 0, 0, 1, 1, 1, 1], [0, 1, 0, *[1.0] * 7]])
    x = torch.tensor([0.0, 1, 2, 3, 2, 1, 0, -1, -2, -3])
    truth.position[0, :, 0, 0] = x
    found = events(truth, truth)
    assert (found.hidden_error, found.hidden_found) == (0, 1)
    assert found.hidden_straight == pytest.approx((0 + 2 + 4) / 3)  # the second was not seen twice before
    off = truth._replace(position=truth.position + torch.tensor([0.0, 3]))
    assert events(truth, off).hidden_error == pytest.approx(3)
    gone = truth._replace(present=truth.present.clone())
    gone.present[0, 4:6, 0] = False
    assert events(truth, gone).hidden_found == pytest.approx(1 / 3)
    assert events(truth, gone).hidden_straight == 0  # of the frames in which both are known
    other = swapped(truth, 3)  # another object's track is 30 px away
    assert events(truth, other).hidden_error > 25
    assert events(truth, truth._replace(visible=None)).hidden_error == 0
    assert events(truth._replace(visible=None), truth).hidden_error is None


def test_without_boxes_a_track_finds_within_ten_pixels() -> None:
    truth = tracks(["xxxxx.....", "x" * T])
    for shift, share in ((REACH - 0.1, 1), (REACH + 0.1, 0)):
        found = truth._replace(position=truth.position + torch.tensor([0.0, shift]))
        assert events(truth._replace(box=None), found).found == share
    near = truth._replace(position=truth.position + torch.tensor([0.0, 6.1]))
    assert events(truth, near).found == 0  # half of a box of 12


def test_events_are_of_truth_that_has_any() -> None:
    still = tracks(["x" * T, "." * T])
    assert not comes_and_goes(still)
    assert not eventful(still)
    assert evaluate(still, still, None, 3).events is None
    assert eventful(tracks(["x" * T], angle=[[0.0] * T]))
    going = tracks(["xxxxx.....", "x" * T])
    metrics = evaluate(going, going, None, 3).as_dict()
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    assert metrics["events"]["count_per_frame"] == 1


def file_of(flavour: str, sprites: Sprites, path: Path) -> ArrayDataset:
    write(path, moving_digits(flavour, sprites, sequences=12, length=20, seed=2))
    return read(path)


@pytest.fixture(scope="module")
def dots() -> Sprites:
    images = torch.zeros(5, 28, 28, dtype=torch.uint8)
    images[:, :9, :8] = 200
    return Sprites(images, torch.tensor([[8, 9]]).expand(5, 2), torch.zeros(5, 2, dtype=torch.int64))


@pytest.mark.parametrize("flavour", ["visitors", "sqair", "discs-behind", "rods", "sprites"])
def test_the_truth_itself_is_perfect_also_from_a_file(flavour: str, dots: Sprites, tmp_path: Path) -> None:
    """Finished tracks of objects that come and go are counted frame by frame."""
    data = file_of(flavour, dots, tmp_path / "data.npz")
    assert data.truth is not None
    found = judge(data.truth, data)
    assert (found.count_accuracy, found.inference_error) == (1, 0)
    assert found.per_frame_count == (flavour not in ("discs-behind", "rods"))
    assert found.events is not None
    assert (found.events.count_per_frame, found.events.found, found.events.found_error) == (1, 1, 0)
    assert found.events.entrances_found == (None if flavour in ("discs-behind", "rods") else 1)
    assert found.events.angle_error == (pytest.approx(0) if flavour == "rods" else None)
    assert found.events.switches_per_occlusion in (None, 0)
    if flavour == "discs-behind":
        assert found.events.occlusions > 5


def test_identities_that_follow_each_other() -> None:
    """Two visitors, one after the other at one place, tracked as one: all found, but half of it as somebody else."""
    mot_metrics = pytest.importorskip("vtssi_pyro.evaluation.mot_metrics").mot_metrics
    pytest.importorskip("trackeval", reason="needs TrackEval, the extra named mot")
    truth = tracks(["xxxxx.....", ".....xxxxx"])
    truth = truth._replace(position=truth.position * 0)
    perfect = mot_metrics(truth, truth)
    assert (perfect["mota"], perfect["idf1"], perfect["identity_switches"]) == (1, 1, 0)
    one = mot_metrics(truth, tracks(["x" * T]))
    assert (one["mota"], one["idf1"]) == (1, 0.5)
    late = mot_metrics(
        truth, truth._replace(present=truth.present & tracks(["xxxxx.....", ".......xxx"]).present)
    )
    assert late["mota"] == pytest.approx(0.8)
    assert late["idf1"] == pytest.approx(2 * 8 / (10 + 8))


def test_visibility_is_exported(tmp_path: Path) -> None:
    truth = tracks(
        ["xxx.......", "....xx...."],
        visible=[[1.0, 0.25, 0.5, *[0.0] * 7], [0.0] * 4 + [0.75, 1] + [0.0] * 4],
    )
    write_mot_challenge(tmp_path, truth, (50, 60), truth=truth)
    rows = [line.split(",") for line in (tmp_path / "gt/sequence-0000/gt/gt.txt").read_text().split()]
    assert [(row[0], row[1], float(row[8])) for row in rows] == [
        ("1", "1", 1.0), ("2", "1", 0.25), ("3", "1", 0.5), ("5", "2", 0.75), ("6", "2", 1.0),
    ]  # fmt: skip
    assert {row[6] for row in rows} == {"1"}


def test_values_of_a_file_fit_its_positions(dots: Sprites, tmp_path: Path) -> None:
    data = moving_digits("discs-behind", dots, sequences=4, length=3)
    write(tmp_path / "data.npz", data)
    kept = read(tmp_path / "data.npz").truth
    assert kept is not None
    for name, mine, theirs in zip(Tracks._fields, data.truth, kept, strict=True):
        if mine is None:
            assert theirs is None, name
        else:
            torch.testing.assert_close(mine, theirs, equal_nan=True)
