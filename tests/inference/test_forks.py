"""Forked children track as their parent does, whatever its threads are amid."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork"),
]

PARENT = """
import os, signal, threading, time, warnings
import torch
from torch.utils.data import DataLoader
from vtssi_pyro import load
from vtssi_pyro.data import load_digits, moving_digits
from vtssi_pyro.inference.filter import track

warnings.simplefilter("ignore")  # of Python, that threads and forks do not go together
torch.set_num_threads(2)
tracker = load("pretrained:moving-mnist")
digits = moving_digits("linear", load_digits("embedded", "test"), sequences=2, length=6, seed=1)
frames = digits.frames(slice(None))  # no noise, in which rounding decides what is an object

def places(part):
    return track(tracker, part).tracks.position.nan_to_num()

expected = places(frames)

def child(work, seconds=60):
    number = os.fork()
    if number == 0:
        os._exit(0 if work() else 1)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return "agrees" if status == 0 else "differs"
        time.sleep(0.02)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return "hung"

def same():
    return torch.allclose(places(frames), expected, atol=1e-3)

print("child", child(same))
busy = threading.Event()
def work():
    while not busy.is_set():
        places(frames)
beside = threading.Thread(target=work)
beside.start()
print("beside a thread", *(child(same) for _ in range(2)))
workers = {"num_workers": 1, "multiprocessing_context": "fork", "timeout": 60}
loaded = DataLoader(range(2), collate_fn=lambda index: places(frames[index]), **workers)
print("workers", torch.allclose(torch.cat(list(loaded)), expected, atol=1e-3))
busy.set()
beside.join()
print("parent", torch.get_num_threads(), torch.equal(places(frames), expected))
"""


def test_forked_children_track() -> None:
    """By ``os.fork``, and as workers of a DataLoader, with two threads, while another thread tracks, too."""
    done = subprocess.run(
        [sys.executable, "-c", PARENT], capture_output=True, text=True, check=False, timeout=400
    )
    assert done.stdout.splitlines() == [
        "child agrees",
        "beside a thread agrees agrees",
        "workers True",
        "parent 2 True",
    ], done.stderr
