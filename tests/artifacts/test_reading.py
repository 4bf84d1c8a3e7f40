"""Users' frames are read part by part, and the parts joined, whatever each of them holds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import small

from vtssi_pyro.artifacts import reading
from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.artifacts.opening import Opened
from vtssi_pyro.artifacts.reading import read_all
from vtssi_pyro.data import open_frames
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.model.tracker import build
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.reporting import Silent


def test_parts_may_hold_different_numbers_of_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where objects come and go, each part has as many slots as it has objects, one after another."""
    monkeypatch.setattr(reading, "PART", 2)
    np.save(tmp_path / "some.npy", np.zeros((5, 3, 20, 20), np.uint8))
    loaded = Loaded(build(small()).eval(), "some")

    def read(x: torch.Tensor, first: int) -> Estimate:
        number = first + 1  # 1, 3 and 5 objects
        shape = len(x), 3, number
        tracks = Tracks(torch.full((*shape, 2), float(first)), torch.ones(shape, dtype=torch.bool))
        return Estimate(tracks, torch.ones_like(x), torch.full((len(x), number, 4), float(first)))

    for rendered, shown in ((True, 5), (False, 2)):
        found = read_all(Opened(open_frames(tmp_path / "some.npy")), 3, loaded, Silent(), read, rendered)
        assert found.tracks.present.sum(-1)[:, 0].tolist() == [1, 1, 3, 3, 5]
        assert found.tracks.position[3, 0, :3].eq(2).all()
        assert found.appearance.isfinite().all(-1).sum(1).tolist() == [1, 1, 3, 3, 5]
        assert len(found.frames) == shown
