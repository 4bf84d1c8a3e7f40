"""The widget with a viewer's model and no window: each button does its work and shows it, and errors are told."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # those of other packages
    pytest.importorskip("napari", reason="the extra named napari")
    widgets = pytest.importorskip("qtpy.QtWidgets", reason="needs a Qt", exc_type=ImportError)
    from napari.components import ViewerModel

    from vtssi_pyro.napari.widget import TrackingWidget

from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.napari import tasks
from vtssi_pyro.napari.layers import Shown, coloured, layers_of
from vtssi_pyro.plots.style import IDENTITIES
from vtssi_pyro.tracks.formats import read_tracks
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.training import Interrupted

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # warnings are of other packages

DRAWN = scene("blobs", length=30, side=96, objects=2, size=16, seed=1)
T = 6


@pytest.fixture(scope="module")
def application() -> Any:
    return widgets.QApplication.instance() or widgets.QApplication([])


@pytest.fixture
def widget(application: Any, tmp_path: Path) -> Iterator[TrackingWidget]:
    viewer = ViewerModel()
    made = TrackingWidget(viewer)
    made.runs.setText(str(tmp_path))
    yield made
    made.close()


def wait(application: Any, widget: TrackingWidget, until: Callable[[], bool] = lambda: False) -> None:
    """Wait for the work in the other thread, and for what it leaves to this one."""
    end = time.monotonic() + 120
    while widget._worker is not None and not until():
        assert time.monotonic() < end, widget.log.toPlainText()
        application.processEvents()
        time.sleep(0.01)
    application.processEvents()


def crossing() -> Tracks:
    """Two objects, of which the second comes later."""
    present = torch.ones(1, T, 2, dtype=torch.bool)
    present[0, :2, 1] = False
    position = torch.arange(T * 4.0).reshape(1, T, 2, 2).where(present[..., None], torch.nan)
    return Tracks(position, present, torch.full_like(position, 4.0), torch.full_like(position, 0.2))


def opened(widget: TrackingWidget, tracks: Tracks) -> None:
    widget.viewer.add_image(np.zeros((T, 20, 30)), name="movie")
    widget.show_tracks(Shown(tracks, "movie tracked", frame_size=(20, 30)))


def lines(widget: TrackingWidget) -> list[str]:
    return widget.log.toPlainText().splitlines()


def test_inspection_and_first_tracks(application: Any, widget: TrackingWidget) -> None:
    widget.viewer.add_image(DRAWN.frames, name="beads", scale=(1, 0.5, 0.5))
    assert widget.movie.currentText() == "beads"
    widget.objects.setValue(2)
    widget.inspect()
    assert not widget.look.isEnabled()
    wait(application, widget)
    assert widget.look.isEnabled()
    assert any("moving objects: 2" in line for line in lines(widget))
    assert [layer.name for layer in widget.viewer.layers] == ["beads", "beads found: boxes"]
    widget.track_untrained()
    wait(application, widget)
    kinds = ["paths", "points", "boxes"]
    assert [layer.name for layer in widget.viewer.layers[2:]] == [
        f"beads first tracks: {kind}" for kind in kinds
    ]
    assert all(tuple(layer.scale) == (1, 0.5, 0.5) for layer in widget.viewer.layers)
    vertices = widget.viewer.layers["beads first tracks: paths"].data
    apart = np.linalg.norm(vertices[:, None, :1:-1] + 0.5 - DRAWN.path[vertices[:, 1].astype(int)], axis=-1)
    assert np.median(apart.min(1)) < 0.5
    assert widget.tracks.currentText() == "beads first tracks: paths"
    widget.own.setChecked(True)
    assert widget._prepared_one(widget.clip()) is not None
    widget.viewer.layers["beads"].data = DRAWN.frames[::-1].copy()
    with pytest.raises(UsageError, match="beads: inspect it first"):
        widget._prepared_one(widget.clip())


def test_a_training_moves_the_bar_stops_and_goes_on(
    application: Any, widget: TrackingWidget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The work itself is tested elsewhere; here it waits to be stopped."""
    asked: dict[str, Any] = {}

    def fit(clip: tasks.Clip, hints: object, report: tasks.Relay, **how: Any) -> None:
        asked.update(how)
        report._steps = 50
        while not report.stopping():
            report.advance(7, "joint")
            time.sleep(0.01)
        raise Interrupted(2, 7, "again", tmp_path / "run")

    def resume(run: Path, clip: tasks.Clip, report: tasks.Relay) -> None:
        assert run == tmp_path / "run"
        raise DataError("these are other frames")

    monkeypatch.setattr(tasks, "fit", fit)
    monkeypatch.setattr(tasks, "resume", resume)
    widget.viewer.add_image(DRAWN.frames, name="beads")
    widget.budget.setValue(0.25)
    widget.fit()
    wait(application, widget, lambda: widget.bar.value() == 7)
    assert widget.bar.maximum() == 50
    assert widget.halt.isEnabled()
    assert not widget.train.isEnabled()
    widget.fit()  # nothing: work is going on
    widget.stop()
    wait(application, widget)
    assert asked == {"runs": tmp_path, "preset": "quick", "changes": ["train.budget=0.25"]}
    assert lines(widget)[-1].startswith("stopped by SIGINT after step 7")
    assert (widget.train.text(), widget.train.isEnabled(), widget.halt.isEnabled()) == (
        "Continue",
        True,
        False,
    )
    monkeypatch.setattr(tasks, "inspect", lambda *args: time.sleep(0.2))
    monkeypatch.setattr(widget, "_inspected", lambda *args: None)
    widget.inspect()
    assert not widget.halt.isEnabled(), "nothing else can be stopped"
    wait(application, widget)
    assert widget.train.text() == "Continue", "nor does other work forget the training"
    widget.fit()
    wait(application, widget)
    assert lines(widget)[-1] == "error: these are other frames"
    assert widget.train.text() == "Fit"


def test_tracks_and_forecasts_are_shown(
    application: Any, widget: TrackingWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def track(tracker: str, clip: tasks.Clip, report: tasks.Relay, prepared: object = None) -> Shown:
        asked.append(tracker)
        return clip.shown(crossing(), "tracked")

    def forecast(
        tracker: str, clip: tasks.Clip, report: tasks.Relay, prepared: object = None, **how: Any
    ) -> Any:
        asked.append(how)
        return [clip.shown(crossing(), "predicted", 4), clip.shown(crossing(), "futures", 0)]

    monkeypatch.setattr(tasks, "track", track)
    monkeypatch.setattr(tasks, "forecast", forecast)
    widget.viewer.add_image(np.zeros((T, 20, 30)), name="beads")
    assert widget.tracker.findText("pretrained:moving-mnist") >= 0
    widget.tracker.setCurrentText("a run")
    widget.track()
    wait(application, widget)
    widget.observe.setValue(4)
    widget.horizon.setValue(2)
    widget.futures.setValue(3)
    widget.forecast()
    wait(application, widget)
    assert asked == ["a run", {"observe": 4, "horizon": 2, "futures": 3}]
    names = [layer.name for layer in widget.viewer.layers]
    assert names.index("beads futures: paths") < names.index("beads predicted: paths")
    assert set(widget.viewer.layers["beads predicted: points"].symbol[:4].astype(str)) == {"disc"}
    widget.own.setChecked(True)
    widget.track()
    assert lines(widget)[-1] == "error: beads: inspect it first, or let the tracker prepare it"


def test_corrections_change_all_layers_and_are_taken_back(widget: TrackingWidget, tmp_path: Path) -> None:
    opened(widget, crossing())
    paths = lambda: widget.viewer.layers["movie tracked: paths"].data  # noqa: E731
    points = lambda: widget.viewer.layers["movie tracked: points"].data  # noqa: E731
    boxes = lambda: widget.viewer.layers["movie tracked: boxes"].data  # noqa: E731
    before = paths().copy()
    widget.viewer.layers["movie tracked: points"].opacity = 0.3
    widget.viewer.dims.set_point(0, 4)
    assert (widget.one.currentText(), widget.other.currentText()) == ("0", "1")
    widget.swap()
    assert np.array_equal(
        paths()[(paths()[:, 0] == 1) & (paths()[:, 1] == 5)][:, 2:], before[before[:, 1] == 5][:1, 2:]
    )
    widget.split()
    assert widget.shown().identities == [0, 1, 2]
    widget.other.setCurrentText("2")
    widget.join()
    assert widget.shown().identities == [0, 1]
    widget.one.setCurrentText("1")
    widget.delete()
    assert len(paths()) == len(points()) == len(boxes()) == T
    assert widget.viewer.layers["movie tracked: points"].opacity == 0.3
    widget.write(tmp_path / "tracks.csv")
    assert read_tracks(tmp_path / "tracks.csv").present.shape == (1, T, 1)
    for _ in range(4):
        widget.undo()
    assert np.array_equal(paths(), before)
    widget.undo()
    assert lines(widget)[-1] == "error: there is no correction to take back"
    assert [layer.name for layer in widget.viewer.layers] == [
        "movie", *(f"movie tracked: {kind}" for kind in ("paths", "points", "boxes"))
    ]  # fmt: skip


def test_the_last_track_stays(widget: TrackingWidget) -> None:
    opened(widget, crossing())
    widget.delete()
    widget.delete()
    assert lines(widget)[-1].startswith("error: this is the last track")


@pytest.mark.parametrize("kind", ["points", "boxes"])
def test_a_and_b_from_selected_objects(kind: str, widget: TrackingWidget) -> None:
    opened(widget, crossing())
    layer = widget.viewer.layers[f"movie tracked: {kind}"]
    particles = layer.features["particle"].tolist()
    widget.viewer.layers.selection.active = layer
    layer.selected_data = {particles.index(1)}
    widget.take_selection()
    assert widget.one.currentText() == "1"
    layer.selected_data = {particles.index(0), particles.index(1)}
    widget.take_selection()
    assert (widget.one.currentText(), widget.other.currentText()) == ("0", "1")
    widget.viewer.layers.selection.active = widget.viewer.layers["movie"]
    widget.take_selection()
    assert lines(widget)[-1].startswith("error: select points or boxes")


def test_tracks_of_another_program_are_corrected(widget: TrackingWidget) -> None:
    data = np.array([[7, 0, 1.0, 2.0], [7, 1, 1.5, 2.5], [9, 0, 5.0, 6.0]])
    widget.viewer.add_tracks(data, name="theirs")
    assert widget.shown().identities == [0, 1]
    widget.other.setCurrentText("0")
    widget.one.setCurrentText("1")
    widget.delete()
    found = widget.shown().tracks
    assert found.position[0, :, 0].tolist() == [[2.5, 1.5], [3.0, 2.0]]


def test_what_cannot_be_used_is_told(widget: TrackingWidget) -> None:
    for act in (widget.track_untrained, widget.swap):
        act()
        assert lines(widget)[-1].startswith("error: there is no")
    widget.viewer.add_image(np.zeros((3, 4, 20, 30)), name="stack")
    widget.fit()
    assert lines(widget)[-1].startswith("error: stack: has 4 axes")
    assert widget._worker is None


def test_napari_makes_these_layers() -> None:
    """With identities coloured as in pictures, and all that a layer is told."""
    viewer = ViewerModel()
    for layer in coloured(layers_of(Shown(crossing(), observed=3))):
        viewer._add_layer_from_data(*layer)
    paths, points, boxes = viewer.layers
    assert paths.color_by == "colour"
    for colours in (paths.track_colors, boxes.edge_color):
        found = np.unique(np.float64(colours[:, :3]).round(3), axis=0) * 255
        assert np.allclose(found, sorted(IDENTITIES[:2]), atol=0.3)
    assert len(points.data) == len(boxes.data) == 10
