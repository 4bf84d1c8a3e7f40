"""A tracker judged without truth: by the frames that it was kept from, and by what it says of them later."""

from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.data.clips import Clips
from vtssi_pyro.data.dataset import spread
from vtssi_pyro.inference.filter import forecast, track
from vtssi_pyro.model.program import Tracker, at_once
from vtssi_pyro.tracks.matching import in_order
from vtssi_pyro.tracks.tracks import concatenated

VISIBLE = 0.5  # confidence from which on an object is taken to be seen
MOST = 64  # clips looked at; of a longer movie, from all over its held-out frames


def reconstruct(tracker: Tracker, clips: Clips, observe: int = 5) -> dict[str, Any]:
    """How well a movie's held-out frames are explained, and foretold.

    ``explained`` is the share of the frames' squared intensities that the objects account for, of which background is
    none, so that an empty scene explains nothing; ``visible`` the share of objects and frames that show the object
    (confidence above :data:`VISIBLE`). With MOT also ``explained_ahead``, the same share for frames that are predicted,
    ``ahead`` frames after ``observe``, and ``drift``, how far predicted positions are from those inferred once the
    frames are seen, pixels of the movie, the mean by frame; and ``straight``, how far things would be had they gone
    straight on.

    Args:
        tracker: trained.
        clips: held out; those that overlap are left out, and of many all but :data:`MOST`.
        observe: frames seen before the rest is predicted.
    """
    device, ahead = next(tracker.parameters()).device, clips.length - observe
    predicts = tracker.motion.predicts and ahead > 0
    apart = clips.apart[spread(len(clips.apart), MOST)]
    found, told, left, left_ahead = [], [], torch.zeros(2), torch.zeros(2)
    for index in apart.split(at_once(tracker, clips.length)):
        x = clips.frames(index).to(device)
        seen = track(tracker, x)
        found.append(seen.tracks.cpu())
        left += _squares(x, seen.frames)
        if predicts:
            later = forecast(tracker, x[:, :observe], ahead)
            told.append(later.tracks.cpu())
            left_ahead += _squares(x[:, observe:], later.frames[:, observe:])
    tracks = concatenated(found)
    assert tracks.confidence is not None
    here = tracks.present
    made: dict[str, Any] = {
        "frames": len(apart) * clips.length,
        "objects": here[:, 0].sum(-1).float().mean().item(),
        "most": here.shape[-1],
        "explained": _share(left),
        "visible": (tracks.confidence[here] > VISIBLE).float().mean().item() if here.any() else 0.0,
    }
    if predicts:
        forecasts = concatenated(told)
        # what is decided later may be in another order
        known = in_order(tracks, forecasts, observe).position
        guesses = {
            "drift": forecasts.position[:, observe:],
            "straight": straight_on(known[:, :observe], ahead),
        }
        made |= {
            "ahead": ahead,
            "explained_ahead": _share(left_ahead),
        }
        for name, guess in guesses.items():
            distance = (guess - known[:, observe:]).norm(dim=-1)  # (B, ahead, N)
            made[name] = [_mean(d) * clips.pixel for d in distance.unbind(1)]
    return made


def straight_on(position: Tensor, ahead: int) -> Tensor:
    """Where things (B, T, N, 2) are in the next frames at the pace of their last two steps, (B, ahead, N, 2)."""
    last, steps = position[:, -1:], min(2, position.shape[1] - 1)
    pace = (last - position[:, -1 - steps, None]) / max(steps, 1)
    return last + pace * torch.arange(1, ahead + 1, device=position.device).view(-1, 1, 1)


def _squares(x: Tensor, mean: Tensor) -> Tensor:
    """Sums of squares (2,) of what a mean leaves of frames, and of these."""
    return torch.stack([(x - mean).square().sum(), x.square().sum()]).cpu()


def _share(squares: Tensor) -> float:
    left, whole = squares
    return 1 - (left / whole.clamp_min(1e-9)).item()


def _mean(values: Tensor) -> float:
    known = values[torch.isfinite(values)]
    return known.mean().item() if len(known) else 0.0
