"""Compiled functions compute the same, and their absence is no harm."""

import os
import shutil

import pytest
import torch

from vtssi_pyro.ops.compiled import compilable, compiled
from vtssi_pyro.ops.exclusion import exclude


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of its compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="under ATEN_CPU_CAPABILITY=default torch.compile emits C++ with at::vec, which it does not declare there",
)
def test_a_compiled_function_and_its_gradient_are_the_same() -> None:
    logits = torch.randn(3, 2, 7, 6, requires_grad=True)
    grid, reach, active = (torch.arange(7.0), torch.arange(6.0)), torch.ones(3, 2, 2), torch.ones(3, 2)
    results = []
    for on in (False, True):
        with compiled(on):
            found = exclude(logits, grid, reach, torch.tensor(2.0), active, 2)
        results.append((found, torch.autograd.grad(found.square().sum(), logits)[0]))
    torch.testing.assert_close(*results)


def test_what_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(function: object) -> object:
        def call(*args: object) -> object:
            raise torch._dynamo.exc.InternalTorchDynamoError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", fails)
    double = compilable(lambda x: 2 * x)
    with compiled(), pytest.warns(UserWarning, match="no compiler"):
        assert double(torch.tensor(3.0)) == 6
    with compiled():
        assert double(torch.tensor(4.0)) == 8
