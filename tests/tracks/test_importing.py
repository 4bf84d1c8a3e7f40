"""Tracks read from files: what is written comes back, and what makes no sense is named."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from vtssi_pyro.errors import DataError, OutOfResources
from vtssi_pyro.tracks.export import (
    write_mot,
    write_mot_challenge,
    write_predictions_csv,
    write_tracks_csv,
)
from vtssi_pyro.tracks.formats import holds_tracks, read_tracks
from vtssi_pyro.tracks.importing import read_mot, read_tracks_csv
from vtssi_pyro.tracks.tracks import Tracks

B, T, N = 3, 6, 4


def drawn(seed: int = 0) -> Tracks:
    """Objects that come and go; the second sequence has none."""
    torch.manual_seed(seed)
    present = torch.rand(B, T, N) > 0.5
    present[1] = False
    position = (100 * torch.rand(B, T, N, 2)).where(present[..., None], torch.nan)
    box, scale = (30 * torch.rand(B, T, N, 2) for _ in range(2))
    return Tracks(position, present, box, scale, torch.rand(B, T, N))


def dealt(tracks: Tracks) -> Tracks:
    """The same with slots in order of first appearance, those that are never taken last."""
    begin = torch.where(tracks.present, torch.arange(T)[:, None], T).amin(1)  # (B, N)
    order = begin.argsort(dim=-1, stable=True)
    fields = []
    for field in tracks:
        index = order[:, None].expand(B, T, N) if field is not None else None
        if field is None:
            fields.append(None)
        elif field.dim() == 3:
            fields.append(field.gather(2, index))
        else:
            fields.append(field.gather(2, index[..., None].expand(B, T, N, 2)))
    return Tracks(*fields)


def assert_same(found: Tracks, tracks: Tracks, names: tuple[str, ...]) -> None:
    """Equal to a ten thousandth of a pixel wherever an object is."""
    expected = dealt(tracks)
    slots = found.present.shape[2]
    assert not expected.present[..., slots:].any()
    expected = Tracks._make(None if field is None else field[:, :, :slots] for field in expected)
    assert torch.equal(found.present, expected.present)
    assert torch.equal(found.position.isfinite().all(-1), found.present)
    for name in names:
        here, there = (getattr(t, name)[found.present].double() for t in (found, expected))
        torch.testing.assert_close(here, there, rtol=0, atol=1e-4)
    assert all(getattr(found, name) is None for name in {"box", "scale", "confidence", "angle"} - set(names))


def shuffle(path: Path, header: int) -> None:
    lines = path.read_text().splitlines()
    rest = lines[header:]
    random.Random(0).shuffle(rest)
    path.write_text("\n".join([*lines[:header], *rest]))


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_table_comes_back(tmp_path: Path, shuffled: bool) -> None:
    path, tracks = tmp_path / "tracks.csv", drawn()
    write_tracks_csv(path, tracks)
    if shuffled:
        shuffle(path, header=1)
    assert_same(read_tracks(path, B, T), tracks, ("position", "box", "scale", "confidence"))
    write_tracks_csv(path, tracks._replace(scale=None, confidence=None))
    assert_same(read_tracks(path, B, T), tracks, ("position", "box"))
    turned = tracks._replace(angle=20 * torch.rand(tracks.present.shape) - 10, visible=tracks.confidence)
    write_tracks_csv(path, turned)
    assert path.read_text().splitlines()[0].endswith(",visible,angle")
    assert_same(read_tracks(path, B, T), turned, ("position", "box", "scale", "confidence", "angle"))


@pytest.mark.parametrize("shuffled", [False, True])
def test_mot_text_comes_back(tmp_path: Path, shuffled: bool) -> None:
    tracks = drawn()
    write_mot_challenge(tmp_path / "mot", tracks, (100, 100))
    files = write_mot(tmp_path / "flat", tracks, "sequence")
    if shuffled:
        for path in [*files, *(tmp_path / "mot").rglob("sequence-*.txt")]:
            shuffle(path, header=0)
    for folder in ("mot", "flat", "mot/trackers/vtssi-pyro/data"):
        assert_same(read_tracks(tmp_path / folder, B, T), tracks, ("position", "box", "confidence"))
    alone = read_mot(files[2], 1, T)
    whole = read_mot(tmp_path / "flat", B, T)
    slots = alone.present.shape[2]
    assert torch.equal(alone.present[0], whole.present[2, :, :slots])


def test_both_kinds_mean_the_same_place(tmp_path: Path) -> None:
    """A box around the top-left pixel: its centre is at one half, its corner is pixel 1 of MOTChallenge."""
    (tmp_path / "a.csv").write_text("frame,object,x,y,width,height\n0,1,0.5,0.5,1,1\n")
    (tmp_path / "a.txt").write_text("1,1,1,1,1,1,1,-1,-1,-1\n")
    for name in ("a.csv", "a.txt"):
        tracks = read_tracks(tmp_path / name)
        assert tracks.position.tolist() == [[[[0.5, 0.5]]]]
        assert tracks.box is not None
        assert tracks.box.tolist() == [[[[1.0, 1.0]]]]


@pytest.mark.parametrize("name", ["object", "particle", "track", "Track_ID", "id"])
def test_few_columns_in_any_order_are_enough(tmp_path: Path, name: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(
        f"y, {name} ,mass,x,frame\n2,fly,9,1,1.0\n4,7,9,3,1\n\n6,7.0,9,5,0\n", encoding="utf-8-sig"
    )
    tracks = read_tracks_csv(path)
    assert tracks.present.tolist() == [[[True, False], [True, True]]]
    assert tracks.position[0, 1].tolist() == [[3.0, 4.0], [1.0, 2.0]]  # 7, which was there first, and the fly
    assert all(field is None for field in tracks[2:])


def test_lines_may_be_separated_by_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 3 1 1 2 2\n2 3 2 1 2 2 0.5\n")
    tracks = read_mot(tmp_path / "a.txt")
    assert tracks.position[0, :, 0].tolist() == [[1.0, 1.0], [2.0, 1.0]]
    assert tracks.confidence is not None
    assert tracks.confidence[0, 1, 0] == 0.5


def test_scores_of_another_kind_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1,1,1,1,2,2,-1\n2,1,1,1,2,2,37.5\n")
    assert read_mot(tmp_path / "a.txt").confidence is None


def test_files_count_as_people_do(tmp_path: Path) -> None:
    for number in (10, 9):
        (tmp_path / f"clip-{number}.txt").write_text(f"1,1,{number},1,2,2\n")
    assert read_mot(tmp_path).position[:, 0, 0, 0].tolist() == [9.0, 10.0]


def test_no_rows_are_no_objects(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame,object,x,y\n")
    (tmp_path / "a.txt").write_text("")
    for name in ("a.csv", "a.txt"):
        assert read_tracks(tmp_path / name, 1, 5).present.shape == (1, 5, 0)


HEADER = "sequence,frame,object,x,y,width\n"


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", "", "empty"),
        ("frame,object,x\n", "line 1", "no column y"),
        ("frame,x,y\n", "line 1", "no column particle (or object"),
        ("object,x,y\n", "line 1", "no column frame"),
        ("frame,object,x,y\n", "line 1", "no column sequence"),
        ("frame;object;x;y\n", "line 1", "no column frame in 'frame;object;x;y', expected"),
        ("sequence,frame,object,x,x,y\n", "line 1", "two columns x"),
        (HEADER + "0,0,1,1e300,2,\n", "line 2", "x is 1e+300, expected a number from -1,000,000,000"),
        (HEADER + "0,0,1,left,2,\n", "line 2", "x is 'left', expected a number"),
        (HEADER + "0,0,1,1,,\n", "line 2", "y is '', expected a number"),
        (HEADER + "0,0,1,nan,2,\n", "line 2", "x is 'nan'"),
        (HEADER + "0,0,1,1,inf,\n", "line 2", "y is 'inf'"),
        (HEADER + "0,0,1,1\n", "line 2", "y is ''"),
        (HEADER + "0,0,1,1,2,wide\n", "line 2", "width is 'wide', expected a number or nothing"),
        (HEADER + "0,0,1,1,2,-3\n", "line 2", "width is -3, expected a number from 0"),
        (HEADER + "0,0,,1,2,\n", "line 2", "without identity"),
        (HEADER + "0,-1,1,1,2,\n", "line 2", "frame is '-1', expected a whole number from 0 to 4"),
        (HEADER + "0,0.5,1,1,2,\n", "line 2", "frame is '0.5'"),
        (HEADER + "0,4,1,1,2,\n0,5,1,1,2,\n", "line 3", "frame is '5', expected a whole number from 0 to 4"),
        (
            HEADER + "1,0,1,1,2,\n2,0,1,1,2,\n",
            "line 3",
            "sequence is '2', expected a whole number from 0 to 1",
        ),
        (HEADER + "0,3,7,1,2,\n0,3,8,1,2,\n0,3,7,1,2,\n", "line 4", "object 7 in frame 3, as in"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, text: str, where: str, words: str) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(text)
    check(lambda: read_tracks(path, 2, 5), path, where, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,1,1,1,2,2\n0,1,1,1,2,2\n", "frame is '0', expected a whole number from 1 to 5"),
        ("1,1,1,1,2,2\n6,1,1,1,2,2\n", "frame is '6', expected a whole number from 1 to 5"),
        ("1,1,1,1,2,2\n1,1,3,3,2,2\n", "object 1 in frame 1, as in"),
        ("1,1,1,1,2,2\n2,1,1,1\n", "4 columns"),
        ("1,1,1,1,2,2\n2,1,,1,2,2\n", "x is ''"),
        ("1,1,1,1,2,2\n2,1,1,1,,2\n", "without a size"),
        ("1,1,1,1,2,2\n2,1,1,1,2,2,sure\n", "confidence is 'sure'"),
    ],
)
def test_mot_text_that_makes_no_sense(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tracks.txt"
    path.write_text(text)
    check(lambda: read_tracks(path, 1, 5), path, "line 2", words)


def check(read: Callable[[], Tracks], path: Path, where: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read()
    line = str(caught.value)
    assert "\n" not in line
    assert words in line
    assert "expected" in line
    assert line.startswith(f"{path}, {where}: " if where else f"{path}: ")


def test_one_wrong_frame_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text("frame,particle,x,y\n0,1,5,5\n9000000000000,1,5,5\n1,1,5,5\n")
    with pytest.raises(OutOfResources, match=r"9000000000001 frames would take .*: check .*csv, line 3"):
        read_tracks(path)
    path.write_text("frame,particle,x,y\n1e300,1,5,5\n")
    with pytest.raises(DataError, match="line 2: frame is '1e300', expected a whole number"):
        read_tracks(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    for name, words in (("none.csv", "No such file"), ("picture.csv", "UTF-8")):
        with pytest.raises(DataError, match=words):
            read_tracks(tmp_path / name)


def test_a_missing_or_an_odd_file_would_shift_the_others(tmp_path: Path) -> None:
    write_mot(tmp_path, drawn(), "sequence")
    (tmp_path / "sequence-0001.txt").unlink()
    with pytest.raises(DataError, match="tracks of 2 sequences, expected 3"):
        read_mot(tmp_path, B, T)
    with pytest.raises(DataError, match="no tracks"):
        read_mot(made(tmp_path / "empty"))


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_one_tracker_at_a_time(tmp_path: Path) -> None:
    write_mot_challenge(tmp_path, drawn(), (100, 100))
    (tmp_path / "trackers" / "other" / "data").mkdir(parents=True)
    with pytest.raises(DataError, match="2 trackers"):
        read_mot(tmp_path, B, T)


def test_predictions_are_no_tracks(tmp_path: Path) -> None:
    write_predictions_csv(tmp_path / "predictions.csv", drawn(), observed=2)
    with pytest.raises(DataError, match="predictions"):
        read_tracks(tmp_path / "predictions.csv")


def test_tracks_are_told_from_runs(tmp_path: Path) -> None:
    write_mot_challenge(tmp_path / "mot", drawn(), (100, 100))
    write_mot(tmp_path / "flat", drawn(), "sequence")
    for name in ("mot", "flat", "none.csv", "TRACKS.TXT"):
        assert holds_tracks(tmp_path / name), name
    (tmp_path / "flat" / "config.json").write_text("{}")
    for name in ("flat", "none", "pretrained:moving-mnist", "."):
        assert not holds_tracks(tmp_path / name), name


def test_identities_of_64_bits_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "tracks.csv"
    path.write_text(f"frame,object,x,y\n0,{2**53},1,1\n1,{2**53 + 1},9,9\n")
    assert read_tracks(path).present.shape == (1, 2, 2)
