"""Sample movies that ship, drawn by ``benchmarks/sample.py``, with the true places of their objects."""

from pathlib import Path

from vtssi_pyro.errors import UsageError

FOLDER = Path(__file__).parent / "samples"


def available() -> tuple[str, ...]:
    """The names of the sample movies, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.npz")))


def located(name: str) -> Path:
    """The file of a sample movie.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in available():
        raise UsageError(f"{name}: is no sample movie; there is {', '.join(available())}")
    return FOLDER / f"{name}.npz"
