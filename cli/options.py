"""The names, the options and the sections of help that commands share."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import click

from vtssi_pyro.config import Range
from vtssi_pyro.config.ranges import OBJECT_SIZE, OBJECTS
from vtssi_pyro.errors import UsageError

from .removed import instead

# The library's names are repeated here, since their import would import torch; a test compares both.
ROUTES = ("quick", "standard", "paper-fast", "paper")
PRESETS = (*ROUTES, *(f"{route}-{model}" for model in ("ddpae", "sqair") for route in ROUTES))
# Other people's models, and their own presets.
BASELINES = {"ddpae": ("fast", "published"), "sqair": ("fast", "published")}
FLAVOURS = (
    "linear", "linear-overlap", "elliptic", "elliptic-overlap", "linear-wide", "mixed", "ddpae", "sqair",
    "sqair-original", "balls", "visitors", "discs-behind", "rods", "sprites",
)  # fmt: skip
DIGITS = ("embedded", "mnist")
SAMPLES = ("beads",)
LOGS = ("tensorboard",)
BACKGROUNDS = ("static", "smooth", "rolling", "none")
POLARITIES = ("bright", "dark", "both")

# Of files and folders of tracks.
FORMATS = ("csv", "geff", "trackmate", "ctc", "mot")
STORED = (  # that say how frames are stored, and what their pixels and times stand for
    "axes", "range", "channel", "plane", "frames", "arena", "memory", "pixel_size", "unit", "frame_rate",
)  # fmt: skip

SHARES = ("workers", "scheduler")  # that say who shares the work

POSITIVE = click.IntRange(min=1)

# How much a command says beside its results: warnings and errors alone, or also when, and on what, it does all it does.
QUIET, VERBOSE = "quiet", "verbose"
_LOUDNESS = f"{__name__}.loudness"  # the key of one of both in the context
_BEGUN = time.monotonic()


def whole_number(limits: Range) -> click.IntRange:
    """Whole numbers of a range that the library declares, too."""
    return click.IntRange(int(limits.low), int(limits.high))


class Decimal(click.FloatRange):
    """Numbers of a range that the library declares, too; click's own range takes NaN."""

    def __init__(self, limits: Range) -> None:
        first, last = limits.ends
        super().__init__(limits.low, limits.high, min_open=first == "(", max_open=last == ")")
        self.limits = limits

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a text to a number of the range."""
        number = super().convert(value, param, ctx)
        if not self.limits.accepts(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


class Option(click.Option):
    """An option under a heading of the help."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class Command(click.Command):
    """A command whose help shows examples first, and its options under headings."""

    examples: tuple[str, ...] = ()

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; the error for a removed option names its replacement."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if line := instead(str(self.name), error.option_name):
                raise UsageError(line) from None
            raise

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's description and its examples, unwrapped."""
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        for option in sorted(options, key=lambda p: not isinstance(p, Option)):  # --help last
            if (record := option.get_help_record(ctx)) is not None:
                sections.setdefault(getattr(option, "section", "Other"), []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)


digits_option = click.option(
    "--digits", type=click.Choice(DIGITS), cls=Option, section="Data",
    help="Source of the digits; MNIST's files are in the folder that the variable VTSSI_MNIST names, or are "
         "downloaded once.  [default: embedded]",
)  # fmt: skip
film_option = click.option(
    "--mp4", "film", is_flag=True, cls=Option, section="Output",
    help="Also the animation as overlay.mp4; needs the extra named video.",
)  # fmt: skip
formats_option = click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True, cls=Option, section="Output",
    help="Write the tracks in this format, too; can be given several times.",
)  # fmt: skip


force_option = click.option(
    "--force", is_flag=True, cls=Option, section="Output", help="Replace what has this name already.",
)  # fmt: skip
json_option = click.option(
    "--json", "as_json", is_flag=True, cls=Option, section="Output",
    help="Print one JSON object, with the names of the files, in place of lines; of several DATA one with an "
         "entry each.",
)  # fmt: skip


def command(*examples: str, hidden: bool = False) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command, named like its function; a hidden one works, but is not on the first help screen."""

    def make(function: Callable[..., Any]) -> click.Command:
        made = click.command(cls=Command, name=function.__name__, hidden=hidden)(_loudness(function))
        made.examples = examples
        return made

    return make


def machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--device`` and ``--threads``."""
    device = option("--device", default="auto", section="Machine",
                    help="auto (CUDA when there is one), cpu, cuda or cuda:N.  [default: auto]")  # fmt: skip
    threads = option("--threads", type=POSITIVE, section="Machine",
                     help="CPU threads.  [default: one per idle core]")  # fmt: skip
    return device(threads(function))


def workers_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--workers`` and ``--scheduler``."""
    workers = option("--workers", type=POSITIVE, metavar="N", section="Machine", callback=_forked,
                     help="Share the work among N processes of this machine, of one thread each; needs the extra named "
                          "dask.  [default: one after another]")  # fmt: skip
    scheduler = option("--scheduler", metavar="ADDRESS", section="Machine",
                       help="Share the work among the workers of the Dask cluster whose scheduler has this "
                            "address.")  # fmt: skip
    return workers(scheduler(function))


def _forked(ctx: click.Context, parameter: click.Parameter, number: int | None) -> int | None:
    """Begin to import what workers need while this process imports it, too."""
    if number is not None:
        from vtssi_pyro.system.forks import ready

        ready(["distributed", "vtssi_pyro.many"])
    return number


def option(*names: str, section: str, **settings: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``click.option`` under a heading."""
    return click.option(*names, cls=Option, section=section, **settings)


def _loudness(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--quiet`` and ``--verbose``, of which the last one counts."""

    def heard(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            ctx.find_root().meta[_LOUDNESS] = parameter.name

    for name, text in (
        (VERBOSE, "Tell versions and threads, and the seconds of each message, without a moving bar."),
        (QUIET, "Print no messages but warnings and errors; results are printed all the same."),
    ):
        add = option(
            f"--{name}",
            f"-{name[0]}",
            is_flag=True,
            expose_value=False,
            callback=heard,
            section="Messages",
            help=text,
        )
        function = add(function)
    return function


def loudness() -> str | None:
    """``QUIET``, ``VERBOSE`` or, as usual, None."""
    context = click.get_current_context(silent=True)
    return context.find_root().meta.get(_LOUDNESS) if context else None


def speaks() -> bool:
    """Whether this process prints messages; of several that ``torchrun`` started, only the first does."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK", "0") == "0"


def say(message: str) -> None:
    """Print a message for people to stderr, unless all is to be quiet."""
    if loudness() != QUIET:
        _print(message)


def detail(message: str) -> None:
    """Print a message that few people want to stderr, if all is to be told."""
    if loudness() == VERBOSE:
        _print(message)


def warn(message: str) -> None:
    """Print a warning to stderr; its first word is yellow where there are colours."""
    _print(f"{click.style('warning:', fg='yellow')} {message}")


def _print(message: str) -> None:
    if speaks():
        since = f"{time.monotonic() - _BEGUN:7.2f} s  " if loudness() == VERBOSE else ""
        click.echo(f"{since}{message}", err=True)


def is_terminal() -> bool:
    """Whether stderr can show a moving bar, and should; some terminals cannot, or do not know their width."""
    if (
        loudness()
        or not speaks()
        or sys.stderr is None
        or not sys.stderr.isatty()
        or os.environ.get("TERM") == "dumb"
    ):
        return False
    return os.get_terminal_size(sys.stderr.fileno()).columns > 0


class Range(click.ParamType):
    """The values of black and white, two numbers."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert BLACK,WHITE to a tuple."""
        if isinstance(value, tuple):
            return value
        try:
            black, white = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not BLACK,WHITE in numbers, such as 0,4095", param, ctx)
        return black, white


class Numbered(click.ParamType):
    """A depth or a channel by its number or its name, or a word for several."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a number to an integer; other words stay, and are judged with the frames."""
        return int(value) if isinstance(value, str) and value.isdecimal() else value


def stored_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how frames are stored; the function takes them as a dictionary, ``stored``."""

    @wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in STORED}
        return function(
            *args, stored={key: value for key, value in said.items() if value is not None}, **kwargs
        )

    made: Callable[..., Any] = called
    for add in reversed((
        option("--axes", metavar="LETTERS", section="Frames",
               help="Order of an array's axes, of S sequences, T times, Z depths, C channels, H rows and W columns, "
                    "such as TSHW.  [default: as the shape suggests]"),
        option("--range", type=Range(), metavar="BLACK,WHITE", section="Frames",
               help="Values of black and white.  [default: as the numbers suggest, told]"),
        option("--channel", type=Numbered(), metavar="C", section="Frames",
               help="Channel to read, counted from 0 or by its name in the file, or grey, the luminance, or colour, "
                    "all of red, green and blue.  [default: of a movie, colour if it tells more than grey; of "
                    "sequences, all channels]"),
        option("--plane", "--project", "plane", type=Numbered(), metavar="Z", section="Frames",
               help="Depth to read, counted from 0 or by its name in the file, or the projection of all, max or mean.  "
                    "[default: the only one]"),
        option("--frames", metavar="START:STOP:STEP", section="Frames",
               help="Frames of a movie to read, counted from 0, such as 100:2000:2 or 100:; results keep the movie's "
                    "numbers.  [default: all]"),
        option("--arena", metavar="FILE|X1,Y1,...", section="Frames",
               help="The part of a movie's frames in which objects are: a picture whose black pixels are outside, or "
                    "the corners of a polygon, in pixels.  [default: all]"),
        option("--memory", type=click.FloatRange(min=0, min_open=True), metavar="GIB", section="Frames",
               help="The most that frames may take once they are unpacked.  [default: 2]"),
        option("--pixel-size", type=click.FloatRange(min=0, min_open=True), metavar="SIDE", section="Frames",
               help="Side of a pixel, in --unit; results are then in it, too.  [default: as the file notes]"),
        option("--unit", metavar="NAME", section="Frames", help="Unit of that length, such as um."),
        option("--frame-rate", type=click.FloatRange(min=0, min_open=True), metavar="HZ", section="Frames",
               help="Frames per second; results then have times, too.  [default: as the file notes]"),
    )):  # fmt: skip
        made = add(made)
    return made


def objects_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a movie's objects, their number and their size."""
    number = option("--objects", type=whole_number(OBJECTS), section="Movie",
                    help="Largest number of objects.  [default: as found]")  # fmt: skip
    size = option("--object-size", type=Decimal(OBJECT_SIZE), metavar="PIXELS", section="Movie",
                  help="Longer side of the box around an object.  [default: as found]")  # fmt: skip
    return number(size(function))


def size_of(text: str | None) -> tuple[int, int] | None:
    """(H, W) of WIDTHxHEIGHT."""
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise UsageError(f"--size {text}: expected WIDTHxHEIGHT, such as 640x480")
    return int(height), int(width)


class Rectangle(click.ParamType):
    """A part of a frame, four whole numbers."""

    name = "rectangle"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert LEFT,TOP,WIDTH,HEIGHT to a tuple."""
        if isinstance(value, tuple):
            return value
        parts = value.split(",")
        if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
            self.fail(
                f"{value!r} is not LEFT,TOP,WIDTH,HEIGHT in whole pixels, such as 0,40,640,400", param, ctx
            )
        left, top, width, height = (int(part) for part in parts)
        if not (width and height):
            self.fail(f"{value!r} leaves nothing: WIDTH and HEIGHT must be 1 or more", param, ctx)
        return left, top, width, height


def spelled(said: Mapping[str, Any]) -> str:
    """Spell what was said of a movie as options of a command line; None was not said."""
    text = {
        name: ",".join(map(str, value))
        if isinstance(value, tuple)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
        for name, value in said.items()
        if value is not None
    }
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(value)}" for name, value in text.items())


def learning(movie: str, hints: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    """The commands that learn from a movie by what was said of it: ``inspect`` keeps those hints that ``fit`` lacks."""
    name, objects = shlex.quote(movie), {"objects": hints["objects"]}
    if any(value is not None for key, value in hints.items() if key not in objects):
        keep = f"vtssi-pyro inspect {name}{spelled({**hints, **stored})} --out looked"
        return f"{keep} && vtssi-pyro fit --prepared looked"
    return f"vtssi-pyro fit {name}{spelled({**objects, **stored})}"
