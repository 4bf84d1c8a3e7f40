"""Pictures of sampled futures and of how honest they are, judged by what is drawn in them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image

from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.clouds import mahalanobis
from vtssi_pyro.plots import calibration as honesty
from vtssi_pyro.plots import futures, reliability
from vtssi_pyro.plots.fan import LEVELS, _regions
from vtssi_pyro.plots.style import IDENTITIES
from vtssi_pyro.tracks.tracks import Tracks


@pytest.mark.slow
def test_futures_fan_out_from_what_was_seen(tmp_path: Path) -> None:
    """Paths of two objects and an empty slot; pixels of an identity's colour lie where its futures do."""
    B, seen, horizon = 3, 4, 6
    time = torch.arange(seen + horizon)[None, :, None, None].double()
    start, pace = torch.tensor([[10.0, 10.0], [10.0, 40.0], [0.0, 0.0]]), torch.tensor([3.0, 0.0])
    position = (start + pace * time).expand(B, -1, -1, -1).clone()
    present = torch.ones(position.shape[:-1], dtype=torch.bool)
    present[..., 2] = False
    spread = (time - seen + 1).clamp_min(0)
    samples = position + spread * torch.randn(
        30, B, seen + horizon, 3, 2, generator=torch.Generator().manual_seed(0)
    )
    tracks = Tracks(position.where(present[..., None], torch.nan), present, samples=samples)
    path = tmp_path / "futures.png"
    futures(path, torch.zeros(B, 1, 50, 50), tracks, seen)
    with Image.open(path) as image:
        colours = np.asarray(image.convert("RGB")).astype(int)
    orange, blue = ((np.abs(colours - np.array(c)).sum(-1) < 60) for c in IDENTITIES[:2])
    assert orange.sum() > 100
    assert blue.sum() > 100
    assert orange.nonzero()[0].mean() < blue.nonzero()[0].mean()  # above
    bare = tracks._replace(samples=None)
    futures(tmp_path / "modes.png", torch.zeros(B, 1, 50, 50), bare, seen)
    assert (tmp_path / "modes.png").read_bytes() != path.read_bytes()
    holed = samples.clone()
    holed[::2, :, seen:] = torch.nan
    holed[:, :, -2:, 1] = torch.nan  # of one object nothing is left in the end
    futures(tmp_path / "holed.png", torch.zeros(B, 1, 50, 50), tracks._replace(samples=holed), seen)
    assert (tmp_path / "holed.png").read_bytes() != path.read_bytes()


def test_regions_hold_their_share_and_are_those_of_the_calibration() -> None:
    generator = torch.Generator().manual_seed(0)
    slanted = torch.tensor([[3.0, 2.5], [0.0, 0.4]], dtype=torch.float64)
    points = torch.randn(400, 2, dtype=torch.float64, generator=generator) @ slanted + torch.tensor([20, 30])
    axes = Figure().add_subplot()
    _regions(axes, points, (0.0, 0.0, 0.0))
    ellipses = [patch for patch in axes.patches if isinstance(patch, Ellipse)]
    away = mahalanobis(points, points)
    for (level, _), ellipse in zip(LEVELS, ellipses, strict=True):
        unit = ellipse.get_patch_transform().inverted().transform(points.numpy())  # of a circle of radius 1
        inside = np.hypot(*unit.T) <= 1
        assert inside.mean() == pytest.approx(level, abs=0.004)
        assert (inside == (away <= away.quantile(level)).numpy()).mean() > 0.995


@pytest.mark.slow
@pytest.mark.parametrize("length", [0.0, 1e-3, 100.0, 1e7])
@pytest.mark.parametrize("number", [3, 50])
def test_regions_of_samples_in_line_lie_along_it(length: float, number: int) -> None:
    slope = torch.tensor([0.6, 0.8], dtype=torch.float64)
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)
        points = length * torch.randn(number, 1, dtype=torch.float64, generator=generator) * slope + 20
        axes = Figure().add_subplot()
        _regions(axes, points, (0.0, 0.0, 0.0))
        for patch in axes.patches:
            assert 0 <= patch.height <= patch.width < np.inf
            if length > 1:
                assert patch.angle % 180 == pytest.approx(np.rad2deg(np.arctan2(0.8, 0.6)), abs=0.5)


def test_reliability_shows_regions_and_intervals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(40, 4, 1, 2, generator=generator)
    present = torch.ones(40, 4, 1, dtype=torch.bool)
    samples = torch.tensor([3.0, 1.0]) * torch.randn(30, 40, 4, 1, 2, generator=generator)  # of x, too wide
    found = assess(Tracks(truth, present), Tracks(truth, present, samples=samples), 2).as_dict()
    drawn: list[Figure] = []
    monkeypatch.setattr(honesty, "save", lambda figure, path: drawn.append(figure))
    reliability(tmp_path / "a.png", found, None)
    lines = {line.get_label(): line.get_ydata() for line in drawn[0].axes[0].get_lines()}
    for label, key in (("as drawn", "coverage"), ("x alone", "coverage_x"), ("y alone", "coverage_y")):
        np.testing.assert_allclose(lines[label], 100 * np.array(found[key][0]))
    assert lines["x alone"][9] > 70 > lines["y alone"][9]
