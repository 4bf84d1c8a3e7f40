"""A tracker judged without truth: by the frames that it was kept from, and by what it says of them later."""

from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.data.clips import Clips
from vtssi_pyro.matching import in_order
from vtssi_pyro.predict import forecast, track
from vtssi_pyro.tracker import Tracker

VISIBLE = 0.5  # confidence from which on an object is taken to be seen


def reconstruct(tracker: Tracker, clips: Clips, observe: int = 5) -> dict[str, Any]:
    """How well a movie's held-out frames are explained, and foretold.

    ``explained`` is the share of the frames' squared intensities that the objects account for, of which background is
    none, so that an empty scene explains nothing; ``visible`` the share of objects and frames that show the object
    (confidence above :data:`VISIBLE`). With MOT also ``explained_ahead``, the same share for frames that are predicted,
    ``ahead`` frames after ``observe``, and ``drift``, how far predicted positions are from those inferred once the
    frames are seen, pixels of the movie, the mean by frame.

    Args:
        tracker: trained.
        clips: held out; those that overlap are left out.
        observe: frames seen before the rest is predicted.
    """
    x = clips.frames(clips.apart).to(next(tracker.parameters()).device)
    seen = track(tracker, x)
    assert seen.tracks.confidence is not None
    here = seen.tracks.present
    made: dict[str, Any] = {
        "frames": len(x) * clips.length,
        "objects": here[:, 0].sum(-1).float().mean().item(),
        "most": here.shape[-1],
        "explained": _explained(x, seen.frames),
        "visible": (seen.tracks.confidence[here] > VISIBLE).float().mean().item() if here.any() else 0.0,
    }
    ahead = clips.length - observe
    if tracker.motion.predicts and ahead > 0:
        told = forecast(tracker, x[:, :observe], ahead)
        later = in_order(
            seen.tracks, told.tracks, observe
        ).position  # what is decided later may be in another order
        distance = (told.tracks.position - later)[:, observe:].norm(dim=-1)  # (B, ahead, N)
        made |= {
            "ahead": ahead,
            "explained_ahead": _explained(x[:, observe:], told.frames[:, observe:]),
            "drift": [_mean(d) * clips.pixel for d in distance.unbind(1)],
        }
    return made


def _explained(x: Tensor, mean: Tensor) -> float:
    return 1 - ((x - mean).square().sum() / x.square().sum().clamp_min(1e-9)).item()


def _mean(values: Tensor) -> float:
    known = values[torch.isfinite(values)]
    return known.mean().item() if len(known) else 0.0
