"""The widget: a movie is inspected, tracked, learned from and predicted, and its tracks are corrected by hand."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer, Points, Shapes, Tracks
from napari.qt.threading import create_worker
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from vtssi_pyro.artifacts.loading import Fitted
from vtssi_pyro.artifacts.run import RUNS
from vtssi_pyro.artifacts.shipped import PREFIX, available
from vtssi_pyro.errors import DataError, UsageError, VtssiError
from vtssi_pyro.movies import Hints
from vtssi_pyro.movies.background import KINDS
from vtssi_pyro.movies.inspection import POLARITIES
from vtssi_pyro.movies.prepared import PreparedMovie
from vtssi_pyro.napari import tasks
from vtssi_pyro.napari.layers import KEY, Shown, coloured, layers_of, shown_by
from vtssi_pyro.plots.player import FUTURES
from vtssi_pyro.tracks import editing
from vtssi_pyro.tracks.formats import FORMATS
from vtssi_pyro.train.presets import ROUTES
from vtssi_pyro.train.training import Interrupted

if TYPE_CHECKING:
    from napari.components import ViewerModel

AS_FOUND = "as found"
LINES = 500  # of messages that are kept: some trainings' worth


class TrackingWidget(QWidget):
    """The plugin's widget.

    Args:
        napari_viewer: the viewer, or its model without a window.
    """

    told = Signal(str)  # from any thread
    progressed = Signal(int, int)

    def __init__(self, napari_viewer: "ViewerModel") -> None:
        super().__init__()
        self.viewer = napari_viewer
        self._report = tasks.Relay()
        self._worker: Any = None
        self._prepared: tuple[Any, PreparedMovie] | None = None  # the last inspection, and its layer's array
        self._training = False  # whether the present work is a training, which can be stopped
        self._stopped: Path | None = None  # the run of a training that was stopped
        self._build()
        self.told.connect(self.log.appendPlainText)
        self.progressed.connect(self._advance)
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            event.connect(self._list_layers)
        self.viewer.layers.selection.events.changed.connect(self._follow_selection)
        self._list_layers()
        self._list_runs()
        self._busy(False)

    # What it looks like

    def _build(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        for title, rows in (
            ("Movie", self._movie_rows()),
            ("Training", self._training_rows()),
            ("Tracks and forecasts", self._tracking_rows()),
            ("Corrections", self._correcting_rows()),
        ):
            box = QGroupBox(title)
            form = QFormLayout(box)
            for name, part in rows:
                if name:
                    form.addRow(name, part)
                else:
                    form.addRow(part)
            column.addWidget(box)
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(LINES)
        self.log.setMinimumHeight(90)
        column.addWidget(self.log, 1)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.area)

    def showEvent(self, event: Any) -> None:
        """Take the width that all parts need, in the style that is known once the widget is shown."""
        super().showEvent(event)
        needed = self.area.widget().minimumSizeHint().width()
        self.area.setMinimumWidth(needed + self.area.verticalScrollBar().sizeHint().width())

    def _movie_rows(self) -> list[tuple[str, QWidget]]:
        self.movie = _narrow(QComboBox())
        self.objects = _number(0, 100, 0, "largest number of objects at once")
        self.size = QDoubleSpinBox()
        self.size.setRange(0, 2000)
        self.size.setToolTip("longer side of the box around an object, px")
        for spin in (self.objects, self.size):
            spin.setSpecialValueText(AS_FOUND)
        self.polarity, self.background = _choice(POLARITIES), _choice(KINDS)
        self.look = _button("Inspect", self.inspect, "what the movie holds, and boxes around what stands out")
        self.first = _button("First tracks", self.track_untrained, "in seconds, without a training")
        return [
            ("layer", self.movie), ("objects", self.objects), ("object size", self.size), ("polarity", self.polarity),
            ("background", self.background), ("", _row(self.look, self.first)),
        ]  # fmt: skip

    def _training_rows(self) -> list[tuple[str, QWidget]]:
        self.runs = QLineEdit(str(Path(RUNS).absolute()))
        self.runs.editingFinished.connect(self._list_runs)
        browse = _button("...", self._choose_runs, "choose the folder")
        self.preset = QComboBox()
        self.preset.addItems(ROUTES)
        self.preset.setCurrentText("quick")
        self.budget = QDoubleSpinBox()
        self.budget.setRange(0.01, 100)
        self.budget.setValue(1)
        self.budget.setSingleStep(0.1)
        self.budget.setToolTip("share of the preset's steps")
        self.train = _button("Fit", self.fit, "learn from the movie, in minutes")
        self.halt = _button(
            "Stop", self.stop, "after the present step; the training is saved, and can be continued"
        )
        self.bar = QProgressBar()
        return [
            ("runs in", _row(self.runs, browse)), ("preset", self.preset), ("budget", self.budget),
            ("", _row(self.train, self.halt)), ("", self.bar),
        ]  # fmt: skip

    def _tracking_rows(self) -> list[tuple[str, QWidget]]:
        self.tracker = _narrow(QComboBox())
        self.tracker.setEditable(True)
        self.own = QCheckBox("prepared by its own inspection")
        self.own.setToolTip("for a movie of another camera or place than the training movie")
        self.observe = _number(0, 10**6, 0, "number of frames that are observed before the rest is predicted")
        self.observe.setSpecialValueText("all frames")
        self.horizon = _number(1, 10_000, 30, "number of frames to predict")
        self.futures = _number(0, 1000, FUTURES, "number of sampled futures")
        self.follow = _button("Track", self.track, "all objects in all frames")
        self.ahead = _button("Forecast", self.forecast, "expected paths, and sampled futures")
        return [
            ("tracker", self.tracker), ("", self.own), ("observe", self.observe), ("horizon", self.horizon),
            ("futures", self.futures), ("", _row(self.follow, self.ahead)),
        ]  # fmt: skip

    def _correcting_rows(self) -> list[tuple[str, QWidget]]:
        self.tracks = _narrow(QComboBox())
        self.tracks.currentIndexChanged.connect(self._list_identities)
        self.one, self.other = QComboBox(), QComboBox()
        chosen = _button("A, B from selection", self.take_selection, "the tracks of selected points or boxes")
        self.corrections = [
            _button("Delete A", self.delete, "the whole track"),
            _button("Split A", self.split, "a new identity from the current frame on"),
            _button("Join B to A", self.join, "both become A; no frame may hold both"),
            _button("Swap A, B", self.swap, "from the current frame on"),
        ]
        self.back = _button("Undo", self.undo, "take the last correction back")
        self.format = QComboBox()
        self.format.addItems(list(FORMATS))
        self.save = _button("Save ...", self._choose_file, "write the tracks in this format")
        return [
            ("tracks", self.tracks), ("A and B", _row(self.one, self.other)), ("", chosen),
            ("", _row(*self.corrections[:2])), ("", _row(*self.corrections[2:])), ("", self.back),
            ("format", _row(self.format, self.save)),
        ]  # fmt: skip

    # What it is about

    def clip(self) -> tasks.Clip:
        """The movie of the chosen layer."""
        name = self.movie.currentText()
        if name not in self.viewer.layers:
            raise UsageError("there is no image layer: open a movie, or drop its file on the viewer")
        layer = self.viewer.layers[name]
        data = layer.data[0] if layer.multiscale else layer.data
        return tasks.Clip.of(name, data, layer.rgb, place_of(layer))

    def hints(self) -> Hints:
        """What is said of the movie."""
        polarity, background = (
            None if choice.currentText() == AS_FOUND else choice.currentText()
            for choice in (self.polarity, self.background)
        )
        return Hints(self.objects.value() or None, self.size.value() or None, background, polarity)

    def shown(self) -> Shown:
        """The tracks of the chosen layer."""
        name = self.tracks.currentText()
        if name not in self.viewer.layers:
            raise UsageError("there is no layer of tracks: track a movie, or open a file of tracks")
        layer = self.viewer.layers[name]
        return shown_by(layer.data, {**layer.as_layer_data_tuple()[1], **place_of(layer)})

    def frame(self) -> int:
        """The frame that the viewer shows of the chosen tracks."""
        layer = self.viewer.layers[self.tracks.currentText()]
        return round(float(layer.world_to_data(self.viewer.dims.point[-layer.ndim :])[0]))

    def _prepared_one(self, clip: tasks.Clip) -> PreparedMovie | None:
        if not self.own.isChecked():
            return None
        if self._prepared is None or self._prepared[0] is not clip.source:
            raise UsageError(f"{clip.name}: inspect it first, or let the tracker prepare it")
        return self._prepared[1]

    # What it does

    def inspect(self) -> None:
        """Inspect the movie, and show what stands out."""
        clip = self._tried(self.clip)
        if clip is not None:
            self._start(tasks.inspect, partial(self._inspected, clip), clip, self._tried(self.hints))

    def _inspected(self, clip: tasks.Clip, result: tuple[PreparedMovie, Shown]) -> None:
        self._prepared = clip.source, result[0]
        for data, style, kind in layers_of(result[1]):
            if kind == "shapes":  # without identities there are no paths
                self._put(data, {**style, "edge_color": "yellow"}, kind)

    def track_untrained(self) -> None:
        """Track the movie without a training."""
        clip = self._tried(self.clip)
        if clip is not None:
            self._start(tasks.track_untrained, self.show_tracks, clip, self._tried(self.hints))

    def fit(self) -> None:
        """Train on the movie, or continue the training that was stopped."""
        clip = self._tried(self.clip)
        if clip is None:
            return
        if self._stopped is not None:
            self._start(partial(tasks.resume, self._stopped), self._fitted, clip)
            return
        where, budget = Path(self.runs.text()), f"train.budget={self.budget.value():g}"
        work = partial(tasks.fit, runs=where, preset=self.preset.currentText(), changes=[budget])
        self._start(work, self._fitted, clip, self._tried(self.hints))

    def _fitted(self, found: Fitted) -> None:
        self._end_of_training(None)
        self.told.emit(f"trained: {found.run.folder}")
        self._list_runs()
        self.tracker.setCurrentText(str(found.run.folder))

    def stop(self) -> None:
        """Ask the training to stop."""
        self._report.stop()
        self.told.emit("stops after this step ...")

    def track(self) -> None:
        """Track the movie."""
        clip = self._tried(self.clip)
        prepared = None if clip is None else self._tried(partial(self._prepared_one, clip), ())
        if clip is not None and prepared != ():
            work = partial(tasks.track, self.tracker.currentText())
            self._start(work, self.show_tracks, clip, prepared=prepared)

    def forecast(self) -> None:
        """Predict the movie's frames after the observed ones."""
        clip = self._tried(self.clip)
        prepared = None if clip is None else self._tried(partial(self._prepared_one, clip), ())
        if clip is not None and prepared != ():
            ahead = {"observe": self.observe.value() or None, "horizon": self.horizon.value()}
            work = partial(tasks.forecast, self.tracker.currentText(), **ahead, futures=self.futures.value())
            self._start(work, self._predicted, clip, prepared=prepared)

    def _predicted(self, found: list[Shown]) -> None:
        expected, *sampled = found
        for each in sampled:  # below the expected paths, which are read first
            data, style, kind = coloured(layers_of(each))[0]
            self._put(data, {**style, "opacity": 0.4, "tail_length": 100}, kind)
        self.show_tracks(expected)

    def show_tracks(self, shown: Shown) -> None:
        """Show tracks as layers, in place of those of the same names."""
        layers = layers_of(shown)
        if not layers:
            self.told.emit(f"{shown.name}: no object was found")
        for layer in coloured(layers):
            self._put(*layer)
        if layers:
            self.tracks.setCurrentText(layers[0][1]["name"])
            self.told.emit(f"{shown.name}: {len(shown.identities)} objects")

    # Corrections

    def delete(self) -> None:
        """Delete A."""
        self._correct(lambda shown, one, other, frame: editing.delete(shown.tracks, 0, one))

    def split(self) -> None:
        """Give A another identity from the current frame on."""
        self._correct(lambda shown, one, other, frame: editing.split(shown.tracks, 0, one, frame))

    def join(self) -> None:
        """Make A and B one."""
        self._correct(lambda shown, one, other, frame: editing.join(shown.tracks, 0, one, other))

    def swap(self) -> None:
        """Exchange A and B from the current frame on."""
        self._correct(lambda shown, one, other, frame: editing.swap(shown.tracks, 0, one, other, frame))

    def _correct(self, edit: Callable[[Shown, int, int, int], Any]) -> None:
        def corrected() -> Shown:
            shown = self.shown()
            one, other = (int(choice.currentText() or -1) for choice in (self.one, self.other))
            found = shown.corrected(edit(shown, one, other, self.frame()))
            if not found.identities:
                raise UsageError("this is the last track: remove the layer instead")
            return found

        shown = self._tried(corrected)
        if shown is not None:
            self._replace(shown)

    def undo(self) -> None:
        """Take the last correction back."""

        def before() -> Shown:
            known = self.shown().before
            if known is None:
                raise UsageError("there is no correction to take back")
            return known

        shown = self._tried(before)
        if shown is not None:
            self._replace(shown)

    def take_selection(self) -> None:
        """Choose as A and B the tracks of the selected points or boxes."""

        def chosen() -> list[int]:
            layer = self.viewer.layers.selection.active
            if not isinstance(layer, Points | Shapes) or "particle" not in layer.features:
                raise UsageError("select points or boxes of tracks first, in their layer")
            found = layer.features["particle"].iloc[sorted(layer.selected_data)].unique().tolist()
            if not found:
                raise UsageError("select one or two points or boxes first")
            return [int(each) for each in found[:2]]

        for choice, identity in zip((self.one, self.other), self._tried(chosen) or (), strict=False):
            choice.setCurrentText(str(identity))

    def write(self, path: Path) -> None:
        """Write the tracks in the chosen format."""

        def written() -> Path:
            self.shown().write(path, self.format.currentText())
            return path

        if self._tried(written) is not None:
            self.told.emit(f"{path}")

    # How it does it

    def _start(
        self, work: Callable[..., Any], done: Callable[[Any], None], *about: Any, **further: Any
    ) -> None:
        """Do some work in another thread, with a report behind what it is about."""
        if (
            None in about or self._worker is not None
        ):  # what is said of the movie was refused, or work is going on
            return
        self._report = tasks.Relay(self.told.emit, self.progressed.emit)
        self._training = done == self._fitted
        self._busy(True)
        self._worker = create_worker(
            work, *about, self._report, _start_thread=False, _ignore_errors=True, **further
        )  # fmt: skip
        self._worker.returned.connect(done)
        self._worker.errored.connect(self._failed)
        self._worker.finished.connect(self._finished)
        self._worker.start()

    def _failed(self, error: BaseException) -> None:
        if self._training:
            self._end_of_training(error.folder if isinstance(error, Interrupted) else None)
        if isinstance(error, Interrupted):
            self.told.emit(str(error))
            return
        known = isinstance(error, VtssiError)
        self.told.emit(f"error: {error}" if known else f"error: {type(error).__name__}: {error}")

    def _end_of_training(self, stopped: Path | None) -> None:
        self._stopped = stopped
        self.train.setText("Fit" if stopped is None else "Continue")

    def _finished(self) -> None:
        self._worker = None
        self._busy(False)

    def _busy(self, busy: bool) -> None:
        for button in (self.look, self.first, self.train, self.follow, self.ahead):
            button.setEnabled(not busy)
        self.halt.setEnabled(busy and self._training)
        self.bar.setRange(0, 0 if busy else 1)  # 0 of 0: no end is known yet
        self.bar.setValue(0)

    def _advance(self, step: int, steps: int) -> None:
        self.bar.setRange(0, steps)
        self.bar.setValue(step)

    def _tried(self, action: Callable[[], Any], refused: Any = None) -> Any:
        """The result of an action, or ``refused`` if it raises an error that a user can mend, which is then told."""
        try:
            return action()
        except VtssiError as error:
            self.told.emit(f"error: {error}")
            return refused

    def _put(self, data: Any, style: dict[str, Any], kind: str) -> None:
        """Add a layer; one of the same name gives way, and its place in the list and its look stay."""
        layers, name = self.viewer.layers, style["name"]
        index, kept = len(layers), {}
        if name in layers:
            old = layers[name]
            index = layers.index(old)
            kept = {key: getattr(old, key) for key in ("visible", "opacity", "blending")}
            layers.remove(old)
        layers.insert(index, Layer.create(data, {**style, **kept}, kind))

    def _replace(self, shown: Shown) -> None:
        """Show corrected tracks; A and B stay as they are."""
        chosen = self.one.currentText(), self.other.currentText()
        self.show_tracks(shown)
        for choice, text in zip((self.one, self.other), chosen, strict=True):
            choice.setCurrentText(text)

    def _list_layers(self, event: object = None) -> None:
        for choice, kind in ((self.movie, Image), (self.tracks, Tracks)):
            _offer(choice, [layer.name for layer in self.viewer.layers if isinstance(layer, kind)])
        self._list_identities()

    def _follow_selection(self, event: object = None) -> None:
        layer = self.viewer.layers.selection.active
        held = None if layer is None else layer.metadata.get(KEY)
        for choice in (self.movie, self.tracks):
            name = f"{held.name}: paths" if isinstance(held, Shown) else getattr(layer, "name", "")
            if choice.findText(name) >= 0:
                choice.setCurrentText(name)

    def _list_identities(self, index: int = 0) -> None:
        known: list[str] = []
        if self.tracks.currentText() in self.viewer.layers:
            try:
                known = [str(each) for each in self.shown().identities]
            except DataError:  # of tracks in space, say; whoever corrects them is told
                known = []
        for choice in (self.one, self.other):
            _offer(choice, known)
        if self.other.currentText() == self.one.currentText():
            self.other.setCurrentIndex(min(1, len(known) - 1))

    def _list_runs(self) -> None:
        text = self.tracker.currentText()
        _offer(
            self.tracker,
            [*tasks.runs_in(Path(self.runs.text())), *(f"{PREFIX}{name}" for name in available())],
        )
        if text:
            self.tracker.setCurrentText(text)

    def _choose_runs(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of runs", self.runs.text())
        if folder:
            self.runs.setText(folder)
            self._list_runs()

    def _choose_file(self) -> None:
        known = FORMATS[self.format.currentText()]
        path, _ = QFileDialog.getSaveFileName(self, "Save tracks", f"tracks{known.suffix}")
        if path:
            self.write(Path(path))


def place_of(layer: Layer) -> dict[str, Any]:
    """Where the pictures of a layer lie: its last three axes' ``scale``, ``translate`` and ``units``."""
    return {key: getattr(layer, key)[-3:] for key in ("scale", "translate", "units") if hasattr(layer, key)}


def _offer(choice: QComboBox, names: list[str]) -> None:
    """Offer other names; the chosen one stays if it is among them."""
    now = choice.currentText()
    if names == [choice.itemText(k) for k in range(choice.count())]:
        return
    choice.blockSignals(True)
    choice.clear()
    choice.addItems(names)
    if now in names:
        choice.setCurrentText(now)
    choice.blockSignals(False)


def _number(low: int, high: int, value: int, about: str) -> QSpinBox:
    spin = QSpinBox()
    spin.setRange(low, high)
    spin.setValue(value)
    spin.setToolTip(about)
    return spin


def _narrow(choice: QComboBox) -> QComboBox:
    """A choice that long names do not widen."""
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(12)
    return choice


def _choice(names: tuple[str, ...]) -> QComboBox:
    choice = QComboBox()
    choice.addItems([AS_FOUND, *names])
    return choice


def _button(text: str, action: Callable[[], None], about: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(about)
    button.clicked.connect(lambda checked=False: action())
    return button


def _row(*parts: QWidget) -> QWidget:
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        line.addWidget(part, 1 if isinstance(part, QLineEdit | QComboBox) else 0)
    return row
