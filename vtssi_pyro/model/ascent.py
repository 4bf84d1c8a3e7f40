"""Looks and places of objects by gradient ascent, beside what a network reads off one glimpse."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vtssi_pyro.model.review import better
from vtssi_pyro.model.view import Depicted, View
from vtssi_pyro.ops.packing import Packed

RATE = 0.2  # of descriptions, whose prior's deviation is 1
DECAY, TINY = (0.9, 0.999), 1e-8  # the usual ones of Adam
PACE = 0.01  # of places, frame coordinates: a quarter of a pixel of 50


def ascended(view: View, shown: Depicted, tried: Tensor, steps: int) -> Depicted:
    """Objects whose looks and places have climbed the joint density of the frame and of themselves, all together.

    An encoder sees a glimpse in which the others have left errors, and black beyond an edge. Here the likelihood of the
    whole frame decides, so that objects that overlap share its ink. Each keeps what it has found if that is likelier,
    see :func:`~vtssi_pyro.model.review.better`.

    Args:
        view: the frame.
        shown: the objects.
        tried: which of them may change, bool (..., N).
        steps: number of gradient steps; 0: the objects stay as they are.

    Reference: Kim et al., Semi-amortized variational autoencoders, 2018.
    """
    if not steps or not (rows := Packed(tried.any(-1))):
        return shown
    own, now, may = view.of(rows), shown.of(rows), rows.of(tried, 1)
    change, objects = may.unsqueeze(-1), now.objects

    def density(looks: Tensor, where: Tensor) -> Tensor:
        layers = own.depicted(objects._replace(description=looks), where).layers
        return (own.evidence(layers, now.there) + (own.expected(looks, where) * may).sum(-1)).sum()

    found = climbed(density, (objects.description, now.place), (RATE * change, PACE * change), steps)
    looks, where = (
        rows.put(whole.expand(*tried.shape, whole.shape[-1]), part)
        for whole, part in zip((shown.objects.description, shown.place), found, strict=True)
    )
    return better(view, shown, shown.there, tried, looks, where)[0]


def climbed(
    density: Callable[..., Tensor], start: Sequence[Tensor], rates: Sequence[Tensor], steps: int
) -> list[Tensor]:
    """Values after some steps of Adam up a density; torch's optimisers load its compiler, which takes seconds.

    Reference: Kingma and Ba, Adam: a method for stochastic optimization, 2015.
    """
    values = [value.detach() for value in start]
    means, squares = ([torch.zeros_like(value) for value in values] for _ in range(2))
    for step in range(1, steps + 1):
        with torch.enable_grad():
            held = [value.requires_grad_() for value in values]
            slopes = torch.autograd.grad(density(*held), held)
        for i, (slope, rate) in enumerate(zip(slopes, rates, strict=True)):
            means[i] = torch.lerp(slope, means[i], DECAY[0])
            squares[i] = torch.lerp(slope.square(), squares[i], DECAY[1])
            first, second = means[i] / (1 - DECAY[0] ** step), squares[i] / (1 - DECAY[1] ** step)
            values[i] = values[i].detach() + rate * first / (second.sqrt() + TINY)
    return values
