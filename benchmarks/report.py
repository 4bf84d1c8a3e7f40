"""All comparisons and measurements, as one table, one file of numbers and one figure.

Comparisons are ratios of steps that alternate in one run, so that a busy machine slows both. A run takes some minutes.

python benchmarks/report.py --threads 1 --out report
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import growth
import options
import pictures
import pyro_air
import pyro_share
import step
import torch
from floor import floor_step
from rounds import against

from vtssi_pyro.speed import as_in_training, trainer, workload
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.presets import ROUTES

COLUMNS = {
    "train_step_seconds": ("step, ms", 1e3),
    "train_sequences_per_second": ("sequences/s", 1.0),
    "track_frames_per_second": ("tracked/s", 1.0),
    "stream_latency_seconds": ("latency, ms", 1e3),
    "sample_frames_per_second": ("sampled/s", 1.0),
    "train_memory_bytes": ("memory, MB", 1e-6),
    "gflops": ("GFLOP/s", 1.0),
}


def main() -> None:
    chosen = options.parser(__doc__, repeats=10, threads=1, out="report").parse_args()
    prepare(chosen.threads)
    compared = {
        "naive": step.compare(repeats=chosen.repeats) | {"title": "paper sizes, naive"},
        "naive, bfloat16": step.compare(repeats=chosen.repeats, bfloat16=True)
        | {"title": "the same, bfloat16"},
        "air": pyro_air.compare(repeats=chosen.repeats) | {"title": "AIR, single frames"},
    }
    compared |= {"floor": over_floor(chosen.repeats) | {"title": "floor"}}
    found = {
        "comparisons": compared,
        "pyro": pyro_share.measure(repeats=chosen.repeats),
        "presets": {preset: of_preset(preset, chosen.threads) for preset in ROUTES},
        "growth": growth.curves("standard", min(chosen.repeats, 5), chosen.threads),
    }
    folder = Path(chosen.out)
    growth.write(found["growth"], folder)
    (folder / "report.json").write_text(json.dumps(found, indent=1) + "\n")
    pictures.report(folder / "report.png", found)
    print("\n".join([*table(found), "", *growth.table(found["growth"])]))


def over_floor(repeats: int, batch: int = 64, length: int = 10) -> dict[str, Any]:
    """Time the package's step against the floor of its arithmetic."""
    config = workload(batch=batch, length=length)
    with as_in_training():
        own = trainer(config, torch.device("cpu")).advance
        found = against(own, "floor", floor_step(config.model, batch, length), repeats)
    return found | {"batch": batch, "length": length}


def of_preset(preset: str, threads: int) -> dict[str, Any]:
    """Run ``vtssi-pyro benchmark`` in a separate process, so that its memory is its own."""
    command = [sys.executable, "-m", "vtssi_pyro.cli", "benchmark", "--json", "--device", "cpu"]
    command += ["--preset", preset, "--threads", str(threads)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def table(found: dict[str, Any]) -> list[str]:
    """Write lines of the comparisons and of the presets."""
    lines = [f"{'training step against':<24}{'batch':>8}{'frames':>8}{'it, s':>9}{'this, s':>9}{'ratio':>8}"]
    for row in found["comparisons"].values():
        own, other = (
            seconds for _, seconds in sorted(row["seconds"].items(), key=lambda s: s[0] != "package")
        )
        seconds = f"{other:>9.3f}{own:>9.3f}"
        sizes = f"{row['batch']:>8}{row['length']:>8}"
        lines.append(f"{row['title']:<24}{sizes}{seconds}{row['over_package']:>8.2f}")
    air = found["comparisons"]["air"]
    frames, own = air["frames_per_second"], air["sequences_per_second"]["package"]
    lines.append(
        f"frames/s: AIR {frames['air']:.0f}, this package {frames['package']:.0f} "
        f"({own:.1f} sequences/s of {air['length']} frames)"
    )
    share = found["pyro"]
    lines.append(f"Pyro's own share of a step at batch {share['batch']}: {share['share']:.1%}")
    lines += ["", f"{'preset':<14}{'variant':<10}" + "".join(f"{name:>13}" for name, _ in COLUMNS.values())]
    for preset, figures in found["presets"].items():
        cells = [_cell(figures[key], unit) for key, (_, unit) in COLUMNS.items()]
        lines.append(f"{preset:<14}{figures['variant']:<10}" + "".join(cells))
    return lines


def _cell(value: float | None, unit: float) -> str:
    return f"{'-':>13}" if value is None else f"{unit * value:>13,.1f}"


if __name__ == "__main__":
    main()
