"""A training step of plain AIR on single frames against a training step of this package.

This is AIR (Eslami et al., 2016) in plain Pyro: up to three discrete steps, a recurrent network that sees the whole
frame in each of them, and score-function gradients for the presence of objects. Nothing slows it needlessly: it has no
baselines, and its frames are drawn beforehand. It has no model of time; each frame is a scene of its own.

python benchmarks/pyro_air.py --batch 16 --length 10 --threads 1
"""

import json
from collections.abc import Callable
from typing import Any

import options
import pyro
import torch
from pyro.distributions import Bernoulli, Normal
from pyro.infer import SVI, TraceGraph_ELBO
from rounds import against
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, softplus

from vtssi_pyro.speed import as_in_training, digits, trainer, workload
from vtssi_pyro.system.machine import prepare

# The sizes of Pyro's AIR example: steps, side of a window in pixels, dimensions of z_what, units of the LSTM, hidden
# units of the VAE.
STEPS, WINDOW, WHAT, UNITS, HIDDEN = 3, 28, 50, 256, 200
PRESENT, NOISE = 0.5, 0.3  # probability of one more object; the paper's standard deviation of a pixel
SCALE = 2.0  # mean of the first number of z_where, the number of windows along a frame's side: about 50 / 28


class AIR(nn.Module):
    """Attend, infer, repeat: model and guide over frames (B, H, W) of one side."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.look = nn.LSTMCell(side**2 + 1 + 3 + WHAT, UNITS)
        self.where = nn.Linear(UNITS, 1 + 2 * 3)
        self.encode = nn.Sequential(nn.Linear(WINDOW**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * WHAT))
        self.decode = nn.Sequential(
            nn.Linear(WHAT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, WINDOW**2), nn.Sigmoid()
        )
        self.register_buffer("where_loc", torch.tensor([SCALE, 0.0, 0.0]))
        # windows of similar sizes, anywhere in the frame
        self.register_buffer("where_scale", torch.tensor([0.3, 1.0, 1.0]))

    def model(self, frames: Tensor) -> None:
        """Draw objects until a coin ends it, and paste each onto the frame."""
        pyro.module("air", self)
        present, canvas = frames.new_ones(len(frames), 1), torch.zeros_like(frames)
        with pyro.plate("frames", len(frames)):
            for t in range(STEPS):
                present = pyro.sample(f"present_{t}", Bernoulli(PRESENT * present).to_event(1))
                q_where = Normal(self.where_loc, self.where_scale).expand([len(frames), 3])
                where = pyro.sample(f"where_{t}", q_where.mask(present).to_event(1))
                q_what = Normal(frames.new_zeros(len(frames), WHAT), 1.0)
                what = pyro.sample(f"what_{t}", q_what.mask(present).to_event(1))
                glimpse = self.decode(what).view(-1, WINDOW, WINDOW)
                canvas = canvas + present.unsqueeze(-1) * self.paste(glimpse, where)
            pyro.sample("x", Normal(canvas, NOISE).to_event(2), obs=frames)

    def guide(self, frames: Tensor) -> None:
        """Infer step by step from the frame and earlier steps if one more object is present, where, and its look."""
        pyro.module("air", self)
        batch, flat = len(frames), frames.flatten(1)
        present, where, what = flat.new_ones(batch, 1), flat.new_zeros(batch, 3), flat.new_zeros(batch, WHAT)
        state = (flat.new_zeros(batch, UNITS), flat.new_zeros(batch, UNITS))
        with pyro.plate("frames", batch):
            for t in range(STEPS):
                state = self.look(torch.cat([flat, present, where, what], 1), state)
                logit, loc, scale = self.where(state[0]).split([1, 3, 3], 1)
                present = pyro.sample(f"present_{t}", Bernoulli(logit.sigmoid() * present).to_event(1))
                q_where = Normal(loc + self.where_loc, softplus(scale)).mask(present)
                where = pyro.sample(f"where_{t}", q_where.to_event(1))
                loc, scale = self.encode(self.cut(frames, where).flatten(1)).chunk(2, 1)
                what = pyro.sample(f"what_{t}", Normal(loc, softplus(scale)).mask(present).to_event(1))

    def cut(self, frames: Tensor, where: Tensor) -> Tensor:
        """Cut windows (B, 28, 28) out of frames (B, H, W); where is (B, 3), zoom and x and y of the shift."""
        zoom = where[:, :1].clamp_min(0.1)  # a draw near 0 would make the window infinite
        return _warp(frames, 1 / zoom, -where[:, 1:] / zoom, WINDOW)

    def paste(self, glimpses: Tensor, where: Tensor) -> Tensor:
        """Paste windows into frames (B, H, W)."""
        return _warp(glimpses, where[:, :1].clamp_min(0.1), where[:, 1:], self.side)


def _warp(images: Tensor, scale: Tensor, shift: Tensor, side: int) -> Tensor:
    """Sample images (B, h, w) at scale * grid + shift, as (B, side, side)."""
    theta = torch.cat([torch.diag_embed(scale.expand(-1, 2)), shift.unsqueeze(-1)], -1)  # (B, 2, 3)
    grid = affine_grid(theta, [len(images), 1, side, side], align_corners=False)
    return grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1)


def stepper(frames: Tensor) -> Callable[[], float]:
    """Make a function that takes one training step on frames (B, H, W) and returns the loss per frame."""
    air = AIR(frames.shape[-1])
    svi = SVI(air.model, air.guide, pyro.optim.Adam({"lr": 1e-4}), TraceGraph_ELBO())
    return lambda: svi.step(frames) / len(frames)


def compare(batch: int = 16, length: int = 10, repeats: int = 10) -> dict[str, Any]:
    """Time both steps in turn on the same number of frames; the package reads them as sequences."""
    device = torch.device("cpu")
    config = workload(batch=batch, length=length)
    frames = digits(config, batch, length).frames(slice(None)).flatten(0, 2)  # (B T, H, W): one channel
    with as_in_training():
        found = against(trainer(config, device).advance, "air", stepper(frames), repeats)
    speed = {name: len(frames) / seconds for name, seconds in found["seconds"].items()}
    sequences = {"package": speed["package"] / length}
    found |= {"batch": batch, "length": length, "frames_per_second": speed}
    return found | {"sequences_per_second": sequences}


def main() -> None:
    chosen = options.parser(__doc__, batch=16, length=10, repeats=10, threads=1).parse_args()
    prepare(chosen.threads)
    print(json.dumps(compare(chosen.batch, chosen.length, chosen.repeats), indent=1))


if __name__ == "__main__":
    main()
