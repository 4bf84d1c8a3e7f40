"""The public names have types, by which type checkers and editors of users go."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vtssi_pyro

ROOT = Path(__file__).parents[1]


def test_type_checkers_see_every_name_where_it_is_at_home() -> None:
    tree = ast.parse(Path(vtssi_pyro.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {}
    for line in block.body:
        assert isinstance(line, ast.ImportFrom)
        (name,) = line.names
        assert name.name == name.asname, "only so is a name public to a type checker"
        seen[name.name] = str(line.module).removeprefix("vtssi_pyro.")
    assert seen == vtssi_pyro._HOMES


@pytest.mark.slow
def test_a_program_that_leaves_nothing_untyped_passes_mypy_strict(tmp_path: Path) -> None:
    """And wrong uses do not: the types are no Any."""
    pytest.importorskip("mypy", reason="needs mypy, of the extra named dev")
    program = (ROOT / "tests" / "typed_program.py").read_text()
    wrong = {
        "found: int = open_frames('a.npz').length + 'a'": "Unsupported operand types",
        "track(None, 1.5)": "Argument 2",
        "fit('linear', presett='quick')": "Unexpected keyword argument",
        "vtssi_pyro.trakc": "has no attribute",
    }
    lines = [*program.splitlines(), "import vtssi_pyro", *wrong]
    (tmp_path / "user.py").write_text("\n".join(lines) + "\n")
    command = [
        sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", "--no-error-summary",
        f"--cache-dir={tmp_path / 'cache'}", "user.py",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    said = [line for line in done.stdout.splitlines() if ": error: " in line]
    numbers = [int(line.split(":")[1]) for line in said]
    first = len(lines) - len(wrong) + 1
    assert [n for n in numbers if n < first] == [], done.stdout
    for number, expected in enumerate(wrong.values(), first):
        assert any(n == number and expected in line for n, line in zip(numbers, said, strict=True)), (
            done.stdout
        )
