"""On a movie's own pixels, centres are as exact as noise allows, and error bars tell how exact that is."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from vtssi_pyro.data.scenes import scene
from vtssi_pyro.inference.subpixel import refined, registered
from vtssi_pyro.movies import Preparation, array_movie
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.movies.transforms import Background, Contrast, Luminance, Polarity, Resize
from vtssi_pyro.ops.ink import middle, tight_box, without_halo
from vtssi_pyro.tracks.tracks import Tracks

SIDE, LENGTH = 72, 80
WIDTH, HEIGHT, NOISE = 2.5, 0.5, 0.02
BOUND = NOISE / HEIGHT / (np.pi / 2) ** 0.5  # of Cramer and Rao, of a place in x or in y, px
BAR = 1.645  # standard deviations either side: 90 % of a normal density
ROUGH = 0.15  # px, of what is registered


def boxes(glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    return middle(glimpses, size), tight_box(glimpses, size)[1]


def solid(glimpses: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    return boxes(without_halo(glimpses), size)


def paths(*starts: tuple[float, float], seed: int = 0) -> Tensor:
    """Diffusing places (T, N, 2)."""
    random = np.random.default_rng(seed)
    steps = 0.4 * random.normal(size=(LENGTH, len(starts), 2))
    return torch.tensor(np.array(starts) + steps.cumsum(0), dtype=torch.float32)


def visited() -> tuple[Tensor, Tensor]:
    """The paths of two objects that meet again and again; and frames in which they are 2 to 2.4 widths apart."""
    path, time = paths((36, 36), (36, 36)), torch.arange(LENGTH)
    distance = WIDTH * (5 - 3 * torch.cos(2 * np.pi * time / 16))
    path[:, 1] = path[:, 0] + torch.stack([distance, torch.zeros(LENGTH)], -1)
    return path, distance < 2.4 * WIDTH


def shown(path: Tensor, seed: int = 1) -> Tensor:
    """Frames (T, 1, H, W) of spots."""
    axis = torch.arange(SIDE) + 0.5
    across, down = (
        torch.exp(-((axis - path[..., k, None]) ** 2) / (2 * WIDTH**2)) for k in (0, 1)
    )  # (T, N, SIDE)
    noise = NOISE * torch.randn((len(path), SIDE, SIDE), generator=torch.Generator().manual_seed(seed))
    return (HEIGHT * down.mT @ across + noise).unsqueeze(1)


def rough(path: Tensor, offset: float = 0.1) -> Tracks:
    """Tracks that are off by a constant and by noise."""
    error = ROUGH * torch.randn(path.shape, generator=torch.Generator().manual_seed(2))
    position = (path + offset + error).unsqueeze(0)
    box = torch.full_like(position, 3.3 * WIDTH)
    return Tracks(position, position[..., 0] > 0, box, torch.full_like(position, 9.0))


APART = paths((16, 18), (50, 20), (34, 52))


def errors(found: Tracks, path: Tensor) -> tuple[Tensor, Tensor]:
    assert found.scale is not None
    return found.position[0] - path, found.scale[0]


def test_centres_are_nearly_as_exact_as_noise_allows_and_intervals_hold_their_share() -> None:
    off, scale = errors(registered(rough(APART), shown(APART), boxes), APART)
    assert off.square().mean().sqrt() < 1.12 * BOUND
    assert off.mean(0).abs().max() < 0.5 * BOUND, "no constant offset is left"
    assert 0.87 < float((off.abs() < BAR * scale).float().mean()) < 0.93


@pytest.mark.slow
def test_middles_of_objects_with_sharp_edges_are_those_of_their_boxes_as_far_as_error_bars_say() -> None:
    """Of digits, whose looks are lopsided and whose strokes fade, by colour or grey, on a dark or a bright ground."""
    held, wrong = list[Tensor](), list[Tensor]()
    for seed, contrast in enumerate(((1.0,), (-1.0,), (1.0, -1.0))):
        drawn = scene("digits", side=100, length=40, seed=seed)
        path = torch.from_numpy(drawn.path).float()
        found = rough(path, 0.3)._replace(box=torch.full((1, *path.shape), drawn.size))
        grey = torch.from_numpy(drawn.frames / 255).float().unsqueeze(1)
        frames = grey * torch.tensor(contrast)[:, None, None]
        off, scale = errors(registered(found, list(frames), solid), path)
        held.append((off.abs() < BAR * scale).float())
        wrong.append(off.norm(dim=-1))
    assert torch.cat(wrong).median() < 0.15, "0.4 px by the middles of looks"
    assert 0.8 < float(torch.cat(held).mean()) < 0.98, "3 % without the error of the middles"


@pytest.mark.parametrize(("lag", "tolerance"), [(1, 0.05), (5, 0.015)])
def test_squared_displacements_are_those_of_the_paths(lag: int, tolerance: float) -> None:
    found = registered(rough(APART), shown(APART), boxes).position[0]
    own, true = ((x[lag:] - x[:-lag]).square().sum(-1).mean() for x in (found, APART))
    assert own / true == pytest.approx(1, abs=tolerance)


def test_overlapping_objects_do_not_drag_each_other_along() -> None:
    path, close = visited()
    off, scale = errors(registered(rough(path, 0.0), shown(path), boxes), path)
    assert close.sum() > 10
    assert off[close].square().mean().sqrt() < 1.6 * BOUND
    assert 0.8 < float((off[close].abs() < BAR * scale[close]).float().mean()) <= 1


def test_objects_that_are_never_apart_stay() -> None:
    """No frame tells which part of both is whose."""
    path = paths((36, 36), (36, 36))
    path[:, 1] = path[:, 0] + torch.tensor([2 * WIDTH, 0])
    tracks = rough(path, 0.0)
    torch.testing.assert_close(registered(tracks, shown(path), boxes).position, tracks.position)


def test_dark_objects_are_as_good_as_bright_ones_and_whole_pixels_are_only_another_origin() -> None:
    frames, tracks = shown(APART), rough(APART)
    found = registered(tracks, frames, boxes)
    torch.testing.assert_close(registered(tracks, -frames, boxes).position, found.position)
    beside = torch.nn.functional.pad(frames, (3, 0, 2, 0))
    moved = registered(tracks._replace(position=tracks.position + torch.tensor([3.0, 2])), beside, boxes)
    torch.testing.assert_close(moved.position, found.position + torch.tensor([3.0, 2]), atol=1e-3, rtol=0)


def test_what_is_not_seen_stays() -> None:
    frames, tracks = shown(APART), rough(APART)
    frames[10:15] = 0
    present = tracks.present.clone()
    present[0, 5:, 2] = False  # seen in too few frames for a look of its own
    present[0, 20, 0] = False
    found = registered(tracks._replace(present=present), frames, boxes)
    same = (found.position == tracks.position).all(-1)[0]
    assert same[10:15].all()
    assert same[:, 2].all()
    assert same[20, 0]
    assert same.sum() == 2 * 5 + LENGTH + 1


def test_what_is_not_in_a_frame_hides_nothing() -> None:
    path, close = visited()
    gone = close & (torch.arange(LENGTH) // 16 % 2 == 0)
    there = torch.stack([torch.ones_like(gone), ~gone], -1).unsqueeze(-1)
    off, _ = errors(registered(rough(path, 0.0), shown(path.where(there, -100.0)), boxes), path)
    assert gone.sum() > 5
    assert off[gone, 0].square().mean().sqrt() < 1.5 * BOUND


def test_parts_of_a_long_movie_are_registered_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, tracks = shown(APART), rough(APART)
    whole = registered(tracks, frames, boxes)
    monkeypatch.setattr("vtssi_pyro.inference.subpixel.MOST", LENGTH * 3 * 17**2 // 2)
    halves = registered(tracks, iter(frames), boxes)
    assert not torch.equal(halves.position, whole.position)
    torch.testing.assert_close(halves.position, whole.position, atol=BOUND, rtol=0)


def test_blocks_of_windows_are_the_same_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, tracks = shown(APART), rough(APART)
    whole = registered(tracks, frames, boxes)
    monkeypatch.setattr("vtssi_pyro.inference.subpixel.BLOCK", 16)
    torch.testing.assert_close(registered(tracks, frames, boxes).position, whole.position)


def test_lost_detail_widens_error_bars() -> None:
    frames, tracks = shown(APART), rough(APART)
    own, more = (errors(registered(tracks, frames, boxes, error), APART)[1] for error in (0.0, 0.2))
    torch.testing.assert_close(more, own.hypot(torch.tensor(0.2)), atol=1e-3, rtol=1e-3)


def prepared(preparation: Preparation) -> tuple[PreparedMovie, Tensor]:
    frames = np.round(255 * (0.4 - shown(APART)[:, 0].numpy()).clip(0, 1)).astype(np.uint8)
    return PreparedMovie.of(array_movie("spots", frames), preparation), APART


LEVEL = Background("static", np.full((SIDE, SIDE), 0.4, np.float32))
REDUCED = Preparation(
    (Luminance(), LEVEL, Polarity("dark"), Contrast(0.1, 0.5), Resize(SIDE, SIDE, SIDE // 2))
)


def test_tracks_of_a_movie_are_registered_on_its_own_pixels() -> None:
    movie, path = prepared(REDUCED)
    tracks = rough(path)
    off, _ = errors(refined(tracks, movie, boxes), path)
    assert off.square().mean().sqrt() < 1.15 * BOUND
    turning = tracks._replace(angle=torch.zeros_like(tracks.position[..., 0]))
    assert refined(turning, movie, boxes) is turning
    after, _ = prepared(Preparation((*REDUCED.transforms, Luminance())))
    assert refined(tracks, after, boxes) is tracks


def test_frames_that_nothing_prepares_are_registered_too() -> None:
    """The ground is a part of all looks then, and as even as before."""
    movie, path = prepared(Preparation(()))
    off, _ = errors(refined(rough(path, 0.0), movie, boxes), path)
    assert (off - off.mean(0)).square().mean().sqrt() < 1.5 * BOUND


def test_large_objects_are_registered_on_averages_of_pixels() -> None:
    """Spots of 60 px are as smooth in squares of pixels, which have as much less noise."""
    fine = REDUCED.fine(3)
    assert fine is not None
    np.testing.assert_allclose(fine.to_model(np.array([30.0, 12.0])), [10, 4])
    movie, _ = prepared(REDUCED)
    own, reduced = (list(movie.through(each)) for each in (REDUCED.fine(), fine) if each)
    assert own[0].shape == (SIDE, SIDE)
    assert own[0].min() < -0.3, "differences keep their sign"
    assert reduced[0].shape == (SIDE // 3, SIDE // 3)
    np.testing.assert_allclose(reduced[0].mean(), own[0].mean(), atol=1e-6)
    assert all(np.abs(one - two).max() > NOISE for one, two in pairwise(own[:3]))
