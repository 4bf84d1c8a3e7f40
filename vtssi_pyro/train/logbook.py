"""The records, the clock and the checkpoints of a training."""

import math
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from vtssi_pyro.data.dataset import Dataset, Part
from vtssi_pyro.errors import CheckpointError, Diverged
from vtssi_pyro.inference.standalone import SomeTracker
from vtssi_pyro.model.bound import DifferentiableELBO
from vtssi_pyro.model.tracker import at_once, evaluating
from vtssi_pyro.system import checkpoint
from vtssi_pyro.system.machine import tidy
from vtssi_pyro.train.elbo import held_out_elbo
from vtssi_pyro.train.store import Store
from vtssi_pyro.train.trainer import Trainer
from vtssi_pyro.types import Anneal

# Metrics of a tracker on held-out sequences, added to every validation record.
Judge = Callable[[SomeTracker, Dataset], Mapping[str, float | None]]
JUDGED = 200  # held-out sequences for the metrics during a training: few, since training waits for them


class Logbook:
    """Write a training's records, checkpoints and elapsed time to its store.

    Each process of a group has a logbook; only that of the first process writes.

    Args:
        store: the store to write to.
        trainer: the trainer that makes the steps.
        validation: held-out sequences.
        judge: metrics of the held-out sequences; None: the ELBO alone.
    """

    def __init__(
        self, store: Store, trainer: Trainer, validation: Dataset, judge: Judge | None = None
    ) -> None:
        self.store, self.trainer, self.validation, self.judge = store, trainer, validation, judge
        self.group = trainer.group
        self.best = -float("inf")
        self.seconds, self.since = 0.0, time.monotonic()
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0

    def add(self, terms: dict[str, torch.Tensor]) -> None:
        """Add a step's terms to the running sums."""
        for name, value in terms.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += 1

    def due(self) -> Iterator[dict[str, Any]]:
        """The records that are due after this step, added to the metrics.

        Raises:
            Diverged: the weights or the objective are not finite.
        """
        config, step = self.trainer.config.train, self.trainer.step
        stage = self.trainer.stage
        assert stage is not None
        left_out = self.trainer.left_out  # among them may be steps after which records are due
        _, within = config.locate(step - 1 - left_out)
        ends = within + 1 + left_out == config.steps_of(stage)
        if step % config.log_every == 0 or ends:
            self._share()
            yield self.group.once(lambda: self._train_record(step, within))
            self.sums, self.count = {}, 0
        if step % config.evaluate_every == 0 or step == config.steps or left_out:
            yield self.group.once(lambda: self._validation_record(step))

    def _share(self) -> None:
        """Average the running sums over the processes: terms of whole batches instead of this process's share."""
        self.group.average(list(self.sums.values()))

    def _train_record(self, step: int, within: int) -> dict[str, Any]:
        stage = self.trainer.stage
        assert stage is not None
        if not self.trainer.is_finite():
            raise self._lost("weights are")
        terms = {name: float(value) / self.count for name, value in self.sums.items()}
        if not math.isfinite(sum(terms.values())):
            raise self._lost("the objective is")
        annealed = within / self.trainer.config.train.budget
        length = round(stage.length(annealed))
        length = min(length, self.trainer.dataset.length)
        record = {"kind": "train", "step": step, "stage": stage.name, "length": length}
        record |= {"seconds": round(self.elapsed(), 2), "bound": stage.is_bound(annealed)}
        record |= {"objective": sum(terms.values()), "terms": terms}
        self.store.append(record)
        tidy()
        return record

    def _validation_record(self, step: int) -> dict[str, Any]:
        tracker = self.trainer.trained
        record: dict[str, Any] = {"kind": "validation", "step": step, "seconds": 0.0}
        record |= self.validate(self.validated)
        record["seconds"] = round(self.elapsed(), 2)
        if record["elbo"] > self.best:
            self.best = record["elbo"]
            self.store.save({"step": step, "trained": tracker.state_dict()}, "best")
        self.store.append(record)
        return record

    @property
    def validated(self) -> int:
        """Number of held-out sequences of a validation."""
        return min(len(self.validation), JUDGED)

    def validate(self, number: int) -> dict[str, Any]:
        """The ELBO and the metrics of the trained tracker on so many held-out sequences, the first ones.

        Raises:
            Diverged: the ELBO is not finite.
        """
        tracker, recipe = self.trainer.trained, self.trainer.config.train
        data = Part(self.validation, 0, number)
        elbo = held_out_elbo(recipe.elbo, recipe.particles)
        found: dict[str, Any] = {"elbo": validation_elbo(tracker, data, self.trainer.device, elbo)}
        if not math.isfinite(found["elbo"]):
            raise self._lost("the ELBO of held-out sequences is")
        return found if self.judge is None else found | dict(self.judge(tracker, data))

    def _lost(self, what: str) -> Diverged:
        stage, last = self.trainer.stage, self.store.checkpoint("last")
        where = f"step {self.trainer.step}" + (f" (stage {stage.name})" if stage else "")
        kept = "the last checkpoint is good" if last.exists() else "there is no checkpoint yet"
        return Diverged(
            f"{where}: {what} not finite; {kept}; train anew with a lower train.stages.NAME.learning_rate"
        )

    def elapsed(self) -> float:
        """Seconds of training so far, over all resumptions."""
        return self.seconds + time.monotonic() - self.since

    def save(self) -> None:
        """Write the last checkpoint, unless the weights are not finite."""
        self._share()
        self.group.once(self._save)

    def _save(self) -> None:
        if not self.trainer.is_finite():
            raise self._lost("weights are")
        state = self.trainer.state()
        state |= {"best": self.best, "seconds": self.elapsed()}
        state |= {"sums": self.sums, "count": self.count}
        self.store.save(state)

    def begin(self) -> None:
        """Begin with an empty store."""
        self.group.once(self.store.begin)

    def restore(self, name: str = "last") -> None:
        """Go back to a checkpoint, records included.

        Args:
            name: ``last``, from which the training goes on bit for bit, or ``best``, which holds weights alone: the
                optimiser starts afresh.

        Raises:
            CheckpointError: the checkpoint is missing, though it was saved, or damaged; nothing has changed.
        """
        path = self.store.checkpoint(name)
        if name == "last" and not path.exists():
            self.group.once(self._refuse_lost)
            # ended before the first checkpoint: the training starts at the first step
            self.group.once(lambda: self.store.rewind(0))
            return
        state = self.store.load(name, self.trainer.device)
        with checkpoint.fitting(path):
            step = int(state["step"])
            if name != "last":
                state = {"tracker": state["trained"], "optimizer": None, "sums": {}, "count": 0, **state}
                state |= self._as_of(step)
            self.trainer.restore(state)
            self.best, self.seconds = state["best"], state["seconds"]
            self.sums, self.count = state["sums"], state["count"]
        if name != "last":
            self.save()  # a training that ends before its next checkpoint goes on from here, too
        self.group.once(lambda: self.store.rewind(step))

    def _as_of(self, step: int) -> dict[str, float]:
        """The best ELBO and the elapsed time after a step, by the records."""
        records = [record for record in self.store.records() if record["step"] <= step]
        best = max((record["elbo"] for record in records if "elbo" in record), default=-math.inf)
        return {"best": best, "seconds": max((record.get("seconds", 0.0) for record in records), default=0.0)}

    def _refuse_lost(self) -> None:
        """Refuse to start anew where a checkpoint was saved and is gone."""
        reached = self.store.lost()
        if reached is None:
            return
        best, ways = self.store.checkpoint("best"), "put it back"
        if best.exists():
            again = f"{self.group.command} fit --out {shlex.quote(str(best))} --resume"
            ways += f", or go on from the best checkpoint, with a fresh optimiser: {again}"
        else:
            ways += ", or train anew in another folder"
        raise CheckpointError(
            f"{self.store.checkpoint()}: is missing, though the records of the run reach step {reached}; nothing was "
            f"changed: {ways}"
        )


def validation_elbo(
    tracker: SomeTracker, data: Dataset, device: torch.device, elbo: DifferentiableELBO, limit: int = 128
) -> float:
    """ELBO in nats per sequence on held-out sequences, with a random state of its own.

    Args:
        tracker: the tracker to evaluate.
        data: held-out sequences.
        device: the tracker's device.
        elbo: the ELBO.
        limit: sequences at most, the first ones; two of the paper's batches are few enough between training steps.
    """
    total = min(len(data), limit)
    devices = [device] if device.type == "cuda" else []
    found, program = 0.0, tracker.refined()
    with evaluating(tracker), torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        for index in torch.arange(total).split(at_once(tracker, data.length)):
            frames = data.frames(index).to(device)
            terms = elbo.terms(program.model, program.guide, frames, Anneal())
            found += float(sum(terms.values()))
    return found / total
