"""Pyro's share of a training step: effect handlers, traces, distributions and the ELBO's bookkeeping.

A profiler counts the time in the Python code of Pyro, of ``torch.distributions`` and of the package's handlers and
objective, without the tensor operations that they call. The share is that time over the step's time without the
profiler. A profiler slows Python code, and so overstates the share.

python benchmarks/pyro_share.py --batch 32 --length 10 --repeats 10 --threads 1
"""

import cProfile
import json
import pstats
import statistics
import time
from typing import Any

import options
import torch

from vtssi_pyro.speed import WARM_UP, as_in_training, trainer, workload
from vtssi_pyro.system.machine import prepare

PYRO = ("/pyro/", "/torch/distributions/", "contextlib.py", "model/handlers.py", "model/sites.py", "train/elbo.py",
        "train/objective.py", "train/svi.py")  # fmt: skip


def measure(batch: int = 32, length: int = 10, repeats: int = 10) -> dict[str, Any]:
    """Time a ``standard`` step, and Pyro's share of it."""
    with as_in_training():
        step = trainer(workload(batch=batch, length=length), torch.device("cpu")).advance
        for _ in range(WARM_UP):
            step()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        with cProfile.Profile() as profiler:
            for _ in range(repeats):
                step()
    entries = pstats.Stats(profiler).stats.items()  # type: ignore[attr-defined]
    own = sum(row[2] for (file, _, _), row in entries if any(part in file for part in PYRO)) / repeats
    took = statistics.median(seconds)
    return {"batch": batch, "length": length, "step_seconds": took, "pyro_seconds": own, "share": own / took}


def main() -> None:
    chosen = options.parser(__doc__, batch=32, length=10, repeats=10, threads=1).parse_args()
    prepare(chosen.threads)
    print(json.dumps(measure(chosen.batch, chosen.length, chosen.repeats), indent=1))


if __name__ == "__main__":
    main()
