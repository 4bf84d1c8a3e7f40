"""Round bumps: a description is a brightness of each channel, which attention reads off the frame that they make."""

import pytest
import torch

from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.blocks.blobs import BlobsAttentionConfig, BlobsConfig
from vtssi_pyro.model.sizes import Sizes
from vtssi_pyro.types import Objects, Pose

SIDE, PLACES = 48, torch.tensor([[-0.4, -0.3], [0.45, 0.35]])


@pytest.mark.parametrize("channels", [1, 3])
def test_attention_describes_what_the_picture_draws(channels: int) -> None:
    sizes = Sizes(2, SIDE, channels, glimpse=15, description=4, size_loc=(0.4, 0.4))
    picture, attention = BlobsConfig().build(sizes), BlobsAttentionConfig().build(sizes)
    brightness = torch.tensor([[0.9, 0.2, 0.6], [0.4, 0.5, 0.1]])[:, :channels]
    description = torch.cat([brightness.logit(), torch.zeros(2, 4 - channels)], -1)
    objects = Objects(None, torch.full((1, 2, 2), 0.4), description[None])
    pose = Pose(PLACES[None, None], objects.size, torch.ones(1, 1, 2))
    frame = picture.render(objects, pose)[:, 0]  # (1, C, H, W)
    q_size, q_place = attention.locate(frame)
    torch.testing.assert_close(q_place.mean[0], PLACES, atol=0.5 * 2 / SIDE, rtol=0)
    again = attention.describe(frame.unsqueeze(1), PLACES[None], q_size.mean).mean[0]
    torch.testing.assert_close(again[:, :channels].sigmoid(), brightness, atol=0.03, rtol=0)
    assert not again[:, channels:].any()


def test_each_channel_needs_a_number() -> None:
    with pytest.raises(
        UsageError, match="description: expected 3 or more, a brightness of each channel, found 2"
    ):
        BlobsConfig().build(Sizes(channels=3, description=2))


def test_a_glimpse_is_a_bump_of_the_given_width() -> None:
    sizes = Sizes(glimpse=41, description=1)
    (glimpse,) = BlobsConfig(width=0.25).build(sizes).decode(torch.tensor([0.0]))
    profile = glimpse[20]
    assert float(profile[20]) == pytest.approx(0.5)
    grid = (torch.arange(41) + 0.5) * 2 / 41 - 1
    assert float((profile * grid.square()).sum() / profile.sum()) ** 0.5 == pytest.approx(0.25, rel=0.02)
    torch.testing.assert_close(glimpse, glimpse.T)


def test_brightness_stays_finite() -> None:
    attention = BlobsAttentionConfig().build(Sizes())
    for level in (0.0, 1.0):
        q = attention.describe(torch.full((1, 1, 50, 50), level), torch.zeros(1, 2), torch.full((1, 2), 0.3))
        assert q.mean.isfinite().all()
