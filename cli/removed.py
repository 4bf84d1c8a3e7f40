"""Removed options and commands, and their replacements."""

from collections.abc import Mapping

_MNIST = "export VTSSI_MNIST=FOLDER and say --digits mnist"
_LOOKED = "say it to inspect: vtssi-pyro inspect MOVIE {} --out looked, then vtssi-pyro fit --prepared looked"
_LIVE = "vtssi-pyro live RUN SOURCE --out tracks"
_ANOTHER = "vtssi-pyro inspect MOVIE --out looked, then give looked in place of MOVIE"
_WEIGHTS = "name the file in place of RUN: RUN/checkpoints/best.pt"
_CELLS = "name the cells: vtssi-pyro reproduce ours-linear-0 air-elliptic-1"
_DRAW = (
    "in Python: from pathlib import Path; from torch import device; from vtssi_pyro.paper.figures import draw; "
    "from vtssi_pyro.paper.reproducing import Order; "
    'draw("figure3", Order("standard", "mnist", Path("reproduction"), device("cpu"), None, True), 0, samples=N)'
)
_MEASURE = (
    "in Python: from torch import device; from vtssi_pyro.speed import measure, workload; "
    'measure(workload({}), device("cpu"){})'
)
_WRITE = 'in Python: generate("linear", "FILE.npz", split="train")'

_OWN: Mapping[str, Mapping[str, str]] = {
    "generate": {
        "--mnist": _MNIST,
        "--split": _WRITE,
    },
    "inspect": {},
    "fit": {
        "--mnist": _MNIST,
        "--object-size": _LOOKED.format("--object-size PIXELS"),
        "--background": _LOOKED.format("--background KIND"),
        "--polarity": _LOOKED.format("--polarity KIND"),
        "--crop": _LOOKED.format("--crop LEFT,TOP,WIDTH,HEIGHT"),
        "--seed": "--set seed=N",
        "--compile": "--set train.compile=true",
    },
    "evaluate": {
        "--export": 'in Python: evaluate("RUN", "DATA.npz", export="DIR")',
        "--checkpoint": _WEIGHTS,
        "--without-mot": 'in Python: t = load("RUN"); t.motion = t.walk(); judge(t, "DATA.npz")',
    },
    "track": {
        "--stream": _LIVE,
        "--patience": f"{_LIVE} --patience SECONDS",
        "--size": f"{_LIVE} --size WIDTHxHEIGHT",
        "--appearance": "leave it out: tracks.json holds a vector of each object's looks",
        "--prepare-anew": _ANOTHER,
        "--checkpoint": _WEIGHTS,
    },
    "predict": {
        "--raw": 'in Python: forecast("RUN", "DATA", raw=True, out="predictions")',
        "--seed": 'in Python: forecast("RUN", "DATA", seed=N, out="predictions")',
        "--prepare-anew": _ANOTHER,
        "--checkpoint": _WEIGHTS,
    },
    "calibrate": {
        "--mnist": "export VTSSI_MNIST=FOLDER; which digits is the run's to say",
        "--sequences": 'in Python: calibrate("RUN", count=N)',
        "--samples": 'in Python: calibrate("RUN", samples=N)',
        "--seed": 'in Python: calibrate("RUN", seed=N)',
        "--checkpoint": _WEIGHTS,
    },
    "report": {},
    "info": {},
    "benchmark": {
        "--variant": 'in Python: benchmark("template-search")',
        "--batch": "--set train.stages.benchmark.batch=N",
        "--length": _MEASURE.format("length=N", ""),
        "--frame": _MEASURE.format("frame=N", ""),
        "--objects": "--set model.num_objects=N",
        "--repeats": _MEASURE.format("", ", repeats=N"),
    },
    "reproduce": {
        "--mnist": "export VTSSI_MNIST=FOLDER",
        "--variants": _CELLS,
        "--flavours": _CELLS,
        "--seeds": _CELLS,
        "--samples": _DRAW,
    },
}
# Replacements by command and option; --debug was once an option of every command.
OPTIONS: Mapping[str, Mapping[str, str]] = {
    command: {"--debug": f"say it before the command: vtssi-pyro --debug {command}", **own}
    for command, own in _OWN.items()
}
COMMANDS: Mapping[str, str] = {"plot": "vtssi-pyro report RUN"}


def instead(command: str, option: str | None = None) -> str | None:
    """The replacement of a removed command, or of a removed option of a command; None if there was none such."""
    typed = COMMANDS.get(command) if option is None else OPTIONS.get(command, {}).get(option)
    return typed and f"{option or command} is no more: {typed}"
