"""The pace of a movie's frames, from the times that its file notes."""

from collections.abc import Sequence
from itertools import pairwise

UNEVEN = 1.5  # longest to shortest step of frames whose times are told; rounding of even ones stays far below


def paced(name: str, times: Sequence[float]) -> tuple[tuple[float, ...] | None, tuple[str, ...]]:
    """The times since the first frame, if frames are not evenly spaced, and a line for people about that.

    Args:
        name: the movie.
        times: seconds, of all frames.
    """
    steps = [1000 * (b - a) for a, b in pairwise(times)]
    if not steps or min(steps) < 0 or max(steps) <= UNEVEN * min(steps):
        return None, ()
    apart = f"frames are {min(steps):.0f} to {max(steps):.0f} ms apart"
    line = f"{name}: {apart}: tracks have the time of each"
    return tuple(time - times[0] for time in times), (line,)
