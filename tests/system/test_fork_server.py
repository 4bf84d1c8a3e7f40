"""Workers are forks of a process that has imported what they need, once for all of them."""

import os
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest

from vtssi_pyro.system import forks

linux = pytest.mark.skipif(forks.METHOD != "forkserver", reason="needs Linux, whose libraries bear a fork")
NEEDED = """
import os

with open("imported", "a") as file:
    file.write(f"{os.getpid()}\\n")


def work(report):
    return os.getpid(), os.environ["ASKED"]
"""
ASKING = """
import os

from vtssi_pyro.train.jobs import Job, Silent, Workers

if __name__ == "__main__":
    import needed

    for asked in ("first", "second"):
        os.environ["ASKED"] = asked
        for outcome in Workers(2).do([Job("a", needed.work), Job("b", needed.work)], Silent()):
            print(os.getpid(), *outcome.value)
"""


@linux
def test_libraries_start_one_thread_in_workers_and_as_many_as_before_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[tuple[str | None, ...]] = []

    def begin() -> None:
        begun.append(tuple(os.environ.get(name) for name in forks.ONE_THREAD))

    monkeypatch.setattr(forkserver, "ensure_running", begin)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    forks.ready(["json"])
    assert begun == [("1", "1", "1")]
    assert dict(os.environ) == before


def test_the_command_begins_to_import_for_workers_before_it_imports_itself() -> None:
    code = (
        "import sys; from vtssi_pyro.system import forks\n"
        "def ready(modules): print(modules, 'torch' in sys.modules); sys.exit(9)\n"
        "forks.ready = ready\n"
        "from vtssi_pyro.cli.main import main\n"
        "main(['track', 'untrained', 'none.npy', '--workers', '2'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (9, "['distributed', 'vtssi_pyro.many'] False\n"), done.stderr


@linux
@pytest.mark.slow
def test_what_workers_need_is_imported_once_and_they_have_the_variables_of_now(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="needs Dask, the extra named dask")
    (tmp_path / "needed.py").write_text(NEEDED)
    (tmp_path / "asking.py").write_text(ASKING)
    done = subprocess.run(
        [sys.executable, "asking.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    told = [line.split() for line in done.stdout.splitlines()]
    assert sorted(asked for _, _, asked in told) == ["first", "first", "second", "second"]
    main, workers = {int(own) for own, _, _ in told}, {int(worker) for _, worker, _ in told}
    imported = [int(line) for line in (tmp_path / "imported").read_text().splitlines()]
    assert len(imported) == 2  # here, and in the server
    assert main < set(imported)
    assert not workers & set(imported)
