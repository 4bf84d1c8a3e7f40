"""No damage to a file, whatever it is, ends in an exception that is not ours.

By default each kind of file is damaged some times; ``VTSSI_FUZZ=10000 python -m pytest tests/test_fuzz.py`` tries as
many damages of each.
"""

import io
import os
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from small_model import small

from vtssi_pyro.artifacts.report import page
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import open_frames
from vtssi_pyro.errors import VtssiError
from vtssi_pyro.model.tracker import build
from vtssi_pyro.movies import open_movie
from vtssi_pyro.system.atomic import write_json
from vtssi_pyro.train.config import Config, DataConfig

TRIES = int(os.environ.get("VTSSI_FUZZ", "60"))
HEAD = 512  # bytes that hold the headers of small files; a half of all damages is there
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 6, 20, 20), np.uint8)


class Damage:
    """Some changes of a file's bytes, one after the other.

    Args:
        changes: the place of each, as a fraction of the head or of the whole file, its kind and its bytes.
    """

    def __init__(self, changes: list[tuple[bool, float, str, bytes]]) -> None:
        self.changes = changes

    def __call__(self, content: bytes) -> bytes:
        for head, fraction, kind, new in self.changes:
            place = int(fraction * (min(HEAD, len(content)) if head else len(content)))
            before, after = content[:place], content[place:]
            content = {
                "replace": before + new + after[len(new) :],
                "insert": before + new + after,
                "remove": before + after[len(new) :],
                "cut": before,
            }[kind]
        return content

    def __repr__(self) -> str:
        return f"Damage({self.changes!r})"


BYTES = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from(
        [b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"-1", b"NaN", b"1e999", b"{}", b"null", b'"']
    ),
)
CHANGE = st.tuples(
    st.booleans(), st.floats(0, 1), st.sampled_from(["replace", "replace", "insert", "remove", "cut"]), BYTES
)
DAMAGES = st.lists(CHANGE, min_size=1, max_size=4).map(Damage)


def npz() -> bytes:
    out = io.BytesIO()
    positions = np.zeros((2, 6, 1, 2), np.float32)
    np.savez(out, frames=FRAMES, positions=positions, counts=np.ones(2, np.int64))
    return out.getvalue()


def npy() -> bytes:
    out = io.BytesIO()
    np.save(out, FRAMES.astype(np.float32) / 255)
    return out.getvalue()


def animation(kind: str, **options: object) -> Callable[[], bytes]:
    def made() -> bytes:
        out = io.BytesIO()
        first, *others = [Image.fromarray(frame) for frame in FRAMES[0]]
        first.save(out, kind, save_all=True, append_images=others, **options)
        return out.getvalue()

    return made


def films() -> bytes:
    av = pytest.importorskip("av", reason="needs PyAV, the extra named video")
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for frame in FRAMES[0]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.resize(frame, (32, 32)), "gray")))
        container.mux(stream.encode(None))
    return out.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "some.npz": npz,
    "some.npy": npy,
    "some.tif": animation("TIFF"),
    "packed.tif": animation("TIFF", compression="tiff_lzw"),
    "some.gif": animation("GIF"),
    "some.png": animation("PNG"),
    "some.webp": animation("WEBP"),
    "some.mp4": films,
}
PARTS = (
    "config.json",
    "metrics.jsonl",
    "summary.json",
    "calibration.json",
    "checkpoints/last.pt",
)


@cache
def content_of(name: str) -> bytes:
    """A file as it should be."""
    return FILES[name]()


def damaged(max_examples: int = TRIES) -> settings:
    """Deterministic damages, so that a suite that was green stays so; a search with another number finds others."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=max_examples, deadline=None, derandomize=True, database=None, suppress_health_check=quiet
    )


def tried(read: Callable[[], object]) -> None:
    """Read something; an error of ours is one line, which a terminal shows as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = "fine"
        try:
            read()
        except VtssiError as error:
            message = str(error)
    assert message.strip()
    assert "\n" not in message


@pytest.mark.parametrize("name", FILES)
@damaged()
@given(damage=DAMAGES)
def test_damaged_frames(name: str, damage: Damage, tmp_path: Path) -> None:
    """As sequences, and as a movie that is read frame by frame."""
    path = tmp_path / name
    path.write_bytes(damage(content_of(name)))

    def sequences() -> None:
        data = open_frames(path)
        data.frames(slice(0, 2))
        _ = data.truth, data.counts

    tried(sequences)
    tried(lambda: [frame.sum() for frame in open_movie(path)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never trained, with every file that a run may have."""
    config = Config("vtssi", "test", 7, 3, DataConfig(source="/none.npz"), small("template"))
    run = Run.create(tmp_path_factory.mktemp("fuzz") / "run", config)
    run.save({"trained": build(config.model).state_dict()})
    records = [{"kind": "train", "step": step, "stage": "objects", "length": 1, "bound": True, "objective": 1.5,
                "terms": {"x": 1.5}, "minutes": 0.1} for step in (1, 2)]  # fmt: skip
    (run.folder / "metrics.jsonl").write_text("".join(f"{record}\n".replace("'", '"') for record in records))
    write_json(run.summary, {"metrics": {"sequences": 3, "count_accuracy": 0.5, "by_objects": {}}})
    write_json(run.calibration_file, {"temperature": 0.5})
    return run.folder


@pytest.mark.parametrize("part", PARTS)
@damaged()
@given(damage=DAMAGES)
def test_damaged_runs(part: str, damage: Damage, whole: Path) -> None:
    """Its weights, its report and its records are read."""
    path = whole / part
    before = path.read_bytes()
    path.write_bytes(damage(before))
    try:
        run = Run(whole)
        tried(lambda: run.tracker())
        tried(lambda: page(run))
        tried(run.records)
        tried(lambda: run.calibration)
        tried(run.about)
    finally:
        path.write_bytes(before)


@damaged()
@given(content=st.binary(max_size=200))
@example(content=b"")
@pytest.mark.parametrize("name", [*FILES, "none.txt", "none"])
def test_nonsense(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    tried(lambda: open_frames(path).frames(slice(0, 1)))
    tried(lambda: list(open_movie(path)))


@damaged()
@given(
    shape=st.lists(st.integers(0, 7), max_size=6),
    dtype=st.sampled_from(["u1", "u2", "i4", "i8", "f2", "f4", "f8", "?", "c8", "U3", "O", "M8[s]", "V4"]),
    value=st.sampled_from([0, 1, -1, 255, 256, 65535, 1e300, float("nan"), float("inf")]),
)
def test_arrays_of_any_kind(shape: list[int], dtype: str, value: float) -> None:
    """In memory, from numpy and, where it has the type, from torch."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array = np.full(shape, value).astype(dtype)
        except (ValueError, OverflowError, TypeError):
            return
    tried(lambda: open_frames(array).frames(slice(0, 2)))
    try:
        tensor = torch.as_tensor(array)
    except (TypeError, RuntimeError, ValueError):
        return
    tried(lambda: open_frames(tensor).frames(slice(0, 2)))
