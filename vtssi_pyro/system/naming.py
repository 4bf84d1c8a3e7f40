"""The order of files by their names."""

import re
from pathlib import Path


def natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that orders numbers inside names by value."""
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [(int(piece), piece) if piece.isdecimal() else (-1, piece) for piece in pieces]
