"""The model as one would first write it: a loop over frames, ``grid_sample``, one observed site a frame.

It shares every weight with the package's tracker and computes the same ELBO; only the organisation differs. It is the
reference that ``step.py`` measures against.
"""

import pyro
import torch
from pyro.distributions import Independent, Normal
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample

from vtssi_pyro.model.blocks import AIR, FIND, RECT
from vtssi_pyro.model.nn import ConvStack
from vtssi_pyro.model.program import Program, Tracker
from vtssi_pyro.ops import counting
from vtssi_pyro.ops.bell import bell_mask
from vtssi_pyro.ops.spatial import SIZE_LIMITS
from vtssi_pyro.types import Anneal, Latents, Objects, Plates


def naive_program(tracker: Tracker) -> Program:
    """The tracker's program, reorganised frame by frame."""
    air = _rebuilt(NaiveAIR, tracker.air)
    find = _rebuilt(NaiveFIND, tracker.finder)
    return NaiveProgram(air, _rebuilt(NaiveRECT, tracker.consensus), find, tracker.motion)


def _rebuilt(kind: type, block: torch.nn.Module) -> torch.nn.Module:
    """The same block, weights included, under another class."""
    clone = kind.__new__(kind)
    clone.__dict__.update(block.__dict__)
    return clone


class NaiveProgram(Program):
    """One rendering and one observed site per frame."""

    def likelihood(self, plates: Plates, latents: Latents, frames: Tensor, anneal: Anneal) -> None:
        """prod_t N(x_t | mean_t, sigma_L), a site a frame."""
        for t in range(frames.shape[1]):
            mean = self.air.render_frame(latents.objects, latents.position[:, t], anneal.bell)
            with plates.sequences:
                frame = frames[:, t].unsqueeze(1)
                pyro.sample(
                    f"x_{t}", Normal(mean.unsqueeze(1), self.picture.config.noise).to_event(2), obs=frame
                )


class NaiveAIR(AIR):
    """Glimpses cut and pasted by ``grid_sample``, object by object; images in torch's usual layout."""

    def infer_count(self, frames: Tensor) -> Independent:
        """See AIR."""
        return self.counter(self._features(self.counter_features, frames))

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """See AIR."""
        return self.locator(self._features(self.locator_features, frames))

    def _features(self, stack: ConvStack, frames: Tensor) -> Tensor:
        return stack.body(frames.flatten(0, -3).unsqueeze(1)).unflatten(0, frames.shape[:-2])

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Normal:
        """See AIR; frames (B, 1, H, W), places (B, N, 2)."""
        side, glimpses = self.config.glimpse, []
        for i in range(position.shape[-2]):
            s = size[:, i].clamp(*SIZE_LIMITS)
            theta = _theta(s, position[:, i])
            grid = affine_grid(theta, [len(frames), 1, side, side], align_corners=False)
            glimpses.append(grid_sample(frames, grid, align_corners=False))
        return self.encoder(torch.cat(glimpses, 1).flatten(-2))

    def render_frame(self, objects: Objects, position: Tensor, flatness: float) -> Tensor:
        """One frame's mean (B, H, W); every object is decoded again."""
        side, canvas = self.config.frame_size, 0.0
        steps = counting.steps(
            counting.expected_number(objects.count, self.config.num_objects), self.config.num_objects
        )
        for i in range(self.config.num_objects):
            glimpse = self.decode(objects.description[:, i])
            glimpse = glimpse * bell_mask(self.config.glimpse, self.config.bell_sigma, flatness, glimpse)
            s = objects.size[:, i].clamp(*SIZE_LIMITS)
            grid = affine_grid(
                _theta(1 / s, -position[:, i] / s), [len(s), 1, side, side], align_corners=False
            )
            pasted = grid_sample(glimpse.unsqueeze(1), grid, align_corners=False).squeeze(1)
            canvas = canvas + pasted * steps[:, i, None, None]
        return canvas


class NaiveRECT(RECT):
    """AIR on one frame after another."""

    def guide(self, air: AIR, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """See RECT."""
        described = air.describe

        def one_by_one(x: Tensor, position: Tensor, size: Tensor) -> Normal:
            parts = [described(x[:, k], position[:, k], size[:, k]).base_dist for k in range(x.shape[1])]
            loc, scale = (torch.stack(p, 1) for p in zip(*((q.loc, q.scale) for q in parts), strict=True))
            return Normal(loc, scale).to_event(1)

        air.__dict__["describe"] = one_by_one
        try:
            return super().guide(air, frames, plates)
        finally:
            del air.__dict__["describe"]


class NaiveFIND(FIND):
    """A grouped convolution per frame, over the batch and its objects."""

    def _features(self, frames: Tensor, description: Tensor) -> Tensor:
        count, side = self.config.num_kernels, self.config.kernel_side
        batch, num_objects = description.shape[:2]
        features = []
        for t in range(frames.shape[1]):
            kernels = self.kernels(description).reshape(-1, 1, side, side)
            frame = frames[:, t].repeat_interleave(num_objects * count, 0).unsqueeze(0)
            response = conv2d(frame, kernels, groups=batch * num_objects * count)
            response = response.reshape(batch, num_objects, count, *response.shape[-2:])
            reduced = self.activate(response.flatten(0, 1)).unflatten(0, (batch, num_objects))
            h = self.features.body(reduced.flatten(0, -4)).unflatten(0, reduced.shape[:-3])
            features.append(self.readout(h))
        return torch.stack(features, 1)


def _theta(scale: Tensor, shift: Tensor) -> Tensor:
    """Affine matrices (B, 2, 3) of axis-aligned maps."""
    theta = scale.new_zeros(len(scale), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    return theta
