"""The page of a run is whole, holds what the run holds, asks for nothing from outside, and runs nothing of others."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from small_model import small

from vtssi_pyro.artifacts.figures import PLAYED
from vtssi_pyro.artifacts.report import PICTURES, page, write_report
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import CheckpointError
from vtssi_pyro.evaluation.calibration import Calibration
from vtssi_pyro.plots import player
from vtssi_pyro.train.config import Config, DataConfig

pytestmark = pytest.mark.slow

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ATTACK = '"><script>document.title="PWNED"</script><img src=x onerror="document.title=1">&lt;\'</pre></style>{{ 7*7 }}'
FILM = {
    "width": 4, "height": 3, "first": 0, "left_out": 0, "films": [["data:image/png;base64,AAAA"]],
    "scenes": [{"title": ATTACK, "film": 0, "frames": 2, "observed": None, "objects": [
        {"id": 0, "first": 0, "x": [1.0, None], "y": [1.0, None], "width": [None, None], "height": [None, None],
         "x_std": [None, None], "y_std": [None, None], "confidence": [None, None], "futures": []}]}],
}  # fmt: skip
SHARE = {"sequences": 4, "count_accuracy": 0.75, "inference_error": 1.5, "prediction_error": None}
METRICS = {"sequences": 8, "count_accuracy": 0.875, "inference_error": 1.234, "prediction_error": 3.5,
           "identity_switches": 0.0, "count_frames": 5, "count_accuracy_observed": 0.5,
           "by_objects": {"1": SHARE, "2": SHARE}}  # fmt: skip
HELD_OUT = {
    "explained": 0.5,
    "visible": 0.25,
    "frames": 20,
    "explained_ahead": 0.1,
    "drift": [1.0],
    "straight": [2.0],
}


class Reader(HTMLParser):
    """Checks that what is opened is closed, in order, and collects tags, their attributes, texts and headings."""

    VOID = ("meta", "img")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    @property
    def headings(self) -> list[str]:
        return self.texts.get("h1", []) + self.texts.get("h2", [])

    @property
    def sources(self) -> list[str | None]:
        return [
            value
            for _, held in self.tags
            for name, value in held.items()
            if name in ("src", "href", "srcset", "action")
        ]

    @property
    def policy(self) -> dict[str, list[str]]:
        """What the page allows, by directive; it stands before all that it rules."""
        kinds = [held.get("http-equiv") for tag, held in self.tags if tag in ("meta", "style", "title")]
        assert kinds[:2] == [None, "Content-Security-Policy"]  # behind the character set alone
        (text,) = (held["content"] for _, held in self.tags if "http-equiv" in held)
        assert text is not None
        return {part.split()[0]: part.split()[1:] for part in text.split(";")}


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
    run.write_summary({"metrics": METRICS})
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
        matched = re.fullmatch(r"data:(image/(?:png|gif));base64,(.+)", str(source))
        assert matched
        assert base64.b64decode(matched[2]) == PIXEL
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    for cell in (
        "87.5 %",
        "1.23 px",
        "3.50 px",
        "<td>0.50</td>",
        "<td>3.00</td>",
        "On 8 held-out sequences.",
    ):
        assert cell in text
    assert json.loads(found.texts["pre"][0])["variant"] == "vtssi"


def test_held_out_sequences_are_played(run: Run) -> None:
    """By the page's one script, which alone may run; the film is data, whatever its texts."""
    (run.figures / PLAYED).write_text(json.dumps(FILM))
    found = read(page(run))
    assert "Player" in found.headings
    (data,) = (held["data-film"] for _, held in found.tags if "data-film" in held)
    assert json.loads(str(data)) == FILM
    assert found.texts["script"] == [player.SCRIPT]
    assert found.policy["script-src"] == [sha256(player.SCRIPT)]
    assert found.policy["style-src"] == [sha256(found.texts["style"][0])]
    assert set(found.policy) == {*"default-src script-src style-src img-src base-uri form-action".split()}
    (run.figures / PLAYED).write_text("{}")
    with pytest.raises(CheckpointError, match=r"held_out\.json: damaged .*remove it"):
        page(run)


def test_a_film_elsewhere_is_not_played(run: Run, tmp_path: Path) -> None:
    (tmp_path / "film.json").write_text(json.dumps(FILM))
    (run.figures / PLAYED).symlink_to(tmp_path / "film.json")
    assert "<script" not in page(run)


def test_a_movies_run(run: Run) -> None:
    run.write_summary({"metrics": None, "held_out": HELD_OUT})
    text = page(run)
    for part in (
        "On 20 held-out frames.",
        "50.0 %",
        "error of straight paths after 1 frames</dt><dd>2.00 px</dd>",
    ):
        assert part in text
    run.write_summary(
        {"held_out": HELD_OUT, "units": {"pixel_size": 0.106, "unit": "um", "frame_rate": None}}
    )
    assert "<dd>2.00 px (0.212 um)</dd>" in page(run)


def places(value: Any) -> list[Callable[[Any], None]]:
    """Functions, one for each number in a summary, that put another value in its place."""
    keys = list(value.items() if isinstance(value, dict) else enumerate(value))
    nested = [put for _, each in keys if isinstance(each, dict | list) for put in places(each)]
    return nested + [
        partial(value.__setitem__, key) for key, each in keys if not isinstance(each, dict | list)
    ]


def hostile(folder: Path) -> Run:
    """A run whose every text that others may write is an attack."""
    run = Run.create(
        folder / 'a"><script>document.title="PWNED"<', Config("vtssi", ATTACK, data=DataConfig(ATTACK), model=small()),
        {"device": ATTACK},
    )  # fmt: skip
    run.write_summary({"metrics": METRICS | {"by_objects": {ATTACK: SHARE}}, "versions": {ATTACK: ATTACK}})
    (run.figures / PLAYED).write_text(json.dumps(FILM))
    return run


def test_nothing_that_a_run_holds_becomes_part_of_the_page(tmp_path: Path) -> None:
    """Tags are those of any run; an attack is a text among others."""
    run = hostile(tmp_path)
    plain = Run.create(tmp_path / "plain", run.config)
    (plain.figures / PLAYED).write_text(json.dumps(FILM | {"scenes": [FILM["scenes"][0] | {"title": "a"}]}))
    plain.write_summary({"metrics": METRICS | {"by_objects": {"1": SHARE}}})
    found, expected = read(page(run)), read(page(plain))
    assert {tag for tag, _ in found.tags} == {tag for tag, _ in expected.tags}
    assert not any(name.startswith("on") for _, held in found.tags for name in held)
    told = "".join(text for texts in found.texts.values() for text in texts)
    assert told.count(ATTACK) >= 3  # beside those within JSON


@pytest.mark.parametrize(
    "odd", [ATTACK, {"a": 1}, float("nan"), 10**400], ids=str.split("text keys nan huge")
)
def test_numbers_that_are_none_are_refused_with_their_key(odd: Any, run: Run) -> None:
    """Wherever a run keeps what it found; a text of digits is no number either."""
    whole = {"metrics": METRICS, "held_out": HELD_OUT, "familiar": {"error": 0.1, "share": 0.2, "frames": 3},
             "minutes": 1.5, "steps": 20, "machine": {"threads": 2, "processes": 1}}  # fmt: skip
    for number in range(len(places(whole))):
        summary = deepcopy(whole)
        places(summary)[number](odd)
        run.summary.write_text(json.dumps(summary))
        for read_it in (run.read_summary, lambda: page(run), run.about):
            with pytest.raises(
                CheckpointError, match=r"summary\.json: damaged \([a-z_0-9.]+: expected .*, found "
            ):
                read_it()


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_without_a_player_forbids_all_scripts(run: Run) -> None:
    """And styles but its own, which its hash names; and everything from outside."""
    found = read(page(run))
    (style,) = found.texts["style"]
    assert found.policy == {
        "default-src": ["'none'"], "script-src": ["'none'"], "style-src": [sha256(style)], "img-src": ["data:"],
        "base-uri": ["'none'"], "form-action": ["'none'"],
    }  # fmt: skip
    assert not any("style" in held for _, held in found.tags)


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
def test_a_browser_runs_the_player_and_no_other_script(tmp_path: Path) -> None:
    path = write_report(hostile(tmp_path), tmp_path / "page.html")
    shown = subprocess.run(
        [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    ).stdout  # fmt: skip
    assert "<title>PWNED" not in shown
    assert "<title>1<" not in shown
    assert "PWNED" in shown
    assert "frame 1 of 2, 1 object</output>" in shown
    assert shown.count("<script") == shown.count("<canvas") == 1


def test_pictures_are_the_runs_own(run: Run, tmp_path: Path) -> None:
    """No link, no folder, no pipe, and none in a folder that is elsewhere."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret" + PIXEL)
    names = [name for name, *_ in PICTURES]
    (run.figures / names[0]).symlink_to(secret)
    (run.figures / names[1]).mkdir()
    (run.figures / names[2]).write_bytes(PIXEL)
    assert len(read(page(run)).sources) == 1
    shutil.move(run.figures, tmp_path / "figures")
    run.figures.symlink_to(tmp_path / "figures")
    assert read(page(run)).sources == []
    assert base64.b64encode(b"secret").decode()[:7] not in page(run)


@pytest.mark.parametrize(
    "summary",
    [{"metrics": 3}, {"metrics": {"by_objects": [1]}}, {"held_out": {"frames": 1}}, {"metrics": "x"}],
)
def test_a_summary_of_another_form_is_refused(summary: dict[str, Any], run: Run) -> None:
    run.write_summary(summary)
    with pytest.raises(CheckpointError, match=r"summary\.json: damaged"):
        page(run)
