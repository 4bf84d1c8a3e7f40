"""What a notebook shows of tracks, estimates and trainings: their numbers, whole, and with nothing to obey."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import small

from vtssi_pyro import VARIANTS, Config, Run, Tracks, Units, build
from vtssi_pyro.artifacts.loading import Fitted
from vtssi_pyro.artifacts.shipped import Pretrained
from vtssi_pyro.baselines.sqair.config import SQAIRConfig
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.inference.standalone import build as standalone
from vtssi_pyro.model.kinds import SLOTS
from vtssi_pyro.model.notebook import LOOKS
from vtssi_pyro.system.markup import grid, terms

ATTACK = "<script>alert('x')</script>"


class Reader(HTMLParser):
    """Tags that are open, names of all, and the texts of cells."""

    def __init__(self, page: str | None) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.cells: list[str] = []
        assert page is not None
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


def drawn() -> Tracks:
    path = torch.arange(6.0).view(1, 6, 1, 1) * torch.tensor([3.0, 4.0])
    path = path.expand(2, 6, 12, 2).clone()
    path[1] = torch.nan
    path[0, 2, 0] = torch.nan
    return Tracks(path, path.isfinite().all(-1), confidence=torch.ones(2, 6, 12))


def test_tracks_show_their_numbers_and_paths() -> None:
    found = Reader(drawn()._repr_html_())
    assert "2 of 6 frames" in found.cells
    assert "the first 10 of 12" in found.cells
    assert found.tags.count("path") == 12
    assert "0.833" in found.cells, "the share seen of a track with a gap"
    assert found.cells.count("5") > 10, "speeds, px a frame"
    assert drawn()._repr_html_().count("M") == 13, "the gap breaks its path"
    nothing = drawn().part([1])
    assert "svg" not in Reader(nothing._repr_html_()).tags
    empty = Tracks(torch.zeros(0, 3, 1, 2), torch.zeros(0, 3, 1, dtype=torch.bool))
    assert "0 of 3 frames" in Reader(empty._repr_html_()).cells


def test_an_estimate_tells_its_units_and_novelty() -> None:
    estimate = Estimate(
        drawn(), torch.zeros(2, 1), torch.zeros(0), torch.full((2, 6), 0.5), Units(0.1, "um", 10.0)
    )
    cells = Reader(estimate._repr_html_()).cells
    assert "a pixel is 0.1 um, 10 frames a second" in cells
    assert "speed, um/s" in cells
    assert any(cell.startswith("0.5 (median") for cell in cells)
    assert "not known" in Reader(estimate._replace(units=None, novelty=None)._repr_html_()).cells


def test_trainings_tell_recipe_and_metrics(tmp_path: Path) -> None:
    cells = Reader(Pretrained("moving-mnist")._repr_html_()).cells
    assert "calibrated" in cells
    assert any(cell.endswith(" %") for cell in cells)
    run = Run.create(tmp_path / "<b>", Config())
    assert "not calibrated" in Reader(run._repr_html_()).cells
    fitted = Fitted(torch.nn.Identity(), {}, None, run)  # type: ignore[arg-type]
    assert fitted._repr_html_() == run._repr_html_()
    assert Run(tmp_path / "none")._repr_html_() is None


@pytest.mark.parametrize("name", list(VARIANTS))
def test_trackers_show_their_blocks_and_looks(name: str) -> None:
    """And leave the random state, the mode and the gradients as they are."""
    tracker = build(VARIANTS[name](small()))
    tracker.train()
    state = torch.get_rng_state()
    found = Reader(tracker._repr_html_())
    assert torch.equal(torch.get_rng_state(), state)
    assert tracker.training
    assert torch.is_grad_enabled()
    assert set(SLOTS) < set(found.cells)
    motion = tracker.motion
    assert (
        f"{type(motion).__name__}, {sum(p.numel() for p in motion.parameters()):,} parameters" in found.cells
    )
    assert f"{sum(p.numel() for p in tracker.parameters()):,}" in found.cells
    assert "not known" in found.cells
    assert found.tags.count("img") == 1


def test_a_loaded_tracker_tells_what_it_was_trained_on() -> None:
    weights = Pretrained("moving-mnist")
    tracker = weights.tracker()
    config = weights.config
    told = f"{config.data.source}, {config.train.steps:,} steps, preset {config.preset}"
    assert told in Reader(tracker._repr_html_()).cells
    for html in (tracker._repr_html_(), weights._repr_html_()):
        (source,) = re.findall(r"src='data:image/png;base64,([^']+)'", html or "")
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
        side = tracker.picture.glimpse
        assert picture.shape == (side, LOOKS * (side + 1) - 1)
        assert np.ptp(picture) > 100, "the looks of digits"


def test_other_trackers_show_their_parts() -> None:
    tracker = standalone(SQAIRConfig())
    found = Reader(tracker._repr_html_())
    assert f"{sum(p.numel() for p in tracker.parameters()):,}" in found.cells


def test_a_run_shows_its_film_strip(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Config())
    assert "img" not in Reader(run._repr_html_()).tags
    Image.new("L", (4, 3)).save(run.figures / "film_strip.png")
    assert "img" in Reader(run._repr_html_()).tags
    (tmp_path / "secret.png").write_bytes((run.figures / "film_strip.png").read_bytes())
    (run.figures / "film_strip.png").unlink()
    (run.figures / "film_strip.png").symlink_to(tmp_path / "secret.png")
    assert "img" not in Reader(run._repr_html_()).tags


@pytest.mark.parametrize("page", [terms(ATTACK, {ATTACK: ATTACK}), grid([ATTACK], [[ATTACK]])])
def test_nothing_is_obeyed(page: str) -> None:
    assert "script" not in Reader(page).tags
    assert ATTACK in Reader(page).cells


@pytest.mark.slow
def test_a_fresh_kernel_warns_of_nothing() -> None:
    """Not even of widgets that are not installed, which Pyro's samplers would draw bars with."""
    nbclient, nbformat = (
        pytest.importorskip(name, reason="the extra named notebooks") for name in ("nbclient", "nbformat")
    )
    cell = nbformat.v4.new_code_cell("from vtssi_pyro import load\nload('moving-mnist')")
    nbclient.NotebookClient(nbformat.v4.new_notebook(cells=[cell]), timeout=300).execute()
    (output,) = cell.outputs
    assert "trained on" in output.data["text/html"]
