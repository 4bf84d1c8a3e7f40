"""Growth of a training step's time and memory with length, objects, batch and frame side; of data with sequences.

Every point is measured in a process of its own, because the peak of a process's memory never falls.

python benchmarks/growth.py --threads 1 --out growth
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import options
import pictures
import torch

from vtssi_pyro.speed import as_in_training, digits, measure_training, trainer, workload
from vtssi_pyro.system.machine import prepare

# Half of the paper's length, a quarter of its batch, its objects and frames; axes in factors of about two.
BASE = {"length": 10, "objects": 2, "batch": 16, "frame": 50}
AXES = {
    "length": (5, 10, 20, 40),
    "objects": (1, 2, 4, 8),
    "batch": (16, 32, 64, 128),
    "frame": (32, 50, 64, 96),
}
SEQUENCES = (1000, 5000, 20_000)
DRAWN_AT_ONCE = 64  # sequences; all frames together would need gigabytes


def main() -> None:
    parser = options.parser(__doc__, preset="standard", repeats=5, threads=1, out="growth")
    # the point that a separate process measures, as JSON
    parser.add_argument("--point", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.point:
        print(json.dumps(measured(**json.loads(chosen.point))))
    else:
        found = curves(chosen.preset, chosen.repeats, chosen.threads)
        write(found, Path(chosen.out))
        print("\n".join(table(found)))


def write(found: dict[str, Any], folder: Path) -> None:
    """Write the numbers and their figure to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "growth.json").write_text(json.dumps(found, indent=1) + "\n")
    pictures.growth(folder / "growth.png", found)


def curves(preset: str, repeats: int, threads: int) -> dict[str, Any]:
    """Measure points and exponents of every axis, with the other sizes of BASE."""
    shared = {"preset": preset, "repeats": repeats, "threads": threads}
    axes = {}
    for axis, values in AXES.items():
        points = [fresh(kind="step", **shared, **BASE | {axis: value}) for value in values]
        axes[axis] = {"values": values, "points": points} | {
            f"{key}_exponent": exponent(values, [point[key] for point in points])
            for key in ("seconds", "added_bytes")
        }
    points = [fresh(kind="data", **shared, sequences=number) for number in SEQUENCES]
    axes["sequences"] = {"values": SEQUENCES, "points": points}
    axes["sequences"]["seconds_exponent"] = exponent(SEQUENCES, [point["seconds"] for point in points])
    lean = [
        fresh(kind="step", **shared, **BASE, sequences=number) for number in (SEQUENCES[0], SEQUENCES[-1])
    ]
    return {"base": BASE, **shared, "axes": axes, "data_set": {"values": SEQUENCES[::2], "points": lean}}


def fresh(**point: Any) -> dict[str, Any]:
    """Measure a point in a fresh process."""
    command = [sys.executable, __file__, "--point", json.dumps(point)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    sizes = {key: value for key, value in point.items() if key in (*BASE, "sequences")}
    print(", ".join(f"{key} {value}" for key, value in sizes.items()), f"{found['seconds']:.3f} s", sep=": ",
          file=sys.stderr)  # fmt: skip
    return found


def measured(kind: str, preset: str, repeats: int, threads: int, **sizes: int) -> dict[str, Any]:
    """Measure one point in this process; bytes are the peak, and the share that the steps add to libraries and data.

    The smallest step runs first, since memory that libraries keep from their first use does not belong to the step.
    """
    prepare(threads)
    if kind == "data":
        return min((generation(preset, **sizes) for _ in range(3)), key=lambda found: found["seconds"])
    device = torch.device("cpu")
    with as_in_training():
        trainer(
            workload(preset=preset, batch=1, length=2, frame=32, objects=1, sequences=1), device
        ).advance()
        trained = trainer(workload(preset=preset, **sizes), device)
        found = measure_training(trained, repeats)
    peak = found["train_memory_bytes"]
    added = peak - found["start_memory_bytes"]
    stored = sum(x.nbytes for x in (trained.dataset.which, trained.dataset.position, trained.dataset.counts))
    return {
        "seconds": found["train_step_seconds"],
        "bytes": peak,
        "added_bytes": added,
        "stored_bytes": stored,
    }


def generation(preset: str, sequences: int) -> dict[str, Any]:
    """Time the choice of sequences of 20 frames, for which training waits, and their drawing."""
    config = workload(preset=preset, sequences=sequences, length=20)
    digits(config, 2, 20)  # the digits themselves are read once
    start = time.perf_counter()
    data = digits(config, sequences, 20)
    chosen = time.perf_counter()
    for index in torch.arange(sequences).split(DRAWN_AT_ONCE):
        data.frames(index)
    end = time.perf_counter()
    return {"seconds": end - start, "chosen_seconds": chosen - start, "drawn_seconds": end - chosen}


def exponent(x: Any, y: Any) -> float:
    """Fit the slope of the logarithms' least-squares line to the larger half of the points."""
    half = max(2, -(-len(x) // 2))
    return float(np.polyfit(np.log(x[-half:]), np.log(y[-half:]), 1)[0])


def table(found: dict[str, Any]) -> list[str]:
    """Write lines of every axis: values, seconds, memory and exponents."""
    base = ", ".join(f"{name} {value}" for name, value in found["base"].items())
    lines = [f"vtssi, preset {found['preset']}, threads {found['threads']}; unless said otherwise {base}", ""]
    for axis, curve in found["axes"].items():
        points = curve["points"]
        unit = "generation" if axis == "sequences" else "training step"
        lines.append(_row(axis, [f"{value}" for value in curve["values"]], "exponent"))
        slope = f"{curve['seconds_exponent']:.2f}"
        lines.append(_row(f"  {unit}, s", [f"{p['seconds']:.3f}" for p in points], slope))
        if axis == "sequences":
            lines.append(_row("  chosen, not drawn, s", [f"{p['chosen_seconds']:.3f}" for p in points]))
        else:
            lines.append(_row("  peak memory, MB", [f"{p['bytes'] / 1e6:.0f}" for p in points]))
            slope = f"{curve['added_bytes_exponent']:.2f}"
            lines.append(
                _row("  added by steps, MB", [f"{p['added_bytes'] / 1e6:.0f}" for p in points], slope)
            )
        lines.append("")
    small, large = (f"{p['bytes'] / 1e6:.0f}" for p in found["data_set"]["points"])
    fewer, more = found["data_set"]["values"]
    stored = found["data_set"]["points"][1]["stored_bytes"] / 1e6
    lines.append(
        f"peak memory of training on {fewer} sequences {small} MB, on {more} {large} MB "
        f"(of which {stored:.1f} MB are their paths)"
    )
    return lines


def _row(name: str, values: list[str], last: str = "") -> str:
    return f"{name:<24}{''.join(f'{value:>9}' for value in values):<36}{last:>10}".rstrip()


if __name__ == "__main__":
    main()
