"""Boxes that are finer than pixels."""

import torch
from torch import Tensor

from vtssi_pyro.data.render import draw
from vtssi_pyro.ops.ink import tight_box
from vtssi_pyro.ops.resolved import resolved_boxes
from vtssi_pyro.ops.spatial import extract_glimpses, to_frame
from vtssi_pyro.types import Pose

SIDE, K = 40, 5
FRAME = (SIDE, SIDE)


def sprites() -> tuple[Tensor, Tensor]:
    """An open ring with a faint tip at its right, and a plain bar: (2, 16, 16), and their sizes (2, 2)."""
    ring, bar = torch.zeros(16, 16), torch.zeros(16, 16)
    ring[:14, :10] = 1
    ring[3:11, 3:10] = 0
    ring[3, 10] = 0.2  # a strength that a quarter of the brightest pixel leaves out
    bar[:12, :4] = 1
    return torch.stack([ring, bar]), torch.tensor([[11.0, 14.0], [4.0, 12.0]])


def scene(first: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor, Pose, tuple[Tensor, Tensor], Tensor]:
    """Frames of both sprites from centres (2, 2) on, rough looks, poses, rough boxes, and true centres, px."""
    images, boxes = sprites()
    velocity = torch.tensor([[0.83, -0.37], [-0.61, 0.43]])
    centre = (first + velocity * torch.arange(K)[:, None, None]).unsqueeze(0)  # (1, K, 2, 2)
    frames = draw(images[None], boxes[None], centre, FRAME).clamp(0, 1).unsqueeze(2)
    generator = torch.Generator().manual_seed(0)
    frames = frames + noise * torch.randn(frames.shape, generator=generator)
    # windows are beside the middles of what they show, as a tracker's are
    place = to_frame(centre + torch.tensor([[0.7, -0.4], [-0.3, 0.6]]), FRAME)
    size = torch.full((1, 2, 2), 22 / SIDE)
    alone = [
        draw(images[None, i : i + 1], boxes[None, i : i + 1], centre[:, :1, i : i + 1], FRAME) for i in (0, 1)
    ]
    looks = [
        extract_glimpses(frame, place[:, 0, i : i + 1], size[:, i : i + 1], 20)
        for i, frame in enumerate(alone)
    ]
    glimpses = torch.cat(looks, 1)  # (1, 2, 1, G, G)
    return frames, glimpses, Pose(place, size, torch.ones(1, K, 2)), tight_box(glimpses, size), centre


def off(pose: Pose, box: tuple[Tensor, Tensor], centre: Tensor) -> Tensor:
    """By how much centre and size of both boxes are wrong in the worse axis, px, (2 objects, 2)."""
    wrong = (pose.position[:, 0] + box[0] + 1) / 2 * SIDE - centre[:, 0]
    return torch.stack([wrong.abs().amax(-1), (box[1] * SIDE - sprites()[1]).abs().amax(-1)], -1).squeeze(0)


def test_several_frames_tell_a_box_to_a_fraction_of_a_pixel() -> None:
    frames, glimpses, pose, rough, centre = scene(torch.tensor([[11.3, 13.2], [28.4, 22.7]]))
    before, after = (off(pose, box, centre) for box in (rough, resolved_boxes(frames, glimpses, pose, rough)))
    assert before[0, 0] > 0.4  # without the faint tip
    assert (after[:, 0] < 0.15).all()
    assert (after[:, 1] < 0.4).all()
    # one frame tells no more than whole pixels
    single = pose._replace(position=pose.position[:, :1], presence=pose.presence[:, :1])
    one = off(single, resolved_boxes(frames[:, :1], glimpses, single, rough), centre)
    assert one[:, 1].amax() > 0.4


def test_ink_of_one_is_none_of_another() -> None:
    frames, glimpses, pose, rough, centre = scene(torch.tensor([[17.3, 18.2], [23.4, 18.7]]))
    assert off(pose, resolved_boxes(frames, glimpses, pose, rough), centre)[0, 0] < 0.2
    # where the other one is unknown, its ink is taken for the first one's
    lonely = pose._replace(presence=pose.presence * torch.tensor([1.0, 0.0]))
    assert off(lonely, resolved_boxes(frames, glimpses, lonely, rough), centre)[0, 0] > 0.5


def test_noise_of_the_ground_is_no_ink() -> None:
    frames, glimpses, pose, rough, centre = scene(torch.tensor([[11.3, 13.2], [28.4, 22.7]]), noise=0.02)
    assert (off(pose, resolved_boxes(frames, glimpses, pose, rough), centre)[:, 0] < 0.25).all()


def test_frames_in_which_an_object_is_hidden_tell_nothing_of_it() -> None:
    frames, glimpses, pose, rough, centre = scene(torch.tensor([[11.3, 13.2], [28.4, 22.7]]))
    hidden = torch.ones(1, K, 2)
    hidden[:, 2] = 0
    frames[:, 2] = 0
    found = resolved_boxes(frames, glimpses, pose._replace(presence=hidden), rough)
    assert (off(pose, found, centre)[:, 0] < 0.25).all()
    kept = [0, 1, 3, 4]
    fewer = pose._replace(position=pose.position[:, kept], presence=hidden[:, kept])
    for a, b in zip(found, resolved_boxes(frames[:, kept], glimpses, fewer, rough), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_boxes_of_which_frames_tell_nothing_stay() -> None:
    frames, glimpses, pose, _, centre = scene(torch.tensor([[1.3, 13.2], [28.4, 22.7]]))
    rough = to_frame(centre, FRAME)[:, 0] - pose.position[:, 0], (sprites()[1] / SIDE).unsqueeze(0)
    found = resolved_boxes(frames, glimpses, pose, rough)
    for a, b in zip(found, rough, strict=True):
        assert torch.equal(a[:, 0], b[:, 0])  # partly beyond the edge
        assert not torch.equal(a[:, 1], b[:, 1])
    absent = pose._replace(presence=torch.zeros(1, K, 2))
    assert resolved_boxes(frames, glimpses, absent, rough) is rough
    dark = resolved_boxes(torch.zeros_like(frames), glimpses, pose, rough)
    assert all(torch.equal(a, b) for a, b in zip(dark, rough, strict=True))


def test_sequences_are_resolved_as_if_alone() -> None:
    scenes = [
        scene(torch.tensor(first)) for first in ([[11.3, 13.2], [28.4, 22.7]], [[14.1, 21.2], [25.4, 12.7]])
    ]
    frames, glimpses = (torch.cat([s[i] for s in scenes]) for i in (0, 1))
    poses = [s[2] for s in scenes]
    pose = Pose(*(torch.cat([getattr(p, name) for p in poses]) for name in ("position", "size", "presence")))
    rough = tuple(torch.cat([s[3][i] for s in scenes]) for i in (0, 1))
    together = resolved_boxes(frames, glimpses, pose, (rough[0], rough[1]))
    for number, (one, look, its, box, _) in enumerate(scenes):
        for a, b in zip(together, resolved_boxes(one, look, its, box), strict=True):
            torch.testing.assert_close(a[number], b[0], atol=1e-5, rtol=0)
