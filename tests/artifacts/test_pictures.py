"""Pictures of a tracking show sequences with objects, under their own numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vtssi_pyro import forecast, track
from vtssi_pyro.artifacts import figures
from vtssi_pyro.artifacts.opening import SHOWN, worth_showing
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.plots import Panel
from vtssi_pyro.tracks.tracks import Tracks


def tracks_of(*with_object: bool) -> Tracks:
    present = torch.tensor(with_object)[:, None, None].expand(-1, 3, 2)
    return Tracks(torch.zeros(*present.shape, 2), present)


def test_sequences_with_objects_are_shown() -> None:
    assert worth_showing(tracks_of(False, True, False, True, True), 3) == [1, 3, 4]
    assert worth_showing(tracks_of(False, True, False), 3) == [1]
    assert worth_showing(tracks_of(False, False, False), 2) == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [True, False])
def test_empty_sequences_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    drawn = moving_digits("linear", load_digits("embedded", "test"), sequences=12, length=6, seed=3)
    full = (drawn.counts > 0).nonzero()[:, 0]
    frames = drawn.frames(torch.cat([(drawn.counts == 0).nonzero()[:1, 0].expand(3), full[:5]]))
    panels: list[Panel] = []
    monkeypatch.setattr(figures, "overlay_gif", lambda path, given: panels.extend(given) or path.touch())
    np.save(tmp_path / "some.npy", (255 * frames[:, :, 0]).byte().numpy())
    source = frames if kept else tmp_path / "some.npy"
    track("pretrained:moving-mnist", source, out=tmp_path / "tracks")
    seen, tracked, rendered = panels
    assert seen.names == [f"sequence {k}" for k in (4, 5, 6, 7)]
    assert len(seen.frames) == len(rendered.frames) == SHOWN
    assert tracked.tracks is not None
    assert tracked.tracks.present.flatten(1).any(1).all()
    assert (torch.as_tensor(rendered.frames) - torch.as_tensor(seen.frames)).square().mean() < 0.01
    panels.clear()
    forecast("pretrained:moving-mnist", source, 2, out=tmp_path / "ahead")
    assert panels[0].names == seen.names
    assert len(panels[1].frames) == SHOWN
