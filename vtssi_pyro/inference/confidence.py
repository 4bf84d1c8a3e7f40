"""The confidence of tracks: the share of the frames that each object explains."""

import torch
from torch import Tensor

from vtssi_pyro.model.interfaces import Picture
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.types import Appearance, Objects, Pose, State

# Factors on an object's brightness in a frame: light changes and dyes bleach, by up to a half.
DIMMEST, BRIGHTEST = 0.5, 2.0
# Pixels of objects' pictures that are computed together: some MiB, which fit a processor's cache. Parts that do not fit
# take up to four times as long.
AT_ONCE = 2**19
# Squared error, of full scale, below which there is nothing to explain: one pixel is wrong by a thousandth.
NOTHING = 1e-6


def counted_pose(tracker: Tracker, objects: Objects, states: State, appearance: Appearance) -> Pose:
    """Pose of the objects that are counted, each wholly present.

    Args:
        tracker: its scene counts; its motion says what states mean, and perhaps how looks change.
        objects: draws.
        states: (..., T, N, dims) by site.
        appearance: of the objects, where the motion does not say it.
    """
    pose = tracker.motion.pose(objects, states, objects.present.to(objects.size))
    if pose.appearance is not None:
        return pose
    return pose._replace(appearance=appearance.glimpses.unsqueeze(-5))


def explained_share(x: Tensor, picture: Picture, pose: Pose, objects: Objects) -> tuple[Tensor, Tensor]:
    """Render frames, and compute each object's confidence: the share of the squared error that the object removes.

    Let r_i be the residual without object i, and g_i what i changes in the frame. On the pixels that i changes,
    confidence_i = 1 - sum (r_i - a g_i)^2 / sum r_i^2, clipped to [0, 1], with the brightness a in [0.5, 2] that
    maximises it. It is near 1 if the object explains its pixels, near 0 if the object is hidden or gone, and 0 if it
    paints nothing but black.

    Args:
        x: frames (B, T, C, H, W), intensities in [0, 1].
        picture: renders the objects.
        pose: the objects' pose, with their glimpses as appearance.
        objects: draws.

    Returns:
        frames (..., B, T, C, H, W) and confidence (..., B, T, N).
    """
    *_, length, channels, height, width = x.shape
    pixels = pose.presence[..., :1, :].numel() * channels * height * width  # of all objects in a frame
    number = max(1, AT_ONCE // pixels)
    parts = [
        _explained(x[..., first : first + number, :, :, :], picture, _frames(pose, first, number), objects)
        for first in range(0, length, number)
    ]
    rendered, explained = zip(*parts, strict=True)
    return torch.cat(rendered, -4), torch.cat(explained, -2)


def _explained(x: Tensor, picture: Picture, pose: Pose, objects: Objects) -> tuple[Tensor, Tensor]:
    """See :func:`explained_share`, whose parts this computes."""
    layers = picture.layers(pose, objects)  # (..., T, N, C, H, W)
    rendered, each = picture.compose(layers, pose), picture.shown(layers, pose)
    without = x.unsqueeze(-4) - picture.others(layers, pose)
    share = each.abs().clamp_max(1)
    own, rest = share * each, share * without

    def summed(weighed: Tensor, values: Tensor) -> Tensor:
        return (weighed * values).sum((-3, -2, -1))

    product, square, whole = summed(own, without), summed(own, each), summed(rest, without)
    brightness = (product / square.clamp_min(1e-6)).clamp(DIMMEST, BRIGHTEST)
    removed = brightness * (2 * product - brightness * square)  # of the whole, by that much of the object
    explained = (removed / whole.clamp_min(NOTHING)).clamp(0, 1)
    return rendered, explained.where(whole > NOTHING, torch.zeros_like(explained))


def _frames(pose: Pose, first: int, number: int) -> Pose:
    """The pose in ``number`` frames from the ``first`` on, or in as many as there are."""
    axes = {"position": -3, "presence": -2, "depth": -2, "angle": -2, "appearance": -5}  # of frames
    fields: dict[str, Tensor | None] = {name: getattr(pose, name) for name in axes}
    parts = {
        name: values.narrow(axes[name], first, min(number, values.shape[axes[name]] - first))
        for name, values in fields.items()
        if values is not None and values.shape[axes[name]] > 1
    }
    return pose._replace(**parts)
