"""A tracker judged by the paper's own procedure, whatever more it does at test time."""

from dataclasses import replace

import pytest
import torch
from small_model import FINDERS, positions

from vtssi_pyro.config.variants import PAPER
from vtssi_pyro.errors import UsageError
from vtssi_pyro.inference.filter import track
from vtssi_pyro.model.blocks.mot import MOTConfig
from vtssi_pyro.model.config import PUBLISHED, ModelConfig, TestTime
from vtssi_pyro.model.handlers import mode
from vtssi_pyro.ops.gaussian import average
from vtssi_pyro.ops.spatial import to_pixels
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.types import Anneal


def eager(config: ModelConfig, finder: str) -> ModelConfig:
    return replace(
        config,
        finder=FINDERS[finder],
        fusion="product",
        test_time=TestTime(hypotheses=3, refine=2, tight=True),
    )


def test_the_published_procedure_is_that_of_a_tracker_built_without_more(
    tiny, blobs, config: ModelConfig
) -> None:
    frames, tracker = blobs(2, 8), tiny(config=eager(config, "learned"))
    plain = tiny(config=config)
    plain.load_state_dict(tracker.state_dict())
    found = track(tracker, frames, test_time=PUBLISHED)
    torch.testing.assert_close(found.tracks.position, track(plain, frames).tracks.position, equal_nan=True)
    more = track(tracker, frames)  # what the tracker was made for
    assert not torch.allclose(more.tracks.position, found.tracks.position, equal_nan=True)
    asked = tracker.test_time
    assert (tracker.rule is average, asked.tight, asked.refine) == (False, True, 2)


def test_the_published_procedure_has_no_template_search(tiny, blobs, config: ModelConfig) -> None:
    """The plain procedure of such a tracker has another name."""
    tracker, frames = tiny(config=eager(config, "template")), blobs(2, 8)
    with pytest.raises(UsageError, match=r"no template search, .* TestTime\(\) is the plain procedure"):
        track(tracker, frames, test_time=PUBLISHED)
    own = tiny(config=replace(config, finder=FINDERS["template"]))  # its own procedure is nobody else's
    assert track(own, frames).tracks.present.shape == (2, 8, 2)
    plain = tiny(config=replace(eager(config, "template"), test_time=TestTime()))
    plain.load_state_dict(tracker.state_dict())
    found, expected = track(tracker, frames, test_time=TestTime()), track(plain, frames)
    torch.testing.assert_close(found.tracks.position, expected.tracks.position, equal_nan=True)


def test_the_published_procedure_is_one_value() -> None:
    """Of every variant of the paper's presets, with K = M = 5 and w = 1/2."""
    for name in PAPER.names:
        model = PRESETS["paper-fast"](name).model
        assert model.test_time == PUBLISHED == PRESETS["paper"](name).model.test_time
    assert (PUBLISHED.hypotheses, PUBLISHED.refine, PUBLISHED.tight) == (1, 0, False)
    assert (PUBLISHED.fusion, Anneal().fuse_low, Anneal().fuse_high) == ("average", 0.5, 0.5)
    whole = PRESETS["paper-fast"]().model
    assert (whole.consensus.K, whole.motion.M) == (5, 5)


def test_untight_tracks_are_the_centres_of_attention_windows(tiny, blobs, config: ModelConfig) -> None:
    frames, tracker = blobs(1, 6), tiny(config=replace(config, test_time=TestTime(tight=False)))
    side = frames.shape[-1]
    found = track(tracker, frames).tracks
    with torch.no_grad():
        with mode():
            latents = tracker.guide(frames)
    torch.testing.assert_close(found.position, to_pixels(positions(latents), (side, side)))
    torch.testing.assert_close(found.box[:, 0], latents.objects.size * side)


def test_the_papers_preset_does_nothing_more() -> None:
    model = PRESETS["paper"]("vtssi").model
    assert (model.test_time.hypotheses, model.test_time.refine, model.fusion) == (1, 0, "average")
    assert type(model.motion) is MOTConfig, "the residual one, which sees extents, is not the paper's"
