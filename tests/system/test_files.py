"""What may be read, replaced, swept and removed, and how a file is known again."""

import errno
import json
import os
import resource
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from vtssi_pyro.errors import OutOfResources, UsageError
from vtssi_pyro.system import atomic
from vtssi_pyro.system.atomic import (
    append,
    atomic_folder,
    atomic_write,
    writable_folder,
    write_bytes,
    write_json,
)
from vtssi_pyro.system.files import (
    belongs,
    held,
    obstacle,
    refuse_outward,
    regular,
    replaceable,
    sweep,
    unfinished,
)
from vtssi_pyro.system.fingerprint import BLOCK, WHOLE, fingerprint, same, sha256
from vtssi_pyro.system.manifest import FILE, Manifest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes are POSIX")


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def looped(path: Path) -> Path:
    path.symlink_to(path)
    return path


def linked(path: Path) -> Path:
    path.symlink_to("/dev/null")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


OTHERS = pytest.mark.parametrize(
    ("make", "kind"), [(folder, "folder"), (pipe, "pipe"), (linked, "device"), (looped, "link")]
)


@OTHERS
def test_other_than_files_are_neither_read_nor_replaced(make, kind: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.txt")
    before = path.lstat().st_mode
    with pytest.raises(OSError):  # noqa: PT011  (of several kinds)
        regular(path)
    assert kind in str(obstacle(path))
    for write in (
        lambda: write_bytes(path, b"new"),
        lambda: append(path, "new"),
        lambda: writable_folder(tmp_path, files=["a.txt"]),
    ):
        with pytest.raises(UsageError, match=f"a.txt:? is a {kind}"):
            write()
    assert path.lstat().st_mode == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_links_are_followed_and_stay(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link, real = tmp_path / "file", tmp_path / "far" / "file"
    link.symlink_to(real)
    assert replaceable(link) == real
    for text in (b"made where it leads", b"and replaced"):
        write_bytes(link, text)
        assert link.is_symlink()
        assert real.read_bytes() == text
    assert regular(link) == link
    append(link, "a line")
    assert real.read_bytes() == b"and replaceda line\n"


def test_nothing_of_another_name_is_replaced_through_a_link(tmp_path: Path) -> None:
    """Neither somebody's data nor another result; a file that is not there yet is made."""
    link, middle, data = tmp_path / "tracks.csv", tmp_path / "to" / "tracks.csv", tmp_path / "data.npz"
    middle.parent.mkdir()
    link.symlink_to(middle)
    middle.symlink_to(data)
    write_bytes(link, b"made")
    assert data.read_bytes() == b"made"
    for write in (
        lambda: write_bytes(link, b"new"),
        lambda: append(link, "new"),
        lambda: writable_folder(tmp_path, files=["tracks.csv"]),
    ):
        with pytest.raises(
            UsageError, match=r"tracks.csv:? is a link to .*data\.npz, a file of another name"
        ):
            write()
    assert data.read_bytes() == b"made"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_modes_are_kept(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    write_bytes(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_file_that_may_only_be_read_is_not_replaced(tmp_path: Path) -> None:
    """By root neither."""
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(UsageError, match="may only be read"):
        write_bytes(path, b"new")
    assert path.read_text() == "old"


def test_a_full_disk_is_told_with_path_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "_flush", full)
    path = tmp_path / "a"
    path.write_text("old")
    for write, size in (
        (lambda: write_bytes(path, bytes(2_500_000)), "it takes 2.5 MB"),
        (lambda: unknown(path), "it takes more than 12 bytes"),
    ):
        with pytest.raises(
            OutOfResources, match=f"^{path}: no room left on the disk .*: {size}, .* are free"
        ):
            write()
        assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


def test_what_a_file_takes_is_told_wherever_its_writing_ends(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutOfResources, match=r"it takes 2\.5 MB"):
            write_bytes(tmp_path / "a", bytes(2_500_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def unknown(path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(bytes(12))


def test_errors_of_other_files_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_write(tmp_path / "a"):
        (tmp_path / "elsewhere").read_text()
    with pytest.raises(UsageError, match="a: cannot be written"):
        write_bytes(tmp_path / "none" / "a", b"")


def test_what_belongs_to_a_folder(tmp_path: Path) -> None:
    own, other = folder(tmp_path / "own"), folder(tmp_path / "other")
    for path in (own / "a", folder(own / "sub") / "b", other / "c"):
        path.write_text("")
    (own / "link").symlink_to(other / "c")
    (own / "inner").symlink_to(own / "a")
    (own / "folder").symlink_to(other)
    (tmp_path / "alias").symlink_to(own)
    assert belongs(own / "a", own)
    assert belongs(own / "sub" / "b", own)
    assert belongs(tmp_path / "alias" / "a", tmp_path / "alias")
    for path in ("link", "inner", "folder/c", "../other/c", "sub", "none", "a/below"):
        assert not belongs(own / path, own), path
    refuse_outward(own, ["a", "inner", "none", "sub"])
    with pytest.raises(UsageError, match=f"link: is a link to {other / 'c'}, out of {own}"):
        refuse_outward(own, ["a", "link"])


def test_leftovers_are_swept_by_the_name_of_what_was_to_be_written(tmp_path: Path) -> None:
    left = [unfinished(tmp_path / name) for name in ("overlay.gif", "sequence-0001.txt", "noext")]
    mine = [tmp_path / name for name in (".overlay.tmp.gif", ".overlay-1234567.tmp.gif", ".other-01234567.tmp.gif",
                                         "overlay-01234567.tmp.gif", ".overlay-0123456g.tmp.gif")]  # fmt: skip
    for path in (*left, *mine):
        path.write_text("")
    os.symlink(mine[0], tmp_path / ".overlay-89abcdef.tmp.gif")
    (tmp_path / ".overlay-89abcde0.tmp.gif").mkdir()
    before = set(tmp_path.iterdir())
    sweep(tmp_path, "overlay.gif", "sequence-*.txt", "noext")
    assert before - set(tmp_path.iterdir()) == set(left)
    sweep(tmp_path / "none", "*")


def test_a_folder_is_replaced_as_a_whole_or_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.geff"
    for content in ("old", "new"):
        with atomic_folder(path) as made:
            made.mkdir()
            (made / content).touch()
            assert [file.name for file in path.rglob("*")] == (["old"] if content == "new" else [])
        assert [file.name for file in path.rglob("*")] == [content]
    with suppress(ValueError), atomic_folder(path) as made:
        made.mkdir()
        (made / "half").touch()
        raise ValueError("midway")
    assert [file.name for file in tmp_path.rglob("*")] == ["a.geff", "new"]


def test_an_old_folder_is_back_if_the_new_one_does_not_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt between the two renames is the worst moment."""
    path = folder(tmp_path / "a.geff")
    (path / "old").touch()
    steps, rename = iter("ab"), os.replace

    def replace(source: Path, target: Path) -> None:
        if next(steps, None) == "b":
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt), atomic_folder(path) as made:
        made.mkdir()
    assert [file.name for file in tmp_path.rglob("*")] == ["a.geff", "old"]


def test_what_another_process_is_writing_is_not_swept(tmp_path: Path) -> None:
    """Until it ends, in whatever way."""
    code = (
        "import sys, time; from vtssi_pyro.system.atomic import atomic_write\n"
        f"with atomic_write({str(tmp_path / 'a.gif')!r}) as temporary:\n"
        "    temporary.write_text('half'); print('now', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
        (half,) = tmp_path.iterdir()
        sweep(tmp_path, "a.gif")
        with atomic_write(tmp_path / "b.gif") as temporary:  # two may write at a time
            temporary.write_text("whole")
            sweep(tmp_path, "a.gif", "b.gif")
        assert half.exists()
    finally:
        child.kill()
        child.communicate()
    assert half.exists()
    with held(tmp_path):
        sweep(tmp_path, "a.gif")
        assert half.exists()
    sweep(tmp_path, "a.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["b.gif"]


def results(root: Path, names: tuple[str, ...]) -> None:
    with Manifest(root) as made:
        for name in names:
            parent, _, last = name.rpartition("/")
            path = made.folder(parent) / last
            write_bytes(path, name.encode())
            made.wrote(path)


def there(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")} - {FILE}


def test_a_manifest_removes_what_it_lists_and_nobody_changed(tmp_path: Path) -> None:
    root = tmp_path / "results"
    results(root, ("a/1", "a/2", "a/3", "b/c/4"))
    (root / "a" / "2").write_text("changed")
    (root / "a" / "mine").write_text("")
    results(root, ("a/1",))
    assert there(root) == {"a", "a/1", "a/2", "a/mine"}
    results(root, ("b/c/4",))
    assert there(root) == {"a", "a/2", "a/mine", "b", "b/c", "b/c/4"}
    results(root, ())
    assert there(root) == {"a", "a/2", "a/mine"}


def test_a_folder_that_was_there_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    results(tmp_path, ("a/b/1",))
    results(tmp_path, ())
    assert there(tmp_path) == {"a"}


def test_a_call_that_fails_removes_nothing_and_lists_what_it_wrote(tmp_path: Path) -> None:
    results(tmp_path, ("1", "2"))

    def fails() -> None:
        with Manifest(tmp_path) as made:
            for name in ("2", "3"):
                write_bytes(tmp_path / name, b"anew")
                made.wrote(tmp_path / name)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert there(tmp_path) == {"1", "2", "3"}
    results(tmp_path, ())
    assert there(tmp_path) == set()


@pytest.mark.parametrize(
    "name", ["../precious", "/etc/../precious", "link/precious", "a//precious", "./precious", ""]
)
def test_a_manifest_of_somebody_else_removes_nothing_elsewhere(name: str, tmp_path: Path) -> None:
    root, precious = folder(tmp_path / "root"), tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "empty").mkdir()
    (root / "link").symlink_to(tmp_path)
    name = name.replace("/etc/..", str(tmp_path))
    listed = {
        "files": {name: sha256(precious)},
        "folders": ["../empty", "link/empty", str(tmp_path / "empty")],
    }
    (root / FILE).write_text(json.dumps(listed))
    results(root, ())
    assert precious.read_text() == "precious"
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": [], "folders": {}}', '{"files": {"a": 3}, "folders": 1}']
)
def test_a_damaged_manifest_removes_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    (tmp_path / "a").write_text("")
    results(tmp_path, ("b",))
    assert there(tmp_path) == {"a", "b"}
    results(tmp_path, ())
    assert there(tmp_path) == {"a"}


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_fingerprint_is_of_contents_whatever_their_names_and_times(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"some bytes")
    other.write_bytes(b"some bytes")
    os.utime(other, (1, 1))
    assert same(fingerprint([one]), fingerprint([other]))
    assert fingerprint([one])["time"] != fingerprint([other])["time"]
    other.write_bytes(b"same bytes")
    assert not same(fingerprint([one]), fingerprint([other]))
    assert not same(fingerprint([one]), fingerprint([one, other]))
    assert same(fingerprint([one, other]), fingerprint([one, other]))
    assert not same(fingerprint([one, other]), fingerprint([other, one]))
    assert fingerprint([])["size"] == 0
    parts = [tmp_path / name for name in "abcd"]
    for path, text in zip(parts, ("some", " bytes", "some ", "bytes"), strict=True):
        path.write_text(text)
    assert not same(fingerprint(parts[:2]), fingerprint(parts[2:]))
    with pytest.raises(OSError, match="pipe"):
        fingerprint([pipe(tmp_path / "pipe")])


def test_a_fingerprint_of_a_large_file_reads_some_of_it(tmp_path: Path) -> None:
    """Its ends and evenly spaced blocks: less than all, and enough to tell a file whose parts were moved."""
    path, size = tmp_path / "large", 8 * WHOLE
    with path.open("wb") as file:
        file.truncate(size)  # a hole, which takes no room
    before = fingerprint([path])
    for place, seen in ((0, True), (size - 1, True), (size // 2 + BLOCK // 2, None), (BLOCK + 1, False)):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        assert seen is None or same(before, fingerprint([path])) is not seen, place
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\0")
    with path.open("ab") as file:
        file.write(b"\0")
    assert not same(before, fingerprint([path]))
