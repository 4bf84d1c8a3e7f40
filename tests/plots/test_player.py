"""The player plays what it is given, says what is left out, asks for nothing, and runs one script."""

import base64
import io
import json
import re
import shutil
import subprocess
from copy import deepcopy
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vtssi_pyro import play
from vtssi_pyro.errors import DataError
from vtssi_pyro.inference.estimate import Estimate
from vtssi_pyro.plots import Panel, player
from vtssi_pyro.plots.overlay import TRAIL
from vtssi_pyro.plots.player import Film, Player, film_of
from vtssi_pyro.plots.scene import REGION
from vtssi_pyro.plots.style import IDENTITIES
from vtssi_pyro.tracks.columns import HIDDEN
from vtssi_pyro.tracks.tracks import Tracks

B, T, N, OBSERVED, SIDE = 2, 6, 2, 4, 12


def frames(length: int = T, side: int = SIDE) -> torch.Tensor:
    """Each frame of another grey."""
    level = torch.linspace(0, 1, B * length).reshape(B, length, 1, 1, 1)
    return level.expand(B, length, 1, side, side)


def tracks() -> Tracks:
    """The second object comes in frame 1 and has a gap in frame 3."""
    torch.manual_seed(0)
    present = torch.ones(B, T, N, dtype=torch.bool)
    present[:, [0, 3], 1] = False

    def values() -> torch.Tensor:
        return (10 * torch.rand(B, T, N, 2)).where(present[..., None], torch.nan)

    samples = 10 * torch.rand(3, B, T, N, 2)
    return Tracks(values(), present, values(), values(), values()[..., 0], samples)


def film() -> Film:
    seen = frames()
    return film_of(
        [
            Panel("frames", seen),
            Panel("tracked", seen, tracks()),
            Panel("predicted", seen, tracks(), OBSERVED),
        ]
    )


def test_scenes_are_sequences_and_panels_that_share_pictures() -> None:
    found = film()
    titles = [f"sequence {b}, {title}" for b in (1, 2) for title in ("tracked", "predicted")]
    assert [scene.title for scene in found.scenes] == titles
    assert [scene.film for scene in found.scenes] == [0, 0, 1, 1]
    assert [scene.observed for scene in found.scenes] == [None, OBSERVED] * 2
    assert (found.width, found.height, found.left_out) == (SIDE, SIDE, 0)


def test_objects_are_where_the_tracks_have_them() -> None:
    given, found = tracks(), film().scenes[3]
    for n, item in enumerate(found.objects):
        assert (item.id, item.first) == (n, n)
        for name, values, axis in (
            ("x", given.position, 0), ("y", given.position, 1), ("width", given.box, 0), ("height", given.box, 1),
            ("x_std", given.scale, 0), ("y_std", given.scale, 1),
        ):  # fmt: skip
            own = np.array(getattr(item, name), float)
            assert np.allclose(own, values[1, n:, n, axis].numpy(), atol=0.01, equal_nan=True), name  # type: ignore[index]
        ahead = given.samples[:, 1, OBSERVED - 1 :, n].reshape(3, -1).numpy()  # type: ignore[index]
        assert np.allclose(np.array(item.futures), ahead, atol=0.01)


def test_pictures_are_the_frames() -> None:
    for pictures, sequence in zip(film().films, frames(), strict=True):
        for url, frame in zip(pictures, sequence, strict=True):
            assert player.PICTURE.fullmatch(url)
            picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))
            assert picture.shape == (SIDE, SIDE)
            assert np.abs(picture / 255 - frame[0].numpy()).max() < 0.02


def test_pictures_of_colours_are_in_colour() -> None:
    seen = frames() * torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)
    url = film_of([Panel("tracked", seen, tracks())]).films[1][-1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))
    assert picture.shape == (SIDE, SIDE, 3)
    assert np.abs(picture / 255 - seen[1, -1].movedim(0, -1).numpy()).max() < 0.04


def test_pictures_that_do_not_fit_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = torch.from_numpy(np.random.default_rng(0).random((B, T, 1, 40, 40)))
    monkeypatch.setattr(player, "BYTES", 8000)
    found = film_of([Panel("tracked", noise, tracks())], total=100)
    assert sum(len(url) for pictures in found.films for url in pictures) <= 8000
    last = found.scenes[0].frames
    assert 1 <= last < T
    assert found.left_out == 100 - last
    assert all(len(pictures) == last for pictures in found.films)
    assert all(item.first + len(item.x) <= last for scene in found.scenes for item in scene.objects)
    assert f"{found.left_out} frames are left out" in player.SCRIPT.replace(
        "${film.left_out}", str(found.left_out)
    )


def test_frames_may_end_before_the_tracks() -> None:
    found = film_of([Panel("predicted", frames(OBSERVED), tracks(), OBSERVED)])
    assert [len(pictures) for pictures in found.films] == [OBSERVED] * B
    assert {scene.frames for scene in found.scenes} == {T}


def test_a_film_is_read_as_it_was_written() -> None:
    plain = json.loads(json.dumps(film().as_dict()))
    assert Film.checked(plain) == film().as_dict()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("width", 0), ("width", "4"), ("films", [["https://example.org/x.png"]]), ("films", [["data:text/html,x"]]),
        ("films", [['data:image/png;base64,AA"onload="']]), ("scenes", []), ("scenes", None), ("left_out", -1),
        ("scenes.0.film", 9), ("scenes.0.frames", 0), ("scenes.0.title", 7), ("scenes.0.objects.0.x", ["1"]),
        ("scenes.0.objects.0.id", 0.5), ("scenes.0.objects.0.futures", [[float("nan")]]),
    ],
)  # fmt: skip
def test_other_films_are_refused(key: str, value: Any) -> None:
    plain = deepcopy(film().as_dict())
    *way, last = (int(part) if part.isdigit() else part for part in key.split("."))
    place: Any = plain
    for part in way:
        place = place[part]
    place[last] = value
    with pytest.raises(DataError, match="no film of a player"):
        Film.checked(plain)
    del place[last]
    if key not in ("left_out", "first"):  # which have defaults
        with pytest.raises(DataError, match="no film of a player"):
            Film.checked(plain)


def test_a_notebook_shows_it_in_a_frame_that_may_run_scripts_alone() -> None:
    shown = Player(film())._repr_html_()
    assert shown.isascii()
    found = re.fullmatch(r'<iframe sandbox="allow-scripts" .* srcdoc="([^"]*)"></iframe>', shown, re.DOTALL)
    assert found
    assert unescape(found[1]) == Player(film()).page()
    assert not re.search(r"https?://|<link|@import|url\(", Player(film()).page())


def test_play_takes_tracks_estimates_and_files(tmp_path: Path) -> None:
    from vtssi_pyro.tracks.export import write_tracks_csv

    seen, given = frames(), tracks()
    write_tracks_csv(tmp_path / "tracks.csv", given)
    estimate = Estimate(given, torch.empty(0), torch.empty(0))
    for source in (given, estimate, tmp_path / "tracks.csv"):
        found = play(source, seen).film
        assert [scene.title for scene in found.scenes] == ["sequence 1", "sequence 2"]
        assert found.scenes[1].objects[1].x == film().scenes[3].objects[1].x
    assert play(estimate, seen, observed=OBSERVED).film.scenes[0].objects[0].futures


def test_the_script_has_the_colours_and_numbers_of_pictures() -> None:
    (told,) = re.findall(r"data-style=\"(.*?)\"", player.markup(film().as_dict()))
    style = json.loads(unescape(told))
    assert style["colours"] == [f"rgb{colour}" for colour in IDENTITIES]
    assert (style["hidden"], style["region"], style["trail"]) == (HIDDEN, REGION, TRAIL)
    assert set(re.findall(r"\bstyle\.(\w+)", player.SCRIPT)) == set(style), "all that is told is used"


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome")
def test_a_browser_plays_it(tmp_path: Path) -> None:
    """A picture of the page shows the frame's grey and the objects' colours."""
    page, shot = tmp_path / "page.html", tmp_path / "shot.png"
    bright = torch.full((1, T, 1, SIDE, SIDE), 0.2)
    page.write_text(
        Player(film_of([Panel("tracked", bright, tracks().part(slice(1)))])).page(), encoding="utf-8"
    )
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=500,900",
        f"--screenshot={shot}",
    ]
    subprocess.run([*command, page.as_uri()], capture_output=True, check=True, timeout=120)
    colours = np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3)
    for expected in ((51, 51, 51), IDENTITIES[0]):
        assert (np.abs(colours - np.array(expected)).max(1) < 12).sum() > 50, expected
