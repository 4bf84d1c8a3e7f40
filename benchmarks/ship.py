r"""Pack a trained run into weights that ship: judge them on its held-out sequences, write them and their card.

python benchmarks/ship.py runs/ours-mixed-0001 moving-mnist --description "One or two digits, 50x50 pixels." \
    --data "moving digits of MNIST, flavour mixed" --licence "of MNIST: ..." --machine "one GPU, 16 cores"
"""

import argparse
import subprocess
from pathlib import Path

import torch
from vtssi_pyro.cli.tables import about

from vtssi_pyro.artifacts.packing import pack
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.artifacts.shipped import FOLDER
from vtssi_pyro.config import to_dict
from vtssi_pyro.system.machine import prepare
from vtssi_pyro.train.splits import open_splits


def main(arguments: list[str] | None = None) -> None:
    chosen = parser().parse_args(arguments)
    run = Run(chosen.run)
    prepare(chosen.threads)
    test = open_splits(run.config, torch.device("cpu")).test
    words = {key: getattr(chosen, key) for key in ("description", "data", "licence", "machine")}
    card = pack(
        run, chosen.name, test, **words, commit=chosen.commit or head(), earlier=chosen.earlier,
        folder=chosen.folder, checkpoint_name=chosen.checkpoint,
        dtype=torch.float32 if chosen.single else torch.float16,
    )  # fmt: skip
    print("\n".join(about(to_dict(card))))
    path = Path(chosen.folder) / f"{card.name}.safetensors"
    print(f"\n{path}: {path.stat().st_size / 1e6:.1f} MB")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("run", help="folder of a trained run")
    made.add_argument("name", help="to ship by, such as moving-mnist")
    made.add_argument("--description", required=True, help="purpose of the weights")
    made.add_argument("--data", required=True, help="the training data")
    made.add_argument("--licence", required=True, help="of those data")
    made.add_argument("--machine", required=True, help="the machine of the training")
    made.add_argument("--commit", help="of the code that trained them [default: the one checked out]")
    made.add_argument(
        "--earlier",
        type=float,
        default=0.0,
        help="minutes of the trainings that it went on from [default: 0]",
    )
    made.add_argument("--checkpoint", choices=("last", "best"), default="last")
    made.add_argument("--single", action="store_true", help="keep single precision")
    made.add_argument("--folder", default=FOLDER, help="where to write [default: the package's]")
    made.add_argument("--threads", type=int)
    return made


def head() -> str:
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
