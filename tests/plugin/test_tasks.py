"""The work behind the widget, without Qt: boxes, first tracks, a training that stops and goes on, tracks, forecasts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vtssi_pyro.data.scenes import scene
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.movies import Hints, Stored
from vtssi_pyro.napari import tasks
from vtssi_pyro.napari.tasks import Clip, Relay
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.training import Interrupted

DRAWN = scene("blobs", length=24, side=72, objects=2, size=14, seed=1)
PLACE = {
    "scale": (1.0, 0.5, 0.5),
    "translate": (0.0, 0.0, 0.0),
    "units": ("frame", "micrometer", "micrometer"),
}


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip.of("blobs", DRAWN.frames, False, PLACE)


def near(found: Tracks, far: float) -> float:
    """Share of the true places that have a found one within some pixels."""
    place = found.position[0].double().where(found.present[0, ..., None], torch.inf).numpy()  # (T, N, 2)
    apart = np.linalg.norm(DRAWN.path[:, :, None] - place[:, None], axis=-1)  # (T, true, found)
    return float((apart.min(-1) < far).mean())


def test_a_layer_as_a_movie(clip: Clip) -> None:
    assert clip.stored == Stored(pixel_size=0.5, unit="um")
    assert clip.frame_size == (72, 72)
    shown = clip.shown(Tracks(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, dtype=torch.bool)), "tracked")
    assert (shown.name, shown.place, shown.frame_size) == ("blobs tracked", PLACE, (72, 72))
    assert shown.units.unit == "um"
    coloured = Clip.of("blobs", np.zeros((4, 9, 8, 3), np.uint8), True, {})
    assert coloured.frame_size == (9, 8)
    with pytest.raises(DataError, match="stack: has 4 axes, expected three"):
        Clip.of("stack", np.zeros((4, 2, 9, 8)), False, {})


def test_boxes_around_what_stands_out(clip: Clip) -> None:
    lines: list[str] = []
    prepared, shown = tasks.inspect(clip, Hints(), Relay(lines.append))
    assert prepared.inspected.objects == 2
    assert any("moving objects: 2" in line for line in lines)
    assert shown.tracks.present.shape[1] == len(clip.frames)
    assert near(shown.tracks, 2.0) > 0.95


def test_first_tracks(clip: Clip) -> None:
    shown = tasks.track_untrained(clip, Hints(objects=2), Relay())
    assert near(shown.tracks, 1.0) > 0.95
    assert len(shown.identities) == 2


def test_sampled_futures_are_paths_from_the_last_seen_frame() -> None:
    S, T, N, seen = 3, 6, 2, 4
    present = torch.ones(1, T, N, dtype=torch.bool)
    present[0, :, 1] = False
    samples = torch.rand(S, 1, T, N, 2)
    estimate = Estimate(Tracks(samples[0], present, samples=samples), torch.empty(0), torch.empty(0))
    found = tasks.sampled(estimate, seen)
    assert found.present.shape == (1, T, S * N)
    for draw in range(S):
        assert found.present[0, :, draw * N].tolist() == [False] * 3 + [True] * 3
        assert not found.present[0, :, draw * N + 1].any()
        assert torch.equal(found.position[0, seen - 1 :, draw * N], samples[draw, 0, seen - 1 :, 0])


SHORT = 'train.stages=[{"name": "joint", "steps": 9, "batch": 1}]'


@pytest.mark.slow
def test_a_training_stops_goes_on_tracks_and_predicts(clip: Clip, tmp_path: Path) -> None:
    """A stop saves the step; the same layer continues; its run is offered; the forecast goes beyond the movie."""
    steps: list[tuple[int, int]] = []

    def stopping_at(last: int) -> Relay:
        def progress(step: int, of: int) -> None:
            steps.append((step, of))
            if step == last:
                report.stop()

        report = Relay(progress=progress)
        return report

    with pytest.raises(Interrupted) as caught:
        tasks.fit(clip, Hints(objects=2), stopping_at(1), runs=tmp_path, changes=[SHORT])
    assert steps == [(0, 9), (1, 9)]
    run = caught.value.folder
    with pytest.raises(Interrupted):
        tasks.resume(run, clip, stopping_at(2))
    assert steps[2:] == [(1, 9), (2, 9)]
    assert tasks.runs_in(tmp_path) == [str(run)]
    prepared, _ = tasks.inspect(clip, Hints(), Relay())
    assert near(tasks.track(str(run), clip, Relay(), prepared).tracks, 3.0) > 0.9
    expected, futures = tasks.forecast(str(run), clip, Relay(), observe=16, horizon=10, futures=3)
    assert expected.observed == 16
    assert expected.tracks.present.shape[1] == futures.tracks.present.shape[1] == 26
    assert expected.tracks.present[0, 25].any()
    assert not futures.tracks.present[0, :15].any()
    assert futures.tracks.present[0, 15:].any(1).all()
