"""Files read back: what is in them, where they count from, and that they are whole or absent."""

import csv
import json
import os
import resource
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from vtssi_pyro.errors import DataError, OutOfResources
from vtssi_pyro.system.atomic import append, atomic_write
from vtssi_pyro.system.manifest import FILE
from vtssi_pyro.tracks.columns import HEADER
from vtssi_pyro.tracks.export import (
    TracksWriter,
    write_mot,
    write_mot_challenge,
    write_predictions_csv,
    write_tracks_csv,
    write_tracks_json,
)
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    with open(path, newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def full_tracks(B: int = 2, T: int = 3, N: int = 2) -> Tracks:
    present = torch.ones(B, T, N, dtype=torch.bool)
    present[0, 1, 0] = False
    position = 50 * torch.rand(B, T, N, 2)
    position[0, 1, 0] = torch.nan
    box = 5 + 20 * torch.rand(B, T, N, 2)
    scale, confidence = torch.rand(B, T, N, 2), torch.rand(B, T, N)
    return Tracks(position, present, box, scale, confidence, samples=torch.randn(9, B, T, N, 2))


def test_tracks_round_trip(tmp_path: Path) -> None:
    tracks = full_tracks()
    write_tracks_csv(tmp_path / "tracks.csv", tracks)
    header, rows = read(tmp_path / "tracks.csv")
    assert header == HEADER
    assert header[:10] == "sequence frame particle x y width height x_std y_std confidence".split()
    indices = [tuple(map(int, row[:3])) for row in rows]
    assert indices == [tuple(index) for index in tracks.present.nonzero().tolist()]
    assert tracks.box is not None
    assert tracks.scale is not None
    assert tracks.confidence is not None
    for (b, t, n), row in zip(indices, rows, strict=True):
        expected = torch.cat([values[b, t, n] for values in (tracks.position, tracks.box, tracks.scale)])
        expected = torch.cat([expected, tracks.confidence[b, t, n, None]])
        assert [float(cell) for cell in row[3:10]] == pytest.approx(expected.tolist(), abs=5.1e-5)


def test_unknown_values_are_empty_cells(tmp_path: Path) -> None:
    bare = Tracks(torch.tensor([[[[1.5, -2.00001]]]]), torch.tensor([[[True]]]))
    write_tracks_csv(tmp_path / "tracks.csv", bare)
    assert (tmp_path / "tracks.csv").read_text().splitlines()[1] == "0,0,0,1.5,-2.0" + 10 * ","
    partly = bare._replace(scale=torch.tensor([[[[0.25, torch.nan]]]]))
    write_tracks_csv(tmp_path / "tracks.csv", partly)
    assert read(tmp_path / "tracks.csv")[1] == [["0", "0", "0", "1.5", "-2.0", "", "", "0.25", *7 * [""]]]
    write_predictions_csv(tmp_path / "predictions.csv", bare, observed=0)
    assert read(tmp_path / "predictions.csv")[1] == [["0", "0", "0", "1.5", "-2.0"] + 15 * [""]]


def test_mot_counts_from_one(tmp_path: Path) -> None:
    position = torch.tensor([[[[7.0, 11.0]], [[8.0, 11.0]]], [[[1.0, 1.0]], [[1.0, 1.0]]]])
    present = torch.tensor([[[True], [True]], [[False], [False]]])
    tracks = Tracks(position, present, box=torch.tensor([14.0, 20.0]).expand(2, 2, 1, 2))
    first, second = write_mot(tmp_path / "new" / "mot", tracks, "digits")
    # The box spans [0, 14] x [1, 21] of the image plane.
    assert first.read_text() == "1,1,1.0,2.0,14.0,20.0,1.0,-1,-1,-1\n2,1,2.0,2.0,14.0,20.0,1.0,-1,-1,-1\n"
    assert (first.name, second.name, second.read_text()) == ("digits-0000.txt", "digits-0001.txt", "")


def test_mot_boxes_span_the_same_pixels_as_the_tracks(tmp_path: Path) -> None:
    tracks = full_tracks()
    assert tracks.box is not None
    paths = write_mot(tmp_path, tracks, "s")
    for b, path in enumerate(paths):
        table = np.loadtxt(path, delimiter=",", ndmin=2)
        t, n = table[:, 0].astype(int) - 1, table[:, 1].astype(int) - 1
        assert np.stack([t, n], -1).tolist() == tracks.present[b].nonzero().tolist()
        centre = table[:, 2:4] - 1 + table[:, 4:6] / 2
        assert np.allclose(centre, tracks.position[b, t, n], atol=2e-4)
        assert tracks.confidence is not None
        assert np.allclose(table[:, 6], tracks.confidence[b, t, n], atol=1e-4)
        assert (table[:, 7:] == -1).all()


def test_mot_needs_boxes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="box"):
        write_mot(tmp_path, full_tracks()._replace(box=None), "s")
    assert list(tmp_path.iterdir()) == []


def test_old_sequences_go_and_a_users_files_stay(tmp_path: Path) -> None:
    tracks = full_tracks(3)
    write_mot_challenge(tmp_path, tracks, (40, 50), truth=tracks)
    own = (tmp_path / "mine.txt", tmp_path / "gt" / "sequence-0001" / "det.txt")
    for path in own:
        path.write_text("kept")
    write_mot_challenge(tmp_path, tracks.part(slice(1)), (40, 50))
    assert [path.read_text() for path in own] == ["kept", "kept"]
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} - {
        path.relative_to(tmp_path).as_posix() for path in own
    }
    assert left == {
        "seqmap.txt", "gt/sequence-0000/seqinfo.ini", "trackers/vtssi-pyro/data/sequence-0000.txt", FILE,
    }  # fmt: skip


def test_intervals_are_quantiles_that_pass_over_nan(tmp_path: Path) -> None:
    tracks = full_tracks(3, 4, 2)
    samples = tracks.samples
    assert samples is not None
    samples[torch.rand(samples.shape[:-1]) < 0.3] = torch.nan
    samples[:, 2, 3, 1] = torch.nan  # no sample has this object: empty cells
    write_predictions_csv(tmp_path / "predictions.csv", tracks, observed=2)
    header, rows = read(tmp_path / "predictions.csv")
    kept = tracks.present.nonzero()
    kept = kept[kept[:, 1] >= 2]
    assert [list(map(int, row[:3])) for row in rows] == kept.tolist()
    quantiles = {"50_low": 0.25, "50_high": 0.75, "90_low": 0.05, "90_high": 0.95, "median": 0.5}
    for (b, t, n), row in zip(kept.tolist(), rows, strict=True):
        for axis, name in enumerate("xy"):
            values = samples[:, b, t, n, axis].numpy()
            for key, q in quantiles.items():
                cell = row[header.index(f"{name}_{key}")]
                if np.isnan(values).all():
                    assert cell == ""
                else:
                    assert float(cell) == pytest.approx(np.nanquantile(values, q), abs=1e-4)
            mean = row[header.index(f"{name}_mean")]
            assert (
                mean == ""
                if np.isnan(values).all()
                else float(mean) == pytest.approx(np.nanmean(values), abs=1e-4)
            )


def test_a_long_film_has_a_row_for_every_object_and_frame(tmp_path: Path) -> None:
    shape = (1, 10_000, 8)
    tracks = Tracks(torch.rand(*shape, 2), torch.ones(shape, dtype=torch.bool), torch.rand(*shape, 2))
    write_tracks_csv(tmp_path / "tracks.csv", tracks)
    with open(tmp_path / "tracks.csv") as file:
        lines = file.readlines()
    assert len(lines) == 80_001
    assert lines[-1].startswith("0,9999,7,")


def test_atomic_write_replaces_only_what_went_well(tmp_path: Path) -> None:
    path = tmp_path / "a picture.png"
    path.write_text("old")

    def stopped_half_way() -> None:
        with atomic_write(path) as temporary:
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".png")
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped_half_way()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a picture.png", "old")]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert list(tmp_path.glob(".*.tmp*")) == [temporary]
        assert path.read_text() == "old"
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a picture.png", "new")]


def test_atomic_write_that_writes_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "x.csv"):
        pass
    assert (tmp_path / "x.csv").read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_atomic_write_keeps_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "atomic") as temporary:
        temporary.write_text("")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "atomic")}
    assert len(modes) == 1


def test_a_table_that_grows_replaces_another_with_its_first_frames(tmp_path: Path) -> None:
    """And says, when the disk is full, which file it was."""
    path, tracks = tmp_path / "tracks.csv", full_tracks(1)
    path.write_text("old")
    with TracksWriter(path):
        assert path.read_text() == "old"
    assert path.read_text() == "old"
    with TracksWriter(path) as rows:
        for t in range(3):
            rows.append(tracks.part(frames=slice(t, t + 1)))
    growing = path.read_bytes()
    write_tracks_csv(path, tracks)
    assert path.read_bytes() == growing
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        for write in (lambda: grow(path, tracks), lambda: append(path, "a line")):
            with pytest.raises(OutOfResources, match=r"tracks\.csv: no room left on the disk .*: it takes "):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def grow(path: Path, tracks: Tracks) -> None:
    with TracksWriter(path) as rows:
        rows.append(tracks)


def test_json_says_what_csv_says(tmp_path: Path) -> None:
    tracks = full_tracks()
    looks = torch.arange(2.0 * tracks.present.numel()).reshape(-1)[
        : tracks.present.shape[0] * tracks.present.shape[2] * 2
    ]
    looks = looks.view(tracks.present.shape[0], tracks.present.shape[2], 2)
    write_tracks_json(tmp_path / "tracks.json", tracks, (40, 50), Units(frame_rate=25.0), looks)
    write_tracks_csv(tmp_path / "tracks.csv", tracks, Units(frame_rate=25.0))
    made = json.loads((tmp_path / "tracks.json").read_text())
    assert (made["height"], made["width"], made["rate"]) == (40, 50, 25.0)
    told = [
        [str(value) for value in (sequence["sequence"], frame, each["object"], each["x"][i], each["y_std"][i],
                                  each["time"][i])]
        for sequence in made["sequences"] for each in sequence["objects"] for i, frame in enumerate(each["frame"])
    ]  # fmt: skip
    with (tmp_path / "tracks.csv").open(newline="") as file:
        rows = [
            [row[k] for k in ("sequence", "frame", "particle", "x", "y_std", "time")]
            for row in csv.DictReader(file)
        ]
    assert sorted(told) == sorted(rows)
    for sequence in made["sequences"]:
        for each in sequence["objects"]:
            assert each["appearance"] == looks[sequence["sequence"], each["object"]].tolist()
    write_tracks_json(tmp_path / "bare.json", tracks._replace(scale=None, confidence=None), (40, 50))
    bare = json.loads((tmp_path / "bare.json").read_text())
    first = bare["sequences"][0]["objects"][0]
    assert bare["rate"] is None
    assert set(first["confidence"]) == {None}
    assert "appearance" not in first
