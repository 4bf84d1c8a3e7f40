"""The page on reliability names tests that there are."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"


def test_every_promise_is_held_by_tests_that_there_are() -> None:
    """Names stand behind the file that they are in; a star stands for the rest of a name."""
    found = 0
    for line in PAGE.read_text().splitlines():
        file = None
        for name in re.findall(r"`((?:tests/[\w/]+\.py)|(?:test_[\w*]+))`", line):
            if name.startswith("tests/"):
                file = ROOT / name
                assert file.is_file(), line
            else:
                assert file is not None, line
                there = re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
                assert any(fnmatchcase(each, name) for each in there), name
                found += 1
    assert found > 50


def test_every_promise_has_a_test() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line.count("|") == 3]
    promises = [row for row in rows if not re.match(r"\| (promise|code|[\d, ]+) \|", row)]
    assert len(promises) > 20
    assert all("`tests/" in row for row in promises)
