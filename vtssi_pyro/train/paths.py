"""Paths of objects, from which a motion learns: found in sequences, or cut from those in a whole movie."""

from dataclasses import replace

import torch
from torch import Tensor

from vtssi_pyro.data.clips import SYMMETRIES, Clips, turned, turned_extents, turned_places
from vtssi_pyro.inference.confidence import counted_pose, explained_share
from vtssi_pyro.inference.estimate import floats
from vtssi_pyro.inference.filter import Filter, windows
from vtssi_pyro.model.interfaces import looks, predictive
from vtssi_pyro.model.program import Program, stacked
from vtssi_pyro.model.sites import POSITION
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.tracks.columns import HIDDEN
from vtssi_pyro.types import Appearance, Chain, Detections, Latents, Objects, Paths, Pose


def found(
    tracker: Tracker, program: Program, frames: Tensor, chain: Chain | None = None
) -> tuple[Latents, Tensor, Tensor]:
    """Latents, positions (B, T, N, 2) and visibilities (B, T, N) by all blocks of a program but the motion.

    Args:
        tracker: its picture and motion say what the objects look like.
        program: tracks the frames.
        frames: (B, T, C, H, W), intensities in [0, 1].
        chain: of the frames before these; None: the first frames.
    """
    picture = tracker.picture
    latents = replace(program, motion=tracker.walk()).guide(frames, chain=chain)
    objects, states = latents.objects, stacked(latents.states)
    pose = counted_pose(tracker, objects, states, looks(picture, objects, latents.chain.found.appearance))
    _, confidence = explained_share(frames, picture, pose, objects)
    return latents, states["position"], confidence > HIDDEN


def paths(tracker: Tracker, program: Program, frames: Tensor) -> Paths:
    """Infer the paths of whole scenes from frames (B, T, C, H, W) by the other blocks of a program."""
    latents, position, visible = found(tracker, program, frames)
    static = predictive(tracker.motion).static(tracker.picture, latents.objects, latents.chain.found)
    return Paths(latents.objects.present, static, position, visible, _scales(latents))


def cut(tracker: Tracker, program: Program, clips: Clips, chosen: Tensor, device: torch.device) -> Paths:
    """The paths in some clips of a movie, by the other blocks of a program, which tracks the movie once.

    A path is turned and mirrored as the frames of its clip are, and so are the object's looks, of which the motion's
    constant features are made. Each frame is in as many clips as a clip has frames, in eight symmetries, so that
    tracking every clip would add nothing. Movies that are joined are tracked each by itself. No more frames are tracked
    than the chosen clips have together, so that the time does not grow with the movie: only the beginning of a longer
    movie is, and clips that lie behind it are moved into it.

    Args:
        tracker: the tracker; its procedure at test time decides what the objects are.
        program: tracks the movie.
        clips: the clips.
        chosen: numbers of the clips, (b,).
        device: the tracker's device.
    """
    begins, symmetries = (values.to(device) for values in clips.place(chosen))
    most = max(len(chosen) * clips.length // len(clips.pieces), clips.length)
    parts = []
    for piece in clips.pieces:
        here = (begins >= piece.start) & (begins < piece.stop)
        if here.any():
            movie = clips.movie[piece][:most].unsqueeze(0).to(device)
            first = (begins[here] - piece.start) % (movie.shape[1] - clips.length + 1)
            parts.append((here, _cut(tracker, program, movie, first, symmetries[here], clips.length)))
    order = torch.cat([here.nonzero()[:, 0] for here, _ in parts]).argsort()
    return Paths._make(torch.cat(values)[order] for values in zip(*(part for _, part in parts), strict=True))


def _cut(
    tracker: Tracker, program: Program, movie: Tensor, begins: Tensor, symmetries: Tensor, length: int
) -> Paths:
    """The paths in clips of ``length`` frames of one movie (1, T, C, H, W), by first frames and symmetries (b,)."""
    filter_, chain = Filter(tracker), None
    settled = filter_.init(movie).consensus
    program = program if settled is None else replace(program, consensus=settled)
    pieces = []
    for window in windows(filter_, movie):
        latents, *seen = found(tracker, program, floats(window), chain)
        chain = latents.chain
        pieces.append((*seen, _scales(latents)))
    # (T, N, ...) each
    position, visible, scale = (torch.cat(values, 1)[0] for values in zip(*pieces, strict=True))
    when = begins.unsqueeze(-1) + torch.arange(length, device=begins.device)
    position, scale = position[when], scale[when]  # (b, L, N, 2)
    for symmetry in range(1, SYMMETRIES):
        some = symmetries == symmetry
        position[some] = turned_places(position[some], symmetry)
        scale[some] = turned_extents(scale[some], symmetry)
    objects = latents.objects
    appearance = looks(tracker.picture, objects, latents.chain.found.appearance)
    static = torch.cat([_static(tracker, objects, appearance, how) for how in range(SYMMETRIES)])  # (8, N, F)
    return Paths(objects.present.expand(len(begins), -1), static[symmetries], position, visible[when], scale)


def _static(tracker: Tracker, objects: Objects, appearance: Appearance, symmetry: int) -> Tensor:
    """The motion's constant features (1, N, F) of turned objects; they are described as the attention sees them."""
    picture, size = tracker.picture, turned_extents(objects.size, symmetry)
    glimpses, middle = turned(appearance.glimpses, symmetry), torch.zeros_like(size)
    look = glimpses.unsqueeze(-5)
    pose = Pose(middle.unsqueeze(-3), size, torch.ones_like(middle[..., 0]).unsqueeze(-2), appearance=look)
    alone = picture.layers(pose, objects)[..., 0, :, : picture.channels, :, :]  # (1, N, C, H, W)
    description = tracker.attention.describe(alone, middle, size).mean
    known = objects._replace(size=size, description=description)
    seen = Detections(middle.unsqueeze(-3), Appearance(glimpses, picture.box(glimpses, size)))
    return predictive(tracker.motion).static(picture, known, seen)


def _scales(latents: Latents) -> Tensor:
    """Standard deviations (B, T, N, 2) of the proposed positions."""
    densities = (latents.densities[POSITION.at(t + 1)] for t in range(len(latents.states)))
    return torch.stack([q.stddev for q in densities], -3)
