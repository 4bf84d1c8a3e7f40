"""Work on some elements alone has the results of work on all."""

import pytest
import torch

from vtssi_pyro.ops.packing import Packed, some


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_what_is_taken_out_is_put_back_in_its_place(share: float) -> None:
    torch.manual_seed(0)
    mask, values = torch.rand(3, 4, 2) < share, torch.rand(4, 2, 5)  # the same values for each of three
    packed = Packed(mask)
    assert bool(packed) == some(mask) == bool(mask.any())
    whole = values.expand(3, 4, 2, 5)
    assert packed.of(values, 1).equal(whole[mask])
    changed = packed.put(values, packed.of(values, 1) + 1)
    assert changed.equal(torch.where(mask.unsqueeze(-1), whole + 1, whole))


def test_each_element_has_the_scene_that_it_is_in() -> None:
    mask = torch.tensor([[False, True, True], [True, False, False]])
    assert Packed(mask).rows().of(torch.tensor([10, 20]), 0).tolist() == [10, 10, 20]
    assert (
        Packed(torch.ones(2, 3).bool()).rows().of(torch.tensor([10, 20]), 0).tolist() == [10] * 3 + [20] * 3
    )
