"""The paper's figures of sequences, drawn from the runs of its table.

The truth alone decides which sequences are shown, never a tracker's result. As in the table, the first K observed
frames decide the objects.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.config.variants import Ablation
from vtssi_pyro.data import MovingDigits
from vtssi_pyro.errors import CheckpointError
from vtssi_pyro.evaluation.judge import judge
from vtssi_pyro.inference.filter import Estimate, forecast, track
from vtssi_pyro.inference.model_tracker import ModelTracker
from vtssi_pyro.model.config import TestTime
from vtssi_pyro.model.tracker import Tracker
from vtssi_pyro.paper.cells import Key, tracker_of
from vtssi_pyro.paper.comparisons import CLUTTERED
from vtssi_pyro.paper.curves import judged
from vtssi_pyro.paper.published import ALL, TITLES
from vtssi_pyro.paper.reproducing import Order, trained
from vtssi_pyro.plots import film_strip
from vtssi_pyro.plots.film import Row
from vtssi_pyro.system.atomic import writable_folder
from vtssi_pyro.tracks.tracks import Tracks, concatenated
from vtssi_pyro.train.splits import FIGURE_SEED, digits

POOL = 1000  # held-out sequences among which the shown ones are chosen; rare overlaps need a large number
COLUMNS, SCALE = 20, 2  # frames of a row, as in the paper, and pixels of the picture for one of a frame
FLAVOUR = "linear-overlap"  # of figures 3 and 4
SINGLE = "linear"  # of the frames in figure 1c
RANDOM = 12  # sequences of a flavour in figures 12 to 14
BEGINNING = slice(0, 3)  # frames in which objects overlap, in figures 3 and 11
CLUTTER = slice(5, 10)  # frames in which objects are close to each other, in figure 4
CLOSE = 10.0  # px between centres, half a digit


class Film(NamedTuple):
    """A figure."""

    rows: Sequence[Row]
    observed: int | None = None
    numbers: Sequence[int] | None = None  # of the frames; None: 1, 2, ...


class Studio(NamedTuple):
    """The source of figures: trackers and sequences."""

    order: Order
    seed: int
    samples: int  # number of futures drawn as dots, 0: none
    given: Mapping[str, Path]  # folders of runs that are taken as trainings, by the trainings' names

    def name(self, ablation: Ablation) -> str:
        """Return the name that a variant has in the order's preset."""
        return self.order.family.name(ablation)

    def run(self, ablation: Ablation, flavour: str) -> Run:
        """Return the finished run of a variant: of the flavour, unless there is none but one of all flavours."""
        own, every = (Key(self.name(ablation), each, self.seed) for each in (flavour, ALL))
        instead = Run(self.order.folder(every))
        if not self.order.folder(own).exists() and instead.read_summary():
            self.order.report.say(f"{flavour}: drawn from {instead.folder}, which learned from all flavours")
            return trained(self.order, every)
        return trained(self.order, own)

    def tracker(self, ablation: Ablation, flavour: str) -> Tracker:
        """Return the trained tracker of a variant and flavour."""
        return tracker_of(self.run(ablation, flavour), self.name(ablation), self.order.device)

    def sequences(
        self, flavour: str, length: int | None = None, ablation: Ablation = Ablation.WHOLE
    ) -> MovingDigits:
        """Draw held-out sequences of ``length`` frames, of the same digits as a variant's run."""
        config = self.run(ablation, flavour).config
        config = replace(config, data=replace(config.data, source=flavour))
        return digits(config, "test", POOL, FIGURE_SEED, length)

    @property
    def observe(self) -> int:
        """Number of frames observed before a prediction."""
        return self.order.config(Key(self.name(Ablation.WHOLE), FLAVOUR, self.seed)).observe

    def frames(self, data: MovingDigits, chosen: Tensor) -> Tensor:
        """Draw frames (b, T, C, H, W) of the chosen sequences."""
        return data.frames(chosen).to(self.order.device)

    def track(self, tracker: Tracker, frames: Tensor) -> Estimate:
        """Track objects that the observed frames decide, as in the table."""
        return track(tracker, frames, settle=self.observe, test_time=self.order.procedure)

    def sqair(self) -> ModelTracker | None:
        """SQAIR as section 5 trains it on the linear data; None, and how to make it, if no such run is finished.

        It is not trained for a row: that takes days.
        """
        other, order = CLUTTERED.other(self.given), self.order._replace(train=False)
        try:
            run = other.run(order)
        except CheckpointError:
            order.report.say(f"{other.short} is left out; it is made by: {other.command(order)}")
            return None
        return judged(run.tracker(device=order.device), self.observe)

    def predict(self, tracker: Tracker, frames: Tensor) -> Estimate:
        """Predict with a tracker after the observed frames."""
        observed = min(self.observe, frames.shape[1] - 1)
        return forecast(
            tracker,
            frames[:, :observed],
            frames.shape[1] - observed,
            self.samples,
            test_time=self.order.procedure,
        )


def draw(
    item: str, order: Order, seed: int, samples: int = 0, given: Mapping[str, Path] = MappingProxyType({})
) -> Path:
    """Draw a figure, and train the runs that it needs.

    Args:
        item: a key of FIGURES.
        order: presets, folders and device of the runs.
        seed: seed of the trainings.
        samples: number of futures drawn as dots around predicted boxes, 0: none.
        given: folders of runs of other people's models, by the names of their trainings.

    Returns:
        the file.
    """
    film = FIGURES[item](Studio(order, seed, samples, given))
    path = writable_folder(order.out / "figures" / order.preset) / f"{item}.png"
    film_strip(path, film.rows, film.observed, COLUMNS, SCALE, film.numbers)
    return path


def _figure1c(studio: Studio) -> Film:
    """Show AIR's windows on single frames, trained without and with the bell curve, and say how far off they are."""
    run, name = studio.run(Ablation.FRAMES, SINGLE), studio.name(Ablation.FRAMES)
    order = studio.order._replace(bell=False)
    plain = trained(order, Key(name, run.config.data.source, studio.seed))
    data = studio.sequences(SINGLE, ablation=Ablation.FRAMES)
    first = studio.frames(data, _chosen(COLUMNS, data.counts > 0))[:, :1]
    x = first.transpose(0, 1)  # one sequence of all frames
    rows: list[Row] = []
    for label, made in (("without bell", plain), ("with bell", run)):
        tracker = tracker_of(made, name, order.device)
        judged = judge(ModelTracker(tracker, TestTime()), data, studio.observe)
        order.report.say(
            f"{label}: windows are {judged.inference_error:.2f} px from the objects' centres, counts of single "
            f"frames {judged.count_accuracy:.1%} right"
        )
        rows.append((label, x[0], track(tracker, x, test_time=TestTime()).tracks))
    return Film(rows)


def _figure3(studio: Studio) -> Film:
    """Show AIR and the whole on a sequence that begins with overlap, and the whole's prediction."""
    data = studio.sequences(FLAVOUR)
    overlap = _overlapping(data)
    x = studio.frames(data, _chosen(1, overlap[:, BEGINNING].all(1), overlap[:, 0], data.counts == 2))
    return Film(_compared(studio, FLAVOUR, x, (Ablation.FRAMES, Ablation.WHOLE)), studio.observe)


def _figure4(studio: Studio) -> Film:
    """Show search, whole and SQAIR on frames 1 to 10 of a sequence, and on frames 6 to 15, which begin cluttered."""
    data = studio.sequences(FLAVOUR, 15)
    clean = (data.counts == 2) & ~_overlapping(data)[:, 0]
    close = (data.position[..., 0, :] - data.position[..., 1, :]).norm(dim=-1) < CLOSE  # (S, 15)
    x = studio.frames(data, _chosen(1, clean & close[:, CLUTTER].all(1), clean & close[:, 5], clean))
    halves = (x[:, :10], x[:, 5:])
    found: dict[str, list[Tracks]] = {}
    for ablation in (Ablation.SEARCH, Ablation.WHOLE):
        name, tracker = studio.name(ablation), studio.tracker(ablation, FLAVOUR)
        found[TITLES[name]] = [studio.track(tracker, half).tracks for half in halves]
    if sqair := studio.sqair():
        found["SQAIR"] = [sqair.track(half) for half in halves]
    rows = [
        (title, torch.cat(halves, 1)[0], concatenated(both, 1).part(slice(1)))
        for title, both in found.items()
    ]
    return Film(rows, 10, [*range(1, 11), *range(6, 16)])


def _flavours(studio: Studio, flavours: Sequence[str]) -> Film:
    """Show every variant on a sequence of each flavour, and the whole's prediction (figures 10 and 11)."""
    rows: list[Row] = []
    for flavour in flavours:
        data = studio.sequences(flavour)
        overlap, two = _overlapping(data), data.counts == 2
        wishes = (overlap[:, BEGINNING].all(1), overlap[:, 0], two) if "overlap" in flavour else (two,)
        x = studio.frames(data, _chosen(1, *wishes))
        rows += [(f"{flavour.partition('-')[0]}: {label}", f, tracks)
                 for label, f, tracks in _compared(studio, flavour, x, list(Ablation))]  # fmt: skip
    return Film(rows, studio.observe)


def _random(
    studio: Studio, show: Callable[[Studio, Tracker, Tensor], Estimate], observed: int | None
) -> Film:
    """Show the whole on the first sequences of two flavours that hold an object (figures 12 to 14)."""
    rows: list[Row] = []
    for flavour in ("elliptic", "linear"):
        data = studio.sequences(flavour)
        x = studio.frames(data, _chosen(RANDOM, data.counts > 0))
        estimate = show(studio, studio.tracker(Ablation.WHOLE, flavour), x)
        rows += [
            (f"{flavour} {s + 1}", estimate.frames[s], estimate.tracks.part(slice(s, s + 1)))
            for s in range(RANDOM)
        ]
    return Film(rows, observed)


def _inferred(studio: Studio, tracker: Tracker, x: Tensor) -> Estimate:
    return studio.track(tracker, x)._replace(frames=x)


def _predicted_on_truth(studio: Studio, tracker: Tracker, x: Tensor) -> Estimate:
    return studio.predict(tracker, x)._replace(frames=x)


FIGURES: dict[str, Callable[[Studio], Film]] = {
    "figure1c": _figure1c,
    "figure3": _figure3,
    "figure4": _figure4,
    "figure10": lambda studio: _flavours(studio, ("linear", "elliptic")),
    "figure11": lambda studio: _flavours(studio, ("linear-overlap", "elliptic-overlap")),
    "figure12": lambda studio: _random(studio, _inferred, None),
    "figure13": lambda studio: _random(studio, _predicted_on_truth, studio.observe),
    "figure14": lambda studio: _random(studio, Studio.predict, studio.observe),
}


def _compared(studio: Studio, flavour: str, x: Tensor, ablations: Sequence[Ablation]) -> list[Row]:
    """Make a row of each variant on one sequence's frames (1, T, C, H, W), and one of the last one's prediction."""
    rows: list[Row] = []
    for ablation in ablations:
        name, tracker = studio.name(ablation), studio.tracker(ablation, flavour)
        rows.append((TITLES[name], x[0], studio.track(tracker, x).tracks.part(slice(1))))
    expected = studio.predict(tracker, x)
    return [*rows, ("prediction", expected.frames[0], expected.tracks.part(slice(1)))]


def _overlapping(data: MovingDigits) -> Tensor:
    """Tell in which frames the tight boxes of a sequence's two objects overlap, (S, T) bool."""
    truth = data.truth
    assert truth.box is not None
    first, second = truth.position.unbind(-2)  # (S, T, 2) each, NaN with fewer objects
    return ((first - second).abs() < truth.box.sum(-2) / 2).all(-1)


def _chosen(number: int, *wishes: Tensor) -> Tensor:
    """Choose the first sequences that meet the first wish; if they are too few, those of the next wish follow."""
    rank = sum((~wish).long() * 2**level for level, wish in enumerate(reversed(wishes)))
    assert isinstance(rank, Tensor)
    return rank.argsort(stable=True)[:number].sort().values
