"""The group of commands, which are imported on demand; every error ends in one line and an exit code."""

import difflib
import os
import traceback
from functools import partial
from importlib import import_module
from typing import Any

import click

from vtssi_pyro.errors import UsageError
from vtssi_pyro.system.process import open_descriptors
from vtssi_pyro.version import __version__

from .failures import explain, terminable
from .options import speaks
from .removed import instead

COMMANDS = (
    "generate",
    "sample",
    "inspect",
    "fit",
    "track",
    "live",
    "predict",
    "evaluate",
    "overlay",
    "convert",
    "calibrate",
    "report",
    "info",
    "reproduce",
    "benchmark",
)


class Commands(click.Group):
    """Commands, one module each; the modules import torch only inside their functions."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command's module."""
        return getattr(import_module(f".{name}", __package__), name) if name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; the error for a removed or misspelt one names the right command."""
        if args[0] not in COMMANDS:
            if line := instead(args[0]):
                raise UsageError(line)
            if near := difflib.get_close_matches(args[0], COMMANDS, 1):
                ctx.fail(f"no such command {args[0]!r}: did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def spelled(self, ctx: click.Context, argument: str) -> str:
        """The option or argument to which click gives the name of a function's argument.

        It is that of the invoked command, or else another command's, with the command's name; or the name itself.
        """
        invoked = ctx.invoked_subcommand
        for name in sorted(COMMANDS, key=lambda name: name != invoked):
            command = self.get_command(ctx, name)
            for parameter in command.params if command else ():
                if parameter.name == argument:
                    option = isinstance(parameter, click.Option)
                    typed = parameter.opts[0] if option else parameter.human_readable_name.strip("[].")
                    return typed if name == invoked else f"{name} {typed}"
        return argument

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run the command line, also with closed descriptors, as daemons have them."""
        open_descriptors()
        return super().main(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click keeps its own errors, all others become a line on stderr.

        There are colours on terminals alone, where click looks by itself, and not under NO_COLOR (no-color.org).
        """
        if os.environ.get("NO_COLOR"):
            ctx.color = False
        try:
            with terminable():
                return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError, SystemExit):
            raise
        except BaseException as error:
            if ctx.params["debug"]:
                traceback.print_exception(error)
            exit_code, line = explain(error, partial(self.spelled, ctx))
            if line and (speaks() or exit_code < 128):  # of a group that gets a signal, one reports
                kind, colon, rest = line.partition("error:")
                said = line if kind or not colon else click.style(colon, fg="red") + rest
                click.echo(said, err=True)
            ctx.exit(exit_code)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="vtssi-pyro reproduce and vtssi-pyro benchmark serve referees and developers.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="vtssi-pyro")
def main(debug: bool) -> None:
    """Find, track and predict several moving objects, learned from unlabelled video alone.

    Start with "vtssi-pyro fit": it trains on moving digits, in minutes, and prints the next commands.

    Exit codes: 0 done, 2 usage, 3 data, 4 checkpoint, 5 diverged, 6 out of memory or disk, 7 another
    process of the same training ended, 129, 130 and 143 stopped by SIGHUP, SIGINT or SIGTERM, 1 anything else.
    Of several movies it is that of the worst.
    """
