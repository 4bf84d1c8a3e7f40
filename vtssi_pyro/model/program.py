"""The assembly (App. A, App. B.2.4, Alg. 6): the generative model, and the guide that is its prior under proposals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyro
import torch
from pyro.nn import PyroModule, pyro_method
from torch import Tensor

from vtssi_pyro.errors import DataError
from vtssi_pyro.model.blocks import AIR, RandomWalk
from vtssi_pyro.model.handlers import Rule, fuse, mode, propose
from vtssi_pyro.model.nn import unregistered
from vtssi_pyro.ops.gaussian import average
from vtssi_pyro.ops.pixels import PixelNormal
from vtssi_pyro.types import Anneal, Carry, Found, Latents, Objects, Plates, State

TRAINED = Anneal()
PIXELS = 2**22  # of frames, counted for every object, that are looked at together: some 300 MiB of memory


@dataclass(frozen=True)
class Program:
    """A model and a guide made of four blocks; holds no state, so any combination of blocks is one call away."""

    air: AIR
    consensus: Any  # RECT or FirstFrame
    find: Any  # FIND, TemplateFIND or NoFIND
    motion: RandomWalk  # MOT or RandomWalk
    rule: Rule = average
    sample_intermediate: bool = True  # reading D5

    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> None:
        """p(x, z); see :meth:`Tracker.model`."""
        plates = self.plates(frames)
        objects, states = self.prior(plates, frames, anneal, horizon)
        self.likelihood(plates, Latents(objects, _positions(states)), frames, anneal)

    def guide(
        self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0, carry: Carry | None = None
    ) -> Latents:
        """q(z | x); see :meth:`Tracker.guide`."""
        plates, seed = self.plates(frames), self._seed(frames, carry)
        with propose() as proposals, mode(only=self._averaged(seed)):
            found, memory = self.infer(plates, frames, seed, carry)
        with fuse(proposals.sites, self.motion.weight(anneal, seed), self.rule):
            objects, states = self.prior(plates, frames, anneal, horizon, carry)
        carry = Carry(objects, states[frames.shape[-3] - 1], found, memory)
        return Latents(objects, _positions(states), carry)

    def prior(
        self, plates: Plates, frames: Tensor, anneal: Anneal, horizon: int, carry: Carry | None = None
    ) -> tuple[Objects, list[State]]:
        """p(c) prod_i p(s_i) p(d_i) prod_t p(p_t, m_t | p_{t-1}, m_{t-1}); of the frames, only their number matters."""
        seed, state, states = self._seed(frames, carry), carry and carry.state, []
        with self.air.model(plates, anneal, carry and carry.objects) as objects:
            for t in pyro.markov(range(1, frames.shape[-3] + horizon + 1)):
                state = self.motion.model(t, state, objects.size, seed)
                states.append(state)
        return objects, states

    def infer(self, plates: Plates, frames: Tensor, seed: int, carry: Carry | None) -> tuple[Found, Any]:
        """AIR -> RECT -> FIND -> MOT: proposals for every site but those beyond the frames (Alg. 6, l. 1-5).

        Returns:
            what the finder saw in the last frame, and what MOT remembers.
        """
        if carry is None:
            objects, first = self.consensus.guide(self.air, frames, plates)
        else:
            objects, first = carry.objects, None
        found = self.find.guide(self.air, frames, objects, first, plates, carry)
        with plates.sequences, plates.objects:
            memory = self.motion.guide(self.air, objects, found, seed, carry)
        return found._replace(position=found.position[..., -1:, :, :]), memory

    def likelihood(self, plates: Plates, latents: Latents, frames: Tensor, anneal: Anneal) -> None:
        """prod_t N(x_t | sum_i ST^-1(bell * step_i * VAEdec(d_i), s_i, p_t,i), sigma_L), one site for all frames."""
        num_frames = frames.shape[-3]
        mean = self.air.render(latents.objects, latents.position, anneal.bell)  # (..., B, T, H, W)
        with plates.sequences, pyro.plate("frames", num_frames, dim=-1):
            observed = mean[..., :num_frames, :, :]
            pyro.sample("x", PixelNormal(observed, self.air.config.noise), obs=frames)
        if mean.shape[-3] > num_frames:
            future = mean[..., num_frames:, :, :].unsqueeze(-4)  # (..., B, 1, horizon, H, W)
            pyro.deterministic("x_future", future, event_dim=3)

    def plates(self, frames: Tensor) -> Plates:
        """The two plates, made once per run of a program."""
        side = self.air.config.frame_size
        if frames.shape[-2:] != (side, side):
            found = "x".join(str(pixels) for pixels in frames.shape[-2:])
            raise DataError(f"frames have {found} pixels (H x W), the model expects {side}x{side}")
        sequences = pyro.plate("sequences", frames.shape[-4], dim=-2)
        return Plates(sequences, pyro.plate("objects", self.air.config.num_objects, dim=-1))

    def _averaged(self, seed: int) -> Callable[[str], bool]:
        """Which proposals are represented by their means: by default none."""
        if self.sample_intermediate:
            return lambda name: False
        return lambda name: name.endswith("_hat") or self.motion.fused(name, seed)

    def _seed(self, frames: Tensor, carry: Carry | None = None) -> int:
        """The number of frames, of these, before the transition prior takes over."""
        return min(self.motion.M, frames.shape[-3]) if carry is None else 0


def _positions(states: list[State]) -> Tensor:
    return torch.stack([state.position for state in states], -3)


class Tracker(PyroModule):
    """VTSSI and its variants: the root module, and a slot for every part.

    Assign to ``air.count``, ``air.size``, ``air.description`` to swap a prior, to ``consensus``, ``find`` or
    ``motion`` to swap a block, to ``rule`` to change how prediction and inference are fused, and False to ``tight`` to
    read tracks off attention windows, as the paper does. A block that another
    tracker has run cannot be given to a second one; ``program`` combines blocks freely.
    """

    per_frame = False  # whether every frame is a scene of its own, with its own count

    def __init__(self, air: AIR, consensus: PyroModule, find: PyroModule, motion: RandomWalk) -> None:
        super().__init__()
        self.air, self.consensus, self.find, self.motion = air, consensus, find, motion
        self.rule: Rule = average
        self.sample_intermediate = True
        self.tight = True  # tracks tell where objects are, not their attention windows

    @pyro_method
    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> None:
        """The generative model p(x, z) of App. A.

        ================  ==================  ==========================================  =====================
        site              shape               prior                                       meaning
        ================  ==================  ==========================================  =====================
        ``count``         (..., B, 1, 1)      N(-3, 1)                                    c; n~ = N sigmoid(c)
        ``size``          (..., B, N, 2)      N((0.3, 0.4), 0.1)                          fraction of the frame
        ``description``   (..., B, N, D)      N(0, 1)                                     appearance
        ``position_t``    (..., B, N, 2)      t = 1: N(0, 1); to M: N(p_{t-1}, 0.1);      centre, edges at -1, 1
                                              beyond: TR_pos(p_{t-1}, m_{t-1})
        ``motion_t``      (..., B, N, 10)     t = M: N(0, 1); beyond: TR_mot(...)         none before M
        ``x``             (..., B, T, H, W)   N(rendered mean, 0.3)                       the frames
        ``x_future``      (..., B, 1, h, H, W)  (the mean)                                with a horizon h; 1: objects
        ================  ==================  ==========================================  =====================

        p(x, z) = p(c) prod_i p(s_i) p(d_i) p(p_1,i) prod_t p(p_t,i, m_t,i | p_{t-1},i, m_{t-1},i) prod_t p(x_t | z_t)

        Args:
            frames: x, (B, T, H, W), intensities in [0, 1].
            anneal: what training changes step by step; the default is the trained program.
            horizon: frames to predict beyond the observed ones, rendered at ``x_future``.
        """
        self.program().model(frames, anneal, horizon)

    @pyro_method
    def guide(
        self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0, carry: Carry | None = None
    ) -> Latents:
        """The guide q(z | x) of App. A: the prior, run under the proposals of AIR, RECT, FIND and MOT.

        q = q(c) prod_i q(s_i) q(d_i) q(p_1,i) prod_t q(p_t,i, m_t,i | p_{t-1},i, m_{t-1},i, x), where beyond frame M
        every q is the fusion of a proposal and the transition prior. A site without a proposal keeps its prior, so
        with a ``horizon`` the same guide predicts.

        Args:
            frames: (B, T, H, W), intensities in [0, 1].
            anneal: the fusion weight's bounds count here.
            horizon: frames to predict.
            carry: what an earlier call on the frames before these returned; the chain goes on from there, and sites
                count its frames from 1 again. The first call must have seen K and M frames at least.

        Returns:
            draws; positions (..., B, T + horizon, N, 2).
        """
        return self.program().guide(frames, anneal, horizon, carry)

    def program(self, **blocks: Any) -> Program:
        """The tracker's program, or the same with other blocks: ``program(motion=RandomWalk())``."""
        program = Program(
            self.air, self.consensus, self.find, self.motion, self.rule, self.sample_intermediate
        )
        return replace(program, **blocks)

    def without_motion(self) -> Program:
        """The tracker's program with a random walk, of the tracker's own scale, in place of its motion."""
        return self.program(motion=RandomWalk(self.motion.scale))


class PerFrame(Tracker):
    """A tracker of single frames: every frame is a sequence of length one (App. D.2, AIR "computed per-frame")."""

    per_frame = True

    @pyro_method
    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> None:
        """See :meth:`Tracker.model`; batch B T, one frame each."""
        self.program().model(fold(frames), anneal, horizon)

    @pyro_method
    def guide(
        self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0, carry: Carry | None = None
    ) -> Latents:
        """See :meth:`Tracker.guide`; batch B T, one frame each, which remembers nothing of those before."""
        del carry
        return self.program().guide(fold(frames), anneal, horizon)


@contextmanager
def evaluating(tracker: Tracker) -> Iterator[None]:
    """No dropout and no gradients within; each module's mode is put back."""
    blocks = (tracker, *tracker.children())  # to walk through all modules takes as long as to search a frame
    training = [m for block in blocks if block.training for m in block.modules() if m.training]
    if training:
        tracker.eval()
    try:
        with torch.no_grad(), unregistered():
            yield
    finally:
        for module in training:
            module.training = True


def at_once(tracker: Tracker, length: int) -> int:
    """How many sequences of so many frames to infer together: more would only take more memory."""
    air = tracker.air.config
    return max(1, PIXELS // (length * air.num_objects * air.frame_size**2))


def fold(frames: Tensor) -> Tensor:
    """Sequences (B, T, H, W) as single frames (B T, 1, H, W)."""
    return frames.flatten(0, 1).unsqueeze(1)
