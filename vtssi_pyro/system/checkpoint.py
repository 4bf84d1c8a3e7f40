"""Checkpoints: written atomically, checked by hash, read without running code."""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vtssi_pyro.errors import CheckpointError, VtssiError
from vtssi_pyro.system.atomic import write_bytes

FORMAT = 1  # of the envelope; a change of its keys needs another


def save(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write tensors and plain values atomically."""
    payload = _packed(state)
    envelope = {
        "format": FORMAT,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "payload": torch.frombuffer(payload, dtype=torch.uint8),
    }
    write_bytes(path, _packed(envelope))  # torch's own writer hides that a disk is full


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read a checkpoint of this format.

    Args:
        path: the file.
        device: the device of its tensors.

    Returns:
        The tensors and plain values.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: there is no such checkpoint; a run writes checkpoints/last.pt as it trains"
        )
    try:
        envelope = torch.load(path, weights_only=True)
        version, digest, payload = envelope["format"], envelope["sha256"], envelope["payload"]
        data = payload.numpy().tobytes()
    except Exception as error:
        raise _damaged(path, error) from error
    if version != FORMAT:
        raise CheckpointError(f"{path}: written in format {version}, this version reads format {FORMAT}")
    if hashlib.sha256(data).hexdigest() != digest:
        raise CheckpointError(
            f"{path}: damaged: its contents do not match their SHA-256; use another checkpoint"
        )
    try:
        return torch.load(io.BytesIO(data), weights_only=True, map_location=device)
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(path, error) from error


def refuse_not_finite(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Refuse weights that no training has left: NaN or infinite ones, under whatever hash.

    Raises:
        CheckpointError: some are not finite.
    """
    lost = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if lost:
        raise CheckpointError(
            f"{path}: its weights are not finite ({lost[0]}, one of {len(lost)} such); use another, such as best"
        )


def digest(weights: Mapping[str, torch.Tensor]) -> str:
    """Compute the SHA-256 of the tensors themselves, independent of their file and device."""
    return _digest((name, value.dtype, value.detach().cpu().numpy()) for name, value in weights.items())


def array_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Compute the same of arrays."""
    return _digest((name, value.dtype, value) for name, value in arrays.items())


def _digest(values: Iterable[tuple[str, object, np.ndarray]]) -> str:
    found = hashlib.sha256()
    for name, dtype, array in sorted(values, key=itemgetter(0)):
        found.update(f"{name} {dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Turn errors of the block, which uses a checkpoint, into a :class:`CheckpointError`."""
    try:
        yield
    except (torch.OutOfMemoryError, VtssiError):
        raise
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path}: does not fit the run's config.json ({reason})") from error


def _packed(value: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getbuffer()


def _damaged(path: Path, error: Exception) -> CheckpointError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return CheckpointError(
        f"{path}: not a checkpoint of vtssi-pyro, or damaged ({reason[:120]}); use another, such as best"
    )
