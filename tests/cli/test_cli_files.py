"""A command replaces what it names, removes what it wrote, waits for no pipe, and leaves the rest alone."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import small
from tiny_run import ON_FILE, blobs, call, process, refused

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.data import open_frames
from vtssi_pyro.model.tracker import build
from vtssi_pyro.system import checkpoint
from vtssi_pyro.train.config import Config, DataConfig

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

SIDE = 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never trained."""
    torch.set_num_threads(1)
    config = Config("vtssi", "test", 7, 3, DataConfig(source="/none.npz"), small("template"))
    run = Run.create(tmp_path_factory.mktemp("files") / "run", config)
    run.save({"trained": build(config.model).state_dict()})
    return run.folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = np.random.default_rng(0).integers(0, 255, (3, 5, SIDE, SIDE), np.uint8)
    np.save(tmp_path_factory.mktemp("data") / "three.npy", frames)
    return tmp_path_factory.getbasetemp() / "data0" / "three.npy"


def one_of(data: Path, folder: Path) -> Path:
    np.save(folder / "one.npy", np.load(data)[:1])
    return folder / "one.npy"


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_second_track_removes_its_own_files_alone(run: Path, data: Path, tmp_path: Path) -> None:
    """TrackEval wants a user's truth, and pictures, in the folder of each sequence."""
    out, one = tmp_path / "out", one_of(data, tmp_path)
    call("track", run, data, "--out", out)
    gt = out / "mot" / "gt"
    own = {gt / "sequence-0000" / "gt" / "gt.txt": "0", gt / "sequence-0002" / "gt" / "gt.txt": "2",
           gt / "sequence-0001" / "img1" / "0.png": "", out / "mot" / "notes.txt": "mine",
           out / "mot" / "trackers" / "vtssi-pyro" / "data" / "sequence-0009.txt": "9"}  # fmt: skip
    changed = out / "mot" / "trackers" / "vtssi-pyro" / "data" / "sequence-0001.txt"
    changed.write_text("corrected by hand")
    for path, text in own.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for _ in range(2):
        call("track", run, one, "--out", out)
        assert all(path.read_text() == text for path, text in own.items())
        assert changed.read_text() == "corrected by hand"
    left = {path.name for path in (out / "mot" / "trackers" / "vtssi-pyro" / "data").iterdir()}
    assert left == {"sequence-0000.txt", "sequence-0001.txt", "sequence-0009.txt"}
    assert not (gt / "sequence-0001" / "gt").exists()  # made by the command, and empty
    assert not (gt / "sequence-0002" / "seqinfo.ini").exists()


def test_nothing_of_an_earlier_call_is_left(run: Path, data: Path, tmp_path: Path) -> None:
    one = one_of(data, tmp_path)
    call("track", run, data, "--out", tmp_path / "reused")
    call("track", run, one, "--out", tmp_path / "reused")
    call("track", run, one, "--out", tmp_path / "fresh")
    assert contents(tmp_path / "reused") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("command", ["track", "predict"])
def test_what_is_in_the_way_is_refused_before_anything_is_computed(
    command: str, run: Path, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "tracks.csv").mkdir()
    (tmp_path / "tracks.csv" / "mine").write_text("")
    line = refused(2, command, run, data, "--out", tmp_path)
    assert line == (
        f"error: --out {tmp_path}: its tracks.csv is a folder, not a regular file; move it away, or choose another "
        "folder"
    )
    shutil.rmtree(tmp_path / "tracks.csv")
    (tmp_path / "mot").write_text("mine")
    assert "its mot is no folder" in refused(2, command, run, data, "--out", tmp_path)
    (tmp_path / "mot").unlink()
    os.mkfifo(tmp_path / "overlay.gif")
    assert "its overlay.gif is a pipe" in refused(2, command, run, data, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.gif"]
    (tmp_path / "overlay.gif").unlink()
    (tmp_path / "mot").mkdir()
    (tmp_path / "mot" / "trackers").write_text("mine")
    assert "is no folder" in call(command, run, data, "--out", tmp_path, code=2).stderr
    assert (tmp_path / "mot" / "trackers").read_text() == "mine"


def test_links_and_modes_of_results_stay(run: Path, data: Path, tmp_path: Path) -> None:
    out, real = tmp_path / "out", tmp_path / "far" / "tracks.csv"
    out.mkdir()
    real.parent.mkdir()
    real.write_text("old")
    real.chmod(0o640)
    (out / "tracks.csv").symlink_to(real)
    call("track", run, data, "--out", out)
    assert (out / "tracks.csv").is_symlink()
    assert real.read_text().startswith("sequence,frame,particle")
    assert real.stat().st_mode & 0o777 == 0o640
    (out / "tracks.csv").unlink()
    (out / "tracks.csv").symlink_to("/dev/null")
    assert "its tracks.csv is a device" in refused(2, "track", run, data, "--out", out)


KILL = """
import os, signal
from vtssi_pyro.plots import overlay
real = overlay._timeline
def timeline(*args):
    if args[1] == 1: os.kill(os.getpid(), signal.{})
    real(*args)
overlay._timeline = timeline
"""


def test_the_leftovers_of_a_killed_track_are_swept_by_the_next(run: Path, data: Path, tmp_path: Path) -> None:
    """And no file that only looks like one."""
    args = ("track", run, data, "--out", tmp_path)
    child = process(*args, before=KILL.format("SIGKILL"))
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob(".overlay-*.tmp.gif")
    mine = [
        tmp_path / name for name in (".overlay.tmp.gif", ".holiday-0123abcd.tmp.gif", "overlay-1.tmp.gif")
    ]
    for path in mine:
        path.write_text("mine")
    call(*args)
    assert not left.exists()
    assert all(path.read_text() == "mine" for path in mine)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_signals_while_pictures_are_drawn(
    name: str, code: int, run: Path, data: Path, tmp_path: Path
) -> None:
    child = process("track", run, data, "--out", tmp_path, before=KILL.format(name))
    _, messages = child.communicate(timeout=120)
    assert (child.returncode, messages.splitlines()[-1]) == (code, f"stopped by {name}")
    assert (tmp_path / "tracks.csv").exists()
    assert not [path for path in tmp_path.rglob("*") if ".tmp" in path.name or path.name == "overlay.gif"]


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tracks.csv").write_text("old")
    yield tmp_path / "out"
    assert contents(tmp_path / "out") == {"tracks.csv": b"old"}


def test_a_source_that_says_nothing_leaves_the_old_tracks(old: Path, run: Path, tmp_path: Path) -> None:
    """Nor one that does not exist, or whose first frame cannot be read."""
    frames = tmp_path / "pictures"
    args = ("live", run, frames, "--patience", 0.1, "--out", old)
    assert "no folder" in refused(3, *args)
    frames.mkdir()
    assert "no picture came" in call(*args, code=3).stderr.splitlines()[-1]
    (frames / "0.png").write_text("no picture")
    assert "0.png" in call(*args, code=3).stderr.splitlines()[-1]
    (frames / "0.png").unlink()
    os.mkfifo(frames / "0.png")
    assert "it is a pipe" in call(*args, code=3).stderr.splitlines()[-1]
    (frames / "end").touch()
    (frames / "0.png").unlink()
    assert "no picture came" in call(*args, code=3).stderr.splitlines()[-1]
    child = process("live", run, "-", "--size", f"{SIDE}x{SIDE}", "--out", old)
    child.communicate(timeout=60)
    assert child.returncode == 3


def test_pipes_and_devices_are_not_read(run: Path, tmp_path: Path) -> None:
    """In place of sequences, of a movie, and among the pictures of a folder."""
    os.mkfifo(tmp_path / "frames.npy")
    (tmp_path / "movie.gif").symlink_to("/dev/zero")
    (tmp_path / "pictures").mkdir()
    os.mkfifo(tmp_path / "pictures" / "0.png")
    out = ("--out", tmp_path / "out")
    assert "it is a pipe" in refused(3, "track", run, tmp_path / "frames.npy", *out)
    assert "it is a device" in refused(3, "track", run, tmp_path / "movie.gif", *out)
    assert "it is a pipe" in refused(3, "track", run, tmp_path / "pictures", *out)
    os.mkfifo(tmp_path / "tracks.csv")
    assert "it is a pipe" in refused(3, "evaluate", tmp_path / "tracks.csv", blobs(tmp_path / "blobs.npz"))
    assert not (tmp_path / "out").exists()


def test_a_run_made_of_pipes_is_no_run(run: Path, data: Path, tmp_path: Path) -> None:
    for name in ("config.json", "checkpoints/last.pt"):
        folder = tmp_path / name.replace("/", "-")
        shutil.copytree(run, folder)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        refused(4, "track", folder, data, "--out", tmp_path / "out")


def test_a_report_replaces_reports_alone(run: Path, tmp_path: Path) -> None:
    own = shutil.copytree(run, tmp_path / "run")
    config = (own / "config.json").read_bytes()
    for path in (own / "config.json", blobs(tmp_path / "data.npz")):
        before = path.read_bytes()
        line = refused(2, "report", own, "--out", path)
        assert line == (
            f"error: --out {path}: exists, and is no report; choose another name, or replace it with --force"
        )
        assert path.read_bytes() == before
    page = tmp_path / "page.html"
    for _ in range(2):  # the second replaces a report
        assert call("report", own, "--out", page).stdout == f"{page}\n"
    page.write_text("notes")
    assert "is no report" in refused(2, "report", own, "--out", page)
    call("report", own, "--out", page, "--force")
    assert page.read_text().startswith("<!doctype html>")
    (tmp_path / "folder").mkdir()
    for force in ((), ("--force",)):
        assert "is a folder" in refused(2, "report", own, "--out", tmp_path / "folder", *force).replace(
            "it ", ""
        )
    assert (own / "config.json").read_bytes() == config


def test_a_report_elsewhere_leaves_the_run_as_it_is(trained: Run, tmp_path: Path) -> None:
    """Whoever may only read a run has its page all the same, with curves."""
    own = copied(trained, tmp_path)
    shutil.rmtree(own.figures)
    before = contents(own.folder)
    folders = [path for path in (own.folder, *own.folder.rglob("*")) if path.is_dir()]
    for path in folders:
        path.chmod(0o555)
    try:
        call("report", own.folder, "--out", tmp_path / "page.html")
    finally:
        for path in folders:
            path.chmod(0o755)
    assert contents(own.folder) == before
    assert "Learning curves" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("command", ["report", "calibrate", "fit"])
def test_nothing_is_written_through_the_links_of_a_run(command: str, run: Path, tmp_path: Path) -> None:
    """A run's folder may be somebody else's, whose links lead to files of the user."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    names = {"report": "report.html", "calibrate": ".lock", "fit": "metrics.jsonl"}
    own = shutil.copytree(run, tmp_path / "run")
    (own / names[command]).unlink(missing_ok=True)
    (own / names[command]).symlink_to(precious)
    data = blobs(tmp_path / "blobs.npz")
    args = {
        "report": (own,), "calibrate": (own, data, "--fit-on", data.with_name("more.npz")),
        "fit": (data, *ON_FILE, "--out", own),
    }  # fmt: skip
    if command == "fit":
        (own / "config.json").unlink()
    assert f"{own / names[command]}: is a link to {precious}" in refused(2, command, *args[command])
    assert precious.read_text() == "precious"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose training ended before it was judged."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("trained") / "run"
    call("fit", blobs(folder.with_name("blobs.npz")), *ON_FILE, "--out", folder)
    (folder / "summary.json").unlink()
    return Run(folder)


def copied(trained: Run, folder: Path) -> Run:
    return Run(shutil.copytree(trained.folder, folder / "run"))


def test_a_lost_checkpoint_is_not_begun_anew(trained: Run, tmp_path: Path) -> None:
    """The command that the message names goes on from the best checkpoint."""
    run = copied(trained, tmp_path)
    run.checkpoint().unlink()
    before = contents(run.folder)
    line = call("fit", "--out", run.folder, "--resume", code=4).stderr.splitlines()[-1]
    assert f"{run.checkpoint()}: is missing, though the records of the run reach step 15" in line
    assert contents(run.folder).keys() == before.keys()
    assert {name: text for name, text in contents(run.folder).items() if name != ".lock"} == {
        name: text for name, text in before.items() if name != ".lock"
    }
    best = checkpoint.load(run.checkpoint("best"))["step"]
    again = line.partition("a fresh optimiser: ")[2].split()
    assert again == ["vtssi-pyro", "fit", "--out", str(run.checkpoint("best")), "--resume"]
    found = call(*again[1:])
    assert f"going on after step {best} of 15" in found.stderr or best == 15
    assert "warning: goes on from checkpoint best with a fresh optimiser" in found.stderr
    assert [r["step"] for r in run.records()] == [r["step"] for r in trained.records()]
    assert checkpoint.load(run.checkpoint())["step"] == 15
    assert run.read_summary()


def test_without_any_checkpoint_nothing_is_promised(trained: Run, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    shutil.rmtree(run.folder / "checkpoints")
    (run.folder / "checkpoints").mkdir()
    line = call("fit", "--out", run.folder, "--resume", code=4).stderr.splitlines()[-1]
    assert line.endswith("put it back, or train anew in another folder")
    assert run.records() == trained.records()


def test_one_damaged_line_is_left_out_and_named(trained: Run, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    assert len(lines) > 3
    for number, damaged in (
        (2, b'{"kind": "tr\xff\n'),
        (3, b"[1, 2]\n"),
        (1, b'{"kind": "train", "step": NaN}\n'),
    ):
        run.metrics.write_bytes(b"".join([*lines[: number - 1], damaged, *lines[number:]]))
        (run.folder / "summary.json").unlink(missing_ok=True)
        found = call("fit", "--out", run.folder, "--resume").stderr
        assert f"warning: {run.folder}: line {number} of its metrics is damaged, and is left out" in found
        assert run.records() == [json.loads(line) for line in (*lines[: number - 1], *lines[number:])]


def test_data_that_were_exchanged_are_refused(trained: Run, tmp_path: Path) -> None:
    """Those of the same shape, size and time, too; those that were touched are the same."""
    run, data = copied(trained, tmp_path), Path(trained.config.data.source)
    before, times = data.read_bytes(), (data.stat().st_atime_ns, data.stat().st_mtime_ns)
    frames = (open_frames(data).frames(slice(None))[:, :, 0] * 255).round().byte().numpy()
    arrays = dict(np.load(data))
    np.savez(data, **(arrays | {"frames": frames[::-1]}))
    assert len(data.read_bytes()) == len(before)
    os.utime(data, ns=times)
    try:
        kept = contents(run.folder)
        line = call("fit", "--out", run.folder, "--resume", code=3).stderr.splitlines()[-1]
        assert f"{data}: is not what the run began with" in line
        assert "with other contents: put the old file back" in line
        assert contents(run.folder) == kept
    finally:
        data.write_bytes(before)  # and with another time
    call("fit", "--out", run.folder, "--resume")


def test_a_part_of_a_run_that_was_exchanged_is_refused(trained: Run, tmp_path: Path) -> None:
    first = tmp_path / "from"
    data = trained.config.data.source
    recipe = [part for text in ON_FILE if text.startswith("train.") for part in ("--set", text)]
    call("fit", data, "--from", trained.folder, *recipe, "--out", first)
    run = Run(first)
    (first / "summary.json").unlink()
    shutil.copy(run.checkpoint("best"), run.checkpoint("start"))
    line = call("fit", "--out", first, "--resume", code=4).stderr.splitlines()[-1]
    assert "start.pt: is not the file that the run was made with" in line


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("observe", None, "it lacks observe"),
        ("train.stages.0.batch", None, "it lacks train.stages.objects.batch"),
        ("model.motion.units", None, "it lacks model.motion.units"),
        ("seed", float("nan"), "seed is no finite number"),
        (
            "train.stages.0.learning_rate.value",
            float("inf"),
            "train.stages.0.learning_rate.value is no finite",
        ),
    ],
)
def test_a_configuration_that_is_not_whole_is_refused(
    key: str, value: object, words: str, trained: Run, tmp_path: Path
) -> None:
    run = copied(trained, tmp_path)
    made = json.loads((run.folder / "config.json").read_text())
    *path, last = key.split(".")
    node = made["config"]
    for part in path:
        node = node[int(part) if part.isdigit() else part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    (run.folder / "config.json").write_text(json.dumps(made))
    for command in (
        ("fit", "--out", run.folder, "--resume"),
        ("track", run.folder, trained.config.data.source),
    ):
        assert words in refused(4, *command)


def test_names_of_any_kind_work(trained: Run, tmp_path: Path) -> None:
    """With blanks, line ends, quotes, and letters of other scripts, of runs, of data and of results."""
    odd = tmp_path / "a b\nc 'd' \"e\" é 東 \u202e -x"
    odd.mkdir()
    run = copied(trained, odd)
    data = blobs(odd / "-1 dåta\t(1).npz")
    call("fit", "--out", run.folder, "--resume")
    assert run.read_summary()["steps"] == 15
    call("track", run.folder, data, "--out", odd / "out put\n")
    assert (odd / "out put\n" / "tracks.csv").read_text().startswith("sequence,frame,particle")
    call("evaluate", run.folder, data)
    call("report", run.folder)
    assert "<h1>" in (run.folder / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == [odd.name]


def test_a_former_format_is_filled_in_and_told_of(trained: Run, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    made = json.loads((run.folder / "config.json").read_text())
    made["format"] = 3
    del made["sources"]
    for stage in made["config"]["train"]["stages"]:
        del stage["optimizer"]
    (run.folder / "config.json").write_text(json.dumps(made))
    assert run.config == trained.config
    found = call("fit", "--out", run.folder, "--resume").stderr
    assert f'{run.name}: is of a former format; filled in: train.stages.NAME.optimizer="adam"\n' in found
    data = trained.config.data.source
    for command in (("track", run.folder, data, "--out", tmp_path / "out"), ("evaluate", run.folder, data)):
        assert "filled in: train.stages.NAME.optimizer" in call(*command).stderr
    call("report", run.folder)
    assert "Learning curves" in (run.folder / "report.html").read_text()


def test_what_may_change_a_resumed_training_is_warned_of(trained: Run, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    made = json.loads((run.folder / "config.json").read_text())
    for key, before, now, kind in (("device", "cuda", "cpu", "noise"), ("threads", 2, 1, "the last bits")):
        changed = made | {"machine": made["machine"] | {key: before}}
        (run.folder / "config.json").write_text(json.dumps(changed))
        (run.folder / "summary.json").unlink(missing_ok=True)
        found = call("fit", "--out", run.folder, "--resume", "--threads", 1, "--device", "cpu").stderr
        assert f"may differ in {kind} from an uninterrupted run ({key} {before} before, {now} now)" in found


def test_weights_that_are_not_finite_are_refused_under_a_right_hash(trained: Run, tmp_path: Path) -> None:
    run = copied(trained, tmp_path)
    state = checkpoint.load(run.checkpoint())
    name = next(iter(state["trained"]))
    state["trained"][name].view(-1)[0] = torch.nan
    run.save(state)
    for command in (
        ("fit", "--out", run.folder, "--resume"),
        ("track", run.folder, trained.config.data.source),
    ):
        line = call(*command, code=4).stderr.splitlines()[-1]
        assert f"last.pt: its weights are not finite ({name}" in line


def test_results_never_replace_the_frames_that_they_are_made_from(
    run: Path, data: Path, tmp_path: Path
) -> None:
    """By their own name, by a link of either kind, or as further pictures of a folder."""
    linked = tmp_path / "linked"
    linked.mkdir()
    frames = tmp_path / "frames.npy"
    frames.write_bytes(data.read_bytes())
    for link in (Path.symlink_to, Path.hardlink_to):
        link(linked / "tracks.csv", frames)
        assert f"its tracks.csv is {frames} itself" in refused(2, "track", run, frames, "--out", linked)
        (linked / "tracks.csv").unlink()
    assert frames.read_bytes() == data.read_bytes()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        Image.fromarray(np.full((40, 40), 40 * number, np.uint8)).save(pictures / f"{number}.png")
    for command, result in ((("inspect",), "contact_sheet.png"), (("live", run), "tracks.csv")):
        assert "choose another folder" in refused(2, *command, pictures, "--out", pictures)
        (linked / result).hardlink_to(pictures / "3.png")
        assert f"its {result} is {pictures / '3.png'} itself" in refused(
            2, *command, pictures, "--out", linked
        )
    assert len(list(pictures.iterdir())) == 6


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("part", "command", "code"),
    [("config.json", "track", 4), ("summary.json", "report", 4), ("calibration.json", "predict", 4)],
)
def test_json_that_is_nested_beyond_reason_is_damaged(
    run: Path, data: Path, tmp_path: Path, part: str, command: str, code: int
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / part).write_text(DEEP)
    more = () if command == "report" else (data, "--out", tmp_path / "out")
    refused(code, command, copy, *more)


def test_a_list_that_is_nested_beyond_reason_removes_nothing(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "mot").mkdir(parents=True)
    (out / "mot" / ".vtssi-pyro.json").write_text(DEEP)
    call("track", run, data, "--out", out)
    assert (out / "tracks.csv").exists()


@pytest.mark.parametrize("asked", [("inspect",), ("fit",), ("evaluate", "tracks.csv")])
def test_names_that_are_too_long_are_refused(asked: tuple[str, ...]) -> None:
    assert "names so long" in refused(2, *asked, "a" * 5000)
