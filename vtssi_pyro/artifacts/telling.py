"""What is told of frames and of what was found in them: findings, warnings, and makers."""

from typing import Any

import torch
from torch import Tensor

from vtssi_pyro.artifacts.loading import Loaded
from vtssi_pyro.artifacts.opening import Opened
from vtssi_pyro.data import Dataset
from vtssi_pyro.data.dataset import spread
from vtssi_pyro.inference.filter import Estimate
from vtssi_pyro.inference.novelty import SOME, late, new
from vtssi_pyro.inference.standalone import StandaloneTracker
from vtssi_pyro.system.checkpoint import digest
from vtssi_pyro.system.provenance import command, provenance
from vtssi_pyro.tracks.summary import findings
from vtssi_pyro.tracks.tracks import Tracks
from vtssi_pyro.train.reporting import Reporter

DIGITS = 3  # decimals of a frame's novelty
# Sequences, and frames of each, that are looked at for contrast: few, since any with some ends the search.
LOOKED_AT = (32, 8)
EVEN = 1 / 255  # contrast of a frame that shows nothing: a step of 8 bits


def described(
    frames: Opened, found: Estimate, loaded: Loaded, asked: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What ``tracks.json`` says beside the tracks: how frames were read, their novelty by sequence, and the makers.

    Args:
        frames: the frames.
        found: the tracks.
        loaded: the tracker.
        asked: what it was asked for, see :func:`vtssi_pyro.artifacts.requests.request`; None: not told.
    """
    novelty = None if found.novelty is None else found.novelty.double().numpy().round(DIGITS).tolist()
    made = made_by(loaded.name, loaded) | ({"asked": asked} if asked else {})
    return {"read": frames.about[0], "novelty": novelty, "made": made}


def made_by(name: str, loaded: Loaded | None) -> dict[str, Any]:
    """What made a result: a tracker, the hash of its weights, the command, commit, versions and hardware.

    Args:
        name: of the tracker.
        loaded: the tracker; None: it is of another program.

    Returns:
        The values by name, ready for JSON; ``weights`` is as :func:`~vtssi_pyro.system.checkpoint.digest` has it.
    """
    weights = digest(loaded.tracker.state_dict()) if loaded else None
    device = loaded.device if loaded else torch.device("cpu")
    return {"tracker": name, "weights": weights, "command": command(), **provenance(device)}


def tell_of(frames: Opened, report: Reporter) -> None:
    """Tell what was assumed of stored frames."""
    for line in frames.about[1]:
        report.say(line)


def tell_found(
    tracks: Tracks, name: str, loaded: Loaded, seconds: float, report: Reporter, **more: int
) -> None:
    """Tell what was found, and in how many seconds.

    Args:
        tracks: (B, T, N, 2), px, of the observed frames.
        name: of the frames.
        loaded: the tracker.
        seconds: that it took.
        report: receives the findings.
        more: further numbers.
    """
    found = findings(tracks)
    report.say(f"{name}: {found.line}; {seconds:.2g} s")
    report.found(
        {"data": name, "tracker": loaded.name, **found._asdict(), **more, "seconds": round(seconds, 3)}
    )


def warn_if_empty(tracks: Tracks, name: str, report: Reporter) -> None:
    """Warn if nothing is tracked at all, and tell of sequences in which nothing is."""
    seen = tracks.present.flatten(1).any(1)
    if not seen.any():
        report.warn(
            f"{name}: no objects in any frame: they may show none, or objects that are too faint, or of other sizes or "
            "looks than those learned from, or dark where those were bright: look at the frames as they were read "
            "(overlay.gif), say other values of black and white (range), or learn from such frames (fit)"
        )
    elif not seen.all():
        report.say(f"{name}: no objects in {int((~seen).sum())} of {len(seen)} sequences")


def warn_if_new(novelty: Tensor | None, name: str, loaded: Loaded, report: Reporter) -> None:
    """Warn of frames unlike those that a tracker learned from, and tell of those that are so from some frame on."""
    if novelty is None:
        return
    strangers = new(novelty)
    if strangers.float().mean() > SOME:
        which = (
            "its frames"
            if len(novelty) == 1
            else f"the frames of {int(strangers.sum())} of {len(novelty)} sequences"
        )
        usual = float(novelty[strangers].median())
        report.warn(
            f"{name}: {which} are unlike those that {loaded.name} learned from: their novelty is {usual:.2g}, that of "
            "familiar ones about 1 or less; tracks of such frames may mean nothing, whatever their confidence"
        )
    begins = late(novelty)
    changed = (begins > 0) & ~strangers
    if changed.float().mean() > SOME:
        which = "" if len(novelty) == 1 else f" in {int(changed.sum())} of {len(novelty)} sequences"
        first = int(begins[changed].min())
        report.warn(
            f"{name}: from frame {first} on no track explains what is seen{which}: objects that come late, or a change "
            "of the scene; track the later frames by themselves"
        )


def tell_of_length(loaded: Loaded, length: int, report: Reporter) -> None:
    """Warn of sequences with fewer frames than the consensus uses; tell of frames that a tracker does not read."""
    wanted = loaded.tracker.K
    if length < wanted:
        report.warn(
            f"{length} frames a sequence, the model looks for objects in {wanted}: counts will be less sure"
        )
    reads = loaded.tracker.reads if isinstance(loaded.tracker, StandaloneTracker) else None
    if reads is not None and reads < length:
        report.say(
            f"{loaded.name} reads the first {reads} frames alone: its tracks of later ones are predictions"
        )


def warn_if_beyond(asked: int | None, length: int, what: str, name: str, report: Reporter) -> int:
    """The first frames of a sequence that are used, of ``asked`` ones (None: all); warns if there are fewer.

    Args:
        asked: their number.
        length: the number of frames of a sequence.
        what: the use, as the end of a sentence: "to observe".
        name: of the frames.
        report: receives the warning.
    """
    if asked is not None and asked > length:
        report.warn(f"{name} has {length} frames a sequence, fewer than the {asked} {what}: all are used")
    return min(asked or length, length)


def warn_if_even(data: Dataset, name: str, report: Reporter) -> None:
    """Warn of frames to learn from that show nothing: each is of one level, as black ones are."""
    seen = spread(len(data), LOOKED_AT[0]), spread(data.length, LOOKED_AT[1])
    levels: list[float] = []
    for sequence, start in ((s, int(t)) for s in seen[0] for t in seen[1]):
        frame = data.frames(sequence[None], 1, start)
        if frame.amax() - frame.amin() > EVEN:
            return
        levels.append(float(frame.mean()))
    shown = f"level {min(levels):.2g}" if max(levels) - min(levels) < EVEN else "one level each"
    report.warn(
        f"{name}: shows nothing: all {len(levels)} frames that were looked at are even, of {shown} of 1; nothing can "
        "be learned from them: look at the file, or say other values of black and white (range)"
    )
