"""The tracker: the root module of the six blocks, whose program is model and guide."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import RLock
from typing import Any

import torch
from pyro.nn import pyro_method
from torch import Tensor, nn

from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.registered import Registered
from vtssi_pyro.model.config import PUBLISHED, SYSTEMS, VARIANTS, ModelConfig, TestTime
from vtssi_pyro.model.handlers import Rule
from vtssi_pyro.model.interfaces import (
    SCALES,
    Attention,
    Consensus,
    Finder,
    Motion,
    Picture,
    Scene,
    Sized,
    predictive,
)
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.nn import unregistered
from vtssi_pyro.model.notebook import html, looks
from vtssi_pyro.model.program import TRAINED, Program
from vtssi_pyro.model.trainable import Trainable
from vtssi_pyro.ops.gaussian import average, product
from vtssi_pyro.types import Anneal, Chain, Latents

RULES: dict[str, Rule] = {"average": average, "product": product}
# Pyro keeps its handlers in one stack for all threads, which two programs at once would mix up.
ONE_AT_A_TIME = RLock()
if hasattr(os, "register_at_fork"):
    # A child has the forking thread alone: had another one been amid a program, nobody would finish it there.
    os.register_at_fork(
        before=ONE_AT_A_TIME.acquire,
        after_in_parent=ONE_AT_A_TIME.release,
        after_in_child=ONE_AT_A_TIME.release,
    )
PIXELS = 2**22  # pixels of frames, times objects, that are inferred together: some 300 MiB of memory


class Tracker(Trainable):
    """VTSSI and its variants: the root module, with a slot for every block.

    Assign to ``scene.count``, ``scene.size`` or ``scene.description`` to swap a prior, to ``scene``, ``attention``,
    ``picture``, ``consensus``, ``finder`` or ``motion`` to swap a block, and to ``rule`` to change the fusion of
    prediction and inference. A block that another tracker has run cannot be assigned to a second one; ``program``
    combines blocks freely.

    Example:
        >>> from vtssi_pyro import Tracker, build
        >>> tracker = build("vtssi")
        >>> isinstance(tracker, Tracker), tracker.predicts, tracker.frame_size
        (True, True, 50)
    """

    slots = tuple(SLOTS)

    def __init__(
        self,
        scene: Scene,
        attention: Attention,
        picture: Picture,
        consensus: Consensus,
        finder: Finder,
        motion: Motion,
        config: ModelConfig,
    ) -> None:
        super().__init__()
        self.scene, self.attention, self.picture = scene, attention, picture
        self.consensus, self.finder, self.motion = consensus, finder, motion
        self._config = config
        self.rule: Rule = RULES[self._config.fusion]
        self.order = self._config.order
        self.sample_intermediate = self._config.sample_intermediate

    @property
    def config(self) -> ModelConfig:
        """The configuration that builds such a tracker, taken from its present blocks."""
        return replace(self._config, **{slot: getattr(self, slot).config for slot in SLOTS})

    def _repr_html_(self) -> str:
        """As a notebook shows a tracker."""
        with evaluating(self):
            return html(self, self.named_children(), self.trained_on) + looks(self.scene, self.picture)

    @property
    def per_frame(self) -> bool:
        """Whether each frame is a scene of its own, with its own count."""
        return self._config.per_frame

    @property
    def predicts(self) -> bool:
        """Whether it predicts frames."""
        return self.motion.predicts

    @property
    def K(self) -> int:
        """Number of first frames that decide the objects; more with several hypotheses."""
        return self.consensus.K

    @property
    def shortest(self) -> int:
        """The least number of frames of a training sequence."""
        return 2 if self.predicts else 1

    @property
    def frame_size(self) -> int:
        """Side of its frames, pixels."""
        return self.picture.frame_size

    @property
    def channels(self) -> int:
        """Number of channels C of its frames."""
        return self.picture.channels

    @property
    def num_objects(self) -> int:
        """Number of object slots N."""
        return self.scene.num_objects

    @property
    def test_time(self) -> TestTime:
        """The tracker's own procedure at test time."""
        return self._config.test_time

    @pyro_method
    def model(self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0) -> None:
        """The generative model p(x, z) of App. A.

        ================  =======================  ==========================================  =====================
        site              shape                    prior                                       meaning
        ================  =======================  ==========================================  =====================
        ``count``         (..., B, 1, 1)           N(-3, 1)                                    c; n~ = N sigmoid(c)
        ``size``          (..., B, N, 2)           N((0.3, 0.4), 0.1)                          fraction of the frame
        ``description``   (..., B, N, D)           N(0, 1)                                     appearance
        ``position_t``    (..., B, N, 2)           t = 1: N(0, 1); to M: N(p_{t-1}, 0.1);      centre, edges at -1, 1
                                                   beyond: TR_pos(p_{t-1}, m_{t-1})
        ``motion_t``      (..., B, N, 10)          t = M: N(0, 1); beyond: TR_mot(...)         none before M
        ``x``             (..., B, T, C, H, W)     N(rendered mean, 0.3)                       the frames
        ``x_future``      (..., B, 1, h, C, H, W)  (the mean)                                  horizon h; 1: objects
        ================  =======================  ==========================================  =====================

        p(x, z) = p(c) prod_i p(s_i) p(d_i) p(p_1,i) prod_t p(p_t,i, m_t,i | p_{t-1},i, m_{t-1},i) prod_t p(x_t | z_t)

        Args:
            frames: x, (B, T, C, H, W), or (B, T, H, W) in grey; intensities in [0, 1].
            anneal: the numbers that training anneals; the default is the trained program.
            horizon: frames to predict beyond the observed ones, rendered at ``x_future``.
        """
        self.program().model(frames, anneal, horizon)

    @pyro_method
    def guide(
        self, frames: Tensor, anneal: Anneal = TRAINED, horizon: int = 0, chain: Chain | None = None
    ) -> Latents:
        """The guide q(z | x) of App. A: the prior, run under the proposals of AIR, RECT, FIND and MOT.

        q = q(c) prod_i q(s_i) q(d_i) q(p_1,i) prod_t q(p_t,i, m_t,i | p_{t-1},i, m_{t-1},i, x), where beyond frame M
        every q is the fusion of a proposal and the transition prior. A site without a proposal keeps its prior, so
        with a ``horizon`` the same guide predicts.

        Args:
            frames: (B, T, C, H, W), or (B, T, H, W) in grey; intensities in [0, 1].
            anneal: the fusion weight's bounds count here.
            horizon: frames to predict.
            chain: the chain that an earlier call returned for the frames before these. It is continued, and sites count
                the frames from 1 again. The first call needs K and M frames at least.

        Returns:
            draws; states of T + horizon frames.
        """
        return self.program().guide(frames, anneal, horizon, chain)

    def program(self, **blocks: Any) -> Program:
        """The tracker's program, perhaps with other blocks: ``program(motion=RandomWalk())``."""
        program = Program(
            self.scene, self.attention, self.picture, self.consensus, self.finder, self.motion, self.rule,
            self.order, self.sample_intermediate, self.per_frame,
        )  # fmt: skip
        return replace(program, **blocks)

    def refined(self, test_time: TestTime | None = None, bounded: bool = True) -> Program:
        """The tracker's program with positions and looks settled on the frames, as the procedure at test time has it.

        Args:
            test_time: the procedure; None: the tracker's own.
            bounded: whether tight boxes are settled on the frames, too, which no evidence depends on.

        Raises:
            UsageError: the paper's procedure is asked of a template search, which it does not have; or looks are to be
                settled in two ways.
        """
        if test_time == PUBLISHED and self.finder.registers:
            raise UsageError(
                "the paper's procedure at test time has no template search, and this tracker's finder is one: "
                "TestTime() is the plain procedure of any tracker"
            )
        asked = test_time or self.test_time
        program = self.program(rule=RULES[asked.fusion] if asked.fusion else self.rule)
        if asked.refine and self.finder.registers:
            if asked.smooth:
                raise UsageError(
                    "model.test_time.refine has settled the looks on the frames, so that none are left to climb by "
                    "model.test_time.smooth: take one of the two"
                )
            finder = Registered(self.finder, self.motion, asked.refine, asked.settled, bounded)
            program = replace(program, finder=finder)
        return program

    def walk(self) -> Motion:
        """A random walk with the tracker's own scale, to replace its motion; see :meth:`Motion.walking`."""
        return self.motion.walking()

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of the whole, of each block and its parts and, if the motion predicts, those of SCALES."""
        scales = {SCALES: list(predictive(self.motion).scales())} if self.predicts else {}
        return super().parts() | scales

    def priors(self) -> dict[str, Tensor]:
        """All buffers: they hold the numbers of the priors, not all of which are in a checkpoint."""
        return dict(self.named_buffers())


def build(variant: str | ModelConfig = "vtssi", config: ModelConfig | None = None) -> Tracker:
    """Build an untrained tracker.

    Args:
        variant: one of the :data:`~vtssi_pyro.model.config.VARIANTS`, or the whole configuration.
        config: the configuration that the variant changes; None: that of the system that the name is of, of ``air``
            the paper's.

    Raises:
        UsageError: there is no such variant.

    Example:
        >>> from vtssi_pyro import build
        >>> type(build("find-mot").consensus).__name__
        'FirstFrame'
    """
    if isinstance(variant, str):
        if variant not in VARIANTS:
            raise UsageError(f"unknown variant {variant!r}: expected one of {', '.join(VARIANTS)}")
        whole = config or next(system.model for system in SYSTEMS if variant in system.family.names)
        variant = VARIANTS[variant](whole)
    blocks = {slot: getattr(variant, slot).build(variant) for slot in SLOTS}
    return Tracker(**blocks, config=variant)


@contextmanager
def evaluating(tracker: nn.Module) -> Iterator[None]:
    """Turn off dropout and gradients and keep other threads out of programs; restore each module's mode at the end."""
    with ONE_AT_A_TIME:
        # a walk through all modules takes as long as the search of a frame
        blocks = (tracker, *tracker.children())
        training = [m for block in blocks if block.training for m in block.modules() if m.training]
        if training:
            tracker.eval()
        try:
            with torch.no_grad(), unregistered():
                yield
        finally:
            for module in training:
                module.training = True


def at_once(tracker: Sized, length: int) -> int:
    """Number of sequences of ``length`` frames to infer together; more would only take more memory."""
    pixels = tracker.channels * tracker.frame_size**2
    return max(1, PIXELS // (length * tracker.num_objects * pixels))
