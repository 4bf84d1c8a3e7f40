"""Provenance of a result: the code, and the machine it ran on."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vtssi_pyro.system.machine import physical_cores
from vtssi_pyro.version import __version__

_CPUINFO = Path("/proc/cpuinfo")


def provenance(device: torch.device) -> dict[str, Any]:
    """Return ``commit`` (None outside a git checkout), ``versions`` and ``hardware``, to keep beside a result."""
    hardware = {
        "processor": _processor(),
        "cores": physical_cores(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
    }
    return {"commit": commit(), "versions": versions(), "hardware": hardware}


def command() -> str | None:
    """The command line by which this process was started, ready for a shell; None of any other program than ours."""
    program = Path(sys.argv[0])
    if program.stem != "vtssi-pyro" and program.parts[-2:] != ("cli", "__main__.py"):
        return None
    return shlex.join(["vtssi-pyro", *sys.argv[1:]])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that determine a run's result."""
    packages = ("torch", "pyro-ppl", "numpy")
    found = {name: version(name) for name in packages}
    return {"python": platform.python_version(), "vtssi-pyro": __version__, **found}


def commit(folder: Path | None = None) -> str | None:
    """Return the checked-out commit, with ``-dirty`` if tracked files differ from it.

    Args:
        folder: the top of a checkout; None: the checkout of this package.

    Returns:
        the commit, or None for an installed package and if git fails.
    """
    folder = folder or Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    ask = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return (
            # git answers in a second; a minute allows for a slow disk
            subprocess.run(ask, capture_output=True, text=True, check=True, timeout=60).stdout.strip() or None
        )
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    """Return the processor's name in the system's words."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next((name for name in names if name), platform.processor() or platform.machine())
