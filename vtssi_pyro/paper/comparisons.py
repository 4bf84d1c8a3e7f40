"""The paper's comparisons with DDPAE and SQAIR (section 5): figures 5 to 9, and its sentences beside the findings."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import Argument, CheckpointError, UsageError
from vtssi_pyro.paper.contenders import Contender, Setting, contenders, plan
from vtssi_pyro.paper.curves import curve_of, judged, label, sequences_of, tracker_of, training_of
from vtssi_pyro.paper.findings import decided, markdown, source
from vtssi_pyro.paper.reproducing import Order
from vtssi_pyro.paper.statements import PREDICTION, STATEMENTS, TRACKING, Curve
from vtssi_pyro.plots import CurveLine, CurvePanel, compared_curves, film_strip
from vtssi_pyro.plots.film import Row
from vtssi_pyro.system.atomic import writable_folder, write_bytes, write_json
from vtssi_pyro.system.provenance import provenance
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.splits import FIGURE_SEED

DDPAES, SQAIRS, WIDE = Setting("ddpae", "ddpae"), Setting("sqair", "sqair"), Setting("linear-wide", "sqair")
CLUTTERED = WIDE  # whose SQAIR figure 4 shows, too
POOL = 100  # held-out sequences of which the first with two objects is shown: two thirds have fewer
COLUMNS = 20  # frames of a row, as in the other figures
SCALE = 2  # pixels of the picture for one of a frame, likewise
HUES, OTHERS = (0, 2), 1  # colours of VTSSI by each route, and of the other model

Missing = Mapping[str, str]  # a training that is not finished, why, and the command that makes it


class Plot(NamedTuple):
    """A picture's part: one kind of errors on one kind of data."""

    title: str
    setting: Setting
    kind: str
    last: int  # frame (reading D27)


FIGURES: Mapping[str, Sequence[Plot]] = {
    "figure5": [Plot("Prediction, DDPAE's data", DDPAES, PREDICTION, 100)],
    "figure6": [
        Plot("a  Prediction, SQAIR's data", SQAIRS, PREDICTION, 50),
        Plot("b  Prediction, linear data", WIDE, PREDICTION, 50),
    ],
    "figure7": [
        Plot("a  Tracking, SQAIR's data", SQAIRS, TRACKING, 100),
        Plot("b  Tracking, linear data", WIDE, TRACKING, 100),
    ],
    "figure8": [Plot("Tracking, SQAIR's data", SQAIRS, TRACKING, 100)],
    "figure9": [Plot("Prediction, linear data", WIDE, PREDICTION, 100)],
}
FILMS = ("figure8", "figure9")  # one sequence each, not curves


class Comparing(NamedTuple):
    """The options of the comparisons.

    Args:
        order: folders and device of the runs.
        route: the preset of VTSSI's trainings, one of ROUTES; None: the usual ones.
        sequences: number of held-out sequences for each curve.
        given: folders of runs that are taken as trainings, by the trainings' names.
    """

    order: Order
    route: str | None
    sequences: int
    given: Mapping[str, Path]

    def contenders(self, setting: Setting) -> list[Contender]:
        """The models of a comparison."""
        return contenders(setting, self.route, self.given)

    def command(self, item: str) -> str:
        """The command that makes a figure again."""
        more = f" --preset {self.route}" if self.route else ""
        more += "".join(f" --run {name}={shlex.quote(str(folder))}" for name, folder in self.given.items())
        return f"vtssi-pyro reproduce {item} --sequences {self.sequences} --digits {self.order.digits}{more}"


def refuse_unneeded(items: Sequence[str], comparing: Comparing) -> None:
    """Refuse runs that are given for trainings which no item needs.

    Raises:
        UsageError: there is such a run.
    """
    needed = {
        contender.name
        for item in items
        for plot in FIGURES.get(item, ())
        for contender in contenders(plot.setting, comparing.route, {})
    }
    if "figure4" in items:
        needed.add(CLUTTERED.other({}).name)
    for name in comparing.given:
        if name not in needed:
            known = f"expected one of {', '.join(sorted(needed))}" if needed else "none is needed here"
            raise UsageError(Argument("runs"), f" {name}: {known}")


def make(item: str, comparing: Comparing) -> list[Path]:
    """Make a figure and its files, and the trainings and curves that it needs.

    Args:
        item: a key of FIGURES.
        comparing: the options.

    Returns:
        the picture, the JSON of what it shows, and for curves the paper's sentences beside the findings.

    Raises:
        CheckpointError: no run is finished, and none is to be trained.
    """
    order, plots = comparing.order, FIGURES[item]
    parties = [contender for plot in plots for contender in comparing.contenders(plot.setting)]
    if needed := plan(parties, order):
        order.report.say(
            "\n".join([f"{item}: to be trained" if order.train else f"{item}: not trained", *needed])
        )
    folder = writable_folder(order.out / "figures" / (comparing.route or ""))
    return (_film if item in FILMS else _curves)(item, comparing, folder)


def _curves(item: str, comparing: Comparing, folder: Path) -> list[Path]:
    order, parts, panels, missing = comparing.order, [], [], list[Missing]()
    for plot in FIGURES[item]:
        curves = [
            curve_of(order, plot.setting, contender, run, comparing.sequences, bare)
            for contender, run, bare in _runs(plot, comparing, missing)
        ]
        if curves:
            panels.append(_panel(plot, curves))
        parts.append({
            "title": plot.title,
            "flavour": plot.setting.flavour,
            "kind": plot.kind,
            "frames": plot.last,
            "curves": [{"label": label(curve), **curve} for curve in curves],
            "statements": decided(STATEMENTS[item, plot.setting.flavour], curves),
        })  # fmt: skip
    _refuse_nothing(item, panels, missing)
    files = [folder / f"{item}{suffix}" for suffix in (".png", ".json", ".md")]
    compared_curves(files[0], panels)
    about = {"figure": item, "command": comparing.command(item), "panels": parts, "missing": missing}
    write_json(files[1], {**about, "drawing": provenance(order.device)})
    write_bytes(files[2], markdown(about).encode())
    return files


def _film(item: str, comparing: Comparing, folder: Path) -> list[Path]:
    (plot,) = FIGURES[item]
    order, observe, missing = comparing.order, plot.setting.comparison.observe, list[Missing]()
    data = sequences_of(plot.setting, order.digits, POOL, FIGURE_SEED)
    number = int((data.counts == 2).int().argmax())
    frames, truth = data.frames(slice(number, number + 1)), data.truth.part([number])
    rows: list[Row] = [("truth", frames[0], truth)]
    about = []
    for contender, run, bare in _runs(plot, comparing, missing):
        own = judged(tracker_of(run, order.device, bare), observe)
        horizon = frames.shape[1] - observe
        tracks = own.track(frames) if plot.kind == TRACKING else own.forecast(frames[:, :observe], horizon, 0)
        assert tracks is not None, "the models of a comparison predict"
        name = contender.short + ", without motion" * bare
        rows.append((name, frames[0], tracks.cpu()))
        training = {"preset": contender.preset, "training": training_of(run)}
        about.append({"model": name, **training, "position": _positions(tracks)})
    _refuse_nothing(item, about, missing)
    files = [folder / f"{item}.png", folder / f"{item}.json"]
    film_strip(files[0], rows, observe, COLUMNS, SCALE)
    write_json(files[1], {
        "figure": item,
        "command": comparing.command(item),
        "title": plot.title,
        "flavour": plot.setting.flavour,
        "sequence": number,
        "truth": _positions(truth),
        "rows": about,
        "missing": missing,
        "drawing": provenance(order.device),
    })  # fmt: skip
    return files


def _runs(plot: Plot, comparing: Comparing, missing: list[Missing]) -> Iterator[tuple[Contender, Run, bool]]:
    """Yield the models of a comparison with their finished runs, and whether their motion is left out.

    Tracks of VTSSI are shown with its motion and without. Models that are missing are told and listed.
    """
    order = comparing.order
    for contender in comparing.contenders(plot.setting):
        try:
            run = contender.run(order)
        except CheckpointError as error:
            if order.train:
                raise
            command = contender.command(order)
            missing.append({"training": contender.name, "why": str(error), "command": command})
            order.report.say(f"{contender.name} is left out; it is made by: {command}")
            continue
        yield contender, run, False
        if contender.partner and plot.kind == TRACKING:
            yield contender, run, True


def _refuse_nothing(item: str, shown: Sequence[object], missing: Sequence[Missing]) -> None:
    """Refuse a figure that shows no run."""
    if not shown:
        raise CheckpointError(f"{item}: no run is finished ({'; '.join(one['why'] for one in missing)})")


def _panel(plot: Plot, curves: Sequence[Curve]) -> CurvePanel:
    partners = list(dict.fromkeys(source(curve) for curve in curves if curve["partner"]))
    hues = dict(zip(partners, HUES, strict=False))
    lines = [
        CurveLine(
            label(curve), curve[plot.kind]["mean"], curve[plot.kind]["sem"], hues.get(source(curve), OTHERS),
            curve["without_motion"],
        )
        for curve in curves
    ]  # fmt: skip
    trained = min(curve["trained_length"] for curve in curves)
    return CurvePanel(plot.title, lines, plot.setting.comparison.observe, trained, plot.last)


def _positions(tracks: Tracks) -> list[list[list[float] | None]]:
    """Positions (x, y) by frame and object of one sequence's tracks, px; None for an absent object."""
    centres, present = tracks.position[0].tolist(), tracks.present[0].tolist()
    return [
        [centre if there else None for centre, there in zip(*frame, strict=True)]
        for frame in zip(centres, present, strict=True)
    ]
