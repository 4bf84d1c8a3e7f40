"""The page of a run is whole, holds what the run holds, and asks for nothing from outside."""

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from small_model import small

from vtssi_pyro.artifacts.report import PICTURES, page, write_report
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.train.config import Config

pytestmark = pytest.mark.slow

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Reader(HTMLParser):
    """Checks that what is opened is closed, in order, and collects addresses and headings."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "a <run> & more", Config("vtssi", "none", model=small()))


def test_a_run_that_has_just_begun(run: Run) -> None:
    found = read(page(run))
    assert found.headings == ["a <run> & more", "Configuration", "Versions and machine"]
    assert found.sources == []
    assert "unfinished" in page(run)


def test_everything_that_a_run_has(run: Run) -> None:
    share = {"sequences": 4, "count_accuracy": 0.75, "inference_error": 1.5, "prediction_error": None}
    metrics = {"sequences": 8, "count_accuracy": 0.875, "inference_error": 1.234, "prediction_error": 3.5,
               "identity_switches": 0.0, "by_objects": {"1": share, "2": share}}  # fmt: skip
    run.write_summary({"metrics": metrics})
    run.keep(Calibration((0.5, 0.9), ((0.5, 0.8), (2.0, 3.0)), 5, 50))
    for name, *_ in PICTURES:
        (run.figures / name).write_bytes(PIXEL)
    path = write_report(run)
    assert path == run.folder / "report.html"
    text = path.read_text()
    found = read(text)
    titles = [title for _, title, _ in PICTURES]
    assert [h for h in found.headings if h in titles] == titles
    assert {"Metrics", "By number of objects", "Recalibration"} < set(found.headings)
    assert len(found.sources) == len(PICTURES)
    for source in found.sources:
        _, data = re.fullmatch(r"data:(image/(?:png|gif));base64,(.+)", source).groups()
        assert base64.b64decode(data) == PIXEL
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    for cell in ("87.5 %", "1.23 px", "3.50 px", "<td>0.50</td>", "<td>3.00</td>"):
        assert cell in text
    configuration = re.search(r"<pre>(.*?)</pre>", text, re.DOTALL).group(1)
    assert json.loads(configuration.replace("&quot;", '"'))["variant"] == "vtssi"
