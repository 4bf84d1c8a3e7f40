"""The end of a command on many movies: those that failed, each with its line, and the exit code of the worst."""

from functools import partial
from typing import TYPE_CHECKING

import click

from .failures import explain
from .options import say

if TYPE_CHECKING:
    from vtssi_pyro.many import Many

    from .progress import Lines

UNEXPECTED = 1  # the exit code of an error of the program, which is worse than all that a user can mend


def conclude(many: "Many", report: "Lines") -> None:
    """List the failures, if there are any, and end the command with the exit code of the worst.

    That is 1 if there is an error of the program, else the highest.

    Args:
        many: the outcomes.
        report: the reporter, whose results are then complete.
    """
    if not many.failed:
        report.close()
        return
    context = click.get_current_context()
    group = context.find_root()
    codes, failed = [], {}
    say("failed:")
    for outcome in many.failed:
        assert outcome.error is not None
        code, line = explain(outcome.error, partial(group.command.spelled, group))  # type: ignore[attr-defined]
        codes.append(code)
        line = failed[outcome.name] = line.removeprefix("error: ")
        say(f"  {line}" if line.startswith(outcome.name) else f"  {outcome.name}: {line}")
    report.show({"failed": failed}, [])
    report.close()
    say(f"error: {len(codes)} of {len(many.outcomes)} failed, as listed; the others are done")
    context.exit(UNEXPECTED if UNEXPECTED in codes else max(codes))
