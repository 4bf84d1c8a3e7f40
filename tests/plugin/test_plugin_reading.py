"""napari opens what this package writes, and leaves other files to others."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import small

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import DataError
from vtssi_pyro.movies import write_film
from vtssi_pyro.napari.reading import SEQUENCES, read_film, read_layers, read_run, read_shown, reader, sample
from vtssi_pyro.tracks.export import write_predictions_csv, write_results
from vtssi_pyro.tracks.formats import write_tracks
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.tracks.units import Units
from vtssi_pyro.train.config import Config

ROOT = Path(__file__).parents[2]


def tracks(sequences: int = 1, length: int = 6) -> Tracks:
    present = torch.ones(sequences, length, 2, dtype=torch.bool)
    position = 5 + torch.arange(float(present.numel() * 2)).reshape(sequences, length, 2, 2)
    return Tracks(position, present, torch.full_like(position, 3.0), torch.full_like(position, 0.5))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_results(tmp_path, tracks().part(frames=slice(4)), (90, 120), Units(0.5, "um"))
    write_predictions_csv(tmp_path / "predictions.csv", tracks(), 4)
    return tmp_path


def test_a_folder_of_results(results: Path) -> None:
    (shown,) = read_shown(results)
    assert (shown.observed, shown.frame_size, shown.units) == (4, (90, 120), Units(0.5, "um"))
    torch.testing.assert_close(shown.tracks.position, tracks().position.double())
    assert [kind for _, _, kind in read_layers(results)] == ["tracks", "points", "shapes"]


@pytest.mark.parametrize("name", ["tracks.csv", "tracks.xml", "mot"])
def test_tracks_of_a_known_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_tracks(tracks(), path, "mot" if name == "mot" else None, frame_size=(90, 120))
    assert reader(path) is not None
    assert reader([str(path)]) is not None
    (shown,) = read_shown(path)
    torch.testing.assert_close(shown.tracks.position, tracks().position.double())


def test_sequences_have_layers_of_their_own_of_which_the_first_are_seen(tmp_path: Path) -> None:
    given = tracks(SEQUENCES + 2)
    given.present[0] = False
    write_tracks(given, tmp_path / "t.csv")
    found = read_shown(tmp_path / "t.csv")
    assert [shown.name for shown in found] == [f"t, sequence {b}" for b in range(1, SEQUENCES + 1)]
    torch.testing.assert_close(found[2].tracks.position[0], given.position[3].double())
    seen = [style["visible"] for _, style, _ in read_layers(tmp_path / "t.csv")]
    assert seen == [True] * 3 + [False] * 3 * (SEQUENCES - 1)


def test_tracks_without_an_object_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("frame,particle,x,y\n")
    with pytest.raises(DataError, match=r"t\.csv: holds no object"):
        read_shown(tmp_path / "t.csv")


def test_a_run_shows_its_pictures(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", Config("vtssi", "none", model=small()))
    assert reader(run.folder) is not None
    with pytest.raises(DataError, match="has no pictures yet"):
        read_run(run.folder)
    pages = [Image.fromarray(np.full((8, 9, 3), level, np.uint8)) for level in (0, 200)]
    pages[0].save(run.figures / "held_out.gif", save_all=True, append_images=pages[1:])
    pages[0].save(run.figures / "learning_curves.png")
    (film, style, kind), (curves, other, _) = read_run(run.folder)
    assert (film.shape, curves.shape, kind) == ((2, 8, 9, 3), (8, 9, 3), "image")
    assert style["visible"]
    assert not other["visible"]


def test_a_film_is_read_whole(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="needs PyAV, the extra named video")
    path = tmp_path / "film.mp4"
    write_film(path, (np.full((32, 48, 3), level, np.uint8) for level in (10, 100, 200)), 5.0)
    assert reader(path) is not None
    ((frames, style, kind),) = read_film(path)
    assert (frames.shape, style["rgb"], kind) == ((3, 32, 48, 3), True, "image")
    assert np.diff(frames.mean((1, 2, 3))).min() > 50


def test_the_sample_movie() -> None:
    ((frames, style, kind),) = sample()
    assert (frames.shape, frames.dtype, style["name"], kind) == ((80, 112, 144), np.uint8, "beads", "image")


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("picture.png", "folder", "missing"):
        assert reader(tmp_path / name) is None
    assert reader([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]) is None


def test_the_manifest_names_what_there_is_and_is_installed() -> None:
    """An entry point leads to the file, package data hold it, and each of its commands is a function or a class."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["napari.manifest"]["vtssi-pyro"].partition(":")
    text = Path(import_module(module).__file__ or "").with_name(name).read_text()
    assert f"{module} =\n    {name}\n" in (ROOT / "setup.cfg").read_text()
    homes = re.findall(r"python_name: (\S+):(\S+)", text)
    assert len(homes) == 4
    for home, member in homes:
        source = (ROOT / Path(*home.split("."))).with_suffix(".py").read_text()
        assert re.search(rf"^(?:def|class) {member}\b", source, re.MULTILINE), f"{home}:{member}"


@pytest.mark.filterwarnings("ignore")
def test_napari_takes_the_manifest() -> None:
    npe2 = pytest.importorskip("npe2", reason="the extra named napari")
    manifest = npe2.PluginManifest.from_file(ROOT / "vtssi_pyro" / "napari" / "napari.yaml")
    manifest.validate_imports()
