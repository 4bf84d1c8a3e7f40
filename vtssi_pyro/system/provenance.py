"""Where a number comes from: the code, and the machine it ran on."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.system.machine import physical_cores
from vtssi_pyro.version import __version__

_CPUINFO = Path("/proc/cpuinfo")


def provenance(device: torch.device) -> dict[str, Any]:
    """What to write beside a result: ``commit`` (None outside a git checkout), ``versions`` and ``hardware``."""
    hardware = {
        "processor": _processor(),
        "cores": physical_cores(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }
    return {"commit": commit(), "versions": versions(), "hardware": hardware}


def versions() -> dict[str, str]:
    """Versions of what a run's result depends on."""
    packages = ("torch", "pyro-ppl", "numpy")
    found = {name: version(name) for name in packages}
    return {"python": platform.python_version(), "vtssi-pyro": __version__, **found}


def commit(folder: Path | None = None) -> str | None:
    """The commit checked out, with ``-dirty`` where tracked files differ from it.

    Args:
        folder: the top of a checkout; None: the one this package is used from.

    Returns:
        the commit, or None for an installed package and where git cannot tell.
    """
    folder = folder or Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    ask = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return (
            subprocess.run(ask, capture_output=True, text=True, check=True, timeout=60).stdout.strip() or None
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    """The processor's name, as the system has it."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine())
