"""What a command sets up for its process."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from vtssi_pyro.machine import prepare
{prepare}
def step():
    for _ in range(4):
        torch.ones(12_000_000)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, torch.get_num_threads())
"""


def faults(prepare: str) -> tuple[int, int]:
    code = FAULTS.format(prepare=prepare)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, threads = done.stdout.split()
    return int(found), int(threads)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is set up on Linux alone")
def test_freed_memory_is_kept() -> None:
    before, _ = faults("torch.set_num_threads(1)")
    if before < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    after, threads = faults("prepare(1)")
    assert threads == 1
    assert after < before / 10
