"""Evaluation without truth, by the shares of held-out frames that a tracker explains and predicts."""

from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import Dataset, spread
from vtssi_pyro.inference.filter import estimates, forecast, track
from vtssi_pyro.inference.novelty import Familiar, misfit, with_misfits
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.tracker import at_once
from vtssi_pyro.tracks.columns import HIDDEN
from vtssi_pyro.tracks.matching import in_order
from vtssi_pyro.tracks.tracks import concatenated

# Clips, spread evenly over the held-out frames: the time then grows with their number, not with the movie's length.
MOST = 64
# Frames through which objects are followed to the end of a movie: light and focus change meanwhile, and looks, decided
# upon once, fit less. More would take minutes of a core.
FOLLOWED = 300


def reconstruct(tracker: SomeTracker, clips: Clips, observe: int = 5) -> dict[str, Any]:
    """Measure how well a movie's held-out frames are explained and predicted.

    The values by name: ``explained`` is the share of the frames' squared intensities that the objects account for; the
    prepared background is black, so an empty scene explains nothing. ``visible`` is the share of objects and frames
    that show the object (confidence above :data:`~vtssi_pyro.tracks.columns.HIDDEN`). For a motion that predicts,
    ``explained_ahead`` is the same share of the ``ahead`` predicted frames after ``observe``, and ``drift`` is the mean
    distance by frame between predicted positions and those inferred from all frames, in pixels of the movie;
    ``straight`` is the same distance for objects that go straight on.

    Args:
        tracker: trained.
        clips: held-out clips; overlapping ones are left out, and at most :data:`MOST` are used.
        observe: number of frames observed before the rest is predicted.

    Returns:
        The values by name, ready for JSON.
    """
    device, ahead = next(tracker.parameters()).device, clips.length - observe
    predicts = tracker.predicts and ahead > 0
    disjoint = clips.disjoint[spread(len(clips.disjoint), MOST)]
    found, predicted, residual, residual_ahead = [], [], torch.zeros(2), torch.zeros(2)
    for index in disjoint.split(at_once(tracker, clips.length)):
        x = clips.frames(index).to(device)
        inferred = track(tracker, x)
        found.append(inferred.tracks.cpu())
        residual += _squares(x, inferred.frames)
        if predicts:
            later = forecast(tracker, x[:, :observe], ahead)
            predicted.append(later.tracks.cpu())
            residual_ahead += _squares(x[:, observe:], later.frames[:, observe:])
    tracks = concatenated(found)
    assert tracks.confidence is not None
    present = tracks.present
    made: dict[str, Any] = {
        "frames": len(disjoint) * clips.length,
        "objects": present[:, 0].sum(-1).float().mean().item(),
        "most": present.shape[-1],
        "explained": _share(residual),
        "visible": (tracks.confidence[present] > HIDDEN).float().mean().item() if present.any() else 0.0,
    }
    if predicts:
        forecasts = concatenated(predicted)
        # all frames may put the objects in another order than the observed ones do
        known = in_order(tracks, forecasts, observe).position
        guesses = {
            "drift": forecasts.position[:, observe:],
            "straight": straight_on(known[:, :observe], ahead),
        }
        made |= {"ahead": ahead, "explained_ahead": _share(residual_ahead)}
        for name, guess in guesses.items():
            distance = (guess - known[:, observe:]).norm(dim=-1)  # (B, ahead, N)
            made[name] = [_mean(d) * clips.pixel for d in distance.unbind(1)]
    return made


def familiar(tracker: SomeTracker, data: Dataset, most: int = MOST) -> Familiar:
    """Measure how well held-out frames fit the objects that are found in them.

    Args:
        tracker: trained.
        data: held-out sequences.
        most: the largest number of them that are used, evenly spread.
    """
    weights, misfits = next(tracker.parameters()), []
    for index in spread(len(data), most).split(at_once(tracker, data.length)):
        x = data.frames(index).to(weights)
        misfits.append(misfit(x, track(tracker, x).frames).cpu())
    return Familiar.of(torch.cat(misfits))


def familiar_end(tracker: SomeTracker, movie: Tensor, held_out: int) -> Familiar:
    """Measure how well a movie's held-out frames fit the objects when these are followed there, as :func:`track` does.

    Args:
        tracker: trained.
        movie: frames (T, C, S, S), uint8 or floats in [0, 1], of which the last :data:`FOLLOWED` are tracked.
        held_out: the number of held-out frames at its end.
    """
    x = movie[None, -max(FOLLOWED, held_out) :].to(next(tracker.parameters()).device)
    misfits = torch.cat([its for _, its in with_misfits(x, estimates(tracker, x))], 1)
    return Familiar.of(misfits[:, -held_out:])


def straight_on(position: Tensor, ahead: int) -> Tensor:
    """Extrapolate positions (B, T, N, 2) at the mean velocity of their last two steps, (B, ahead, N, 2)."""
    last, steps = position[:, -1:], min(2, position.shape[1] - 1)
    velocity = (last - position[:, -1 - steps, None]) / max(steps, 1)
    return last + velocity * torch.arange(1, ahead + 1, device=position.device).view(-1, 1, 1)


def _squares(x: Tensor, mean: Tensor) -> Tensor:
    """Sums of squares (2,) of the residual of frames, and of the frames."""
    return torch.stack([(x - mean).square().sum(), x.square().sum()]).cpu()


def _share(squares: Tensor) -> float:
    residual, whole = squares
    return 1 - (residual / whole.clamp_min(1e-9)).item()


def _mean(values: Tensor) -> float:
    known = values[torch.isfinite(values)]
    return known.mean().item() if len(known) else 0.0
