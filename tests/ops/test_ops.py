"""Laws of the pure functions: equality with PyTorch's own resampling, closed forms, Monte Carlo."""

import pytest
import torch
from pyro.distributions import Independent, Normal
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.functional import affine_grid, conv2d, grid_sample

from vtssi_pyro.model.nn import RepeatedInputLSTM
from vtssi_pyro.ops import counting, spatial
from vtssi_pyro.ops.bell import bell_mask
from vtssi_pyro.ops.correlate import correlate, correlate_template
from vtssi_pyro.ops.gaussian import average, product, weighted_average
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.ops.spatial import (
    SIZE_LIMITS,
    centres,
    extract_glimpses,
    from_cells,
    paste,
    size_to_pixels,
    to_cells,
    to_frame,
    to_pixels,
)

PRECISIONS = pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
F64 = torch.float64


def sample_affine(image: Tensor, scale: Tensor, shift: Tensor, size: tuple[int, int]) -> Tensor:
    """PyTorch's resampling of one image (H, W) at scale * grid + shift, both (2,) as (x, y)."""
    theta = torch.cat([torch.diag(scale), shift.unsqueeze(-1)], -1).unsqueeze(0)
    grid = affine_grid(theta, [1, 1, *size], align_corners=False)
    return grid_sample(image[None, None], grid, "bilinear", "zeros", align_corners=False)[0, 0]


def smooth(*shape: int, dtype: torch.dtype = F64) -> Tensor:
    """Random images without steps from pixel to pixel, so that rounded coordinates cost little."""
    noise = torch.rand(*shape, dtype=dtype)
    return torch.nn.functional.avg_pool2d(noise.flatten(0, -3), 5, 1, 2).view(shape)


@PRECISIONS
def test_crop_is_grid_sample(dtype: torch.dtype, tolerance: float) -> None:
    """Leading particle axis 2, T = 3 frames of 12 x 17, N = 4 objects, some partly or wholly outside."""
    frames = smooth(2, 3, 12, 17, dtype=dtype)
    position = 2.4 * torch.rand(2, 3, 4, 2, dtype=dtype) - 1.2
    size = 0.05 + torch.rand(2, 3, 4, 2, dtype=dtype)
    found = extract_glimpses(frames[:, :, None, None], position, size, 7).squeeze(-3)
    assert found.shape == (2, 3, 4, 7, 7)
    for p, t, n in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(4)).tolist():
        expected = sample_affine(
            frames[p, t].to(F64), size[p, t, n].to(F64), position[p, t, n].to(F64), (7, 7)
        )
        torch.testing.assert_close(found[p, t, n].to(F64), expected, rtol=0, atol=tolerance)


@PRECISIONS
def test_paste_is_the_sum_of_grid_samples(dtype: torch.dtype, tolerance: float) -> None:
    """Two leading axes, N = 3 objects, T = 4 frames of 15 x 11."""
    glimpses = smooth(2, 2, 3, 7, 7, dtype=dtype)
    position = 2.4 * torch.rand(2, 2, 4, 3, 2, dtype=dtype) - 1.2
    size = 0.3 + torch.rand(2, 2, 3, 2, dtype=dtype)
    found = paste(glimpses.unsqueeze(-3), position, size, (15, 11)).squeeze(-3)
    assert found.shape == (2, 2, 4, 15, 11)
    for a, b, t in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(4)).tolist():
        expected = torch.zeros(15, 11, dtype=F64)
        for n in range(3):
            s, p = size[a, b, n].to(F64), position[a, b, t, n].to(F64)
            expected += sample_affine(glimpses[a, b, n].to(F64), 1 / s, -p / s, (15, 11))
        torch.testing.assert_close(found[a, b, t].to(F64), expected, rtol=0, atol=3 * tolerance)


def test_frames_that_are_pasted_in_parts_are_those_that_are_pasted_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Gradients need them at once; seven frames are no multiple of the parts of two."""
    glimpses, position, size = smooth(2, 3, 1, 7, 7), 2 * torch.rand(2, 7, 3, 2, dtype=F64) - 1, 0.3
    sizes, weight = torch.full((2, 3, 2), size, dtype=F64), torch.rand(2, 7, 3, dtype=F64)
    monkeypatch.setattr(spatial, "AT_ONCE", 2 * (2 * 3) * 7 * 15)
    widths: list[int] = []
    pasted = spatial._pasted
    monkeypatch.setattr(
        spatial, "_pasted", lambda g, p, *rest: widths.append(p.shape[-3]) or pasted(g, p, *rest)
    )
    for shares in (None, weight):
        whole = paste(glimpses, position, sizes, (15, 11), shares)
        with torch.no_grad():
            parts = paste(glimpses, position, sizes, (15, 11), shares)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-14)
    assert widths == [7, 2, 2, 2, 1] * 2


def test_sizes_are_clamped() -> None:
    """A negative or huge drawn size acts as the nearest allowed one (reading D13)."""
    frame, position = smooth(1, 10, 10)[0], torch.zeros(1, 2, dtype=F64)
    for wild, limit in ((-0.7, SIZE_LIMITS[0]), (40.0, SIZE_LIMITS[1])):
        sizes = torch.full((1, 2), wild, dtype=F64), torch.full((1, 2), limit, dtype=F64)
        cropped = [extract_glimpses(frame[None], position, s, 5) for s in sizes]
        pasted = [paste(frame[None, None, :5, :5], position[None], s, (10, 10)) for s in sizes]
        assert torch.equal(*cropped)
        assert torch.equal(*pasted)
        assert torch.isfinite(pasted[0]).all()


def test_gradients_of_the_transforms() -> None:
    position = (torch.rand(3, 2, 2, dtype=F64) - 0.5).requires_grad_()  # (T, N, 2)
    size = (0.3 + 0.4 * torch.rand(2, 2, dtype=F64)).requires_grad_()
    glimpses = torch.rand(2, 3, 4, 4, dtype=F64, requires_grad=True)
    frames = torch.rand(2, 3, 6, 7, dtype=F64, requires_grad=True)
    assert gradcheck(lambda g, p, s: paste(g, p, s, (6, 7)), (glimpses, position, size))
    assert gradcheck(lambda f, p, s: extract_glimpses(f, p[0], s, 4), (frames, position, size))


@pytest.mark.parametrize("shared", [True, False])
def test_glimpses_of_large_frames_are_the_same(shared: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sampled point by point, of objects that share a frame and of others, within the frame and beyond it."""
    generator = torch.Generator().manual_seed(3)
    frames = torch.rand(2, 3, 1 if shared else 4, 2, 21, 30, generator=generator, dtype=torch.float64)
    position = 2.4 * torch.rand(2, 3, 4, 2, generator=generator, dtype=torch.float64) - 1.2
    size = 0.1 + torch.rand(2, 1, 4, 2, generator=generator, dtype=torch.float64)
    products = extract_glimpses(frames, position, size, 9)
    assert products.shape == (2, 3, 4, 2, 9, 9)
    monkeypatch.setattr(spatial, "SAMPLED", 0)
    torch.testing.assert_close(extract_glimpses(frames, position, size, 9), products)


def test_cropping_what_was_pasted_gives_it_back() -> None:
    """A smooth glimpse survives the round trip up to linear interpolation, h^2 / 8 max|f''| an axis."""
    axis = torch.linspace(-1, 1, 25, dtype=F64)
    bump = torch.exp(-0.5 * (axis / 0.3) ** 2)
    glimpse = (bump[:, None] * bump * (1 + 0.3 * axis))[None, None]  # (1, 1, G, G)
    position, size = torch.tensor([[0.21, -0.13]], dtype=F64), torch.tensor([[0.5, 0.6]], dtype=F64)
    frame = paste(glimpse, position.unsqueeze(0), size, (100, 120))[0]
    bound = 2 * 1.05 * (1 / 12) ** 2 / 8 / 0.3**2  # 0.020
    torch.testing.assert_close(extract_glimpses(frame, position, size, 25), glimpse, rtol=0, atol=bound)
    # nothing was lost on the way
    assert frame.sum() > 0.9 * glimpse.sum() * (100 * 120) * (0.5 * 0.6) / 25**2


def test_frame_edges_are_pixels_zero_and_extent() -> None:
    """The continuous image plane: -1 is 0, 1 is W for x and H for y."""
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [-1.0, 1.0]], dtype=F64)
    expected = torch.tensor([[0.0, 0.0], [30.0, 20.0], [15.0, 10.0], [0.0, 20.0]], dtype=F64)
    assert torch.equal(to_pixels(corners, (20, 30)), expected)
    assert torch.equal(to_frame(expected, (20, 30)), corners)
    position = torch.randn(5, 4, 2, dtype=F64)
    torch.testing.assert_close(to_frame(to_pixels(position, (7, 13)), (7, 13)), position)
    assert torch.equal(
        size_to_pixels(torch.tensor([0.5, 0.25], dtype=F64), (20, 30)), torch.tensor([15.0, 5.0]).to(F64)
    )


def test_a_pixel_lies_where_the_convention_says() -> None:
    """A white square pasted at the centre of pixel (row 3, column 11) has its centre of mass there."""
    height, width, row, column = 16, 24, 3, 11
    centre = to_frame(torch.tensor([[column + 0.5, row + 0.5]], dtype=F64), (height, width))
    size = torch.tensor([[3 / width, 3 / height]], dtype=F64)  # 3 pixels wide and high
    frame = paste(torch.ones(1, 1, 9, 9, dtype=F64), centre.unsqueeze(0), size, (height, width))[0, 0]
    assert frame[row, column] == 1
    assert frame.argmax() // width <= row
    mass = frame / frame.sum()
    mean_x = (mass.sum(0) * (torch.arange(width) + 0.5)).sum()
    mean_y = (mass.sum(1) * (torch.arange(height) + 0.5)).sum()
    torch.testing.assert_close(torch.stack([mean_x, mean_y]), torch.tensor([column + 0.5, row + 0.5]).to(F64))


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("side", [50, 51])
def test_cells_lie_where_the_convention_says(side: int, width: int) -> None:
    """A cell's index is the place of its centre; the frame's own map agrees, though the last cell may stick out."""
    found = centres(side, torch.zeros(0, dtype=F64), width)
    cells = torch.arange(-(-side // width), dtype=F64)
    pixels = from_cells(cells, width)
    assert (pixels[0], pixels[1]) == (width / 2, 3 * width / 2)
    torch.testing.assert_close(to_frame(pixels.unsqueeze(-1).expand(-1, 2), (side, side))[:, 0], found)
    torch.testing.assert_close(to_cells(pixels, width), cells)


def test_counting_splits_and_only_the_fraction_learns() -> None:
    number = torch.tensor([2.4], dtype=F64, requires_grad=True)
    steps = counting.steps(number, 5)
    torch.testing.assert_close(steps, torch.tensor([1, 1, 0.4, 0, 0], dtype=F64))
    for i, expected in enumerate((0, 0, 1, 0, 0)):
        (gradient,) = torch.autograd.grad(steps[i], number, retain_graph=True)
        assert gradient.item() == expected


def test_active_slots_are_those_with_a_step() -> None:
    number = torch.cat([3 * torch.rand(200, 1, dtype=F64), torch.arange(4, dtype=F64).unsqueeze(-1)])
    steps, active = counting.steps(number, 3), counting.active(number, 3)
    assert torch.equal(active, steps > 0)
    assert torch.equal(active.sum(-1, keepdim=True), number.ceil().long())
    torch.testing.assert_close(steps.sum(-1, keepdim=True), number)


@pytest.mark.parametrize("num_objects", [1, 2, 3])
def test_counted_rounds_the_expected_number(num_objects: int) -> None:
    share = torch.tensor([0.01, 0.2, 0.45, 0.55, 0.8, 0.99], dtype=F64)
    count = share.logit().unsqueeze(-1)
    expected = [round(num_objects * value) for value in share.tolist()]
    assert counting.counted(count, num_objects).tolist() == expected
    numbers = torch.arange(num_objects + 1.0)
    assert torch.equal(counting.counted(counting.count_of(numbers, num_objects), num_objects), numbers.long())


@pytest.mark.parametrize("glimpse", [8, 9, 25])
def test_bell_flattens_as_the_paper_writes_it(glimpse: int) -> None:
    like = torch.zeros((), dtype=F64)
    bell = bell_mask(glimpse, 0.5, 0.0, like)
    assert bell.max() == 1
    assert bell.min() > 0
    torch.testing.assert_close(bell, bell.flip(0))
    torch.testing.assert_close(bell, bell.T)
    row = bell[glimpse // 2]
    distance = 2 * torch.arange(glimpse, dtype=F64) / (glimpse - 1) - 1  # the grid of Alg. 2, [-1, 1]
    torch.testing.assert_close((row[0] / row[1]).log(), -(distance[0] ** 2 - distance[1] ** 2) / (2 * 0.5**2))
    for p in (0.0, 0.1, 1.0, 7.8, 78.0, 100.0):
        torch.testing.assert_close(bell_mask(glimpse, 0.5, p / (1 + p), like), (bell + p) / (1 + p))
    assert torch.equal(bell_mask(glimpse, 0.5, 1.0, like), torch.ones(glimpse, glimpse, dtype=F64))


def diagonal(*shape: int) -> Independent:
    return Normal(torch.randn(*shape, dtype=F64), 0.2 + torch.rand(*shape, dtype=F64)).to_event(1)


def test_average_is_the_distribution_of_the_weighted_sum() -> None:
    """Moments of w X + (1 - w) Y: closed form, and 40,000 draws within 5 sigma (fails once in 70,000)."""
    p, q, w = diagonal(4, 2), diagonal(4, 2), torch.rand(4, dtype=F64)
    fused, v = average(p, q, w), w.unsqueeze(-1)
    assert fused.batch_shape == (4,)
    assert fused.event_shape == (2,)
    torch.testing.assert_close(fused.mean, v * p.mean + (1 - v) * q.mean)
    torch.testing.assert_close(fused.variance, v**2 * p.variance + (1 - v) ** 2 * q.variance)
    draws = v * p.sample((40_000,)) + (1 - v) * q.sample((40_000,))
    assert ((draws.mean(0) - fused.mean).abs() < 5 * fused.stddev / 40_000**0.5).all()
    assert ((draws.var(0) / fused.variance - 1).abs() < 5 * (2 / 40_000) ** 0.5).all()


@pytest.mark.parametrize("rule", [average, product])
def test_a_weight_of_one_is_the_prior_and_of_zero_the_proposal(rule) -> None:
    p, q = diagonal(4, 2), diagonal(4, 2)
    for weight, expected in ((1.0, p), (0.0, q)):
        fused = rule(p, q, torch.full((4,), weight, dtype=F64))
        torch.testing.assert_close(fused.mean, expected.mean)
        shrink = 2**-0.5 if rule is product else 1  # the product counts its one factor twice
        torch.testing.assert_close(fused.stddev, expected.stddev * shrink)


def test_product_at_one_half_is_bayes_rule() -> None:
    """The density of the product is prior times likelihood, up to a constant."""
    p, q = diagonal(4, 2), diagonal(4, 2)
    fused = product(p, q, torch.full((4,), 0.5, dtype=F64))
    z = torch.randn(50, 4, 2, dtype=F64)
    constant = p.log_prob(z) + q.log_prob(z) - fused.log_prob(z)  # log of the evidence
    torch.testing.assert_close(constant, constant[:1].expand_as(constant))
    evidence = Normal(p.mean, (p.variance + q.variance).sqrt()).to_event(1).log_prob(q.mean)
    torch.testing.assert_close(constant[0], evidence)


def test_weighted_average_is_the_distribution_of_the_weighted_sum() -> None:
    """Closed form, and 40,000 draws within 5 sigma (fails once in 100,000)."""
    loc, scale = torch.randn(3, 5, 2, dtype=F64), 0.2 + torch.rand(3, 5, 2, dtype=F64)
    w = torch.randn(3, 5, dtype=F64).softmax(-1)
    consensus = weighted_average(loc, scale, w)
    assert consensus.batch_shape == (3, 2)
    torch.testing.assert_close(consensus.mean, torch.einsum("bk,bke->be", w, loc))
    torch.testing.assert_close(consensus.variance, torch.einsum("bk,bke->be", w**2, scale**2))
    draws = torch.einsum("bk,sbke->sbe", w, Normal(loc, scale).sample((40_000,)))
    assert ((draws.mean(0) - consensus.mean).abs() < 5 * consensus.stddev / 40_000**0.5).all()
    assert ((draws.var(0) / consensus.variance - 1).abs() < 5 * (2 / 40_000) ** 0.5).all()
    one_hot = torch.eye(5, dtype=F64)[:3]
    assert torch.equal(weighted_average(loc, scale, one_hot).mean, loc[torch.arange(3), torch.arange(3)])


@pytest.mark.parametrize("stride", [1, 2])
def test_correlate_is_a_grouped_convolution(stride: int) -> None:
    frames, kernels = torch.randn(3, 4, 2, 9, 11, dtype=F64), torch.randn(3, 5, 2, 4, 3, dtype=F64)
    grouped = conv2d(
        frames.transpose(0, 1).flatten(1, 2), kernels.reshape(15, 2, 4, 3), stride=stride, groups=3
    ).unflatten(1, (3, 5)).transpose(0, 1)  # fmt: skip
    found = correlate(frames, kernels, stride)
    torch.testing.assert_close(found, grouped, rtol=0, atol=1e-12)
    brute = (frames[1, 2, :, :4, :3] * kernels[1, 4]).sum()
    torch.testing.assert_close(found[1, 2, 4, 0, 0], brute)


def test_an_lstm_of_repeated_input_is_torchs() -> None:
    ours = RepeatedInputLSTM(5, 4).double()
    theirs = torch.nn.LSTM(5, 4, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(x, 4), theirs(x.unsqueeze(1).expand(-1, 4, -1))[0])


def test_pixels_are_independent_normals() -> None:
    mean = torch.rand(3, 2, 3, 5, 4, dtype=F64, requires_grad=True)
    x = torch.rand(2, 3, 5, 4, dtype=F64)
    ours, theirs = PixelNormal(mean, 0.3), Normal(mean, 0.3).to_event(3)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    gradients = [torch.autograd.grad(q.log_prob(x).sum(), mean)[0] for q in (ours, theirs)]
    torch.testing.assert_close(*gradients)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    torch.testing.assert_close(ours.variance, theirs.variance)
    wide = ours.expand((7, 3, 2))
    assert wide.log_prob(x).shape == (7, 3, 2)
    draws = PixelNormal(mean[0, 0], 0.3).rsample((4000,))
    torch.testing.assert_close(draws.mean(0), mean[0, 0], rtol=0, atol=0.03)
    torch.testing.assert_close(draws.std(0), torch.full((3, 5, 4), 0.3, dtype=F64), rtol=0, atol=0.03)


@PRECISIONS
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width", "side"), [(25, 25, 15), (20, 31, 5), (8, 9, 13)])
def test_matching_is_convolution(
    height: int, width: int, side: int, channels: int, dtype: torch.dtype, tolerance: float
) -> None:
    frames, templates = (
        torch.rand(2, 3, channels, height, width, dtype=dtype),
        torch.rand(4, 2, 2, channels, side, side, dtype=dtype),
    )
    found = correlate_template(frames, templates)
    for s in range(4):
        for b in range(2):
            expected = conv2d(frames[b], templates[s, b], padding=side // 2)
            torch.testing.assert_close(found[s, b], expected, rtol=10 * tolerance, atol=100 * tolerance)


@pytest.mark.parametrize("at_once", [1, 2 * 6 * 32 * 24 * 2])  # a frame, and two of the three
def test_frames_are_matched_in_parts_that_fit_a_cache(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    frames, templates = torch.rand(2, 3, 1, 25, 20), torch.rand(6, 2, 1, 1, 7, 7)
    whole = correlate_template(frames, templates)
    monkeypatch.setattr("vtssi_pyro.ops.correlate.AT_ONCE", at_once)
    torch.testing.assert_close(correlate_template(frames, templates), whole, rtol=0, atol=0)
