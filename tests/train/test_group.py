"""Several processes train as one does that has the whole batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from joint_training import train

from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.errors import Told
from vtssi_pyro.system import checkpoint
from vtssi_pyro.train.group import ALONE, Group, joined


def test_shares_make_up_the_batch() -> None:
    batch = torch.arange(12)
    shares = [Group(rank, 3).share(batch) for rank in range(3)]
    assert [len(share) for share in shares] == [4, 4, 4]
    assert torch.equal(torch.cat(shares).sort().values, batch)
    assert torch.equal(ALONE.share(batch), batch)


def test_alone_nothing_is_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with joined(torch.device("cpu")) as group:
        assert group == ALONE
        assert not torch.distributed.is_initialized()
        tensors = [torch.randn(2, 3), torch.randn(())]
        before = [tensor.clone() for tensor in tensors]
        group.average(tensors)
        assert all(map(torch.equal, tensors, before))
        assert group.highest(3) == 3
        assert group.first(lambda: "done") == group.once(lambda: "done") == "done"
        with pytest.raises(KeyError):
            group.once(lambda: {}["missing"])


def test_an_error_of_the_first_process_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its exit code; what they were to do after the first is not done."""

    def tell(group: Group, answer: list[object]) -> None:
        answer[:] = [None, 3]

    monkeypatch.setattr(Group, "_tell", tell)
    done: list[int] = []
    with pytest.raises(Told) as caught:
        Group(1, 2).first(lambda: done.append(1))
    assert caught.value.exit_code == 3
    assert not done


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs torch's gloo")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Every objective; without noise, since each process draws its own."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launcher, str(Path(__file__).with_name("joint_training.py")), str(tmp_path / "two")],
        check=True, timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},  # for small_model
    )  # fmt: skip
    train(tmp_path / "one", ALONE)
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    expected, found = (checkpoint.load(run.checkpoint()) for run in (one, two))
    for part in ("tracker", "trained"):
        assert next(iter(expected[part].values())).dtype == torch.float64
        torch.testing.assert_close(found[part], expected[part], rtol=0, atol=1e-10)
    for a, b in zip(two.records(), one.records(), strict=True):
        assert (a["kind"], a["step"]) == (b["kind"], b["step"])
        if a["kind"] == "train":
            assert a["terms"] == pytest.approx(b["terms"], rel=1e-10)
        else:
            assert a["elbo"] == pytest.approx(b["elbo"], rel=1e-10)
