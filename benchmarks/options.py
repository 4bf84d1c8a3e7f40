"""The command lines of the benchmarks."""

import argparse
from typing import Any


def parser(description: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Make a parser with an option for every default, of the default's type."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in defaults.items():
        made.add_argument(f"--{name}", type=type(value), default=value, help=f"[default: {value}]")
    return made
