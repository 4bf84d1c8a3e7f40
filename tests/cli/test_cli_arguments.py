"""Errors name a function's arguments, and the command line the options that they are."""

import ast
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from tiny_run import call
from vtssi_pyro.cli.main import COMMANDS, main

import vtssi_pyro
from vtssi_pyro import Hints, Stored, Tracks, api, many
from vtssi_pyro.errors import Argument, DataError, UsageError, listed
from vtssi_pyro.tracks import editing

FILES = sorted(Path(vtssi_pyro.__file__).parent.rglob("*.py"))
OPTION = re.compile(r"(?<![\w-])--[a-z]")
TO_TYPE = ("vtssi-pyro ", "pip install ")  # a whole command, for a shell


def test_a_message_spells_its_arguments_as_asked() -> None:
    error = UsageError(Argument("device"), " device: use ", Argument("data"), " instead")
    assert str(error) == "device device: use data instead"
    assert error.message(str.upper) == "DEVICE device: use DATA instead"
    assert pickle.loads(pickle.dumps(error)).message(str.upper) == error.message(str.upper)
    assert str(DataError("plain")) == "plain"


def test_names_are_listed_with_commas() -> None:
    names = [(Argument("preset"),), (Argument("changes"), " seed=1")]
    assert UsageError(*listed(names)).message(lambda name: f"--{name}") == "--preset, --changes seed=1"
    assert listed([]) == []


def spoken(tree: ast.AST) -> Iterator[ast.AST]:
    """The calls that make an error, a warning or a message."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in ("say", "warn") or name.endswith("Error"):
                yield node


def test_the_library_names_no_option() -> None:
    """Which a user of Python could not type; only whole commands hold options."""
    for path in FILES:
        for said in spoken(ast.parse(path.read_text())):
            text = "".join(str(n.value) for n in ast.walk(said) if isinstance(n, ast.Constant))
            assert not OPTION.search(text) or any(command in text for command in TO_TYPE), (path, text)


@cache
def arguments() -> set[str]:
    """The names of arguments in the library's errors."""
    calls = (node for path in FILES for node in ast.walk(ast.parse(path.read_text())))
    found = (node for node in calls if isinstance(node, ast.Call))
    return {
        str(node.args[0].value)
        for node in found
        if isinstance(node.func, ast.Name)
        and node.func.id == "Argument"
        and isinstance(node.args[0], ast.Constant)
    }


# of results in Python, which no command calls
METHODS = (Tracks.to_dataframe, Tracks.to_arviz, editing.swap)


def test_an_argument_in_an_error_is_one() -> None:
    """Of a public function; ``resume`` is such a function itself."""
    public = (
        api.fit, api.resume, api.forecast, api.evaluate, api.generate, api.calibrate, api.track_live, api.page,
        api.convert, api.sample_movie, many.track_all, many.forecast_all, Hints, Stored, *METHODS,
    )  # fmt: skip
    known = {name for function in public for name in inspect.signature(function).parameters}
    assert {"device", "data", "changes"} <= arguments() <= known | {"resume"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_spells_it(command: str) -> None:
    """By an option, or by an argument in capitals, of this command or of the one it names, as its help does."""
    context = click.Context(main)
    context.invoked_subcommand = command
    for name in arguments() - {name for method in METHODS for name in inspect.signature(method).parameters}:
        *other, word = main.spelled(context, name).split()
        assert re.fullmatch(r"--[a-z-]+|[A-Z_]+(\.npz)?", word), name
        assert word in call(*(other or [command]), "-h").output, name


# The functions that the commands call; an option of inspect's movie is a hint, one of frames says how they are stored.
CALLS: dict[str, tuple[Callable[..., Any], ...]] = {
    "generate": (api.generate,),
    "sample": (api.sample_movie,),
    "inspect": (api.inspect, Hints, Stored),
    "fit": (api.fit, api.resume, many.fit_each, Stored),
    "track": (api.track, many.track_all, Hints, Stored),
    "live": (api.track_live,),
    "predict": (api.forecast, many.forecast_all, Stored),
    "evaluate": (api.evaluate, Stored),
    "overlay": (api.overlay, Stored),
    "convert": (api.convert,),
    "calibrate": (api.calibrate,),
    "report": (api.page,),
    "info": (api.info,),
    "reproduce": (api.reproduce,),
    "benchmark": (api.benchmark,),
}
# The command line's own: the process's threads, the form of the output, arguments of several kinds, a printed list.
OWN = {"threads", "each", "as_json", "quiet", "verbose", "arguments", "prepared", "resume", "help_keys"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_parameter_is_named_like_the_argument_it_becomes(command: str) -> None:
    """So that click itself knows the option to which an error's argument belongs."""
    taken = {name for function in CALLS[command] for name in inspect.signature(function).parameters}
    found = main.get_command(click.Context(main), command)
    assert found is not None
    assert {parameter.name for parameter in found.params} <= taken | OWN
