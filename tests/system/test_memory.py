"""Free memory is the machine's or the container's, and work beyond it is refused with both amounts."""

from pathlib import Path

import pytest

from vtssi_pyro.errors import OutOfResources
from vtssi_pyro.system import memory
from vtssi_pyro.system.atomic import atomic_write


def test_a_container_has_less_memory_than_its_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    whole = memory.free_memory()
    assert whole > 0
    (tmp_path / "memory.current").write_text("2000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 3000
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory.free_memory() == 3000
    (tmp_path / "memory.current").write_text("7000\n")
    assert memory.free_memory() == 0


def test_work_is_refused_beyond_the_free_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2_000_000)
    memory.refuse_beyond_memory(2e6, "it")
    with pytest.raises(OutOfResources) as refused:
        memory.refuse_beyond_memory(3.25e9, "a drawing of 5 frames", "draw fewer")
    wanted = "a drawing of 5 frames would take about 3.2 GB of memory, of which 2.0 MB are free: draw fewer"
    assert str(refused.value) == wanted


def test_a_file_for_which_there_is_no_room_is_not_begun(tmp_path: Path) -> None:
    path = tmp_path / "large.npz"
    path.write_text("before")
    with pytest.raises(OutOfResources, match=r"large\.npz.*takes 1,000,000\.0 GB"):
        with atomic_write(path, 10**15) as part:
            part.write_text("never")
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["large.npz"]
