"""Training batches."""

from dataclasses import replace

import numpy as np
import torch
from small_model import SIDE, small

from vtssi_pyro.config.schedules import Constant
from vtssi_pyro.data import ArrayDataset
from vtssi_pyro.model.program import build
from vtssi_pyro.train.batches import position_batches
from vtssi_pyro.train.recipe import Stage

LENGTH = 6
DATA = ArrayDataset("data", np.random.default_rng(0).random((8, LENGTH, SIDE, SIDE)).astype(np.float32))
STAGE = Stage("motion", 5, "rollout", ("motion",), 3, cache=6)


def test_roll_outs_start_anywhere() -> None:
    """With a random start the first frames are left out, never more than leave the length; else none are."""
    tracker = build("vtssi", small("template"))
    whole = position_batches(tracker, DATA, STAGE, 1, 1.0, torch.device("cpu"))
    stage = replace(STAGE, random_start=True, length=Constant(LENGTH - 2))
    cut = position_batches(tracker, DATA, stage, 1, 1.0, torch.device("cpu"))
    lengths = []
    for step in range(30):
        complete, later = whole(step).position, cut(step).position
        assert complete.shape[1] == LENGTH
        assert torch.equal(later, complete[:, -later.shape[1] :])
        lengths.append(later.shape[1])
    assert set(lengths) == {LENGTH - 2, LENGTH - 1, LENGTH}
    assert lengths.count(LENGTH) > 12
