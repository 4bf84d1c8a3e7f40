"""The model in its naive organisation: a loop over frames, ``grid_sample``, and one observed site per frame.

It shares every weight with the package's tracker and computes the same ELBO; only the organisation differs. It is the
reference of ``step.py``.
"""

import pyro
import torch
from pyro.distributions import Independent, Normal
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, max_pool2d

from vtssi_pyro.model.blocks import AIR, FIND, RECT, AdditivePicture
from vtssi_pyro.model.interfaces import Sight
from vtssi_pyro.model.nn import ConvStack
from vtssi_pyro.model.program import Program
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops.bell import bell_mask
from vtssi_pyro.ops.spatial import SIZE_LIMITS
from vtssi_pyro.types import Anneal, Detections, Objects, Plates, Scalar, State


def naive_program(tracker: Tracker) -> Program:
    """Reorganise the tracker's program frame by frame."""
    return NaiveProgram(
        tracker.scene, _rebuilt(NaiveAIR, tracker.attention), _rebuilt(NaivePicture, tracker.picture),
        _rebuilt(NaiveRECT, tracker.consensus), _rebuilt(NaiveFIND, tracker.finder), tracker.motion,
    )  # fmt: skip


def _rebuilt(kind: type, block: torch.nn.Module) -> torch.nn.Module:
    """Make the same block with the same weights under another class."""
    clone = kind.__new__(kind)
    clone.__dict__.update(block.__dict__)
    return clone


class NaiveProgram(Program):
    """One rendering and one observed site per frame."""

    def likelihood(
        self, plates: Plates, objects: Objects, states: list[State], frames: Tensor, anneal: Anneal
    ) -> None:
        """prod_t N(x_t | mean_t, sigma_L), a site a frame."""
        for t, state in enumerate(states):
            mean = self.picture.render_frame(objects, state["position"], anneal.bell).unsqueeze(1)
            with plates.sequences:
                frame = frames[:, t].unsqueeze(1)  # (B, 1, C, H, W)
                pyro.sample(f"x_{t}", Normal(mean, self.picture.noise).to_event(3), obs=frame)


class NaiveAIR(AIR):
    """Glimpses cut by ``grid_sample``, object by object; images in torch's usual layout."""

    def infer_count(self, frames: Tensor) -> Independent:
        """See AIR."""
        return self.counter(self._features(self.counter_features, frames))

    def locate(self, frames: Tensor) -> tuple[Independent, Independent]:
        """See AIR."""
        return self.locator(self._features(self.locator_features, frames))

    def _features(self, stack: ConvStack, frames: Tensor) -> Tensor:
        return stack.body(frames.flatten(0, -4)).unflatten(0, frames.shape[:-3])

    def describe(self, frames: Tensor, position: Tensor, size: Tensor) -> Normal:
        """See AIR; frames (B, 1, C, H, W), places (B, N, 2)."""
        frames, side, glimpses = frames.squeeze(1), self.glimpse, []
        for i in range(position.shape[-2]):
            s = size[:, i].clamp(*SIZE_LIMITS)
            theta = _theta(s, position[:, i])
            grid = affine_grid(theta, [*frames.shape[:2], side, side], align_corners=False)
            glimpses.append(grid_sample(frames, grid, align_corners=False))
        return self.encoder(torch.stack(glimpses, 1).flatten(-3))


class NaivePicture(AdditivePicture):
    """Glimpses pasted by ``grid_sample``, object by object."""

    def render_frame(self, objects: Objects, position: Tensor, flatness: Scalar) -> Tensor:
        """Render one frame's mean (B, C, H, W); every object is decoded again."""
        side, num_objects = self.frame_size, position.shape[-2]
        canvas = position.new_zeros(len(position), self.channels, side, side)
        steps = objects.steps
        for i in range(num_objects):
            glimpse = self.decode(objects.description[:, i])
            glimpse = glimpse * bell_mask(self.glimpse, self.config.bell_sigma, flatness, glimpse)
            s = objects.size[:, i].clamp(*SIZE_LIMITS)
            grid = affine_grid(_theta(1 / s, -position[:, i] / s), list(canvas.shape), align_corners=False)
            pasted = grid_sample(glimpse, grid, align_corners=False)
            canvas = canvas + pasted * steps[:, i, None, None, None]
        return canvas


class NaiveRECT(RECT):
    """AIR on one frame after another."""

    def guide(self, attention: NaiveAIR, frames: Tensor, plates: Plates) -> tuple[Objects, Tensor | None]:
        """See RECT."""
        described = attention.describe

        def one_by_one(x: Tensor, position: Tensor, size: Tensor) -> Normal:
            parts = [described(x[:, k], position[:, k], size[:, k]).base_dist for k in range(x.shape[1])]
            loc, scale = (torch.stack(p, 1) for p in zip(*((q.loc, q.scale) for q in parts), strict=True))
            return Normal(loc, scale).to_event(1)

        attention.__dict__["describe"] = one_by_one
        try:
            return super().guide(attention, frames, plates)
        finally:
            del attention.__dict__["describe"]


class NaiveFIND(FIND):
    """A grouped convolution per frame, over the batch and its objects."""

    def look(
        self, picture: NaivePicture, frames: Tensor, objects: Objects, before: Detections | None = None
    ) -> Sight:
        """See FIND."""
        count, side = self.config.num_kernels, self.config.kernel_side
        batch, num_objects = objects.description.shape[:2]
        features = []
        for t in range(frames.shape[1]):
            kernels = self.kernels(objects.description).reshape(-1, self.channels, side, side)
            frame = frames[:, t].repeat_interleave(num_objects * count, 0).flatten(0, 1).unsqueeze(0)
            response = conv2d(frame, kernels, groups=batch * num_objects * count)
            response = response.reshape(batch, num_objects, count, *response.shape[-2:])
            reduced = max_pool2d(response.flatten(0, 1).relu(), 2).unflatten(0, (batch, num_objects))
            h = self.features.body(reduced.flatten(0, -4)).unflatten(0, reduced.shape[:-3])
            features.append(self.readout(h))
        return Sight(torch.stack(features, 1))


def _theta(scale: Tensor, shift: Tensor) -> Tensor:
    """Make affine matrices (B, 2, 3) of axis-aligned maps."""
    theta = scale.new_zeros(len(scale), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = scale[:, 0], scale[:, 1], shift
    return theta
