"""Pictures read back: their size, their frames, and that what is drawn lies where the tracks are."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vtssi_pyro.plots import Panel, curves, error_curves, film_strip, learning_curves, overlay_gif
from vtssi_pyro.plots.canvas import SMALLEST, Canvas
from vtssi_pyro.plots.curves import _smooth
from vtssi_pyro.plots.overlay import FOOTER, GAP, HEADER, MARGIN
from vtssi_pyro.plots.scene import REGION, Scene
from vtssi_pyro.plots.style import (
    GREYS,
    IDENTITIES,
    PAGE,
    SHADES,
    identity_base,
    palette,
    to_greys,
    to_shown,
)
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import NO_UNITS, Units

B, T, N, H, W, SCALE = 2, 6, 2, 40, 50, 4
WIDTH, HEIGHT = W * SCALE, H * SCALE


def squares(boxes: bool = True) -> tuple[np.ndarray, Tracks]:
    """White squares, 10 px wide, one moving right and one down; the second sequence has the first only."""
    frames = np.zeros((B, T, 1, H, W), np.uint8)
    position = torch.full((B, T, N, 2), torch.nan)
    for b in range(B):
        for t in range(T):
            for n in range(N - b):
                x, y = (4 + 3 * t, 15) if n == 0 else (36, 12 + 2 * t)
                frames[b, t, 0, y : y + 10, x : x + 10] = 255
                position[b, t, n] = torch.tensor([x + 5.0, y + 5.0])
    present = position.isfinite().all(-1)
    return frames, Tracks(position, present, torch.full((B, T, N, 2), 10.0) if boxes else None)


def read_gif(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        pictures = []
        for t in range(getattr(image, "n_frames", 1)):
            image.seek(t)
            pictures.append(np.asarray(image.convert("RGB")))
    return pictures


def tile(picture: np.ndarray, column: int, row: int) -> np.ndarray:
    """The pixels of one frame in an animation."""
    left, top = MARGIN + column * (WIDTH + GAP), HEADER + row * (HEIGHT + GAP)
    return picture[top : top + HEIGHT, left : left + WIDTH]


def colour_is(pixels: np.ndarray, identity: int) -> np.ndarray:
    return np.all(pixels == np.array(IDENTITIES[identity]), axis=-1)


def test_boxes_sit_just_around_their_objects(tmp_path: Path) -> None:
    frames, tracks = squares()
    overlay_gif(tmp_path / "a.gif", [Panel("truth", frames), Panel("tracked", frames, tracks)], scale=SCALE)
    pictures = read_gif(tmp_path / "a.gif")
    assert len(pictures) == T
    expected = (HEADER + 2 * HEIGHT + GAP + FOOTER, 2 * MARGIN + 2 * WIDTH + GAP, 3)
    assert {picture.shape for picture in pictures} == {expected}
    for t, picture in enumerate(pictures):
        for b in range(B):
            shown = frames[b, t, 0].repeat(SCALE, 0).repeat(SCALE, 1)
            assert (tile(picture, 0, b) == shown[..., None]).all()  # no tracks: the frame, pixel by pixel
            drawn = tile(picture, 1, b)
            left, right = (4 + 3 * t) * SCALE, (14 + 3 * t) * SCALE
            for edge in (
                drawn[15 * SCALE - 2 : 15 * SCALE, left - 2 : right + 2],
                drawn[60:100, right : right + 2],
            ):
                assert colour_is(edge, 0).all()
            assert not colour_is(drawn[60:100, right - 8 : right], 0).any()  # the square itself stays free
            assert colour_is(drawn[60:140, 36 * SCALE - 2], 1).any() == (b == 0)


def test_predicted_frames_are_marked(tmp_path: Path) -> None:
    frames, tracks = squares()
    overlay_gif(tmp_path / "a.gif", [Panel("predicted", frames, tracks, observed=4)], scale=SCALE)
    edges = [tile(picture, 0, 1)[0] for picture in read_gif(tmp_path / "a.gif")]
    assert [bool((edge > 200).any()) for edge in edges] == [False] * 4 + [True] * 2


def test_predictions_go_on_where_frames_end(tmp_path: Path) -> None:
    frames, tracks = squares()
    overlay_gif(tmp_path / "a.gif", [Panel("seen", frames[:, :3], tracks)], scale=SCALE)
    pictures = read_gif(tmp_path / "a.gif")
    assert len(pictures) == T
    assert tile(pictures[5], 0, 0)[86:98, 80:116].max() == 0  # black below the trail, in the square
    assert colour_is(tile(pictures[5], 0, 0)[60:100, 116:118], 0).all()  # its box is there: x from 19 to 29


def test_without_boxes_a_cross_marks_the_position(tmp_path: Path) -> None:
    frames, tracks = squares(boxes=False)
    overlay_gif(tmp_path / "a.gif", [Panel("tracked", frames, tracks)], scale=SCALE)
    drawn = tile(read_gif(tmp_path / "a.gif")[0], 0, 0)
    rows, columns = colour_is(drawn, 0).nonzero()
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == (20 * SCALE, 9 * SCALE)


def test_samples_are_dots_where_they_were_drawn(tmp_path: Path) -> None:
    frames, tracks = squares(boxes=False)
    samples = tracks.position.expand(5, B, T, N, 2).clone()
    samples[..., 0] += 12.0
    overlay_gif(tmp_path / "a.gif", [Panel("p", 0 * frames, tracks._replace(samples=samples))], scale=SCALE)
    drawn = tile(read_gif(tmp_path / "a.gif")[0], 0, 0).astype(int)
    assert drawn[20 * SCALE, 21 * SCALE].any()
    assert not drawn[20 * SCALE, 26 * SCALE : 34 * SCALE].any()


def test_rings_hold_ninety_per_cent(tmp_path: Path) -> None:
    """As wide as the region, and, where that is too small to be seen, as a ring must be."""
    frames, tracks = squares(boxes=False)
    scale = torch.tensor([[2.0, 1.0], [0.01, 0.01]]).expand(B, T, N, 2)
    overlay_gif(tmp_path / "a.gif", [Panel("p", 0 * frames, tracks._replace(scale=scale))], scale=SCALE)
    drawn = tile(read_gif(tmp_path / "a.gif")[0], 0, 0).any(-1)
    wide, tiny = drawn[:, : 25 * SCALE], drawn[:, 25 * SCALE :]
    for axis, half in ((0, 2 * REGION * SCALE), (1, REGION * SCALE)):
        reach = wide.any(axis).nonzero()[0]
        assert (reach[-1] - reach[0] + 1) / 2 == pytest.approx(half, abs=1)
    reach = tiny[:, (41 - 25) * SCALE + 1].nonzero()[0]  # beside the cross, whose arms are longer
    assert 2 * SMALLEST - 1.5 <= reach[-1] - reach[0] + 1 <= 2 * SMALLEST + 1


def test_what_is_hidden_is_dashed(tmp_path: Path) -> None:
    frames, tracks = squares()
    for sure, full in ((0.6, True), (0.4, False), (float("nan"), True)):  # of predicted frames nobody knows
        told = tracks._replace(confidence=torch.full((B, T, N), sure))
        overlay_gif(tmp_path / "a.gif", [Panel("t", frames, told)], scale=SCALE)
        edge = colour_is(tile(read_gif(tmp_path / "a.gif")[0], 0, 0)[60:100, 14 * SCALE], 0)
        assert edge.any()
        assert edge.all() == full


def test_an_animation_stays_small(tmp_path: Path) -> None:
    ramp = torch.linspace(0, 50, 20)
    y, x = torch.meshgrid(torch.arange(50.0), torch.arange(50.0), indexing="ij")
    blobs = torch.exp(-((x - ramp[:, None, None]) ** 2 + (y - 25) ** 2) / 60).expand(3, 20, 50, 50)
    blobs = (blobs + 0.02 * torch.rand(3, 20, 50, 50)).clamp(0, 1).unsqueeze(2)
    overlay_gif(tmp_path / "a.gif", [Panel(str(n), blobs) for n in range(4)])
    assert (tmp_path / "a.gif").stat().st_size < 1_500_000
    assert len(read_gif(tmp_path / "a.gif")) == 20


@pytest.mark.parametrize("width", [48, 128, 144, 199, 200, 201, 640])
def test_a_frame_of_an_animation_is_shown_as_large_as_eyes_need(width: int, tmp_path: Path) -> None:
    """A movie no wider than 200 pixels is shown at least as wide, and no pixel is shown wider than it need be."""
    overlay_gif(tmp_path / "a.gif", [Panel("movie", torch.zeros(1, 2, 1, 8, width))])
    shown = read_gif(tmp_path / "a.gif")[0].shape[1] - 2 * MARGIN
    assert shown % width == 0
    assert shown >= 200 or shown == width >= 200
    assert shown - width < 200


def test_windows_without_identities_are_alike(tmp_path: Path) -> None:
    frames, tracks = squares()
    boxed = Tracks(tracks.position[:1], tracks.present[:1], torch.full((1, T, N, 2), 10.0))
    other = boxed._replace(position=boxed.position.flip(2), present=boxed.present.flip(2))
    for identities in (True, False):
        for name, which in (("a", boxed), ("b", other)):
            rows = [("", 0 * frames[0], which)]
            film_strip(tmp_path / f"{name}.png", rows, scale=SCALE, identities=identities)
        same = (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
        assert same != identities


def test_a_film_strip_shows_evenly_spaced_frames(tmp_path: Path) -> None:
    frames, tracks = squares()
    one = Tracks(tracks.position[:1], tracks.present[:1], torch.full((1, T, N, 2), 10.0))
    path = tmp_path / "film.png"
    sizes = {}
    for rows, columns in ((1, 3), (2, 3), (2, 6), (2, 99)):
        film = [("truth", frames[0], None), ("tracked", frames[0], one)][:rows]
        film_strip(path, film, observed=3, columns=columns, scale=SCALE)
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
        sizes[rows, columns] = picture.shape
        assert colour_is(picture, 0).any() == colour_is(picture, 1).any() == (rows == 2)
    assert sizes[2, 3][0] - sizes[1, 3][0] > HEIGHT
    assert sizes[2, 6][1] - sizes[2, 3][1] >= 3 * WIDTH
    assert sizes[2, 99] == sizes[2, 6]  # no frame is shown twice


@pytest.mark.parametrize("apart", [(0, 14), (14, 0), (0, -14), (12, 12)])
def test_a_number_hides_no_other_object(apart: tuple[int, int]) -> None:
    canvas, at = Canvas(120, 120), np.array([[54, 54], np.add((54, 54), apart)])
    boxes = {n: canvas.box(*place, *(place + 10), n) for n, place in enumerate(at)}
    before = canvas.pixels.copy()
    canvas.tabs({n: box for n, box in boxes.items() if box})
    assert (canvas.pixels != before).any()
    for x, y in at:
        np.testing.assert_array_equal(canvas.pixels[y : y + 10, x : x + 10], before[y : y + 10, x : x + 10])


def test_where_a_frame_shows_no_object_its_path_breaks() -> None:
    position = np.array([[[10.0, 30.0]], [[50.0, 5.0]], [[20.0, 30.0]]])
    shown = {}
    for seen in (1.0, 0.0):
        sure = np.array([[1.0], [seen], [1.0]])
        scene = Scene(position, np.ones((3, 1), bool), None, None, np.full((3, 1, 2), 6.0), sure)
        canvases = [Canvas(60, 40) for _ in range(3)]
        for frame, canvas in enumerate(canvases):
            scene.draw(canvas, frame, 1, 8)
        shown[seen] = [int((canvas.pixels != canvas.pixels[0, 59]).sum()) for canvas in canvases]
    assert shown[0.0][0] == shown[1.0][0]
    assert shown[0.0][1] < shown[1.0][1] / 2  # neither a path nor a region
    assert shown[0.0][2] < shown[1.0][2]


def test_what_leaves_the_frame_is_cut() -> None:
    canvas = Canvas(40, 30)
    canvas.box(-10, -10, 8, 8, 0)
    canvas.box(35, 25, 60, 60, 1)
    canvas.cross(41, 31, 2)
    drawn = canvas.pixels.copy()
    assert (drawn >= GREYS).any()
    canvas.box(50, 5, 60, 15, 0)  # wholly outside
    canvas.box(-30, 5, -20, 15, 0)
    assert canvas.pixels.shape == (30, 40)
    assert (canvas.pixels == drawn).all()


def test_a_trail_breaks_where_the_object_was_absent() -> None:
    canvas = Canvas(60, 20)
    points = np.array([[5.0, 10], [15, 10], [np.nan, np.nan], [40, 10], [55, 10]])
    canvas.trail(points, 3)
    on = canvas.pixels[10] >= GREYS
    assert on[6:14].all()
    assert on[42:54].all()
    assert not on[17:38].any()
    assert canvas.pixels[10, 50] > canvas.pixels[10, 10]  # the past fades


def test_the_palette_holds_every_identity_exactly() -> None:
    colours = np.array(palette()).reshape(-1, 3)
    assert len(colours) <= 256
    assert [tuple(colours[identity_base(n) + SHADES - 1]) for n in range(len(IDENTITIES))] == list(IDENTITIES)
    assert identity_base(len(IDENTITIES)) == identity_base(0)
    assert len(set(IDENTITIES)) == len(IDENTITIES)


def test_frames_of_bytes_and_of_intensities_look_alike() -> None:
    frames = torch.randint(0, 256, (3, 1, 5, 5), dtype=torch.uint8)
    assert (to_greys(frames) == to_greys(frames.double() / 255)).all()
    assert to_greys(torch.tensor([[[-1.0, 2.0, torch.nan]]])).tolist() == [[0, GREYS - 1, 0]]


def test_of_several_channels_the_brightest_shows() -> None:
    frames = torch.zeros(2, 3, 4, 5)
    frames[0, 1], frames[1, 2] = 1.0, 0.5
    assert to_greys(frames).shape == (2, 4, 5)
    assert (to_greys(frames) == to_greys(frames.amax(1, keepdim=True))).all()


def test_a_running_mean_passes_over_gaps_and_keeps_lines() -> None:
    line = np.arange(200.0)
    assert np.allclose(_smooth(line)[5:-5], line[5:-5])
    gaps = line.copy()
    gaps[::3] = np.nan
    assert np.isfinite(_smooth(gaps)).all()
    assert np.abs(_smooth(gaps) - line).max() < 3
    assert np.isnan(_smooth(np.full(4, np.nan))).all()


def some_records() -> list[dict[str, Any]]:
    train = [
        {"step": s, "stage": "ab"[s > 50], "terms": {"x": -1.0 * s, "count": -2.0}} for s in range(1, 100)
    ]
    judged: list[dict[str, Any]] = [
        {"step": s, "elbo": -9.0 / s, "count_accuracy": 0.5, "inference_error": 3.0, "prediction_error": None}
        for s in (50, 100)
    ]
    return train + judged


def image_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_learning_curves_show_what_the_records_hold(tmp_path: Path) -> None:
    records = some_records()
    for name, kept in (
        ("all", records),
        ("elbo", [{"step": 3, "elbo": 1.0}]),
        ("two", records[:99]),
        ("none", []),
    ):
        learning_curves(tmp_path / f"{name}.png", kept)
    width, height = image_size(tmp_path / "all.png")
    assert image_size(tmp_path / "elbo.png") == (width // 2, height // 2)
    assert image_size(tmp_path / "two.png") == (width // 2, height // 2)  # terms alone
    assert (tmp_path / "none.png").exists()


def test_errors_have_an_axis_in_the_unit_if_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(curves, "save", lambda figure, path: drawn.append(figure))
    numbers = {"inference_error_by_frame": [1.0, 2.0], "prediction_error_by_frame": []}
    for units in (NO_UNITS, Units(0.5, "um")):
        error_curves("errors.png", numbers, 2, 3, units)
        learning_curves("learning.png", some_records(), units)
    for figure in drawn:
        figure.draw_without_rendering()
    beside = [[own for axes in figure.axes for own in axes.child_axes] for figure in drawn]
    assert [len(found) for found in beside] == [0, 0, 1, 1]
    for (right,) in beside[2:]:
        assert right.get_ylabel() == "um"
        assert right.get_ylim() == pytest.approx(0.5 * np.array(right._parent.get_ylim()))


def test_error_curves_take_gaps_and_missing_predictions(tmp_path: Path) -> None:
    numbers: dict[str, Any] = {"inference_error_by_frame": [1.0, None, 2.0, 1.0]}
    for name, predicted in (("none", []), ("some", [2.0, None]), ("null", [None, None])):
        error_curves(tmp_path / f"{name}.png", numbers | {"prediction_error_by_frame": predicted}, 2, 3)
    empty = {"inference_error_by_frame": [None, None], "prediction_error_by_frame": []}
    error_curves(tmp_path / "empty.png", empty, 2, 10)
    pictures = [
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("none", "some", "null")
    ]
    vermilion = [((p == np.array([0xD5, 0x5E, 0x00])).all(-1)).sum() for p in pictures]
    assert vermilion[1] > vermilion[0]  # the predicted point; the others have at most the legend's


def test_a_failed_picture_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left")

    frames, tracks = squares()
    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    draws = {
        "a.gif": lambda path: overlay_gif(path, [Panel("t", frames, tracks)]),
        "a.png": lambda path: film_strip(path, [("t", frames[0], None)]),
        "b.png": lambda path: learning_curves(path, some_records()),
    }
    for name, draw in draws.items():
        (tmp_path / name).write_text("old")
        with pytest.raises(OSError, match="no space"):
            draw(tmp_path / name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(draws, "old")


@pytest.mark.slow
def test_curves_alone_load_matplotlib_and_never_pyplot(tmp_path: Path) -> None:
    """As reports alone load their template engine, and embedded digits scikit-learn."""
    script = (
        "import sys, vtssi_pyro.api; from vtssi_pyro.plots import learning_curves, error_curves\n"
        "assert not {'jinja2', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "learning_curves(sys.argv[1], [dict(step=1, elbo=2.0)])\n"
        "numbers = dict(inference_error_by_frame=[1.0], prediction_error_by_frame=[])\n"
        "error_curves(sys.argv[1], numbers, 1, 1)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.png")], check=True, timeout=120)


def test_frames_of_a_strip_are_called_as_asked(tmp_path: Path) -> None:
    frames, _ = squares()
    heads = []
    for numbers in (None, [1, 2, 3, 1, 2, 3]):
        film_strip(tmp_path / "a.png", [("", frames[0], None)], scale=2, numbers=numbers)
        picture = np.asarray(Image.open(tmp_path / "a.png"))[:34, -16 - 6 * 2 * W - 5 * 6 : -16]
        heads.append([picture[:, c * (2 * W + 6) :][:, : 2 * W] for c in range(6)])
    counted, called = heads
    assert all((counted[c] == called[c]).all() for c in range(3))
    assert all((called[c] == called[c + 3]).all() and (counted[c] != counted[c + 3]).any() for c in range(3))


def test_colours_show_beneath_what_is_drawn() -> None:
    """A picture's last colours are its frames' own; identities and greys stay exact, in grey frames, too."""
    frames = np.zeros((3, 6, 8), np.uint8)
    frames[0, :, :4], frames[2, :, 4:] = 200, 90
    shown = to_shown(frames)
    np.testing.assert_array_equal(shown, np.moveaxis(frames, 0, -1))
    np.testing.assert_array_equal(to_shown(frames / 255), shown)
    page = Canvas(30, 20)
    tile = Canvas.of(shown, 2)
    tile.fill(2, 2, 4, 4, identity_base(1) + SHADES - 1)
    page.put(tile, 5, 3)
    image = np.asarray(page.image().convert("RGB"))
    np.testing.assert_array_equal(image[3, 5], [200, 0, 0])
    np.testing.assert_array_equal(image[14, 20], [0, 0, 90])
    np.testing.assert_array_equal(image[5, 7], IDENTITIES[1])
    np.testing.assert_array_equal(image[0, 0], np.reshape(palette(), (-1, 3))[PAGE])
    grey = np.repeat(frames[:1], 3, 0)
    np.testing.assert_array_equal(to_shown(grey), to_greys(grey))


def test_more_and_less_of_a_colour_show_around_grey() -> None:
    frames = np.zeros((6, 1, 3))
    frames[0, 0, 1] = frames[4, 0, 2] = 1  # more red, less green
    np.testing.assert_array_equal(to_shown(frames)[0], [[127, 127, 127], [254, 127, 127], [127, 0, 127]])
