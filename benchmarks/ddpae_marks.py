"""DDPAE, or any run that predicts, by the numbers of its publication and by positions, on two digits that it never saw.

Published after 200,000 steps: a mean square error of 38.9 and a cross-entropy of 223.0 per frame.

python benchmarks/ddpae_marks.py runs/ddpae-ddpae-0001 --sequences 10000 --threads 1
"""

import argparse
import json
from typing import Any

import torch

from vtssi_pyro import load, load_digits, moving_digits
from vtssi_pyro.data import Dataset
from vtssi_pyro.inference.filter import forecast
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.tracks.matching import assign
from vtssi_pyro.tracks.tracks import concatenated
from vtssi_pyro.train.splits import TABLE_SEED

OBSERVE, LENGTH, PART = 10, 20, 50
DARKEST = 1e-4  # to which predictions are clipped in the cross-entropy, and to 1 less it, as published
NEAR = 7.0  # pixels, a quarter of a digit's patch: a component that is nearer on average holds the digit


def marks(tracker: SomeTracker, data: Dataset) -> dict[str, Any]:
    """Per-frame errors of frames 11 to 20 (means over pixels times their number), and the components' distances.

    Args:
        tracker: a trained tracker.
        data: sequences of two digits and 20 frames, with their positions.
    """
    square = entropy = torch.zeros(())
    found, pixels = [], data.frame_size[0] * data.frame_size[1]
    for index in torch.arange(len(data)).split(PART):
        frames = data.frames(index)
        later = forecast(tracker, frames[:, :OBSERVE], LENGTH - OBSERVE)
        x, mean = frames[:, OBSERVE:], later.frames[:, OBSERVE:].cpu()
        seen = mean.clamp(DARKEST, 1 - DARKEST)
        square = square + (x - mean).square().mean((1, 2, 3, 4)).sum()
        entropy = entropy - (x * seen.log() + (1 - x) * (1 - seen).log()).mean((1, 2, 3, 4)).sum()
        found.append(later.tracks.cpu())
    tracks, truth = concatenated(found), data.truth
    assert truth is not None
    slots = assign(truth, tracks, OBSERVE)  # (S, 2)
    paired = tracks.position.gather(2, slots.clamp_min(0)[:, None, :, None].expand_as(truth.position))
    distance = (paired - truth.position).norm(dim=-1)  # (S, T, 2); NaN for an absent track
    held = (distance[:, :OBSERVE].mean(1) < NEAR).all(1) & (slots >= 0).all(1)
    return {
        "sequences": len(data),
        "mse": pixels * float(square) / len(data),
        "bce": pixels * float(entropy) / len(data),
        "two_digits_in_two_components": float(held.float().mean()),
        "distance_by_frame": distance.nanmean((0, 2)).tolist(),
    }


def main() -> None:
    """Print the numbers as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run, or pretrained:NAME")
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--digits", default="mnist")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    prepare(options.threads)
    digits = load_digits(options.digits, "test")
    data = moving_digits("ddpae", digits, sequences=options.sequences, length=LENGTH, seed=TABLE_SEED)
    print(json.dumps(marks(load(options.run), data), indent=1))


if __name__ == "__main__":
    main()
