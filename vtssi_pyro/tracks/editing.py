"""Corrections of tracks by hand: a track is deleted, split in two, joined to another, or exchanged with it.

Each function returns new tracks and leaves the given ones as they are. A slot is an identity, so that all values of a
track, samples among them, go with it.
"""

from collections.abc import Callable

from torch import Tensor

from vtssi_pyro.errors import Argument, UsageError
from vtssi_pyro.tracks.tracks import EVERY, Tracks, unknown


def delete(tracks: Tracks, sequence: int, particle: int, frames: slice = EVERY) -> Tracks:
    """Remove a track, or its objects in some frames.

    Args:
        tracks: (B, T, N, 2).
        sequence: the sequence, counted from 0.
        particle: the track, a slot of the sequence.
        frames: the frames; by default all.

    Raises:
        UsageError: there is no such track in these frames.
    """
    _refuse_absent(tracks, sequence, particle, frames)
    return _edited(tracks, lambda field: _put(field, sequence, frames, particle, unknown(field)))


def split(tracks: Tracks, sequence: int, particle: int, frame: int) -> Tracks:
    """Give a track a new identity from a frame on: the first slot that is empty, else one more.

    Args:
        tracks: (B, T, N, 2).
        sequence: the sequence.
        particle: the track.
        frame: the first frame of the new identity.

    Raises:
        UsageError: the track has no objects before that frame, or none from it on.
    """
    before, after = slice(0, max(frame, 0)), slice(max(frame, 0), None)
    for part in (before, after):
        _refuse_absent(tracks, sequence, particle, part)
    empty = (~tracks.present[sequence].any(0)).nonzero()[:, 0].tolist()
    new = empty[0] if empty else tracks.present.shape[2]
    return _exchanged(tracks.widened(max(new + 1, tracks.present.shape[2])), sequence, particle, new, after)


def join(tracks: Tracks, sequence: int, particle: int, other: int) -> Tracks:
    """Make two tracks one, of the identity of the first.

    Args:
        tracks: (B, T, N, 2).
        sequence: the sequence.
        particle: the track whose identity stays.
        other: the track that becomes part of it.

    Raises:
        UsageError: it is the same track, there is no such track, or a frame shows both.
    """
    _refuse_same(particle, other)
    for each in (particle, other):
        _refuse_absent(tracks, sequence, each, EVERY)
    present = tracks.present[sequence]
    both = (present[:, particle] & present[:, other]).nonzero()[:, 0].tolist()
    if both:
        raise UsageError(
            f"tracks {particle} and {other} are both in frame {both[0]}: one object is in one place; delete or split "
            "one of them first"
        )

    def moved(field: Tensor) -> Tensor:
        taken = present[:, other].nonzero()[:, 0]
        field = _put(field, sequence, taken, particle, field[:, sequence, taken, other])
        return _put(field, sequence, EVERY, other, unknown(field))

    return _edited(tracks, moved)


def swap(tracks: Tracks, sequence: int, particle: int, other: int, frame: int = 0) -> Tracks:
    """Exchange the identities of two tracks from a frame on.

    Args:
        tracks: (B, T, N, 2).
        sequence: the sequence.
        particle: a track.
        other: another track.
        frame: the first frame in which they are exchanged.

    Raises:
        UsageError: it is the same track, or neither is there from that frame on.
    """
    _refuse_same(particle, other)
    after = slice(max(frame, 0), None)
    for each in (particle, other):
        _refuse_absent(tracks, sequence, each, EVERY)
    if not tracks.present[sequence, after][:, [particle, other]].any():
        raise UsageError(
            Argument("frame"), f" {frame}: tracks {particle} and {other} have ended before; choose an earlier one"
        )  # fmt: skip
    return _exchanged(tracks, sequence, particle, other, after)


def _exchanged(tracks: Tracks, sequence: int, one: int, other: int, frames: slice) -> Tracks:
    def exchanged(field: Tensor) -> Tensor:
        return _put(field, sequence, frames, [one, other], field[:, sequence, frames][:, :, [other, one]])

    return _edited(tracks, exchanged)


def _edited(tracks: Tracks, edit: Callable[[Tensor], Tensor]) -> Tracks:
    """Edit every field as (S, B, T, N, ...); S is 1 but of samples."""
    return tracks.mapped(lambda field, samples: edit(field) if samples else edit(field[None])[0])


def _put(
    field: Tensor, sequence: int, frames: slice | Tensor, slots: int | list[int], values: object
) -> Tensor:
    """A copy of a field with other values."""
    copy = field.clone()
    copy[:, sequence, frames, slots] = values  # type: ignore[assignment]
    return copy


def _refuse_same(particle: int, other: int) -> None:
    if particle == other:
        raise UsageError(f"track {particle}: is one track already; choose two")


def _refuse_absent(tracks: Tracks, sequence: int, particle: int, frames: slice) -> None:
    if not 0 <= sequence < len(tracks.present):
        raise UsageError(
            Argument("sequence"), f" {sequence}: there are {len(tracks.present)}, counted from 0"
        )
    known = 0 <= particle < tracks.present.shape[2]
    if not (known and tracks.present[sequence, :, particle].any()):
        raise UsageError(f"there is no track {particle}")
    if not tracks.present[sequence, frames, particle].any():
        begin = tracks.present[sequence, :, particle].nonzero()[:, 0]
        raise UsageError(
            f"track {particle}: is in frames {int(begin[0])} to {int(begin[-1])}, and none of them is meant; choose a "
            "frame within"
        )
