"""What ``fit`` does: resolve a configuration or find it in a run folder, train, judge, draw."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from vtssi_pyro.artifacts.figures import curves, pictures
from vtssi_pyro.artifacts.loading import Trained
from vtssi_pyro.artifacts.run import Run
from vtssi_pyro.cli.failures import Terminated
from vtssi_pyro.cli.options import say, spelled, warn
from vtssi_pyro.cli.progress import reporting, watched
from vtssi_pyro.cli.tables import overall, unseen
from vtssi_pyro.config import override
from vtssi_pyro.data import FLAVOURS
from vtssi_pyro.errors import UsageError
from vtssi_pyro.model.variants import build
from vtssi_pyro.movies import Preparation
from vtssi_pyro.movies.prepared import Footage
from vtssi_pyro.plots.contact_sheet import is_movie, look
from vtssi_pyro.system.machine import available_device, prepare
from vtssi_pyro.system.provenance import versions
from vtssi_pyro.train import training
from vtssi_pyro.train.config import Config
from vtssi_pyro.train.group import Group, joined
from vtssi_pyro.train.presets import DEFAULT_VARIANTS, PRESETS
from vtssi_pyro.train.splits import Splits, described, filmed, open_splits

FROM_FILE = ("--set data.length", "--set data.sequences", "--set data.validation_sequences")
CHOSEN_ELSEWHERE = {
    "variant": "--variant",
    "preset": "--preset",
    "data.source": "the argument DATA",
    "start": "--from",
}


def begin(
    data: str | None, variant: str | None, preset: str, given: dict[str, str], start: Trained | None,
    out: str | None, mnist: str | None, device: str, threads: int | None, said: dict[str, Any],
) -> None:  # fmt: skip
    """Start a run.

    Args:
        data: flavour or file; None: the preset's flavour.
        variant: key of VARIANTS; None: the preset's.
        preset: key of PRESETS.
        given: by the option's name, the assignment to a key of the configuration that it stands for.
        start: whose weights to start from; None: fresh ones.
        out: folder; None: a numbered one.
        mnist: folder of MNIST's files.
        device: name.
        threads: of the CPU; None: the default.
        said: of a movie, by the names of ``Hints``.
    """
    where = available_device(device)
    threads = prepare(threads)
    with joined(where) as group:

        def resolve() -> tuple[Config, Splits, Preparation | None]:
            override(_recipe(variant, preset, start), list(given.values()))  # typos, before a movie is read
            footage = _filmed(data, given, start, said)
            config = configured(data, variant, preset, given, start, footage)
            splits = open_splits(config, mnist, where, footage)
            training.check(config, splits.train, group)
            if start:
                _check_fits(start, config, given)
            return config, splits, footage and footage.preparation

        def create() -> Run:
            kept: dict[str, Any] = {"machine": machine_of(threads, where, group), "preparation": preparation}
            if start:
                kept["start"] = start.tracker().state_dict()
            name = f"{config.variant}-{re.sub('[^A-Za-z0-9_.-]+', '_', Path(config.data.source).stem)}"
            return Run.create(out, config, **kept) if out else Run.numbered(name, config, **kept)

        if out:
            group.once(Run(out).check_new)
        config, splits, preparation = group.first(resolve)
        run = group.once(create)
        found = conduct(run, config, splits, where, group, resume=False)
        group.once(lambda: _show(run, config, found))


def go_on(
    out: str | None,
    data: str | None,
    given: dict[str, str],
    mnist: str | None,
    device: str,
    threads: int | None,
) -> None:
    """Continue a run; see :func:`begin`."""
    if out is None:
        raise UsageError("--resume: say which run to go on with: --out RUN")
    where, run = available_device(device), Run(out)
    with joined(where) as group:

        def resolve() -> tuple[Config, Splits | None]:
            config = run.config
            _check_same(run, config, data, given)
            if run.read_summary():
                return config, None
            preparation = run.preparation
            footage = Footage.of(data or config.data.source, preparation) if preparation else None
            splits = open_splits(config, mnist, where, footage)
            training.check(config, splits.train, group)
            return config, splits

        config, splits = group.first(resolve)
        if splits is None:
            say(f"{run.folder}: finished already")
            group.once(lambda: _show(run, config, run.read_summary()))
            return
        threads = prepare(threads or run.machine.get("threads"))
        warn_of_changes(run, machine_of(threads, where, group))
        found = conduct(run, config, splits, where, group, resume=True)
        group.once(lambda: _show(run, config, found))


def machine_of(threads: int, device: torch.device, group: Group) -> dict[str, Any]:
    """What beside the configuration decides a run's last bits."""
    return {"threads": threads, "device": device.type, "processes": group.size}


def warn_of_changes(run: Run, machine: dict[str, Any]) -> None:
    """Say what may make a resumed run another than an uninterrupted one."""
    here, before = {**versions(), **machine}, {"processes": 1, **run.versions, **run.machine}
    changed = [
        f"{key} {before[key]} before, {here[key]} now"
        for key in here
        if before.get(key, here[key]) != here[key]
    ]
    if changed:
        what = "in noise" if before["processes"] != here["processes"] else "in the last bits"
        warn(f"results may differ {what} from an uninterrupted run ({'; '.join(changed)})")


def configured(
    data: str | None,
    variant: str | None,
    preset: str,
    given: dict[str, str],
    start: Trained | None = None,
    footage: Footage | None = None,
) -> Config:
    """Preset, then the model to start from, then what the data say, then the options."""
    for name, assignment in given.items():
        key = assignment.partition("=")[0].strip()
        if name.startswith("--set") and key in CHOSEN_ELSEWHERE:
            raise UsageError(f"{name}: {key} is chosen with {CHOSEN_ELSEWHERE[key]}")
    config = _recipe(variant, preset, start)
    source = data or config.data.source
    if source not in FLAVOURS and "--digits" in given:
        raise UsageError(
            f"--digits, --mnist: {source} is no flavour of moving digits but a file; leave them out"
        )
    if footage and not start:
        config = footage.suited(config)
    for key, value in (filmed(footage) if footage else described(source)).items():
        if not (start and key.startswith("model.")):  # frames of another size are refused later
            config = override(config, [f"{key}={json.dumps(value)}"])
    fixed = [name for name in given if source not in FLAVOURS and name.startswith(FROM_FILE[bool(footage) :])]
    if fixed:
        raise UsageError(f"{fixed[0]}: number and length of the sequences come from the file; leave it out")
    return override(config, list(given.values()))


def _filmed(
    data: str | None, given: dict[str, str], start: Trained | None, said: dict[str, Any]
) -> Footage | None:
    """The movie to learn from, if it is one."""
    if data is None or not is_movie(data):
        if said:
            raise UsageError(f"{spelled(said).split()[0]}: is of a movie; leave it out")
        return None
    if "--objects" in given:
        said = said | {"objects": json.loads(given["--objects"].partition("=")[2])}
    return look(data, said, start.config.model.air.frame_size if start else None)


def _recipe(variant: str | None, preset: str, start: Trained | None) -> Config:
    """A preset, for a fresh model or for one that has learned already."""
    if start is None:
        return PRESETS[preset](variant or DEFAULT_VARIANTS.get(preset, "vtssi"))
    before = start.config
    if variant not in (None, before.variant):
        raise UsageError(f"--variant {variant}: {start.name} is of variant {before.variant}; leave it out")
    return replace(PRESETS[preset](before.variant), model=before.model, observe=before.observe)


def _check_fits(start: Trained, config: Config, given: dict[str, str]) -> None:
    """Refuse options that make a model of other sizes or parts than the one to start from."""
    before = start.config
    theirs, own = (
        {name: tuple(tensor.shape) for name, tensor in build(c.variant, c.model).state_dict().items()}
        for c in (before, config)
    )
    differing = sorted(name for name in theirs | own if theirs.get(name) != own.get(name))
    if differing:
        bare = replace(config, model=before.model)
        changed = [name for name, text in given.items() if override(bare, [text]) != bare]
        first = differing[0]
        raise UsageError(
            f"{', '.join(changed)}: the weights of {start.name} would not fit ({first}: {theirs.get(first)} there, "
            f"{own.get(first)} here); leave that out, or --from"
        )


def _check_same(run: Run, config: Config, data: str | None, given: dict[str, str]) -> None:
    """Refuse options that contradict the configuration of a run."""
    differing = [name for name, assignment in given.items() if override(config, [assignment]) != config]
    moved = config.data.movie and data is not None and Path(data).exists()  # its frames are compared later
    if data is not None and not moved and config.data.source not in (data, str(Path(data).resolve())):
        differing.insert(0, f"DATA {data}")
    if differing:
        raise UsageError(
            f"{run.folder}: was made with another configuration than {', '.join(differing)}; leave that out, "
            "or start a new run without --resume and with another --out"
        )


def conduct(
    run: Run, config: Config, splits: Splits, device: torch.device, group: Group, resume: bool
) -> dict[str, Any]:
    """Train in a run folder, judge and draw; returns what ``summary.json`` holds."""
    each = f"{group.size} processes, each on {device.type}" if group.size > 1 else str(device)
    say(f"run folder: {run.folder} ({each}, {torch.get_num_threads()} threads)")
    with reporting(config) as reporter:
        tracker = training.fit(config, splits.train, splits.validation, run, device, reporter, resume, group)

    def finish() -> dict[str, Any]:
        with _told_how_to_go_on(run, group):
            with watched(splits.calibration, "calibrating") as held_out:
                why_not = training.calibrate(config, run, tracker, held_out)
            if why_not:
                say(f"predictions stay uncalibrated: {why_not}")
            with watched(splits.test, "judging") as test:
                found = training.summarise(config, run, tracker, test)
            curves(run)
            pictures(run, config, tracker, splits.test)
        return found

    return group.once(finish)


@contextmanager
def _told_how_to_go_on(run: Run, group: Group) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        again = f"{group.command} fit --out {shlex.quote(str(run.folder))} --resume"
        say(f"the trained weights are saved; finish with: {again}")
        raise


def _show(run: Run, config: Config, found: dict[str, Any]) -> None:
    """Metrics and files to stdout; what to try next to stderr."""
    if found["metrics"]:
        click.echo("\n".join(overall(found["metrics"], config.observe)))
    elif found.get("held_out"):
        click.echo("\n".join(unseen(found["held_out"], config.observe)))
    else:
        click.echo("no metrics: the data have no positions")
    click.echo(f"trained in {found['minutes']:.1f} minutes")
    for path in sorted(run.figures.iterdir()):
        click.echo(path)
    say("next:")
    flavour = config.data.source if config.data.source in FLAVOURS else None
    if flavour:
        size, objects = config.model.air.frame_size, config.model.air.num_objects
        extra = f" --frame-size {size}" * (size != 50) + f" --objects {objects}" * (objects != 2)
        extra += f" --digits {config.data.digits}" * (config.data.digits != "embedded")
        say(f"  vtssi-pyro generate {flavour} --out test.npz{extra}")
    frames = "test.npz" if flavour else shlex.quote(config.data.source)
    if found["metrics"] is not None:
        say(f"  {_command('evaluate', run)} {frames}")
    say(f"  {_command('track', run)} {frames} --out tracks")
    if found["predicts"]:
        say(
            f"  {_command('predict', run)} {frames} --observe {config.observe} --horizon 30 --out predictions"
        )


def _command(words: str, run: Run) -> str:
    return f"vtssi-pyro {words} {shlex.quote(str(run.folder))}"
