"""A lower bound of a training step: its convolutions, matrix products, crops and pastes alone.

Bare tensor operations of a step's own sizes, forward and backward, in the organisation that is fastest: all frames at
once, every object decoded once, inputs of recurrent nets projected once. No activation, no distribution, no sampling,
no effect handler, no objective, no clipping, no optimiser.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vtssi_pyro import build
from vtssi_pyro.model.blocks import FIND, StridedFIND
from vtssi_pyro.model.blocks.find import per_object
from vtssi_pyro.model.config import ModelConfig
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.ops.correlate import correlate_template
from vtssi_pyro.ops.spatial import extract_glimpses, paste


def floor_step(model: ModelConfig, batch: int, length: int) -> Callable[[], None]:
    """Make a function that computes the floor of one step of the full VTSSI.

    Args:
        model: the sizes of the model.
        batch: number of sequences B.
        length: number of frames T of each.

    Returns:
        The function.
    """
    tracker = build(model)
    side, num_objects = model.frame_size, model.num_objects
    frames = torch.rand(batch, length, model.channels, side, side)
    places = {"position": 2, "size": 2, "description": model.description}
    drawn = {
        name: torch.rand(batch, num_objects, width, requires_grad=True) for name, width in places.items()
    }
    paths = torch.rand(batch, length, num_objects, 2, requires_grad=True)
    leaves = [*tracker.parameters(), *drawn.values(), paths]

    def step() -> None:
        outputs = [
            *_air(tracker, frames[:, : tracker.consensus.K], drawn),
            *_consensus(tracker, batch),
            *_find(tracker, frames, drawn, paths),
            *_motion(tracker, drawn, paths),
            *_rendered(tracker, drawn, paths),
        ]
        torch.autograd.grad([output.sum() for output in outputs], leaves, allow_unused=True)

    return step


def _air(tracker: Tracker, frames: Tensor, drawn: dict[str, Tensor]) -> list[Tensor]:
    air, images = tracker.attention, frames.flatten(0, 1)
    counted = _bare(air.counter.body, _bare(air.counter_features.body, images))
    features = _bare(air.locator_features.body, images)
    lstm = air.locator.body.lstm
    h = features @ lstm.weight_ih_l0.T
    outputs = [h[:, : lstm.hidden_size]]
    for _ in range(tracker.scene.num_objects - 1):
        outputs.append((outputs[-1] @ lstm.weight_hh_l0.T + h)[:, : lstm.hidden_size])
    h = torch.stack(outputs, 1)
    located = [*_bare(air.locator.size.body, h), *_bare(air.locator.position.body, h)]
    size, position = (drawn[name].unsqueeze(1) for name in ("size", "position"))
    glimpses = extract_glimpses(frames.unsqueeze(2), position, size, air.glimpse)  # (B, K, N, C, G, G)
    return [*counted, *located, *_bare(air.encoder.body, glimpses.flatten(-3))]


def _consensus(tracker: Tracker, batch: int) -> list[Tensor]:
    lstm = tracker.consensus.lstm.body
    h = recurrent(lstm, torch.rand(batch, tracker.consensus.K, lstm.input_size), reverse=True)
    return [_bare(tracker.consensus.logits.body, h)]


def _find(tracker: Tracker, frames: Tensor, drawn: dict[str, Tensor], paths: Tensor) -> list[Tensor]:
    find, batch = tracker.finder, len(frames)
    num_objects, (length, channels) = tracker.scene.num_objects, frames.shape[1:3]
    if isinstance(find, FIND):
        side, count = find.config.kernel_side, find.config.num_kernels
        kernels = _bare(find.kernels.body, drawn["description"]).unflatten(-1, (count, channels, side, side))
        strided = isinstance(find, StridedFIND)
        responses = per_object(frames, kernels, stride=2 if strided else 1).flatten(0, 2)
        if not strided:
            responses = _thinned(responses)
        features = _bare(find.readout.body, _bare(find.features.body, responses))
        features = features.view(batch, length, num_objects, -1)
        steps = (torch.cat([features[:, t], paths[:, t]], -1) for t in range(length))
        return [output for x in steps for output in _bare(find.position.body, x)]
    small = nn.functional.avg_pool2d(frames.flatten(0, 1), 2).unflatten(0, (batch, length))
    side = find.kernel_side
    maps = correlate_template(small, torch.rand(batch, num_objects, channels, side, side))  # (B, T, N, h, w)
    cells = maps.shape[-1]
    bump = torch.rand(batch, 1, num_objects, cells, cells)
    for _ in range(find.config.rounds):
        maps = bump @ maps @ bump
    return []  # computed, but no gradient goes through


def _motion(tracker: Tracker, drawn: dict[str, Tensor], paths: Tensor) -> list[Tensor]:
    motion, length = tracker.motion, paths.shape[1]
    lstm = motion.lstm.body
    x = paths.transpose(1, 2).flatten(0, 1)  # (B N, T, 2)
    x = nn.functional.pad(x, (0, lstm.input_size - 2))
    h = recurrent(lstm, x)
    outputs = list(_bare(motion.readout.body, h))
    state = nn.functional.pad(paths, (0, motion.config.motion))
    for t in range(motion.M, length):
        outputs += _bare(motion.position.body, state[:, t])
        outputs += _bare(motion.motion.body, state[:, t])
    return outputs


def _rendered(tracker: Tracker, drawn: dict[str, Tensor], paths: Tensor) -> list[Tensor]:
    picture, side = tracker.picture, tracker.picture.glimpse
    glimpses = _bare(picture.decoder.body, drawn["description"])
    glimpses = glimpses.unflatten(-1, (picture.channels, side, side))
    return [paste(glimpses, paths, drawn["size"], (picture.frame_size,) * 2)]


def _bare(layers: nn.Module, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """Apply layers without their activations; a network with two heads gives both outputs."""
    if hasattr(layers, "trunk"):
        x = _bare(layers.trunk, x)
        return _bare(layers.loc, x), _bare(layers.scale, x)
    for layer in layers:
        if isinstance(layer, nn.MaxPool2d):
            x = _thinned(x)
        elif isinstance(layer, nn.Conv2d | nn.Linear | nn.Flatten | nn.ZeroPad2d):
            x = layer(x)
    return x


def _thinned(x: Tensor) -> Tensor:
    """Keep as many pixels as pooling would."""
    height, width = (side // 2 * 2 for side in x.shape[-2:])
    return x[..., :height:2, :width:2]


def recurrent(lstm: nn.LSTM, x: Tensor, reverse: bool = False) -> Tensor:
    """Compute the matrix products of an LSTM over (R, L, features), in one direction or both: (R, L, units)."""
    directions = []
    for suffix in ("", "_reverse")[: 1 + reverse]:
        weight = getattr(lstm, f"weight_hh_l0{suffix}")
        projected = x @ getattr(lstm, f"weight_ih_l0{suffix}").T
        h = [projected[:, 0, : lstm.hidden_size]]
        for t in range(1, x.shape[1]):
            h.append((h[-1] @ weight.T + projected[:, t])[:, : lstm.hidden_size])
        directions.append(torch.stack(h, 1))
    return torch.cat(directions, -1)
