"""Help is there at once, and says what the library says."""

import ast
import json
import os
import subprocess
import sys
from importlib import import_module

import click
import pytest
from tiny_run import call, refused
from vtssi_pyro.cli import options, removed
from vtssi_pyro.cli.main import COMMANDS, main

import vtssi_pyro
from vtssi_pyro.config.variants import NAMES
from vtssi_pyro.data import FLAVOURS, SOURCES, samples
from vtssi_pyro.model.config import VARIANTS
from vtssi_pyro.movies import background, inspection
from vtssi_pyro.tracks.formats import FORMATS
from vtssi_pyro.train.presets import PRESETS
from vtssi_pyro.version import __version__

HEAVY = ("torch", "pyro", "matplotlib", "numpy", "sklearn", "PIL", "tqdm")


def test_help_loads_nothing_heavy() -> None:
    """All commands in one process: none of them may load anything on the way."""
    code = (
        "import sys\nfrom vtssi_pyro.cli.main import COMMANDS, main\n"
        "for args in [['--help'], ['--version'], *([name, '--help'] for name in COMMANDS)]:\n"
        "    try: main(args)\n"
        "    except SystemExit as end: assert end.code == 0, args\n"
        f"loaded = set({HEAVY}) & set(sys.modules)\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("args", [["--help"], ["fit", "--help"]])
def test_help_answers_in_under_half_a_second(args: list[str]) -> None:
    """In processor time, which a busy machine does not stretch."""

    def seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "vtssi_pyro.cli", *args], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) < 0.5


def test_choices_are_the_librarys() -> None:
    assert tuple(VARIANTS) == NAMES
    assert options.PRESETS == tuple(PRESETS)
    assert options.FLAVOURS == tuple(FLAVOURS)
    assert options.DIGITS == tuple(SOURCES)
    assert options.BACKGROUNDS == background.KINDS
    assert options.POLARITIES == inspection.POLARITIES
    assert options.FORMATS == tuple(FORMATS)
    assert options.SAMPLES == samples.available()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    text = call(command, "-h").output
    assert text.startswith(f"Usage: vtssi-pyro {command}")
    assert "-h, --help" in text
    assert command in call("-h").output
    assert "--debug" in call("-h").output


HIDDEN = ("reproduce", "benchmark")


def test_the_first_screen_lists_what_users_need() -> None:
    text = call("-h").output
    listed = text[text.index("Commands:") :].splitlines()
    assert [line.split()[0] for line in listed[1:] if line.startswith("  ")][: len(COMMANDS) - 2] == [
        name for name in COMMANDS if name not in HIDDEN
    ]
    assert "vtssi-pyro reproduce and vtssi-pyro benchmark serve referees and developers" in listed[-1]


def declared() -> dict[str, list[str]]:
    """The options of every command but --help, those of the group by the name of nothing."""
    context = click.Context(main)
    commands = {"": main} | {name: main.get_command(context, name) for name in COMMANDS}
    return {
        name: [p.opts[0] for p in command.params if isinstance(p, click.Option)]
        for name, command in commands.items()
    }


EVERYWHERE = {"--json", "--quiet", "--verbose"}  # one habit of all commands


def test_there_are_few_options() -> None:
    """Those of all commands, and those that say how frames are stored or who shares the work, count once."""
    shared = {f"--{name.replace('_', '-')}" for name in (*options.STORED, *options.SHARES)} | EVERYWHERE
    own = [len(set(names) - shared) for names in declared().values()]
    assert sum(own) + len(shared) <= 100


def test_every_command_has_the_same_habits() -> None:
    for name, names in declared().items():
        assert not name or set(names) >= EVERYWHERE, name


def test_an_option_has_one_name_and_one_meaning() -> None:
    """An argument has the same option wherever it is one, and an option of that name the same kind of value."""
    context = click.Context(main)
    found: dict[str, tuple[str, object]] = {}
    for command in COMMANDS:
        for option in main.get_command(context, command).params:
            if isinstance(option, click.Option) and (command, option.name) not in DIFFERENT:
                kind = option.is_flag, option.multiple, type(option.type)
                assert found.setdefault(str(option.name), (option.opts[0], kind)) == (option.opts[0], kind), (
                    command
                )
    names = [name for name, _ in found.values()]
    assert len(set(names)) == len(names)


# convert writes one format, fit writes to a run, calibrate fits on data, predict observes all at a word; sizes are of
# frames that are read (a width and a height), or drawn (a side)
DIFFERENT = {
    ("calibrate", "data"), ("convert", "format"), ("fit", "run"), ("predict", "observe"), ("reproduce", "runs"),
    ("convert", "frame_size"), ("generate", "frame_size"),
}  # fmt: skip


# All options of the commands before there were fewer; those of the group, --debug and --version, stay.
BEFORE = {
    "generate": "out split digits mnist sequences length frame-size objects seed",
    "inspect": "objects object-size background polarity crop out",
    "fit": "digits mnist objects object-size background polarity crop variant from preset set seed out resume "
    "device threads compile",
    "evaluate": "observe mot json export checkpoint without-mot device threads",
    "track": "out stream patience size appearance prepare-anew mp4 checkpoint device threads",
    "predict": "observe horizon samples raw seed out prepare-anew mp4 checkpoint device threads",
    "calibrate": "fit-on sequences mnist observe samples seed json checkpoint device threads",
    "report": "out",
    "benchmark": "variant preset batch length frame objects set device threads repeats json",
    "reproduce": "preset no-training digits mnist variants flavours seeds sequences samples out device threads",
    "info": "json",
}


def test_an_option_stays_or_is_told_of() -> None:
    now = declared()
    for command, names in BEFORE.items():
        options = {f"--{name}" for name in ["debug", *names.split()]}
        assert set(removed.OPTIONS[command]) == options - set(now[command]), command


@pytest.mark.parametrize(
    ("command", "option"), [(name, option) for name, gone in removed.OPTIONS.items() for option in gone]
)
def test_what_is_no_more_says_what_to_type(command: str, option: str) -> None:
    """Whatever stands around it, and with a value or without."""
    told = f"error: {option} is no more: {removed.OPTIONS[command][option]}"
    for args in ([option], [option, "1"], [f"{option}=1"], ["linear", "x.npz", option]):
        assert refused(2, command, *args) == told
        assert len(call(command, *args, code=2).stderr.splitlines()) == 1


@pytest.mark.parametrize("command", removed.COMMANDS)
def test_a_command_that_is_no_more_says_what_to_type(command: str) -> None:
    assert refused(2, command, "runs/a") == f"error: {command} is no more: {removed.COMMANDS[command]}"


@pytest.mark.parametrize(("typed", "meant"), [("fti", "fit"), ("trak", "track"), ("benchmrk", "benchmark")])
def test_misspelt_commands(typed: str, meant: str) -> None:
    assert f"did you mean {meant}?" in call(typed, code=2).stderr
    assert "did you mean" not in call("xyzzy", code=2).stderr


def test_what_to_type_is_understood() -> None:
    """Every command and option that a line names is one."""
    known = declared()
    for line in [
        *removed.COMMANDS.values(),
        *(t for gone in removed.OPTIONS.values() for t in gone.values()),
    ]:
        for part in line.split("vtssi-pyro ")[1:]:
            words = part.split(",")[0].split()
            command = words[words[0] == "--debug"]
            named = {word for word in words if word.startswith("--")}
            assert named <= {*known[command], "--debug"}, line


def test_what_to_type_in_python_has_all_its_names() -> None:
    """But for those of the package itself, which its readers import, and N, a number of their own."""
    lines = [line for gone in removed.OPTIONS.values() for line in gone.values() if "in Python: " in line]
    assert lines
    for line in lines:
        nodes = list(ast.walk(ast.parse(line.partition("in Python: ")[2])))
        known = {"N", *vtssi_pyro.__all__}
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    getattr(import_module(str(node.module)), alias.name)
                    known.add(alias.name)
        known |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        assert {node.id for node in nodes if isinstance(node, ast.Name)} <= known, line
        assert not any(isinstance(node, ast.Constant) and node.value is ... for node in nodes), line


def test_fit_offers_exactly_its_options() -> None:
    text = call("fit", "-h").output
    offered = {
        word.strip(",") for line in text.splitlines() for word in line.split()[:2] if word.startswith("--")
    }
    wanted = "out each log config variant model from preset digits objects prepared device threads".split()
    wanted += "project set help-keys resume json quiet verbose".split()
    wanted += [name.replace("_", "-") for name in (*options.STORED, *options.SHARES)]
    assert offered == {f"--{name}" for name in wanted} | {"--help"}


@pytest.mark.parametrize(
    "args", [["fti"], ["fit", "--presett", "quick"], ["fit", "--preset", "quik"], ["track"]]
)
def test_wrong_usage_is_2(args: list[str]) -> None:
    assert call(*args, code=2).stderr.startswith("Usage: ")


def test_info() -> None:
    found = json.loads(call("info", "--json").stdout)
    assert found["versions"]["vtssi-pyro"] == __version__
    assert found["threads"] <= found["cores"]
    assert set(found["extras"]) >= {"test"}
    lines = call("info").stdout.splitlines()
    assert lines[0].split() == ["python", found["versions"]["python"]]


@pytest.mark.parametrize(
    "command", ["fit", "track", "live", "predict", "evaluate", "calibrate", "reproduce", "benchmark"]
)
def test_whatever_computes_can_be_told_on_what(command: str) -> None:
    text = call(command, "-h").output
    assert "--device" in text
    assert "--threads" in text
