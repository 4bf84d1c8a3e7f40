"""The paper's sentences about its comparisons come out either way, by the numbers alone."""

from typing import Any

import pytest
import torch

from vtssi_pyro.evaluation.curves import ErrorCurve
from vtssi_pyro.paper.findings import decided, markdown
from vtssi_pyro.paper.statements import BARE, OTHER, OWN, SPANS, STATEMENTS, Statement
from vtssi_pyro.tracks.tracks import Tracks

T = 100
FLAT, STEEP = [1.0] * T, [1.0] * 20 + [1.0 + 0.2 * t for t in range(T - 20)]


def curve(
    model: str, error: list[float], hours: float = 1.0, parameters: int = 100, air: int = 60
) -> dict[str, Any]:
    """The file of a tracker whose error in each frame is as given, and noise of a hundredth of a pixel."""
    offset = torch.tensor(error).view(1, T, 1) + 0.01 * torch.randn(50, T, 1)
    truth = Tracks(torch.zeros(50, T, 1, 2), torch.ones(50, T, 1, dtype=torch.bool))
    found = truth._replace(position=torch.stack([offset, torch.zeros_like(offset)], -1))
    errors = ErrorCurve.of(truth, found, 3, SPANS).as_dict()
    return {
        "model": model, "variant": model, "preset": "p", "partner": model != "SQAIR", "without_motion": model == "bare",
        "tracking": errors, "prediction": errors, "parameters": {"all": parameters, "air": air},
        "training": {"hours": hours}, "label": model, "sequences": 50, "trained_length": 10,
        "metrics": {"count_accuracy": 1.0, "per_frame_count": False},
        "evaluation": {"commit": "abc", "hardware": {"gpu": None, "processor": "abacus"}, "versions": {}},
    }  # fmt: skip


def verdicts(figure: str, flavour: str, **parties: dict[str, Any]) -> list[bool | None]:
    found = [statement.decide(parties) for statement in STATEMENTS[figure, flavour]]
    return [finding and finding.holds for finding in found]


def test_two_that_are_alike_until_one_drifts() -> None:
    steep, flat = curve("SQAIR", STEEP), curve("VTSSI", FLAT)
    assert verdicts("figure5", "ddpae", other=steep, own=flat) == [True, True]
    assert verdicts("figure5", "ddpae", other=flat, own=steep) == [True, False]
    assert verdicts("figure5", "ddpae", other=steep, own=steep) == [True, False]  # both drift
    far = curve("VTSSI", [3.0] * T)
    assert verdicts("figure5", "ddpae", other=flat, own=far) == [False, False]


def test_who_is_better_comes_out_either_way() -> None:
    crossing = [1.1] * 10 + [1.5] * 90
    late, early = curve("SQAIR", crossing), curve("VTSSI", [1.2] * 10 + [1.4] * 90)
    assert verdicts("figure6", "sqair", other=late, own=early)[:3] == [True, False, False]
    assert verdicts("figure6", "sqair", other=early, own=late)[:3] == [True, True, True]
    assert verdicts("figure6", "sqair", other=late, own=late)[:3] == [True, False, False]  # neither is better
    assert verdicts("figure6", "linear-wide", other=curve("SQAIR", STEEP), own=early) == [True]
    assert verdicts("figure6", "linear-wide", other=early, own=curve("SQAIR", STEEP)) == [False]


def test_hours_and_parameters() -> None:
    def judged(hours: float, parameters: int, air: int) -> list[bool | None]:
        other, own = curve("SQAIR", FLAT, hours=20.0), curve("VTSSI", FLAT, hours, parameters, air)
        return verdicts("figure6", "sqair", other=other, own=own)[3:]

    assert judged(2.0, 150, 80) == [True, True, True]
    assert judged(2.1, 151, 75) == [False, False, False]
    assert judged(1.0, 60, 40) == [True, False, True]


@pytest.mark.parametrize("flavour", ["sqair", "linear-wide"])
def test_tracking(flavour: str) -> None:
    steep, flat, better = curve("SQAIR", STEEP), curve("VTSSI", FLAT), curve("bare", [0.9] * T)
    assert verdicts("figure7", flavour, other=steep, own=flat, bare=better) == [True, True, True]
    assert verdicts("figure7", flavour, other=flat, own=steep, bare=better) == [False, False, True]
    assert verdicts("figure7", flavour, other=flat, own=better, bare=flat) == [False, True, False]


def test_what_is_missing_decides_nothing() -> None:
    flat = curve("VTSSI", FLAT)
    assert verdicts("figure5", "ddpae", own=flat) == [None, None]
    assert verdicts("figure7", "sqair", own=flat) == [None, True, None]
    short = curve("SQAIR", FLAT)
    short["prediction"] = {**short["prediction"], "spans": {}}
    assert verdicts("figure5", "ddpae", other=short, own=flat) == [None, None]
    assert verdicts("figure5", "ddpae", other={**short, "prediction": None}, own=flat) == [None, None]


def every() -> list[Statement]:
    return [statement for statements in STATEMENTS.values() for statement in statements]


def test_every_number_of_a_statement_is_told() -> None:
    parties = {party: curve(f"model {party}", [2.25] * T) for party in (OTHER, OWN, BARE)}
    for statement in every():
        finding = statement.decide(parties)
        assert finding is not None
        for number in statement.numbers:
            assert f"model {number.party}: " in finding.found
            if number.span:
                assert f"2.25 ± 0.00 px in frames {number.span[0]} to {number.span[1]}" in finding.found
    assert {number.span for statement in every() for number in statement.numbers if number.span} == set(SPANS)


def test_each_vtssi_stands_beside_the_other_model() -> None:
    """In Markdown, with what was found; yes and no come out as they are."""
    other, own, ours = curve("SQAIR", STEEP), curve("VTSSI", FLAT), curve("ours", STEEP)
    rows = decided(STATEMENTS["figure6", "linear-wide"], [other, own, ours])
    assert [(row["vtssi"], row["holds"]) for row in rows] == [("VTSSI, p", True), ("ours, p", False)]
    panel = {
        "title": "linear",
        "kind": "prediction",
        "frames": 50,
        "curves": [other, own, ours],
        "statements": rows,
    }
    about = {
        "figure": "figure6", "command": "make it", "panels": [panel],
        "missing": [{"training": "a", "why": "b", "command": "c"}],
    }  # fmt: skip
    text = markdown(about)
    assert text.startswith("# Figure 6\n\n`make it`\n")
    lines = [line for line in text.splitlines() if "falls short of VTSSI" in line]
    assert [line.split(" | ")[1] for line in lines] == ["VTSSI, p", "ours, p"]
    assert [line.endswith(verdict) for line, verdict in zip(lines, ("| yes |", "| no |"), strict=True)] == [
        True,
        True,
    ]
    assert "| a | b | `c` |" in text
    row = next(line for line in text.splitlines() if line.startswith("| SQAIR |"))
    assert row.split(" | ")[-3] == "-"  # frame 100 is beyond the picture
    alone = decided(STATEMENTS["figure6", "linear-wide"], [own])
    assert [row["holds"] for row in alone] == [None]
    assert "| not decided |" in markdown({**about, "panels": [{**panel, "statements": alone}]})
    empty = {**panel, "title": "another", "curves": [], "statements": []}
    assert "another" not in markdown({**about, "panels": [panel, empty]})
