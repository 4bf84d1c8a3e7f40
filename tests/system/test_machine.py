"""The settings that a command makes for its process."""

import subprocess
import sys

import pytest

from vtssi_pyro.system import machine

pytestmark = pytest.mark.slow  # every test starts a process that loads torch

FAULTS = """
import resource, torch
from vtssi_pyro.system.machine import prepare
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


def test_threads_are_as_said_or_the_default() -> None:
    use = "print(prepare(2), torch.get_num_threads(), prepare() <= physical_cores())"
    code = f"from vtssi_pyro.system.machine import *; {use}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "2", "True"]


IDLE = """
import torch
from vtssi_pyro.system.machine import prepare, tidy
def resident():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024
prepare(1)
kept, large = [], []
for _ in range(60):
    large.append(torch.ones(2_000_000))
    kept.append(torch.ones(400))
del large
before = resident()
tidy()
print(before - resident())
large = torch.ones(2_000_000)
before = resident()
tidy()  # little is free now
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is set up on Linux alone")
def test_much_freed_memory_is_given_back() -> None:
    if machine._glibc("mallinfo2", returns=machine._Mallinfo) is None:
        pytest.skip("this C library does not tell what lies free")
    done = subprocess.run([sys.executable, "-c", IDLE], capture_output=True, text=True, check=True)
    given, then = map(int, done.stdout.split())
    assert given > 300  # of 480 MB
    assert then < 30
