"""What napari saves: a layer of tracks, in the formats of the registry."""

from pathlib import Path
from typing import Any

import numpy as np

from vtssi_pyro.napari.layers import shown_by


def write(path: str, data: np.ndarray, style: dict[str, Any]) -> list[str]:
    """Write a layer of tracks to a file, in the format that its name ends in, as npe2 asks for it.

    Raises:
        UsageError: no format has names like that, or its package is not installed.
    """
    shown_by(data, style).write(Path(path))
    return [path]
