"""The page on reliability names tests that there are."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from named_cases import CASES, cases_of

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


def test_all_cases_are_there_and_their_tests_too() -> None:
    assert list(CASES) == list(range(1, 43))
    assert len({case.name for case in CASES.values()}) == len(CASES)
    for case in CASES.values():
        assert case.tests, case.name
        assert len(set(case.nodes)) == len(case.nodes)
        for node in case.nodes:
            file, _, name = node.partition("::")
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), node


def test_tests_of_a_case_are_marked(request: pytest.FixtureRequest) -> None:
    for item in request.session.items:
        marked = {mark.kwargs["number"] for mark in item.iter_markers("case")}
        assert marked == set(cases_of(item.nodeid))
    assert cases_of("tests/system/test_checkpoint.py::test_truncated[0.5]") == [16]
    assert cases_of("tests/system/test_checkpoint.py::test_truncated_not") == []
