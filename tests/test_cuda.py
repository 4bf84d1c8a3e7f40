"""What a GPU must give: the CPU's numbers. Skipped where there is none."""

import pytest
import torch
from torch import Tensor

from vtssi_pyro.handlers import mode
from vtssi_pyro.predict import track
from vtssi_pyro.train.objective import Elbo
from vtssi_pyro.types import Anneal

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def elbo(tracker: torch.nn.Module, frames: Tensor) -> float:
    with torch.no_grad(), mode():
        terms = Elbo()(tracker.model, tracker.guide, frames, Anneal())
    return float(sum(terms.values()))


def test_the_elbo_and_tracks_are_those_of_the_cpu(tiny, frames: Tensor) -> None:
    tracker = tiny()
    expected, tracks = elbo(tracker, frames), track(tracker, frames).tracks
    tracker.cuda()
    assert elbo(tracker, frames.cuda()) == pytest.approx(expected, rel=1e-6)
    found = track(tracker, frames.cuda()).tracks
    torch.testing.assert_close(found.position.cpu(), tracks.position, equal_nan=True, rtol=1e-5, atol=1e-5)
