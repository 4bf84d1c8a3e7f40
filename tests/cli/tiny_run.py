"""A run so small that training it takes seconds, and how the tests call the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from vtssi_pyro.cli.main import main

STAGES = [
    {"name": "objects", "steps": 5, "objective": "frames", "blocks": ["scene", "attention", "picture"], "batch": 3,
     "random_start": True, "length": {"kind": "Constant", "value": 1},
     "learning_rate": {"kind": "Constant", "value": 0.001}},
    {"name": "places", "steps": 4, "objective": "walk", "batch": 3,
     "blocks": ["scene", "attention", "picture", "consensus", "finder"],
     "length": {"kind": "Staircase", "start": 3, "rise": 1, "every": 2, "end": 5}},
    {"name": "motion", "steps": 4, "objective": "rollout", "blocks": ["motion"], "batch": 3, "cache": 6},
    {"name": "joint", "steps": 2, "batch": 3},
]  # fmt: skip
STEPS = 15
FRAME = 32
KEYS = {
    "model.frame_size": FRAME,
    "model.glimpse": 9,
    "model.description": 4,
    "model.attention.counter_filters": [[4, 5], [4, 4], [4, 3]],
    "model.attention.counter_dense": [16, 8],
    "model.attention.locator_filters": [[4, 3], [4, 3]],
    "model.attention.locator_units": 16,
    "model.attention.locator_head": 8,
    "model.attention.encoder": [16, 8],
    "model.finder.kernel_side": 5,
    "model.consensus.K": 3,
    "model.consensus.units": 8,
    "model.consensus.dense": [8, 8],
    "model.motion.M": 3,
    "model.motion.motion": 3,
    "model.motion.units": 8,
    "model.motion.heads": [8],
    "model.motion.transition": [8, 8],
    "train.stages": STAGES,
    "train.evaluate_every": 10,
    "train.save_every": 4,
    "train.log_every": 5,
    "observe": 3,
}
# By variant, the slots whose block has none of these sizes.
_BARE = {
    "air": ("consensus", "finder", "motion"),
    "template-search": ("consensus", "motion"),
    "count-rect-template-search": ("motion",),
    "template-search-residual-mot": ("consensus",),
}
_DATA = {"data.sequences": 12, "data.validation_sequences": 4, "data.test_sequences": 6, "data.length": 8}


def blobs(path: Path, sequences: int = 12, length: int = 8) -> Path:
    """Write sequences of two soft blobs on straight paths, with positions; faster to make than digits."""
    random = np.random.default_rng(0)
    start, speed = random.uniform(9, 23, (sequences, 1, 2, 2)), random.uniform(-1, 1, (sequences, 1, 2, 2))
    positions = start + speed * np.arange(length).reshape(length, 1, 1)  # (S, T, N, 2)
    axis = np.arange(FRAME) + 0.5
    x, y = (np.exp(-(((axis - positions[..., i, None]) / 3) ** 2)) for i in (0, 1))  # (S, T, N, FRAME)
    frames = (y[..., :, None] * x[..., None, :]).sum(2).clip(0, 1)
    np.savez(path, frames=(frames * 255).astype(np.uint8), positions=positions.astype(np.float32))
    return path


def sets(**keys: object) -> list[str]:
    """``--set`` for every key; ``data__length=3`` stands for data.length."""
    named = {key.replace("__", "."): value for key, value in keys.items()}
    return [part for key, value in named.items() for part in ("--set", f"{key}={json.dumps(value)}")]


def keys_of(variant: str) -> dict[str, object]:
    """Those of KEYS that a variant has."""
    bare = _BARE.get(variant, ())
    return {key: value for key, value in KEYS.items() if not any(f".{slot}." in key for slot in bare)}


def on_file(variant: str = "ours") -> list[str]:
    """Options that make a fit tiny."""
    return [*sets(**keys_of(variant)), "--threads", "1", "--device", "cpu"]


ON_FILE = on_file()
ON_DIGITS = ["linear-overlap", *ON_FILE, *sets(**_DATA)]


def call(*args: object, code: int = 0) -> Result:
    """Call the command line within this process; its exit code is checked."""
    result = CliRunner().invoke(main, [str(arg) for arg in args], prog_name="vtssi-pyro")
    assert result.exit_code == code, f"exit code {result.exit_code}, expected {code}\n{result.output}"
    if code:
        assert "Traceback" not in result.output
    return result


def refused(code: int, *args: object) -> str:
    """The one line on stderr with which a call is refused."""
    result = call(*args, code=code)
    assert result.stdout == ""
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("error: "), result.stderr
    return line


def process(
    *args: object, before: str = "", cwd: Path | None = None, processes: int = 1, **environment: str
) -> "subprocess.Popen[str]":
    """Start the command line in a process of its own, or in several by torchrun, after some code.

    ``environment`` holds further variables of it.
    """
    together = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--no-python"]
    launcher = [sys.executable, *together] if processes > 1 else []
    code = f"import sys; {before}\nfrom vtssi_pyro.cli.main import main; main(prog_name='vtssi-pyro')"
    return subprocess.Popen(
        [*launcher, sys.executable, "-c", code, *(str(arg) for arg in args)], cwd=cwd, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )  # fmt: skip
