"""A training without noise, in float64, by one process or, started by torchrun, by several."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from test_training import CPU, DATA, MODEL, STAGES, At, configuration
from torch import Tensor

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.train import training
from vtssi_pyro.train.group import Group, joined

SHARED = tuple(replace(stage, batch=4, fuse_low=Constant(0.3), fuse_high=Constant(0.3)) for stage in STAGES)


class Doubled(ArrayDataset):
    """Frames in float64."""

    def frames(self, *args: Any, **kwargs: Any) -> Tensor:
        return super().frames(*args, **kwargs).double()


def train(folder: Path, group: Group) -> None:
    """Train in a new run folder, or with the others in that of the first."""
    model = replace(MODEL, attention=replace(MODEL.attention, dropout=0.0))
    config = replace(configuration(stages=SHARED), model=model)
    run = group.once(lambda: Run.create(folder, config))
    data = Doubled("blobs", DATA.frames(torch.arange(len(DATA))).numpy())
    torch.set_default_dtype(torch.float64)
    try:
        with mode():
            training.train(config, data, data, run, CPU, At(), group=group)
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    with joined(CPU) as found:
        train(Path(sys.argv[1]), found)
