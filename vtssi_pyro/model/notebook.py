"""A tracker as a notebook shows it: its blocks, their sizes, what it was trained on, and looks that it can draw."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from vtssi_pyro.model.interfaces import Picture, Scene, Sized
from vtssi_pyro.system.markup import picture, terms

LOOKS = 8  # as many as a line of a notebook holds
TALL = 48  # px of a look on the screen, at least: large enough to be recognised


def html(tracker: Sized, blocks: Iterable[tuple[str, nn.Module]], trained_on: str | None) -> str:
    """A table of a tracker's blocks, by name, and of all that they have in common."""
    known = dict(blocks)
    sizes = {name: sum(p.numel() for p in block.parameters()) for name, block in known.items()}
    told = {name: f"{type(block).__name__}, {sizes[name]:,} parameters" for name, block in known.items()}
    colours = "" if tracker.channels == 1 else f", {tracker.channels} channels"
    told |= {
        "parameters": f"{sum(sizes.values()):,}", "objects": f"{tracker.num_objects} or fewer",
        "frames": f"{tracker.frame_size} x {tracker.frame_size} px{colours}", "trained on": trained_on or "not known",
    }  # fmt: skip
    return terms(type(tracker).__name__, told)


def looks(scene: Scene, drawing: Picture) -> str:
    """A picture of looks by the prior of descriptions: that of its mean, then draws, always the same ones."""
    prior = scene.description()
    noise = torch.randn(LOOKS, *prior.event_shape, generator=torch.Generator().manual_seed(0))
    noise[0] = 0
    with torch.no_grad():
        glimpses = drawing.decode(prior.mean + prior.stddev * noise.to(prior.mean))  # (LOOKS, C, G, G)
    return picture(_row(glimpses), f"{LOOKS} looks of objects, by the prior of descriptions", TALL)


def _row(glimpses: Tensor) -> Tensor:
    """Glimpses side by side, a pixel apart, (G, n (G + 1) - 1); of several channels the brightest shows."""
    grey = nn.functional.pad(glimpses.amax(1).clamp(0, 1), (0, 1))  # (n, G, G + 1)
    return torch.cat(list(grey), -1)[:, :-1]
