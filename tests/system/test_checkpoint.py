"""A checkpoint is read back exactly, or refused in one line; it never runs code."""

import hashlib
import os
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from vtssi_pyro.errors import CheckpointError, OutOfResources
from vtssi_pyro.system import checkpoint


class Hostile:
    """Pickles to a call that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def state() -> dict[str, Any]:
    return {"step": 3, "weights": torch.randn(200), "rng": torch.get_rng_state(), "best": -float("inf")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "last.pt"


def equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


def test_what_is_saved_is_loaded(path: Path) -> None:
    saved = state()
    checkpoint.save(path, saved)
    assert equal(checkpoint.load(path), saved)
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated(path: Path, share: float) -> None:
    checkpoint.save(path, state())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        checkpoint.load(path)


def test_no_flipped_bit_goes_unnoticed(path: Path) -> None:
    """Wherever a bit flips, the file is refused, or the flip was in padding and nothing changed."""
    saved = state()
    checkpoint.save(path, saved)
    content = path.read_bytes()
    refused = 0
    for place in torch.randint(len(content), (60,)).tolist():
        flipped = bytearray(content)
        flipped[place] ^= 16
        path.write_bytes(flipped)
        try:
            assert equal(checkpoint.load(path), saved)
        except CheckpointError as error:
            refused += "\n" not in str(error)
    assert refused > 40


def test_a_hostile_pickle_is_refused_and_not_run(path: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path.write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    torch.save({"format": 1, "sha256": "", "payload": Hostile(mark)}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert not mark.exists()


def test_a_hostile_pickle_under_a_right_hash_is_refused(path: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner.pt"
    torch.save({"step": Hostile(tmp_path / "mark")}, inner)
    payload = inner.read_bytes()
    digest = hashlib.sha256(payload).hexdigest()
    torch.save(
        {"format": 1, "sha256": digest, "payload": torch.tensor(list(payload), dtype=torch.uint8)}, path
    )
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"weights": torch.zeros(2)}, {"format": 1, "sha256": "", "payload": 3}]
)
def test_another_programs_file(path: Path, content: Any) -> None:
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        checkpoint.load(path)


def test_what_is_no_file(path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.load(path)
    path.mkdir()
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


def test_a_later_format_names_both(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 7)
    checkpoint.save(path, state())
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format 7, this version reads format 1"):
        checkpoint.load(path)


def test_a_full_disk_leaves_the_old_one(path: Path) -> None:
    old = state()
    checkpoint.save(path, old)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, limits[1]))
    try:
        with pytest.raises(OutOfResources, match=r"File too large.*: it takes"):
            checkpoint.save(path, state())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert equal(checkpoint.load(path), old)
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]
