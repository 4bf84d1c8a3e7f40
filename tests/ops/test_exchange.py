"""Two objects are exchanged if both together fit better at each other's places."""

import torch

from vtssi_pyro.ops.exchange import exchanged

ALL = torch.ones(3, 3, dtype=torch.bool)


def test_the_pair_that_gains_most_is_exchanged() -> None:
    fit = torch.tensor([[0.0, 3, 0], [0, 0, 9], [0, -4, 0]])  # pairs gain 3, 0 and 5
    assert exchanged(fit, ALL).tolist() == [0, 2, 1]
    assert exchanged(fit.mT, ALL).tolist() == [0, 2, 1]


def test_nobody_is_exchanged_without_a_gain() -> None:
    fit = torch.tensor([[5.0, 9, 0], [-1, 4, 0], [0, 0, 0]])  # one would gain 4, and the other one lose 5
    assert exchanged(fit, ALL).tolist() == [0, 1, 2]


def test_only_some_pairs_may_be_exchanged() -> None:
    fit, pairs = torch.tensor([[0.0, 3, 8], [3, 0, 0], [8, 0, 0]]), ALL.clone()
    pairs[0, 2] = pairs[2, 0] = False
    assert exchanged(fit, pairs).tolist() == [1, 0, 2]
    assert exchanged(fit, ~ALL).tolist() == [0, 1, 2]


def test_scenes_are_independent() -> None:
    fit = torch.stack([torch.eye(2), 1 - torch.eye(2)])
    assert exchanged(fit, torch.ones(2, 2, dtype=torch.bool)).tolist() == [[0, 1], [1, 0]]
