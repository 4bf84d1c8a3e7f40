"""DDPAE's program: the prior of its latent variables, the likelihood, and the guide that reads the first frames."""

from collections.abc import Sequence
from typing import NamedTuple

import pyro
import torch
from pyro.distributions import Normal
from pyro.nn import pyro_method
from torch import Tensor

from vtssi_pyro.baselines.ddpae.config import DDPAEConfig
from vtssi_pyro.baselines.ddpae.networks import ContentNetwork, Decoder, PoseNetwork, initialised
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.inference.standalone import StandaloneTracker
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import TRAINED
from vtssi_pyro.model.sites import draw
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.ops.resample import crop, paste, weights
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.types import Anneal, Plates, Site

# Changes of a pose: in frames that are read, and in frames that are predicted.
READ, PREDICTED = Site("input_beta", 3), Site("pred_beta", 3)


class Latents(NamedTuple):
    """All latent variables, drawn by the guide, and their densities."""

    initial: Tensor  # (B, N, 3) unconstrained pose before the first frame
    path: Tensor  # (B, T, N, 3) unconstrained poses
    content: Tensor  # (B, N, D)
    start: Normal  # density of the initial pose
    steps: Normal  # densities of the poses' changes, (B, T, N, 3)


class DDPAE(StandaloneTracker):
    """DDPAE with a fixed number of components, all of which are in every frame.

    A pose is (zoom, x, y): an object's window is ``zoom`` times smaller than the frame, and its centre is at
    (-x, -y) / zoom, where the frame's outer pixels are at -1 and 1.
    """

    config: DDPAEConfig

    def __init__(self, config: DDPAEConfig) -> None:
        super().__init__(config)
        side, picture, channels = config.frame_size, config.picture_size, config.channels
        self.pose = PoseNetwork(
            side, channels, config.features, config.hidden, config.filters, config.num_objects
        )
        self.content = ContentNetwork(picture, channels, config.content, config.hidden, config.filters)
        self.decoder = Decoder(picture, channels, config.content, config.filters)
        for module in self.modules():
            initialised(module)
        centre = torch.tensor([config.zoom, 0.0, 0.0])
        self.register_buffer("prior_loc", centre, persistent=False)
        self.register_buffer("prior_scale", torch.tensor(config.pose_scale), persistent=False)

    @property
    def K(self) -> int:
        """Number of first frames that decide the objects: those that the guide reads."""
        return self.config.inputs

    @property
    def reads(self) -> int:
        """Number of first frames that it reads; later ones it predicts, observed or not."""
        return self.config.inputs

    @property
    def shortest(self) -> int:
        """The least number of frames of a training sequence: one to predict after those that are read."""
        return self.config.inputs + 1

    @pyro_method
    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> None:
        """p(x, z); it has no network but the decoder.

        =================  ====================  ==============================  ===================================
        site               shape                 prior                           meaning
        =================  ====================  ==============================  ===================================
        ``initial_pose``   (B, N, 3)             N((2, 0, 0), (0.2, 1, 1))       pose before the first frame
        ``content``        (B, N, 128)           N(0, 1)                         look, the same in all frames
        ``input_beta_t``   (B, N, 3)             N(0, 0.1)                       change of the pose, t = 1 to 10
        ``pred_beta_t``    (B, N, 3)             N(0, 0.1)                       the same in later frames
        ``x``              (B, T, C, H, W)       N(min(sum of components, 1), 0.3)  the frames, read or not
        =================  ====================  ==============================  ===================================

        Args:
            frames: (B, T, C, H, W), or (B, T, H, W) in grey; intensities in [0, 1].
            anneal: ignored, since nothing is annealed.
            horizon: frames to predict beyond these.
        """
        frames = self._checked(frames)
        plates, total = self._plates(frames), frames.shape[1]
        with plates.sequences, plates.objects:
            initial = pyro.sample("initial_pose", Normal(self.prior_loc, self.prior_scale).to_event(1))
            zeros = initial.new_zeros(self.config.content)
            content = pyro.sample("content", Normal(zeros, torch.ones_like(zeros)).to_event(1))
            still = torch.zeros_like(self.prior_loc)
            change = Normal(still, torch.full_like(still, self.config.step_scale)).to_event(1)
            path, pose = [], initial
            for t in pyro.markov(range(1, total + horizon + 1)):
                pose = pose + draw(self._site(t, total), t, change)
                path.append(pose)
        mean = self.render(content, self.constrained(torch.stack(path[:total], -3)))
        with plates.sequences, pyro.plate("frames", total, dim=-1):
            pyro.sample("x", PixelNormal(mean, self.config.likelihood_scale), obs=frames)

    @pyro_method
    def guide(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> Latents:
        """q(z | the first ``inputs`` frames); poses of the other frames are predicted.

        Args:
            frames: (B, T, C, H, W), or (B, T, H, W) in grey; intensities in [0, 1].
            anneal: ignored.
            horizon: frames to predict beyond these.

        Returns:
            draws and densities of T + horizon frames.
        """
        frames = self._checked(frames)
        total, read = frames.shape[1], frames[:, : self.config.inputs]
        plates = self._plates(frames)
        start, steps = self.pose(read, total - read.shape[1] + horizon)
        with plates.sequences, plates.objects:
            initial = pyro.sample("initial_pose", start.to_event(1))
            path, pose = [], initial
            for t in pyro.markov(range(1, total + horizon + 1)):
                change = Normal(steps.loc[:, t - 1], steps.scale[:, t - 1]).to_event(1)
                pose = pose + draw(self._site(t, total), t, change)
                path.append(pose)
            walked = torch.stack(path, -3)
            seen = self.crops(read, self.constrained(walked[..., : read.shape[1], :, :]))
            content = pyro.sample("content", self.content(seen).to_event(1))
        return Latents(initial, walked, content, start, steps)

    def constrained(self, path: Tensor) -> Tensor:
        """Poses (zoom, x, y) of unconstrained ones, (..., 3): windows within the frame, but for a margin."""
        zoom = path[..., :1].clamp(self.config.zoom - 1, self.config.zoom + 1)
        return torch.cat([zoom, path[..., 1:].tanh() * (zoom - 0.5)], -1)

    def render(self, content: Tensor, pose: Tensor) -> Tensor:
        """Mean frames (B, T, C, H, W) of contents (B, N, D) at poses (B, T, N, 3); a content is decoded once."""
        pictures = self.decoder(content.flatten(0, 1)).unflatten(0, content.shape[:2])
        return self.paste(pictures, pose).clamp(max=1)

    def paste(self, pictures: Tensor, pose: Tensor) -> Tensor:
        """Sums (B, T, C, H, W) of pictures (B, N, C, G, G) at poses (B, T, N, 3)."""
        columns, rows = (
            weights(pose[..., 0], pose[..., axis], self.config.frame_size, self.config.picture_size)
            for axis in (1, 2)
        )
        return paste(pictures, rows, columns)

    def crops(self, frames: Tensor, pose: Tensor) -> Tensor:
        """Pictures (B, T, N, C, G, G) of frames (B, T, C, H, W) in the windows of poses (B, T, N, 3)."""
        zoom = pose[..., 0]
        columns, rows = (
            weights(1 / zoom, -pose[..., axis] / zoom, self.config.picture_size, self.config.frame_size)
            for axis in (1, 2)
        )
        return crop(frames, rows, columns)

    def read(
        self, frames: Tensor, horizon: int, num_samples: int, temperatures: Sequence[float]
    ) -> list[Estimate]:
        """Estimate the observed frames and ``horizon`` frames beyond them; only the first ``inputs`` are looked at.

        Standard deviations of positions are those of the poses, to first order.
        """
        with mode():
            found = self.guide(frames, horizon=horizon)
        pose = self.constrained(found.path)
        rendered = self.render(found.content, pose)
        position = self.centres(pose)
        box = (self.config.frame_size / pose[..., :1]).expand_as(position)
        variance = found.start.variance.unsqueeze(1) + found.steps.variance.cumsum(1)  # (B, T, N, 3)
        zoom, slope = pose[..., :1], 1 - found.path[..., 1:].tanh().square()
        scale = variance[..., 1:].sqrt() * slope * (zoom - 0.5) / zoom * self._half
        present = torch.ones_like(position[..., 0], dtype=torch.bool)
        tracks = Tracks(position, present, box, scale)
        densities = (found.start, found.steps)
        # the same at all temperatures
        noise = [torch.randn(num_samples, *q.loc.shape).to(q.loc) for q in densities]

        def sampled(temperature: float) -> Tracks:
            start, steps = (
                q.loc + temperature * q.scale * drawn for q, drawn in zip(densities, noise, strict=True)
            )
            samples = self.centres(self.constrained(start.unsqueeze(-3) + steps.cumsum(-3)))
            return tracks._replace(samples=samples, scale=samples.std(0) if num_samples > 1 else scale)

        return [
            Estimate(sampled(temperature) if num_samples else tracks, rendered, found.content)
            for temperature in temperatures
        ]

    def centres(self, pose: Tensor) -> Tensor:
        """Centres (..., 2), pixels, of the windows of poses (..., 3)."""
        return (1 - pose[..., 1:] / pose[..., :1]) * self._half + 0.5

    @property
    def _half(self) -> float:
        """Half of the distance between the frame's outer pixels."""
        return (self.config.frame_size - 1) / 2

    def _site(self, t: int, total: int) -> Site:
        return READ if t <= min(self.config.inputs, total) else PREDICTED

    def _checked(self, frames: Tensor) -> Tensor:
        """Frames (B, T, C, H, W) of the model's size."""
        frames, side = channelled(frames), self.config.frame_size
        if frames.shape[-3:] != (self.config.channels, side, side):
            found = "x".join(str(size) for size in frames.shape[-3:])
            raise DataError(
                f"frames have {found} (C x H x W), the model expects {self.config.channels}x{side}x{side}"
            )
        return frames

    def _plates(self, frames: Tensor) -> Plates:
        sequences = pyro.plate("sequences", len(frames), dim=-2)
        return Plates(sequences, pyro.plate("components", self.config.num_objects, dim=-1))
