"""The group of commands; each is imported on demand, every error ends in one line and an exit code."""

import traceback
from importlib import import_module
from typing import Any

import click

from vtssi_pyro.version import __version__

from .failures import explain, terminable
from .options import DEBUG, debug_option, speaks

COMMANDS = (
    "generate",
    "inspect",
    "fit",
    "evaluate",
    "track",
    "predict",
    "calibrate",
    "plot",
    "report",
    "benchmark",
    "reproduce",
    "info",
)


class Commands(click.Group):
    """Commands, one module each; the modules import torch only inside their functions."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command's module."""
        return getattr(import_module(f".{name}", __package__), name) if name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click keeps its own errors, all others become a line on stderr."""
        try:
            with terminable():
                return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError, SystemExit):
            raise
        except BaseException as error:
            if ctx.meta.get(DEBUG):
                traceback.print_exception(error)
            exit_code, line = explain(error)
            if line and (speaks() or exit_code < 128):  # all processes of a group get a signal, one says so
                click.echo(line, err=True)
            ctx.exit(exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@debug_option
@click.version_option(__version__, prog_name="vtssi-pyro")
def main() -> None:
    """Find, track and predict several moving objects, learned from unlabelled video alone.

    Start with "vtssi-pyro fit": it trains on moving digits, in minutes, and says how to go on.

    Exit codes: 0 done, 2 usage, 3 data, 4 checkpoint, 5 diverged, 6 out of memory or disk, 7 another
    process of the same training ended, 130 and 143 stopped by a signal, 1 anything else.
    """
