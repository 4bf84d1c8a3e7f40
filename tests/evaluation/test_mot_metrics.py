"""MOT metrics are TrackEval's own: by hand where that is easy, by its own reader of exported files where it is not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.evaluation.mot_metrics import FIELDS, mot_metrics
from vtssi_pyro.tracks.export import write_mot_challenge
from vtssi_pyro.tracks.tracks import Tracks

trackeval = pytest.importorskip("trackeval", reason="needs TrackEval, the extra named mot")


def made(seed: int = 0, sequences: int = 4, frames: int = 12, objects: int = 3) -> tuple[Tracks, Tracks]:
    """Objects that come and go, and tracks of them with noise, swaps and false alarms."""
    generator = torch.Generator().manual_seed(seed)
    shape = (sequences, frames, objects)
    start = 10 + 30 * torch.rand(sequences, 1, objects, 2, generator=generator)
    position = start + torch.randn(*shape, 2, generator=generator).cumsum(1)
    box = (6 + 4 * torch.rand(sequences, 1, objects, 2, generator=generator)).expand(*shape, 2)
    truth = Tracks(position, torch.rand(shape, generator=generator) > 0.2, box)
    moved = position + torch.randn(*shape, 2, generator=generator)
    moved[1, 5:] = moved[1, 5:].flip(-2)  # identities swap
    present = truth.present.where(torch.rand(shape, generator=generator) > 0.15, ~truth.present)
    return truth, Tracks(moved, present, box * 1.1)


def test_perfect_tracks() -> None:
    truth, _ = made()
    truth = truth._replace(present=torch.ones_like(truth.present))
    numbers = ("identity_switches", "fragmentations")
    assert mot_metrics(truth, truth) == {name: 0.0 if name in numbers else 1.0 for name in FIELDS}


def test_by_hand() -> None:
    """One object over ten frames, found in eight of them, under another identity from the sixth on."""
    position = torch.arange(10.0)[None, :, None, None].expand(1, 10, 1, 2)
    box = torch.full((1, 10, 1, 2), 4.0)
    truth = Tracks(position, torch.ones(1, 10, 1, dtype=torch.bool), box)
    present = torch.zeros(1, 10, 2, dtype=torch.bool)
    present[:, :5, 0] = True
    present[:, 5:8, 1] = True
    found = mot_metrics(truth, Tracks(position.expand(1, 10, 2, 2), present, box.expand(1, 10, 2, 2)))
    assert found["identity_switches"] == 1
    assert found["mota"] == pytest.approx((8 - 0 - 1) / 10)
    assert found["idf1"] == pytest.approx(2 * 5 / (10 + 8))
    assert found["detection_accuracy"] == pytest.approx(8 / 10)
    assert found["motp"] == pytest.approx(1.0)
    assert (found["recall"], found["precision"]) == pytest.approx((8 / 10, 1))


def test_hidden_objects_are_not_judged() -> None:
    """An object beside a hidden one: a track of the hidden one is no false alarm, its absence no miss."""
    position = torch.tensor([[10.0, 10.0], [20.0, 10.0]]).expand(1, 8, 2, 2)
    box = torch.full((1, 8, 2, 2), 4.0)
    visible = torch.ones(1, 8, 2)
    visible[:, :4, 1] = 0.3
    truth = Tracks(position, torch.ones(1, 8, 2, dtype=torch.bool), box, visible=visible)
    assert mot_metrics(truth, truth)["mota"] == 1
    late = truth.present.clone()
    late[:, :4, 1] = False
    assert mot_metrics(truth, truth._replace(present=late))["mota"] == 1
    missed = mot_metrics(truth._replace(visible=None), truth._replace(present=late))
    assert missed["mota"] == pytest.approx(1 - 4 / 16)
    # 1.9 px off, a box of 4 px has more than half of its area on the hidden object, 2.1 px off less
    for off, alarms in ((1.9, 0), (2.1, 4)):
        moved = position.clone()
        moved[:, :4, 1, 0] += off
        assert mot_metrics(truth, truth._replace(position=moved))["mota"] == pytest.approx(1 - alarms / 12)
    # the seen object is judged also where it lies on the hidden one
    met = truth._replace(position=position[:, :, :1].expand_as(position))
    assert mot_metrics(met, met._replace(present=late))["mota"] == 1


def test_equal_to_the_librarys_own_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The metrics of TrackEval for the exported files."""
    truth, tracks = made(3)
    write_mot_challenge(tmp_path, tracks, (50, 60), truth=truth)
    dataset = trackeval.datasets.MotChallenge2DBox(
        {"GT_FOLDER": str(tmp_path / "gt"), "TRACKERS_FOLDER": str(tmp_path / "trackers"), "SKIP_SPLIT_FOL": True,
         "SEQMAP_FILE": str(tmp_path / "seqmap.txt"), "PRINT_CONFIG": False}
    )  # fmt: skip
    quiet = {"PRINT_CONFIG": False}
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)]
    evaluator = trackeval.Evaluator(
        {"PRINT_RESULTS": False, "PRINT_CONFIG": False, "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False,
         "PLOT_CURVES": False, "TIME_PROGRESS": False, "USE_PARALLEL": False, "BREAK_ON_ERROR": True}
    )  # fmt: skip
    result, _ = evaluator.evaluate([dataset], metrics)
    capsys.readouterr()
    theirs = result["MotChallenge2DBox"]["vtssi-pyro"]["COMBINED_SEQ"]["pedestrian"]
    ours = mot_metrics(truth, tracks)
    assert 0.1 < ours["hota"] < 0.9
    assert ours["identity_switches"] > 0
    for name, (metric, field) in FIELDS.items():
        assert ours[name] == pytest.approx(float(np.mean(theirs[metric][field])), abs=1e-4), name


def test_nothing_to_compare() -> None:
    truth, tracks = made()
    with pytest.raises(DataError, match="the truth has no boxes"):
        mot_metrics(truth._replace(box=None), tracks)
    nobody = mot_metrics(truth, tracks._replace(present=torch.zeros_like(tracks.present)))
    assert nobody["hota"] == nobody["idf1"] == 0


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    with pytest.raises(UsageError, match=r"pip install 'vtssi-pyro\[mot\]'"):
        mot_metrics(*made())
