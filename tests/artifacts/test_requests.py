"""What a tracking was asked for is the same if its results are."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import tifffile
import torch
from small_model import small

from vtssi_pyro import VARIANTS, Fitted, Run, Silent, Stored, TestTime, build, load, many, track, track_all
from vtssi_pyro.artifacts import requests
from vtssi_pyro.artifacts.loading import Loaded, at_hand, find
from vtssi_pyro.artifacts.opening import movies_of
from vtssi_pyro.artifacts.requests import answered, request
from vtssi_pyro.artifacts.sources import parts_of_others
from vtssi_pyro.artifacts.trained import Trained
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.transforms import Luminance, Polarity
from vtssi_pyro.system.checkpoint import digest


def test_two_requests_are_equal_if_their_results_are(tmp_path: Path) -> None:
    movie = tmp_path / "movie.npy"
    np.save(movie, np.zeros((4, 8, 8), np.uint8))
    plain = request(movie, "w")
    assert request(movie, "w", stored=Stored(), film=False, settle=None) == plain
    assert request(movie, "w", formats=("geff", "csv")) == request(movie, "w", formats=("csv", "geff"))
    others = [
        request(movie, "w", test_time=TestTime()), request(movie, "w", settle=3), request(movie, "v"),
        request(movie, "w", stored=Stored(channel=1)), request(movie, "w", formats=("csv",)),
        request(movie, "w", film=True), request(movie, "w", temperature=0),
    ]  # fmt: skip
    assert all(other != plain for other in others), "the plainest procedure is not the tracker's own"
    assert all(one != other for i, one in enumerate(others) for other in others[:i])
    np.save(movie, np.ones((4, 8, 8), np.uint8))
    assert request(movie, "w") != plain


def in_two_files(folder: Path, brightest: int = 1) -> tuple[str, str]:
    """A movie of OME-TIFF in two files, each of which names both; the second has a pixel as bright as told."""
    said = 'DimensionOrder="XYCZT" SizeX="9" SizeY="8" SizeC="1" SizeZ="1" SizeT="4" Type="uint8"'
    names = "a.ome.tif", "b.ome.tif"
    parts = "".join(
        f'<TiffData IFD="0" FirstT="{2 * k}" PlaneCount="2"><UUID FileName="{name}">{k}</UUID></TiffData>'
        for k, name in enumerate(names)
    )
    for k, name in enumerate(names):
        frames = np.zeros((2, 8, 9), np.uint8)
        frames[-1, -1, -1] = k * brightest
        xml = f'<OME UUID="{k}"><Image><Pixels {said}>{parts}</Pixels></Image></OME>'
        tifffile.imwrite(folder / name, frames, description=xml, metadata=None)
    return str(folder / names[0]), str(folder / names[1])


def test_a_movie_in_several_files_is_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = in_two_files(tmp_path)
    before = [request(each, "w") for each in (first, second)]
    in_two_files(tmp_path, brightest=2)
    assert all(request(each, "w") != then for each, then in zip((first, second), before, strict=True))
    alone = str(tmp_path / "c.tif")
    tifffile.imwrite(alone, np.zeros((4, 8, 9), np.uint8), photometric="minisblack")
    assert parts_of_others([alone, second, first]) == {first: second}
    said: list[str] = []
    monkeypatch.setattr(Silent, "say", lambda self, line: said.append(line))
    assert many._movies(f"{tmp_path}/*.tif", Silent()) == [first, alone]
    assert said == [f"{second}: is a part of the movie {first}, and no other"]
    with pytest.raises(DataError, match=r"is a part of the movie .*: leave it out"):
        movies_of([first, alone, second])
    tifffile.imwrite(first, np.zeros((2, 8, 9), np.uint8), metadata=None,
                     description='<OME UUID="0"><BinaryOnly MetadataFile="b.ome.tif" UUID="1"/></OME>')  # fmt: skip
    assert parts_of_others([first, second]) == {first: second}, "the master alone names both"


def test_a_tracker_is_its_weights_configuration_and_preparation() -> None:
    model = VARIANTS["air"](small())
    tracker = build(model)
    again = build(model)
    again.load_state_dict(tracker.state_dict())
    other = build(replace(model, test_time=replace(model.test_time, settled=3)))
    other.load_state_dict(tracker.state_dict())  # the same weights, used in another way

    def kept(tracker: SomeTracker, preparation: Preparation | None = None) -> str | None:
        source = cast(Trained, SimpleNamespace(preparation=preparation))
        return Loaded(tracker, "kept", source, as_kept=True).identity

    known = {kept(each) for each in (tracker, again, other)}
    assert len(known) == 2
    with torch.no_grad():
        next(iter(again.parameters())).add_(1)
    known.add(kept(again))
    for steps in ((Luminance(),), (Luminance(), Polarity("dark"))):
        known.add(kept(tracker, Preparation(steps)))
    assert len(known) == 5
    assert None not in known


def test_results_of_a_tracker_in_memory_are_made_anew(tmp_path: Path) -> None:
    """It may have been changed in a way that neither weights nor configuration tell, such as by another prior."""
    movie, name = tmp_path / "movie.npy", "moving-mnist"
    np.save(movie, np.zeros((1, 4, 50, 50), np.uint8))
    changed = load(name)
    with torch.no_grad():
        next(changed.parameters()).add_(1e-3)
    fitted = Fitted(changed, {}, None, cast(Run, find(name)))
    for number, tracker in enumerate((name, find(name), changed, fitted)):
        out, known = tmp_path / str(number), not isinstance(tracker, SomeTracker | Fitted)
        for again in (False, True):
            heard = Heard()
            assert not track_all(tracker, movie, out, report=heard).failed
            assert any("tracked already" in each for each in heard.said) == (known and again)
        made = json.loads((out / "movie" / "tracks.json").read_text())["made"]
        assert made["weights"] == digest((load(name) if known else changed).state_dict())
        assert ("asked" in made) == known


class Heard(Silent):
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_a_movie_is_hashed_only_if_all_else_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie, out = tmp_path / "movie.npy", tmp_path / "out"
    np.save(movie, np.zeros((1, 4, 50, 50), np.uint8))
    track("moving-mnist", movie, out=out)
    own = at_hand("moving-mnist").identity
    read: list[object] = []
    monkeypatch.setattr(
        requests, "fingerprint", lambda files, f=requests.fingerprint: read.append(files) or f(files)
    )
    assert not answered(out, movie, "another")
    assert not answered(out, movie, own, settle=3)
    assert not answered(tmp_path / "none", movie, own)
    assert not read
    assert answered(out, movie, own)
    assert len(read) == 1
    np.save(movie, np.ones((1, 4, 50, 50), np.uint8))
    assert not answered(out, movie, own)
