"""Two steps against each other, in one run."""

import statistics
from collections.abc import Callable
from typing import Any

import torch

from vtssi_pyro.speed import alternating


def against(own: Callable[[], Any], name: str, other: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Measure the median seconds of the package's step and another, and the median of their ratios round by round."""
    seconds = alternating({"package": own, name: other}, repeats)
    ratios = [b / a for a, b in zip(seconds["package"], seconds[name], strict=True)]
    return {
        "threads": torch.get_num_threads(),
        "seconds": {key: statistics.median(values) for key, values in seconds.items()},
        "over_package": statistics.median(ratios),
    }
