"""The program (App. A, App. B.2.4, Alg. 6): the generative model, and the guide that is its prior under proposals."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor

from vtssi_pyro.errors import DataError
from vtssi_pyro.model.handlers import Rule, fuse, mode
from vtssi_pyro.model.interfaces import (
    Attention,
    Consensus,
    Finder,
    Motion,
    Picture,
    Predict,
    Scene,
    changing,
)
from vtssi_pyro.model.proposals import ORDERS, Arrivals, expectation
from vtssi_pyro.model.sites import is_intermediate, moment
from vtssi_pyro.ops.channels import channelled
from vtssi_pyro.ops.gaussian import average
from vtssi_pyro.types import Anneal, Chain, Latents, Objects, Plates, State

TRAINED = Anneal()
Before = Callable[[int, State | None, Predict], None]  # see Proposals.before
Frame = Callable[..., AbstractContextManager[State]]  # see Scene.frame, of known objects


@dataclass(frozen=True)
class Program:
    """A model and a guide made of six blocks; it holds no state, so that blocks combine freely."""

    scene: Scene
    attention: Attention
    picture: Picture
    consensus: Consensus
    finder: Finder
    motion: Motion
    rule: Rule = average
    order: str = "proposals-first"
    sample_intermediate: bool = True  # reading D5
    per_frame: bool = False  # every frame is a sequence of length one (App. D.2, AIR "computed per-frame")

    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> None:
        """p(x, z); see :meth:`Tracker.model`."""
        frames = self._scenes(frames)
        plates, times = self.plates(frames), range(1, frames.shape[1] + horizon + 1)
        objects, states = self.prior(plates, times, self.warmup(frames), anneal)
        self.likelihood(plates, objects, states, frames, anneal)

    def guide(
        self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0, chain: Chain | None = None
    ) -> Latents:
        """q(z | x); see :meth:`Tracker.guide`."""
        frames = self._scenes(frames)
        observed, warmup = frames.shape[1], self.warmup(frames, chain)
        plates = self.plates(frames)
        order = Arrivals if self.scene.changes else ORDERS[self.order]
        proposals = order(self, plates, frames, warmup, chain)
        with fuse(proposals.sites, self.motion.weight(anneal, warmup), self.rule) as final:
            objects, states = self.prior(
                plates, range(1, observed + horizon + 1), warmup, anneal, chain, proposals.before
            )
        last = states[observed - 1]
        q = {site.name: final.densities[site.at(observed)] for site in self.motion.sites if site.name in last}
        chain = Chain(objects, last, q, proposals.found, proposals.memory)
        return Latents(objects, states, final.densities, chain)

    def prior(
        self,
        plates: Plates,
        times: range,
        warmup: int,
        anneal: Anneal = TRAINED,
        chain: Chain | None = None,
        before: Before | None = None,
    ) -> tuple[Objects, list[State]]:
        """p(c) prod_i p(s_i) p(d_i) prod_t p(p_t, m_t | p_{t-1}, m_{t-1}).

        Args:
            plates: the plates of this run of the program.
            times: numbers of the frames.
            warmup: number of frames before the transition takes over.
            anneal: shifts the prior of the count.
            chain: the chain to continue, whose objects are not drawn again; None: a new chain.
            before: called before every frame; see :meth:`Proposals.before`.
        """
        with self.scene.model(plates, anneal, chain and chain.objects) as objects:
            start, frame = chain and chain.state, self.frame(objects)
            return objects, evolve(self.motion, times, start, objects.size, warmup, before, frame)

    def frame(self, objects: Objects) -> Frame:
        """The prior of who is there in a frame, and of the picture's own sites; see :meth:`Scene.frame`."""

        @contextmanager
        def frame(t: int, previous: State | None, predict: Predict | None = None) -> Iterator[State]:
            with self.scene.frame(t, objects, previous, self.picture, predict) as there:
                like, age = there.get("size", objects.size), there.get("age")
                yield there | self.picture.model(t, previous, like, None if age is None else age.squeeze(-1))

        return frame

    def likelihood(
        self, plates: Plates, objects: Objects, states: list[State], frames: Tensor, anneal: Anneal = TRAINED
    ) -> None:
        """prod_t N(x_t | sum_i ST^-1(bell * step_i * VAEdec(d_i), s_i, p_t,i), sigma_L), one site for all frames."""
        observed = frames.shape[1]
        objects, together = self.shown(objects, stacked(states))
        pose = self.motion.pose(objects, together, objects.steps)
        mean = self.picture.render(objects, pose, anneal.bell)  # (..., B, T, C, H, W)
        mean = mean.squeeze(-4) if self.scene.changes else mean
        with plates.sequences, pyro.plate("frames", observed, dim=-1):
            pyro.sample("x", self.picture.likelihood(mean[..., :observed, :, :, :]), obs=frames)
        if len(states) > observed:
            future = mean[..., observed:, :, :, :].unsqueeze(-5)  # (..., B, 1, horizon, C, H, W)
            pyro.deterministic("x_future", future, event_dim=4)

    def shown(self, objects: Objects, states: State) -> tuple[Objects, State]:
        """The objects with states (..., T, N, dims); if they come and go, of single frames, (..., T, 1, N, dims)."""
        if not self.scene.changes:
            return objects, states
        return changing(self.scene).seen(states), {
            name: value.unsqueeze(-3) for name, value in states.items()
        }

    def plates(self, frames: Tensor) -> Plates:
        """Make the two plates of a run of the program."""
        side, channels = self.picture.frame_size, self.picture.channels
        if frames.shape[-3:] != (channels, side, side):
            found, wanted = (
                f"{h}x{w}" + f" in {c} channels" * (frames.shape[-3] != channels)
                for c, h, w in (frames.shape[-3:], (channels, side, side))
            )
            raise DataError(f"frames have {found} pixels (H x W), the model expects {wanted}")
        sequences = pyro.plate("sequences", len(frames), dim=-2)
        return Plates(sequences, pyro.plate("objects", self.scene.num_objects, dim=-1))

    def warmup(self, frames: Tensor, chain: Chain | None = None) -> int:
        """The number of these frames before the transition prior takes over; 0 where each object's age tells it."""
        if self.scene.changes:
            return 0
        return min(self.motion.M, frames.shape[1]) if chain is None else 0

    def _scenes(self, frames: Tensor) -> Tensor:
        """The sequences of the program, (B, T, C, H, W): the given ones, or each of their frames as a sequence."""
        frames = channelled(frames)
        return fold(frames) if self.per_frame else frames

    def averaged(self, warmup: int) -> mode:
        """A handler that replaces the draws of some proposals by their means; by default none (reading D5)."""
        if self.sample_intermediate:
            return mode(only=lambda msg: False)

        def fused(msg: Any) -> bool:
            at = moment(msg)
            return self.motion.fused(at, warmup) if at else is_intermediate(msg)

        return mode(only=fused)


def fold(frames: Tensor) -> Tensor:
    """Convert sequences (B, T, ...) to single frames (B T, 1, ...)."""
    return frames.flatten(0, 1).unsqueeze(1)


def evolve(
    motion: Motion,
    times: range,
    start: State | None,
    like: Tensor,
    warmup: int = 0,
    before: Before | None = None,
    frame: Frame = lambda *_, **__: nullcontext({}),
) -> list[State]:
    """Sample the states of frames from the transition prior, under the handlers at hand: the chain of every program.

    Args:
        motion: the motion block.
        times: numbers of the frames.
        start: state (..., N, dims) of the last frame before these, by site; None: these are the first.
        like: sizes (..., N, 2), for shape, dtype and device.
        warmup: number of these frames before the transition takes over.
        before: called before every frame; see :meth:`Proposals.before`.
        frame: the scene's prior of who is there, called with the frame's number and the state before it; by default
            the same objects in all frames.
    """
    state, states = start, []
    for t in pyro.markov(times):
        predict = expectation(motion, t, state, like, warmup)
        if before is not None:
            before(t, state, predict)
        with frame(t, previous=state, predict=predict) as there:
            aged = {"age": there["age"].squeeze(-1)} if "age" in there else {}
            state = motion.model(t, state, there.get("size", like), warmup, **aged) | there
        states.append(state)
    return states


def stacked(states: list[State]) -> State:
    """Stack states frame by frame to one, (..., T, N, dims), with the sites that all of them have."""
    common = [name for name in states[0] if all(name in state for state in states)]
    return {name: torch.stack([state[name] for state in states], -3) for name in common}
