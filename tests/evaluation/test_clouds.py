"""Laws of the statistics of samples, also where there are few and where they are equal, in line, huge or tiny."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro.errors import UsageError
from vtssi_pyro.evaluation.assessment import assess
from vtssi_pyro.evaluation.calibration import Calibration, calibrate
from vtssi_pyro.evaluation.clouds import FLOOR, mahalanobis, moments, nll, standard_deviation
from vtssi_pyro.evaluation.regions import LEVELS
from vtssi_pyro.tracks.tracks import Tracks

CLOUDS = 300  # of each kind: rounding spoils some, not all
SLANTED = torch.tensor([0.6, 0.8], dtype=torch.float64)
ACROSS = torch.tensor([-0.8, 0.6], dtype=torch.float64)


def drawn(number: int, spread: float, seed: int = 0) -> Tensor:
    """Clouds (number, CLOUDS, 2)."""
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(number, CLOUDS, 2, generator=generator, dtype=torch.float64)


def in_line(number: int, spread: float) -> Tensor:
    """Clouds (number, CLOUDS, 2), each on a slanted line."""
    return drawn(number, spread)[..., :1] * SLANTED


KINDS = {
    "ordinary": drawn(40, 3.0),
    "two": drawn(2, 3.0),
    "three": drawn(3, 30.0),
    "three in line": in_line(3, 100.0),
    "in line": in_line(40, 100.0),
    "far in line": in_line(40, 1e7),
    "three far in line": in_line(3, 1e7),
    "huge": drawn(40, 1e6),
    "tiny": drawn(40, 1e-6),
    "equal": drawn(1, 10.0).expand(3, -1, -1),
}
kinds = pytest.mark.parametrize("kind", KINDS)
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
offsets = pytest.mark.parametrize("offset", [0.0, 12345.678])


def judged(samples: Tensor, truth: Tensor) -> tuple[Tracks, Tracks]:
    """Forecasts (S, R, 2) of one object a sequence, and what came (R, 2), after one frame that is seen."""
    present = torch.ones(len(truth), 2, 1, dtype=torch.bool)
    position = torch.stack([torch.zeros_like(truth), truth], 1).unsqueeze(-2)
    before = torch.zeros_like(samples)
    futures = torch.stack([before, samples], 2).unsqueeze(-2)
    return Tracks(position, present), Tracks(
        position, present, samples=futures, scale=torch.ones_like(position, dtype=samples.dtype)
    )


def test_the_density_is_that_of_a_normal() -> None:
    samples, truth = torch.randn(20, 5, 2) @ torch.tensor([[2.0, 0.7], [0.0, 0.3]]), torch.randn(5, 2)
    normal = torch.distributions.MultivariateNormal(*moments(samples))
    assert nll(samples, truth) == pytest.approx(-float(normal.log_prob(truth).mean()))


@kinds
@precisions
@offsets
def test_statistics_are_finite(kind: str, dtype: torch.dtype, offset: float) -> None:
    samples = (KINDS[kind] + offset).to(dtype)
    mean, covariance = moments(samples)
    assert mean.isfinite().all()
    assert (torch.linalg.eigvalsh(covariance) > 0).all()
    away = mahalanobis(samples, samples)
    assert away.isfinite().all()
    # sum_s d_s^2 = (S - 1) tr(C^-1 (C - floor))
    assert (away.square().sum(0) <= 2 * (len(samples) - 1) * (1 + 1e-9)).all()
    for truth in (mean, samples[0].double(), mean + 1e6):
        found = assess(*judged(samples, truth), 1)
        assert math.isfinite(found.crps[0])
        assert math.isfinite(found.nll[0])
        for share in (found.coverage[0], found.coverage_x[0], found.coverage_y[0]):
            assert share == sorted(share)


@kinds
@precisions
@offsets
def test_regions_hold_their_mean_and_nothing_far_off(kind: str, dtype: torch.dtype, offset: float) -> None:
    samples = (KINDS[kind] + offset).to(dtype)
    mean, _ = moments(samples)
    assert assess(*judged(samples, mean), 1).coverage == [[1.0] * 19]
    farthest = (samples - mean).norm(dim=-1).amax() + 1
    assert assess(*judged(samples, mean + 2 * farthest), 1).coverage == [[0.0] * 19]


@kinds
@precisions
def test_every_kind_can_be_calibrated(kind: str, dtype: torch.dtype) -> None:
    """The factors are positive and finite, which Calibration asks for; samples stay finite and in their precision."""
    samples = KINDS[kind].to(dtype)
    for truth in (samples.double().mean(0), samples[0].double(), samples[0].double() + 1):
        found, forecasts = judged(samples, truth)
        told = calibrate(found, forecasts, 1)(forecasts, 1)
        assert told.samples.dtype == told.scale.dtype == dtype
        assert told.samples.isfinite().all()
        assert told.scale.isfinite().all()


@kinds
def test_single_precision_is_no_worse_than_what_it_holds(kind: str) -> None:
    """The statistics of single-precision samples are those of the same numbers in double precision."""
    samples = (KINDS[kind] + 1234.5).float()
    one, other = ((moments(x), mahalanobis(x, x), standard_deviation(x)) for x in (samples, samples.double()))
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    calibration = Calibration((0.1, 0.9), ((0.5, 1.5),), 1, len(samples))
    one, other = (calibration(judged(x, x[0])[1], 1) for x in (samples, samples.double()))
    assert torch.equal(one.samples, other.samples.float())
    torch.testing.assert_close(one.scale.double(), other.scale, rtol=1e-5, atol=1e-3)


@precisions
def test_distances_along_a_line_and_off_it(dtype: torch.dtype) -> None:
    """Along it they are in units of the spread, across it in units of the floor."""
    samples = in_line(3, 100.0).to(dtype)
    mean, _ = moments(samples)
    spread = (samples.double() @ SLANTED).std(0)
    on, off = mean + 2 * spread[:, None] * SLANTED, mean + 0.05 * ACROSS
    along, across = mahalanobis(torch.stack([on, off]), samples)
    wide = spread > 1  # of a line no longer than the floor both directions are one
    assert wide.sum() > 0.9 * CLOUDS
    torch.testing.assert_close(along[wide], torch.full_like(along[wide], 2.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(across[wide], torch.full_like(along[wide], 0.05 / FLOOR), rtol=0.02, atol=0)


def test_a_point_is_a_hundredth_of_a_pixel_wide() -> None:
    samples = torch.full((3, CLOUDS, 2), 7.1)
    truth = moments(samples)[0]
    away = mahalanobis((truth + 0.03 * ACROSS).unsqueeze(0), samples)
    torch.testing.assert_close(away, torch.full_like(away, 3.0))
    nll = assess(*judged(samples, truth), 1).nll[0]
    assert nll == pytest.approx(math.log(2 * math.pi * 0.01**2))


@pytest.mark.parametrize("number", [3, 40])
def test_units_and_axes_do_not_matter(number: int) -> None:
    """Where the floor is nothing, distances stay when all is turned, scaled and moved; scores change as they must."""
    samples, truth = drawn(number, 1e3), drawn(1, 1e3, seed=1)[0]
    turn, scale = torch.stack([SLANTED, ACROSS]), 7.0
    changed = [scale * points @ turn + 4321.0 for points in (samples, truth)]
    near = mahalanobis(truth.unsqueeze(0), samples)[0] < 30  # three may lie in line, but for the floor
    assert near.sum() > 0.5 * CLOUDS
    one, other = mahalanobis(truth.unsqueeze(0), samples), mahalanobis(changed[1].unsqueeze(0), changed[0])
    torch.testing.assert_close(one[:, near], other[:, near], rtol=1e-4, atol=0)
    before, after = (assess(*judged(x[:, near], y[near]), 1) for x, y in ((samples, truth), changed))
    assert after.nll[0] - before.nll[0] == pytest.approx(2 * math.log(scale), abs=1e-3)
    wider = assess(*judged(scale * samples + 4321.0, scale * truth + 4321.0), 1)
    assert wider.crps[0] == pytest.approx(scale * assess(*judged(samples, truth), 1).crps[0], rel=1e-9)


@pytest.mark.parametrize("number", [2, 3, 40])
def test_rounding_does_not_decide_which_sample_moves(number: int) -> None:
    """Two samples are equally far from their mean: moved elsewhere, the same one is drawn in and the other let out."""
    samples = drawn(number, 3.0)
    calibration = Calibration((0.1, 0.9), ((0.5, 1.5),), 1, number)
    here, there = (calibration(judged(samples + x, samples[0])[1], 1).samples - x for x in (0.0, 1 / 3))
    torch.testing.assert_close(here[:, :, 1], there[:, :, 1], rtol=0, atol=1e-6)
    assert not torch.allclose(here[:, :, 1, 0], samples, atol=1e-3)


def test_factors_are_interpolated_and_constant_beyond_the_levels() -> None:
    samples, levels, factors = drawn(10, 3.0), (0.2, 0.5, 0.8), (2.0, 1.5, 4.0)
    moved = Calibration(levels, (factors,), 1, 10)(judged(samples, samples[0])[1], 1).samples[:, :, 1, 0]
    rank = mahalanobis(samples, samples).argsort(0).argsort(0)
    mean = samples.mean(0)
    expected = torch.from_numpy(np.interp((rank + 0.5) / 10, levels, factors)).unsqueeze(-1)
    torch.testing.assert_close(moved - mean, expected * (samples - mean))


def test_each_horizon_has_its_factors_and_the_last_holds_beyond() -> None:
    _, forecasts = judged(drawn(10, 3.0), torch.zeros(CLOUDS, 2))
    samples = forecasts.samples[:, :, [0, 1, 1, 1]]
    told = Calibration((0.1, 0.9), ((1.0, 1.0), (2.0, 2.0)), 1, 10)(
        forecasts._replace(samples=samples, scale=None), 1
    )
    away, before = (x - x.mean(0) for x in (told.samples, samples))
    for t, factor in enumerate((1.0, 1.0, 2.0, 2.0)):
        torch.testing.assert_close(away[:, :, t], factor * before[:, :, t])


def test_factors_are_quantiles_among_the_objects_and_the_next() -> None:
    """Of n objects and one more, n p + p are to be inside the region of level p; 10 objects are the fewest."""
    samples, truth = drawn(50, 3.0)[:, :10], drawn(1, 3.0, seed=1)[0, :10]
    factors = calibrate(*judged(samples, truth), 1).factors[0]
    distance, away = (
        mahalanobis(truth.unsqueeze(0), samples)[0].numpy(),
        mahalanobis(samples, samples).numpy(),
    )
    for level, factor in zip(LEVELS, factors, strict=True):
        ratio = distance / np.quantile(away, level, 0)
        assert factor == pytest.approx(np.quantile(ratio, min(level * 11 / 10, 1.0)), rel=1e-6)
    with pytest.raises(UsageError, match="10 objects"):
        calibrate(*judged(samples[:, :9], truth[:9]), 1)


def test_neighbouring_horizons_share_their_factors() -> None:
    """Each is the geometric mean of three, of which the first and the last horizon are two themselves."""

    def factors(*far: float) -> Tensor:
        samples = drawn(50, 3.0)
        truth = samples.mean(0) + torch.tensor((0.0, *far))[:, None, None] * SLANTED
        found = truth.transpose(0, 1).unsqueeze(2)
        ahead = torch.cat([torch.zeros_like(samples[None]), samples.expand(len(far), -1, -1, -1)])
        known = torch.ones(found.shape[:-1], dtype=torch.bool)
        told = Tracks(found, known, samples=ahead.permute(1, 2, 0, 3).unsqueeze(3))
        return torch.tensor(calibrate(Tracks(found, known), told, 1).factors)

    share = factors(8.0, 1.0, 1.0, 1.0) / factors(1.0, 1.0, 1.0, 1.0)
    torch.testing.assert_close(share, torch.tensor([4.0, 2.0, 1.0, 1.0])[:, None].expand(4, 19))


@pytest.mark.parametrize("offset", [0.0, 0.1, 1 / 3])
def test_the_edge_of_a_region_is_inside(offset: float) -> None:
    """Two samples are as far as each other, so each is in the region that holds either; an interval holds its ends."""
    samples = drawn(2, 3.0) + offset
    for truth in samples:
        assert assess(*judged(samples, truth), 1).coverage == [[1.0] * 19]
        beyond = truth + 1e-6 * (truth - samples.mean(0))
        assert assess(*judged(samples, beyond), 1).coverage == [[0.0] * 19]
    row = torch.arange(21.0, dtype=torch.float64) + offset
    samples = row[:, None, None].expand(21, 21, 2)
    found = assess(*judged(samples, samples[:, 0]), 1)
    for share in (found.coverage_x[0], found.coverage_y[0]):
        # of levels 0.05 to 0.95 in steps of a twentieth: the ends are at 9.5, 9, ... and 10.5, 11, ...
        assert share == pytest.approx([(1 + 2 * (i // 2)) / 21 for i in range(1, 20)])


def test_samples_that_are_not_finite_say_nothing() -> None:
    """Each cloud has the statistics of those of its samples that are finite, however many these are."""
    samples, truth = drawn(9, 3.0), drawn(1, 3.0, seed=1)[0]
    kept = torch.arange(CLOUDS) % 10  # 0 to 9 samples
    gone = torch.arange(9)[:, None] >= kept
    holed = samples.clone()
    holed[..., 0][gone & (torch.arange(CLOUDS) % 3 == 0)] = torch.nan  # in one coordinate, or in both
    holed[gone & (torch.arange(CLOUDS) % 3 == 1)] = torch.inf
    holed[..., 1][gone & (torch.arange(CLOUDS) % 3 == 2)] = -torch.inf
    mean, covariance = moments(holed)
    away = mahalanobis(holed, holed)
    for number in range(10):
        mine, some = kept == number, samples[:number, kept == number]
        assert (away[:, mine].isfinite().sum(0) == number).all()
        if number:
            torch.testing.assert_close(mean[mine], some.mean(0))
        else:
            assert mean[mine].isnan().all()
        if number > 1:
            centred = some - some.mean(0)
            expected = (centred.unsqueeze(-1) * centred.unsqueeze(-2)).sum(0) / (number - 1)
            torch.testing.assert_close(covariance[mine], expected + FLOOR**2 * torch.eye(2).double())
        else:
            torch.testing.assert_close(
                covariance[mine], FLOOR**2 * torch.eye(2).double().expand(len(mean[mine]), 2, 2)
            )
    found = judged(holed, truth)
    few, enough = kept < 2, kept > 1
    moved = Calibration((0.1, 0.9), ((1.0, 1.0),), 1, 9)(found[1], 1)
    assert moved.scale[few, 1].isnan().all()
    expected = torch.stack([samples[:n, i].std(0) for i, n in enumerate(kept.tolist()) if n > 1])
    torch.testing.assert_close(moved.scale[enough, 1, 0], expected)
    crps = [fair(samples[:n, i], truth[i]) for i, n in enumerate(kept.tolist()) if n > 1]
    assert assess(*found, 1).crps[0] == pytest.approx(sum(crps) / len(crps))


def fair(samples: Tensor, truth: Tensor) -> float:
    """E|s - y| - E|s - s'| / 2 over pairs of different samples, mean of x and y."""
    number = len(samples)
    pairs = (samples[:, None] - samples[None]).abs().sum((0, 1)) / (number * (number - 1))
    return float(((samples - truth).abs().mean(0) - pairs / 2).mean())
