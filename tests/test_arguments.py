"""No argument of a public function, whatever it is, ends in an exception that is not ours."""

import inspect
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vtssi_pyro import (
    Hints,
    Run,
    Stored,
    api,
    load,
    load_digits,
    many,
    open_frames,
    read_tracks,
    write_tracks,
)
from vtssi_pyro.errors import UsageError, VtssiError
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.movies import array_movie, open_movie

SOME = torch.rand(2, 3, 50, 50)
ODD = {
    "a number": 5, "NaN": math.nan, "a large number": 2**100, "bytes": b"x", "no name of a file": "a\0b",
    "half a character": "\ud800", "an empty text": "", "an object": object(), "a complex number": 1j,
    "a function": print,
    "a class": Stored, "nothing in a list": [None], "an empty list": [], "an empty dict": {}, "true": True,
    "a meta tensor": SOME.to("meta"), "a sparse tensor of two numbers": torch.eye(2).to_sparse(),
    "a complex tensor": SOME + 1j, "an empty tensor": torch.zeros(0), "an array of objects": np.array([None]),
}  # fmt: skip
# Calls that are refused themselves, since something that they name is missing.
CALLS: dict[Callable[..., Any], dict[str, Any]] = {
    api.inspect: {"movie": "none.npy"},
    api.fit: {"data": "none.npy"},
    api.configuration: {"preset": "none"},
    api.resume: {"run": "none"},
    api.track: {"tracker": None, "data": "none.npy"},
    many.track_all: {"tracker": None, "data": "none/*.npy", "out": "out"},
    many.forecast_all: {"tracker": None, "data": "none/*.npy", "out": "out"},
    many.fit_each: {"data": "none/*.npy"},
    api.forecast: {"tracker": None, "data": "none.npy"},
    api.evaluate: {"tracker": None, "data": "none.npy"},
    api.overlay: {"tracks": "none.csv", "data": "none.npy", "out": "out"},
    api.convert: {"tracks": "none.csv", "target": "none.xml"},
    api.calibrate: {"tracker": "none"},
    api.track_live: {"tracker": "none", "source": "none", "out": "out"},
    api.generate: {"flavour": "none", "out": "out.npz"},
    api.sample_movie: {"name": "none"},
    api.page: {"run": "none"},
    api.info: {"tracker": "none"},
    api.reproduce: {"items": "none"},
    api.benchmark: {"tracker": "none", "preset": "none"},
    load: {"source": "none"},
    load_digits: {"source": "none", "split": "test"},
    read_tracks: {"path": "none"},
    write_tracks: {"tracks": None, "path": "none"},
    open_frames: {"source": "none.npy"},
    open_movie: {"path": "none.npy"},
    array_movie: {"name": "movie", "frames": np.zeros((3, 4))},
    Run: {"folder": "none"},
}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_odd_arguments_are_refused_in_one_line(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    usual = CALLS[call]
    if "data" in usual and "tracker" in usual:
        usual = usual | {"tracker": trained()}
    for name in inspect.signature(call).parameters:
        for kind, odd in ODD.items():
            message = said_of(lambda name=name, odd=odd: call(**usual | {name: odd}))
            assert "\n" not in message, (name, kind)
            assert message or name in usual, (name, kind)  # or what is missing is not asked for


@cache
def trained() -> Tracker:
    """Weights that are read once."""
    return load("moving-mnist")


def said_of(call: Callable[[], object]) -> str:
    """The message of an error of ours; empty if there is none."""
    try:
        call()
    except VtssiError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("call", [Hints, Stored], ids=lambda call: call.__name__)
def test_what_is_known_of_a_movie_keeps_to_its_declaration(call: type) -> None:
    for name in inspect.signature(call).parameters:
        for odd in ODD.values():
            message = said_of(lambda name=name, odd=odd: call(**{name: odd}))
            assert name in message or getattr(call(**{name: odd}), name) == odd
    with pytest.raises(UsageError, match=r"Hints\.crop: expected a width and a height of 1 or more"):
        Hints(crop=(0, 0, 0, 0))
    assert Hints(objects=np.int64(3), crop=[0, 1, 2, 3]) == Hints(objects=3, crop=(0, 1, 2, 3))  # type: ignore[arg-type]
    assert type(Stored(channel=np.int64(1)).channel) is int  # ready for JSON


def test_a_run_has_one_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^runs: the run's own folder is named already, by run$"):
        api.fit("linear", run=tmp_path / "a", runs=tmp_path / "b")
    assert not list(tmp_path.iterdir())
