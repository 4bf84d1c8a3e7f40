"""Reading of users' frames by a tracker, part by part, so that large files need no large memory."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.artifacts.opening import PART, Opened, worth_showing
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.estimate import joined
from vtssi_pyro.inference.filter import Estimate, estimates
from vtssi_pyro.inference.novelty import misfit, with_misfits
from vtssi_pyro.inference.subpixel import refined
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.ops.channels import channels_first
from vtssi_pyro.train.reporting import Reporter


def read_movie(
    loaded: Loaded,
    movie: PreparedMovie,
    rendered: bool,
    settle: int | None = None,
    test_time: TestTime | None = None,
) -> Estimate:
    """Track one movie from end to end, in its own pixels; the estimate is on the CPU.

    Args:
        loaded: the tracker.
        movie: a prepared movie.
        rendered: whether to keep the rendered frames, which then fill memory.
        settle: number of first frames that decide the objects; None: some from the whole movie.
        test_time: the procedure at test time; None: the tracker's own.
    """
    parts: list[Estimate] = []
    x, misfits = movie.frames[None].to(loaded.device), []
    for estimate, its in with_misfits(x, estimates(loaded.tracker, x, settle, test_time)):
        misfits.append(its)
        kept = estimate.frames[: int(rendered)].cpu()
        parts.append(Estimate(estimate.tracks.cpu(), kept, estimate.appearance.cpu()))
    whole, novelty = joined(parts, 1), _novelty(loaded, torch.cat(misfits, 1))
    tracks, tracker = movie.to_source(whole.tracks.begun()), loaded.tracker
    if isinstance(tracker, Tracker) and not tracker.per_frame and (test_time or tracker.test_time).tight:
        tracks = refined(tracks, movie, tracker.picture.box)
    return whole._replace(tracks=tracks, novelty=novelty)


def read_all(
    opened: Opened,
    length: int,
    loaded: Loaded,
    report: Reporter,
    read: Callable[[Tensor, int], Estimate],
    rendered: bool,
) -> Estimate:
    """Track the first ``length`` frames of every sequence; the estimate is on the CPU.

    Args:
        opened: the source of the frames; its truth is not used.
        length: number of frames.
        loaded: the tracker.
        report: receives the progress.
        read: makes an estimate from frames (b, length, C, H, W) and the number of the first of these sequences.
        rendered: whether to keep all rendered frames, or only those of the sequences worth showing.
    """
    parts: list[Estimate] = []
    misfits: list[Tensor] = []
    total, weights = len(opened.data), next(loaded.tracker.parameters())
    with report.watched(opened.data, "reading") as data:
        # frames in memory need not be read in parts
        for index in torch.arange(total).split(total if opened.in_memory else PART):
            x = data.frames(index, length=length).to(weights)
            estimate = read(x, int(index[0]))
            misfits.append(misfit(x, estimate.frames[:, :length]).cpu())
            kept = estimate.frames
            if not rendered:
                kept = kept[[] if parts else worth_showing(estimate.tracks)]
            parts.append(Estimate(estimate.tracks.cpu(), kept.cpu(), estimate.appearance.cpu()))
    return joined(parts, 0)._replace(novelty=_novelty(loaded, torch.cat(misfits)))


def _novelty(loaded: Loaded, misfits: Tensor) -> Tensor | None:
    """The novelty of frames (B, T); None if it is not known how well held-out frames fit."""
    known = loaded.familiar
    return known.novelty(misfits) if known else None


def live_frame(frame: np.ndarray, side: int) -> Tensor:
    """Convert a live frame, (S, S) or (S, S, C), to (1, 1, C, S, S) in steps of 1/255, like the frames of files."""
    if frame.shape[:2] != (side, side):
        height, width = frame.shape[:2]
        raise DataError(f"frames have {height}x{width} pixels (H x W), the run's model expects {side}x{side}")
    if not (0 <= frame.min() and frame.max() <= 1):
        raise DataError(f"a frame has intensities from {frame.min()} to {frame.max()}: expected [0, 1]")
    steps = np.round(255 * channels_first(frame)).astype(np.float32)
    return torch.from_numpy(steps / 255)[None, None]
