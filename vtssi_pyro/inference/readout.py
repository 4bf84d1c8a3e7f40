"""What latent variables say of the objects: tracks in pixels, rendered frames, descriptions."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.distributions import Distribution

from vtssi_pyro.inference.confidence import counted_pose, explained_share
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.inference.identities import by_identity, descriptions_of, share_within
from vtssi_pyro.model.blocks.presence import PRESENCE, above_zero
from vtssi_pyro.model.interfaces import looks
from vtssi_pyro.model.program import Program, fold, stacked
from vtssi_pyro.model.sites import POSITION
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops.ink import long_axis
from vtssi_pyro.ops.spatial import size_to_pixels, to_pixels
from vtssi_pyro.ops.turning import turned
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.types import Appearance, Chain, Latents, Pose, State

Densities = Mapping[str, Distribution]  # of each site's draw, by the site's full name
Sampler = Callable[[], State]  # draws states (S, B, T, N, dims) of the next frames, of Readout.sites


class Readout:
    """Read tracks off latent variables of objects that are the same in all frames.

    Args:
        tracker: its picture says what objects look like.
        program: its program.
        tight: whether tracks are of tight boxes around what glimpses show, not of attention windows.
    """

    sites: tuple[str, ...] = ("position",)  # that are read off futures

    def __init__(self, tracker: Tracker, program: Program, tight: bool) -> None:
        self.tracker, self.program, self.tight = tracker, program, tight
        self.picture = tracker.picture
        self.size = (tracker.picture.frame_size,) * 2

    def seen(self, x: Tensor, latents: Latents) -> Estimate:
        """The estimate of observed frames (B, T, C, H, W)."""
        objects, states = latents.objects, stacked(latents.states)
        appearance = looks(self.picture, objects, latents.chain.found.appearance)
        pose = counted_pose(self.tracker, objects, states, appearance)
        observed = fold(x) if self.tracker.per_frame else x
        rendered, confidence = explained_share(observed, self.picture, pose, objects)
        scale = scales(latents.densities, pose.position.shape[-3])
        tracks = self.tracks(pose, scale, appearance, confidence)
        if self.tracker.per_frame:  # every frame was a sequence of its own
            tracks = tracks.mapped(lambda values, _: values.reshape(*x.shape[:2], *values.shape[2:]))
        # Where every frame stands by itself, the looks are those of a sequence's first frame.
        descriptions = objects.description.unflatten(0, (len(x), -1))[:, 0]
        return Estimate(tracks, rendered.reshape(x.shape), descriptions)

    def ahead(
        self,
        chain: Chain,
        states: list[State],
        densities: Densities,
        futures: Sampler | None,
        temperature: float,
    ) -> Estimate:
        """The estimate of frames beyond the observed ones.

        Args:
            chain: of the observed frames.
            states: of the predicted frames, at their modes.
            densities: of these states.
            futures: samples states of the predicted frames; None: there are no samples.
            temperature: factor on the error of what tracks are read off.
        """
        objects = chain.objects
        appearance = looks(self.picture, objects, chain.found.appearance)
        pose = counted_pose(self.tracker, objects, stacked(states), appearance)
        rendered = self.picture.draw(pose, objects)
        unknown = pose.position.new_full(pose.position.shape[:-1], torch.nan)
        tracks = self.tracks(pose, scales(densities, len(states)), appearance, unknown)
        if futures:
            samples = self.samples(futures()["position"], self.box(pose, appearance)[0], temperature)
            scale = samples.std(0) if len(samples) > 1 else tracks.scale
            tracks = tracks._replace(samples=samples, scale=scale)
        return Estimate(tracks, rendered, objects.description)

    def tracks(self, pose: Pose, scale: Tensor, appearance: Appearance, confidence: Tensor) -> Tracks:
        """Tracks (b, T, N, ...) in pixels of a pose in frame coordinates; presences above a half count as present."""
        offset, box = self.box(pose, appearance)
        present = pose.presence.expand(pose.position.shape[:-1]) > 0.5
        centre = to_pixels(pose.position + offset, self.size)
        return Tracks(
            position=centre.where(present.unsqueeze(-1), torch.nan),
            present=present,
            box=size_to_pixels(box, self.size).expand_as(centre),
            scale=size_to_pixels(scale / 2, self.size).square().add(self.error**2).sqrt(),
            confidence=confidence,
            angle=None if pose.angle is None else self.angle(pose, appearance).where(present, torch.nan),
        )

    def samples(self, path: Tensor, offset: Tensor, temperature: float) -> Tensor:
        """Sampled centres (S, B, T, N, 2), px, of what is ``offset`` from positions (S, B, T, N, 2)."""
        centre = to_pixels(path + offset, self.size)
        # a box is read off once: its error is the same in all frames of a future
        error = torch.randn_like(centre[..., :1, :, :]) * self.error
        return centre + temperature * error

    @property
    def error(self) -> float:
        """Standard deviation of the centre of what tracks are read off, px."""
        return self.picture.box_error if self.tight else 0.0

    def box(self, pose: Pose, appearance: Appearance) -> tuple[Tensor, Tensor]:
        """Offset and size (..., T or 1, N, 2) of what tracks are read off: tight boxes, or attention windows."""
        size = pose.size.unsqueeze(-3)
        if not self.tight:
            return torch.zeros_like(size), size
        if pose.angle is None:
            offset, box = appearance.box
            return offset.unsqueeze(-3), box.unsqueeze(-3)
        return self.picture.box(*turned(appearance.glimpses.unsqueeze(-5), size, pose.angle))

    def angle(self, pose: Pose, appearance: Appearance) -> Tensor:
        """Angles (..., T, N) of the objects' longer axes, which go on beyond a whole turn."""
        assert pose.angle is not None
        return pose.angle + long_axis(appearance.glimpses, pose.size).unsqueeze(-2)


class ChangingReadout(Readout):
    """Read tracks off latent variables of objects that come and go: a slot has several, one after another.

    States are those of single frames, whose objects are each frame's own; tracks are by identity.
    """

    sites = ("position", "identity", "age")

    def seen(self, x: Tensor, latents: Latents) -> Estimate:
        """See :meth:`Readout.seen`; ``confidence`` is the share of the frames that each object explains."""
        together = stacked(latents.states)
        objects, states = self.program.shown(latents.objects, together)
        appearance = looks(self.picture, objects, None)
        pose = counted_pose(self.tracker, objects, states, appearance)
        rendered, explained = explained_share(x.unsqueeze(2), self.picture, pose, objects)
        scale = scales(latents.densities, x.shape[1])
        tracks = self._by_slots(pose, scale, appearance, explained.squeeze(2))
        identity = together["identity"].squeeze(-1)
        descriptions = descriptions_of(together["description"], identity, tracks.present)
        return Estimate(by_identity(tracks, identity), rendered.squeeze(2), descriptions)

    def ahead(
        self,
        chain: Chain,
        states: list[State],
        densities: Densities,
        futures: Sampler | None,
        temperature: float,
    ) -> Estimate:
        """See :meth:`Readout.ahead`; ``confidence`` is the probability that each object is there.

        Objects that may come are predicted by no track.
        """
        now = chain.state
        there = now["age"].squeeze(-1) >= 0  # (B, N)
        objects, folded = self.program.shown(chain.objects, stacked(states))
        times = range(1, len(states) + 1)
        likely = torch.stack([above_zero(densities[PRESENCE.at(t)].mean.squeeze(-1)) for t in times], -2)
        appearance = looks(self.picture, objects, None)
        pose = counted_pose(self.tracker, objects, folded, appearance)
        rendered = self.picture.draw(pose, objects)
        scale = scales(densities, len(states))
        tracks = self._by_slots(pose, scale, appearance, likely.cumprod(-2))
        if futures:
            later = futures()
            same = later["identity"] == now["identity"].unsqueeze(-3)
            stays = (same & (later["age"] >= 0)).squeeze(-1) & there.unsqueeze(-2)
            offset = self.box(pose, appearance)[0].squeeze(-3)
            samples = self.samples(later["position"], offset, temperature)
            samples = samples.masked_fill(~stays.unsqueeze(-1), torch.nan)
            tracks = tracks._replace(samples=samples, confidence=stays.to(scale).mean(0))
        present = tracks.present & there.unsqueeze(-2)
        known = tracks._replace(present=present)
        identity = now["identity"].squeeze(-1).unsqueeze(-2).expand(present.shape)
        # a slot is spread by whom it holds now, whether that object is predicted to stay or not
        told = by_identity(known._replace(present=there.unsqueeze(-2).expand(present.shape)), identity)
        told = told._replace(present=by_identity(known, identity).present)
        told = told._replace(position=told.position.where(told.present.unsqueeze(-1), torch.nan))
        descriptions = descriptions_of(now["description"].unsqueeze(1), identity[:, :1], there.unsqueeze(1))
        return Estimate(told, rendered.squeeze(2), descriptions)

    def _by_slots(self, pose: Pose, scale: Tensor, appearance: Appearance, confidence: Tensor) -> Tracks:
        """Tracks (B, T, N, ...) by slots of a pose of single frames, (B, T, 1, N, dims); the others (B, T, N, ...)."""
        single = self.tracks(pose, scale.unsqueeze(-3), appearance, confidence.unsqueeze(-2))
        visible = share_within(pose, self.picture.frame_size)
        single = single._replace(visible=visible.where(single.present, torch.nan))
        return single.mapped(lambda values, _: values.squeeze(2))


def readout(tracker: Tracker, program: Program, tight: bool) -> Readout:
    """What reads tracks off a tracker's latent variables; see :class:`Readout`."""
    kind = ChangingReadout if tracker.scene.changes else Readout
    return kind(tracker, program, tight)


def scales(densities: Densities, length: int) -> Tensor:
    """Standard deviations of the positions in frames 1 to ``length``, (..., B, T, N, 2), frame coordinates."""
    return torch.stack([densities[POSITION.at(t)].stddev for t in range(1, length + 1)], -3)
