"""Whether an object will be there: probabilities are honest about objects that leave, and about tracks of nobody."""

import pytest
import torch

from vtssi_pyro.evaluation.assessment import assess, presences
from vtssi_pyro.evaluation.reliability import Reliability
from vtssi_pyro.tracks.tracks import Tracks

OBSERVED, AHEAD = 2, 3
BOX = 10.0


def leaving(sequences: int = 4000) -> tuple[Tracks, Tracks]:
    """Two objects far apart, which leave independently and stay away; their chances to stay differ."""
    generator = torch.Generator().manual_seed(0)
    chance = torch.rand(sequences, 1, 2, generator=generator).expand(-1, AHEAD, -1)
    stays = (torch.rand(sequences, AHEAD, 2, generator=generator) < chance).cumprod(1).bool()
    present = torch.cat([torch.ones(sequences, OBSERVED, 2, dtype=torch.bool), stays], 1)
    place = torch.tensor([[10.0, 10.0], [60.0, 60.0]]).expand(sequences, OBSERVED + AHEAD, 2, 2)
    probability = torch.cat([torch.full((sequences, OBSERVED, 2), torch.nan), chance.cumprod(1)], 1)
    truth = Tracks(place, present, torch.full_like(place, BOX))
    return truth, Tracks(place, torch.ones_like(present), confidence=probability)


def judged(truth: Tracks, tracks: Tracks) -> Reliability:
    found = presences(truth, tracks, OBSERVED)
    assert found is not None
    return found


def test_honest_probabilities_have_no_gap_whatever_the_slots() -> None:
    truth, tracks = leaving()
    honest = judged(truth, tracks)
    assert honest.forecasts == 4000 * AHEAD * 2
    assert honest.gap is not None
    assert honest.gap < 0.015
    assert honest == judged(truth, Tracks._make(x if x is None else x.flip(2) for x in tracks))
    assert tracks.confidence is not None
    sure = judged(truth, tracks._replace(confidence=tracks.confidence.sqrt()))
    assert sure.gap is not None
    assert sure.gap > 0.1


def test_a_track_of_nobody_is_never_right() -> None:
    """A third track lies on the first object, nearly; a fourth is no track in the last observed frame."""
    truth, tracks = leaving(1000)
    more = tracks.position[:, :, :1] + 1
    assert tracks.confidence is not None
    false = Tracks(
        torch.cat([tracks.position, more, more + 200], 2),
        torch.cat([tracks.present, tracks.present[:, :, :1], ~tracks.present[:, :, :1]], 2),
        confidence=torch.nn.functional.pad(tracks.confidence, (0, 2), value=0.9),
    )
    honest, found = judged(truth, tracks), judged(truth, false)
    assert (found.forecasts, honest.forecasts) == (1000 * AHEAD * 3, 1000 * AHEAD * 2)
    assert honest.happened is not None
    assert found.happened == pytest.approx(honest.happened * 2 / 3)
    assert found.gap is not None
    assert found.gap > 0.1


def test_without_such_probabilities_nothing_is_judged() -> None:
    truth, tracks = leaving(10)
    assert tracks.confidence is not None
    unknown = torch.full_like(tracks.confidence, torch.nan)
    for confidence in (None, unknown):
        assert presences(truth, tracks._replace(confidence=confidence), OBSERVED) is None
    samples = tracks.position + torch.randn(5, *tracks.position.shape)
    told = assess(truth, tracks._replace(samples=samples), OBSERVED)
    assert told.presence == presences(truth, tracks, OBSERVED)
    assert told.as_dict()["presence"]["forecasts"] == 10 * AHEAD * 2
