"""The installation: versions, devices, extras and the weights that ship."""

import platform
import re
from importlib.metadata import PackageNotFoundError, metadata, version
from typing import Any

import torch

from vtssi_pyro.artifacts.shipped import available
from vtssi_pyro.system.machine import default_threads, physical_cores
from vtssi_pyro.system.provenance import versions


def installation() -> dict[str, Any]:
    """Describe the installation and its machine, ready for JSON."""
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cores": physical_cores(),
        "threads": default_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in cuda],
        "pretrained": list(available()),
        "extras": _extras(),
    }


def _extras() -> dict[str, list[str]]:
    """The missing packages of each extra."""
    missing: dict[str, list[str]] = {}
    try:
        about = metadata("vtssi-pyro")
    except PackageNotFoundError:  # used from its folder, not installed
        return missing
    for extra in about.get_all("Provides-Extra") or []:
        missing[extra] = []
        for requirement in about.get_all("Requires-Dist") or []:
            name = re.match(r"[\w.-]+", requirement)
            if name is None or not re.search(rf"extra == ['\"]{extra}['\"]", requirement):
                continue
            try:
                version(name[0])
            except PackageNotFoundError:
                missing[extra].append(name[0])
    return missing
