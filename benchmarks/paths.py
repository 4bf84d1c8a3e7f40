"""Forecasts by the motion that ``fit MOVIE`` learns, from paths alone, beside straight lines and a Kalman filter.

python benchmarks/paths.py [--kinds bouncing,circling] [--noise 0.11] [--budget 1]

The motion learns from 100 frames of three objects, as ``fit MOVIE --preset quick`` cuts, mirrors and turns them. It
predicts 15 frames after 5 observed ones of paths of the same kind that it has not seen: mean distance from the truth
in the last frame, pixels of frames of 256. The Kalman filter has constant velocity; its noises are those of the least
error on the training paths.
"""

import argparse
import time
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pyro
import torch
from torch import Tensor

from vtssi_pyro.config.variants import OURS, Ablation
from vtssi_pyro.data.clips import SYMMETRIES, turned_places
from vtssi_pyro.data.scenes import bounced
from vtssi_pyro.evaluation.held_out import straight_on
from vtssi_pyro.model import kinds
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.model.program import evolve, stacked
from vtssi_pyro.model.tracker import Tracker, build, evaluating
from vtssi_pyro.train.batches import PathBatch, drawn, mixed
from vtssi_pyro.train.movies import moving
from vtssi_pyro.train.objective import belief, there
from vtssi_pyro.train.presets import quick
from vtssi_pyro.train.recipe import TrainConfig
from vtssi_pyro.train.step import Step
from vtssi_pyro.types import Paths

SIDE, SIZE, OBJECTS = 256, 24.0, 3
TOTAL, CLIP, SEEN = 100, 20, 5  # frames
MOVIES = 24  # unseen ones
SPEED = SIZE / 7  # px a frame


def bouncing(seed: int, total: int) -> np.ndarray:
    """Paths (T, N, 2) that go straight on and bounce off the borders."""
    return bounced(np.random.default_rng(seed), total, SIDE, OBJECTS, SIZE)


def circling(seed: int, total: int) -> np.ndarray:
    """Paths (T, N, 2) on circles of three radii, whichever way around."""
    rng = np.random.default_rng(seed)
    radius, middle = rng.uniform(30, 80, OBJECTS), rng.uniform(100, 156, (OBJECTS, 2))
    turn = SPEED / radius * rng.choice([-1, 1], OBJECTS)
    angle = rng.uniform(0, 2 * np.pi, OBJECTS) + np.arange(total)[:, None] * turn
    return middle + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)


KINDS = {"bouncing": bouncing, "circling": circling}


def noisy(path: np.ndarray, noise: float, seed: int) -> Tensor:
    """Paths in frame coordinates, as tracked with an error of ``noise`` pixels."""
    random = np.random.default_rng(seed).normal(0, noise, path.shape)
    return torch.tensor(2 * (path + random) / SIDE - 1, dtype=torch.float32)


def kalman(seen: Tensor, ahead: int, ratio: float) -> Tensor:
    """Forecasts (B, ahead, N, 2) at constant velocity after frames (B, T, N, 2).

    Args:
        seen: positions.
        ahead: number of frames.
        ratio: variance of the velocity's change in a frame, as a share of that of the measurement.
    """
    place, velocity = seen[:, 0], torch.zeros_like(seen[:, 0])
    spread = np.diag([1.0, 1e6])  # nothing is known of the velocity
    go = np.array([[1.0, 1.0], [0.0, 1.0]])
    for now in seen[:, 1:].unbind(1):
        spread = go @ spread @ go.T + ratio * np.array([[0.25, 0.5], [0.5, 1.0]])
        gain = spread[:, 0] / (spread[0, 0] + 1)
        spread = spread - np.outer(gain, spread[0])
        place = place + velocity
        error = now - place
        place, velocity = place + gain[0] * error, velocity + gain[1] * error
    return place[:, None] + velocity[:, None] * torch.arange(1, ahead + 1).view(-1, 1, 1)


def batch_of(tracker: Tracker, position: Tensor, noise: float) -> Paths:
    """Paths (B, T, N, 2) that are seen throughout, of objects that all look alike."""
    shape = position.shape[0], OBJECTS
    motion = tracker.motion
    features = motion.lstm.body.input_size - 2 - 2 * motion.config.differences
    return Paths(
        torch.ones(shape, dtype=torch.bool), torch.zeros(*shape, features), position,
        torch.ones(position.shape[:-1], dtype=torch.bool), torch.full_like(position, 2 * noise / SIDE),
    )  # fmt: skip


def learned(tracker: Tracker, path: Tensor, noise: float, budget: float) -> tuple[Tracker, float]:
    """Train a tracker's motion on paths (T, N, 2); returns also the processor seconds."""
    clips = path.unfold(0, CLIP, 1).permute(0, 3, 1, 2)
    clips = torch.cat([turned_places(clips, symmetry) for symmetry in range(SYMMETRIES)])
    stage = moving(
        next(stage for stage in quick(OURS.name(Ablation.WHOLE)).train.stages if stage.name == "motion")
    )
    train = TrainConfig((stage,), beta1=0.9, average=0.99, budget=budget)
    trained, since = deepcopy(tracker), time.process_time()
    step = Step(tracker, trained, train, stage)
    seen = tracker.motion.examples(batch_of(tracker, clips, noise))
    for number in range(train.steps_of(stage)):
        torch.manual_seed(mixed(0, number))
        batch = drawn(seen, stage, number, 0, budget, tracker.motion.M)
        step(batch, train.scheduled(stage, number, number))
    return trained.eval(), time.process_time() - since


def predicted(tracker: Tracker, seen: Tensor, ahead: int, noise: float) -> Tensor:
    """Forecasts (B, ahead, N, 2) of the motion, at modes, after frames (B, T, N, 2)."""
    batch = PathBatch(*batch_of(tracker, seen, noise), seen.shape[1])
    train = quick(OURS.name(Ablation.WHOLE)).train
    stage = next(stage for stage in train.stages if stage.name == "motion")
    with evaluating(tracker), mode():
        motion = tracker.motion
        inferred = motion.infer(batch.static, seen)[0]
        now = train.scheduled(stage, 0, 0)
        known = {name: q.mean for name, q in belief(tracker, batch, inferred, seen.shape[1], now).items()}
        known["steps"] = torch.ones(*seen.shape[:1], OBJECTS, 1)
        later = evolve(motion, range(1, ahead + 1), known, known["position"], frame=there(batch))
    return stacked(later)["position"]


def main() -> None:
    """Learn and judge each kind of paths; a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--noise", type=float, default=0.11, help="error of a tracked position, px")
    parser.add_argument("--budget", type=float, default=1.0, help="factor on the steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pyro.enable_validation(False)
    for kind in options.kinds.split(","):
        draw, noise, ahead = KINDS[kind], options.noise, CLIP - SEEN
        movies = [draw(seed, 6 * CLIP) for seed in range(100, 100 + MOVIES)]
        unseen = np.concatenate([movie.reshape(-1, CLIP, OBJECTS, 2) for movie in movies])
        truth, seen = torch.tensor(unseen[:, SEEN:]), noisy(unseen, noise, 1)[:, :SEEN]
        path = noisy(draw(0, TOTAL), noise, 2)
        clips = path.unfold(0, CLIP, 1).permute(0, 3, 1, 2)

        def fault(ratio: float, clips: Tensor = clips, ahead: int = ahead) -> float:
            return float((kalman(clips[:, :SEEN], ahead, ratio) - clips[:, SEEN:])[:, -1].norm(dim=-1).mean())

        best = min(10.0 ** np.arange(-6, 3), key=fault)
        config = quick(OURS.name(Ablation.WHOLE)).model
        torch.manual_seed(0)
        begun = build(replace(config, motion=kinds.suited(config.motion, 2 * SPEED / SIDE)))
        tracker, seconds = learned(deepcopy(begun), path, noise, options.budget)
        guesses = {
            "straight": straight_on(seen, ahead),
            "Kalman": kalman(seen, ahead, best),
            "untrained": predicted(begun.eval(), seen, ahead, noise),
            "learned": predicted(tracker, seen, ahead, noise),
        }
        for name, guess in guesses.items():
            error = (SIDE * (guess[:, -1] + 1) / 2 - truth[:, -1]).norm(dim=-1)  # (B, N)
            print(f"{kind} {name}: mean {error.mean():.2f} px, median {error.median():.2f} px", flush=True)
        print(f"{kind}: {seconds:.1f} processor seconds", flush=True)


if __name__ == "__main__":
    main()
