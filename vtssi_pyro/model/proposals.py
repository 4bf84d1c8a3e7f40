"""The guide's proposals: of all frames at once, frame by frame, or of who is there as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtssi_pyro.model.handlers import Proposal, propose
from vtssi_pyro.model.interfaces import Motion, Predict, changing
from vtssi_pyro.model.sites import POSITION, draw
from vtssi_pyro.types import Chain, Detections, Objects, Plates, State

if TYPE_CHECKING:
    from vtssi_pyro.model.program import Program


class Proposals:
    """The blocks' proposals for the sites of a program, which are drawn but never scored.

    Args:
        program: the program whose blocks propose.
        plates: the plates of this run of the program.
        frames: (B, T, C, H, W), intensities in [0, 1].
        warmup: number of frames before the transition takes over.
        chain: the chain of the frames before these; None: the first frames.
    """

    objects: Objects
    found: Detections  # in the last frame

    def __init__(
        self, program: "Program", plates: Plates, frames: Tensor, warmup: int, chain: Chain | None
    ) -> None:
        self.program, self.plates, self.frames, self.warmup = program, plates, frames, warmup
        self.observed = frames.shape[1]
        self.sites: dict[str, Proposal] = {}  # by name
        self.memory: Any = chain and chain.memory  # of the motion block

    def before(self, t: int, state: State | None, predict: Predict) -> None:
        """Propose the sites of frame t, counted from 1.

        Args:
            t: the frame.
            state: the final state of the frame before; None: this is the first.
            predict: makes the motion's density of the positions, see :func:`expectation`.
        """
        raise NotImplementedError

    def motions(self, found: Detections, first: int) -> None:
        """Propose motions from positions, in frames from number ``first`` on."""
        program, seen = self.program, found._replace(frames=self.frames_of(found, first))
        self.memory = program.motion.guide(
            program.picture, self.objects, seen, first, self.warmup, self.memory
        )

    def frames_of(self, found: Detections, first: int) -> Tensor:
        """The frames (B, t, C, H, W) of detections, from number ``first`` on."""
        return self.frames[:, first - 1 : first - 1 + found.position.shape[-3]]

    def depths(self, found: Detections, first: int, previous: State | None, **more: Any) -> None:
        """Propose the picture's own sites from positions, in frames from number ``first`` on."""
        program, objects = self.program, self.objects
        if program.picture.sites:
            pose = program.motion.pose(objects, {POSITION.name: found.position}, objects.steps)
            program.picture.guide(self.frames_of(found, first), objects, pose, first, previous, **more)

    @contextmanager
    def _proposing(self) -> Iterator[None]:
        with propose() as proposed, self.program.averaged(self.warmup):
            yield
        self.sites |= proposed.sites


class Staying(Proposals):
    """Propose objects that are the same in all frames, and look for them in all frames at once."""

    def __init__(
        self, program: "Program", plates: Plates, frames: Tensor, warmup: int, chain: Chain | None
    ) -> None:
        super().__init__(program, plates, frames, warmup, chain)
        self.last = chain and chain.state  # the state of the frame before these
        with self._proposing():
            if chain is None:
                objects, self.first = program.consensus.guide(program.attention, frames, plates)
                self.objects = program.scene.counted(objects)
                start, before = torch.zeros_like(self.objects.size), None
            else:
                self.objects, self.first, before = chain.objects, None, chain.found
                start = before.position[..., -1, :, :]
            self.sight = program.finder.look(program.picture, frames, self.objects, before)
        self.start = start  # start of the chain of positions: the last ones, or the centre of the frame
        self.found = Detections(start.unsqueeze(-3), self.sight.appearance, self.sight.memory)

    def position(self, t: int, previous: State, predict: Predict | None = None) -> Tensor:
        """Propose the position of frame t, unless the consensus has done so; see :meth:`Finder.step`."""
        if t == 1 and self.first is not None:
            return self.first
        return draw(POSITION, t, self.program.finder.step(self.sight, t - 1, previous, predict))


class ProposalsFirst(Staying):
    """Make the proposals of all frames before the first final state is drawn (Alg. 6, l. 1-5)."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        positions, previous = [], self.start
        with self._proposing(), self.plates.sequences, self.plates.objects:
            for t in range(1, self.observed + 1):
                previous = self.position(t, {"position": previous})
                positions.append(previous)
            found = self.found._replace(position=torch.stack(positions, -3))
            self.motions(found, 1)
            self.depths(found, 1, self.last)
        self.found = self.found._replace(position=previous.unsqueeze(-3))

    def before(self, t: int, state: State | None, predict: Predict) -> None:
        """Do nothing: all proposals have been made."""


class FrameByFrame(Staying):
    """Make the proposals of a frame after the final variables of the frame before are drawn (App. A, reading D1)."""

    def before(self, t: int, state: State | None, predict: Predict) -> None:
        """Propose position and motion of frame t if it is observed; plates are open."""
        if t > self.observed:
            return
        with self._proposing():
            position = self.position(t, state or {"position": self.start}, predict)
            self.found = self.found._replace(position=position.unsqueeze(-3))
            self.motions(self.found, t)
            self.depths(self.found, t, state)


class Arrivals(Proposals):
    """Make the proposals frame by frame, of who is there as well; see :class:`~vtssi_pyro.model.interfaces.Changing`.

    The finder looks for the objects of the frame before, near the places that the motion predicts. The scene then
    decides who is there, and the attention looks for newcomers in what the others leave of the frame.
    """

    def __init__(
        self, program: "Program", plates: Plates, frames: Tensor, warmup: int, chain: Chain | None
    ) -> None:
        super().__init__(program, plates, frames, warmup, chain)
        self.scene = changing(program.scene)
        self.objects = self.scene.nobody(plates) if chain is None else chain.objects
        start = torch.zeros_like(self.objects.size).unsqueeze(-3)
        self.found = Detections(start) if chain is None else chain.found

    def before(self, t: int, state: State | None, predict: Predict) -> None:
        """Propose all sites of frame t if it is observed; plates are open."""
        if t > self.observed:
            return
        program, scene, motion = self.program, self.scene, self.program.motion
        frame = self.frames[:, t - 1]
        before = scene.beginning(self.objects) if state is None else state
        with self._proposing():
            known = scene.seen(before)
            found = motion.walk(None, known.size)
            if state is not None:
                sight = program.finder.look(program.picture, frame.unsqueeze(1), known)
                found = program.finder.step(sight, 0, state, predict)
            there, position = scene.guide(
                t, frame, before, None if state is None else predict, found,
                program.attention, program.picture, motion,
            )  # fmt: skip
            self.objects = scene.seen(there)
            self.found = Detections(position.unsqueeze(-3))
            self.memory = motion.forget(self.memory, there["age"].squeeze(-1) == 0, position)
            self.motions(self.found, t)
            self.depths(self.found, t, state, age=there["age"].squeeze(-1))


def expectation(motion: Motion, t: int, state: State | None, like: Tensor, warmup: int) -> Predict:
    """Makes the density of the positions in frame t, given the state of the frame before; None: this is the first.

    It is computed when it is first asked for, and once.
    """
    if state is None or "age" not in state:
        return cache(partial(motion.predict, t, state, like, warmup))
    age = state["age"].squeeze(-1)
    # an empty slot, of age -1, has age 0 only if an object comes, whose place nobody predicts
    age = age + (age >= 0)
    return cache(partial(motion.predict, t, state, state["size"], 0, age))


ORDERS: dict[str, type[Proposals]] = {"proposals-first": ProposalsFirst, "frame-by-frame": FrameByFrame}
