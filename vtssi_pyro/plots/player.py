"""A player of frames and tracks: one script and data, for the page of a run and for notebooks, without a server.

The player is a piece of a page that its own script brings to life. Its data, a :class:`Film`, may come from a file that
somebody else wrote: types and pictures are checked here, and the script makes no markup of them.
"""

import base64
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from torch import Tensor

from vtssi_pyro.config import Complete, Range, refuse_unlike
from vtssi_pyro.config.ranges import FRAMES, OBJECTS, SEQUENCES, STORED_SIDE
from vtssi_pyro.errors import DataError, UsageError
from vtssi_pyro.plots.overlay import TRAIL, Panel
from vtssi_pyro.plots.scene import REGION
from vtssi_pyro.plots.style import GREYS, IDENTITIES, Frames, to_shown
from vtssi_pyro.system.markup import policy
from vtssi_pyro.tracks.columns import HIDDEN
from vtssi_pyro.tracks.tracks import Tracks

SCRIPT, STYLE = (Path(__file__).with_name(f"player.{suffix}").read_text("utf-8") for suffix in ("js", "css"))
BYTES = 2**21  # of all pictures, as base64: a page that opens at once, also on a phone
QUALITY = 90  # of JPEGs, whose errors then hide in noise; pictures without noise are smaller as PNG
DECIMALS = 2  # of a pixel
FUTURES = 20  # sampled futures of each object, as many as can be told apart
# How the script draws: as pictures of tracks do.
STYLED = {
    "colours": [f"rgb{colour}" for colour in IDENTITIES], "trail": TRAIL, "region": REGION, "hidden": HIDDEN,
}  # fmt: skip
PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+=*")
WIDTH = 480  # px, of the player in a notebook
ABOVE_AND_BELOW = 270  # px, of its controls, as the style has them

Numbers = list[float | None]


@dataclass(frozen=True)
class Object(Complete):
    """An object in a scene; values are by frame from ``first`` on, px, None where it is absent or they are unknown."""

    id: Annotated[int, Range(0, OBJECTS.high)]
    first: Annotated[int, Range(0, FRAMES.high)]
    x: Numbers
    y: Numbers
    width: Numbers
    height: Numbers
    x_std: Numbers
    y_std: Numbers
    confidence: Numbers
    futures: list[Numbers]  # x and y in turn, from the last observed frame on


@dataclass(frozen=True)
class Scene(Complete):
    """What can be played: frames, and objects on them."""

    title: str
    film: Annotated[int, Range(0, SEQUENCES.high)]  # the number of its pictures among the films
    frames: Annotated[int, FRAMES]
    observed: Annotated[int | None, FRAMES]  # the number of observed frames; None: all
    objects: list[Object]


@dataclass(frozen=True)
class Film(Complete):
    """The data of a player."""

    width: Annotated[int, STORED_SIDE]  # of the pictures, px
    height: Annotated[int, STORED_SIDE]
    films: list[list[str]]  # pictures as data URLs
    scenes: list[Scene]
    first: Annotated[int, Range(0, FRAMES.high)] = 0  # frames before the first one
    left_out: Annotated[int, Range(0, FRAMES.high)] = 0  # frames behind the last one

    def as_dict(self) -> dict[str, Any]:
        """Its values, ready for JSON."""
        return asdict(self)

    @staticmethod
    def checked(plain: Any) -> dict[str, Any]:
        """The values of a film that anybody may have written.

        Raises:
            DataError: they are none.
        """
        try:
            if not isinstance(plain, dict):
                raise UsageError("it is no object")
            refuse_unlike(plain, Film)
            if not plain["scenes"]:
                raise UsageError("scenes: there is none")
            for number, scene in enumerate(plain["scenes"]):
                if scene["film"] >= len(plain["films"]):
                    raise UsageError(f"scenes.{number}.film: there are {len(plain['films'])}")
            if not all(PICTURE.fullmatch(picture) for film in plain["films"] for picture in film):
                raise UsageError("films: expected pictures as data")
        except UsageError as error:
            raise DataError(f"no film of a player ({error})") from error
        return plain


@dataclass(frozen=True)
class Player:
    """A film that a notebook plays: its page stands in a frame that may do nothing but run the player's script."""

    film: Film = field(repr=False)

    def page(self) -> str:
        """The player as a page of its own, which asks for nothing from outside."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy(STYLE, SCRIPT)}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Player</title>'
            f"<style>{STYLE}</style></head><body>{markup(self.film.as_dict())}<script>{SCRIPT}</script></body></html>"
        )

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        height = round(WIDTH * self.film.height / self.film.width) + ABOVE_AND_BELOW
        # in ASCII: read in another encoding, the script would not be the one that the policy names
        page = escape(self.page()).encode("ascii", "xmlcharrefreplace").decode()
        return (
            f'<iframe sandbox="allow-scripts" width="{WIDTH + 24}" height="{height}" style="border:0;max-width:100%;'
            f'background:#fff" title="player of frames and tracks" srcdoc="{page}"></iframe>'
        )


def markup(film: dict[str, Any]) -> str:
    """The piece of a page that the script brings to life."""
    data = escape(json.dumps(film, separators=(",", ":"), allow_nan=False))
    style = escape(json.dumps(STYLED))
    return f'<div class="player" data-film="{data}" data-style="{style}"><p>The player needs JavaScript.</p></div>'


def film_of(panels: Sequence[Panel], total: int | None = None) -> Film:
    """Make the film of some panels: a scene for each sequence of each panel that has tracks.

    Pictures take no more than :data:`BYTES` together; frames behind them are left out, and counted.

    Args:
        panels: frames of one size, and tracks in their pixels; panels of the same frames share pictures.
        total: number of frames of the whole, of which the panels may hold a part; None: they hold all.
    """
    played = [panel for panel in panels if panel.tracks is not None]
    B, _, _, height, width = played[0].frames.shape
    shown = {id(panel.frames): panel.frames for panel in played}
    kept = [(frames, b) for frames in shown for b in range(B)]
    films = [_pictures(shown[frames][b], BYTES // len(kept)) for frames, b in kept]
    length = max(max(p.frames.shape[1], p.tracks.present.shape[1]) for p in played if p.tracks)
    # where pictures of some frames did not fit, all scenes end there
    cut = [
        len(film) for film, (frames, _) in zip(films, kept, strict=True) if len(film) < shown[frames].shape[1]
    ]
    last = min([length, *cut])
    scenes = [
        Scene(
            _title(panel, b, B, len(played)), kept.index((id(panel.frames), b)), last, panel.observed,
            list(_objects(panel.tracks.part(slice(b, b + 1), slice(last)), panel.observed)),
        )
        for b in range(B)
        for panel in played
        if panel.tracks is not None
    ]  # fmt: skip
    first = played[0].first
    whole = max(total or 0, first + length)
    return Film(width, height, [film[:last] for film in films], scenes, first, whole - first - last)


def _title(panel: Panel, sequence: int, sequences: int, panels: int) -> str:
    names = [panel.names[sequence] if panel.names else f"sequence {sequence + 1}"] if sequences > 1 else []
    return ", ".join([*names, panel.title] if panels > 1 or not names else names)


def _pictures(frames: Frames, most: int) -> list[str]:
    """Frames (T, C, H, W) as data URLs, as many as fit."""
    shown = to_shown(frames)
    pictures = shown if shown.ndim == 4 else np.round(shown * (255 / (GREYS - 1))).astype(np.uint8)
    found: list[str] = []
    for frame in pictures:
        url = min((_url(frame, "png"), _url(frame, "jpeg")), key=len)
        most -= len(url)
        if most < 0 and found:
            break
        found.append(url)
    return found


def _url(frame: np.ndarray, kind: str) -> str:
    file = io.BytesIO()
    Image.fromarray(frame).save(
        file, kind, **({"quality": QUALITY} if kind == "jpeg" else {"optimize": True})
    )
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _objects(tracks: Tracks, observed: int | None) -> Iterator[Object]:
    """The objects of one sequence, in the order of their slots."""
    for n in tracks.present[0].any(0).nonzero()[:, 0].tolist():
        yield _object(tracks.cpu(), n, observed)


def _object(tracks: Tracks, n: int, observed: int | None) -> Object:
    present = tracks.present[0, :, n].numpy()
    frames = present.nonzero()[0]
    span = slice(int(frames[0]), int(frames[-1]) + 1)

    def column(values: Tensor | None, axis: int | None = None) -> Numbers:
        if values is None:
            return [None] * (span.stop - span.start)
        own = values[0, span, n].detach().double().numpy()
        return _numbers(np.where(present[span], own if axis is None else own[:, axis], np.nan))

    futures: list[Numbers] = []
    if tracks.samples is not None and observed is not None:
        paths = tracks.samples[:FUTURES, 0, max(observed - 1, 0) :, n].detach().double().numpy()
        futures = [_numbers(path.ravel()) for path in paths]
    return Object(
        id=n, first=span.start, x=column(tracks.position, 0), y=column(tracks.position, 1),
        width=column(tracks.box, 0), height=column(tracks.box, 1), x_std=column(tracks.scale, 0),
        y_std=column(tracks.scale, 1), confidence=column(tracks.confidence), futures=futures,
    )  # fmt: skip


def _numbers(values: np.ndarray) -> Numbers:
    known = np.isfinite(values).tolist()
    return [
        value if there else None
        for value, there in zip(np.round(values, DECIMALS).tolist(), known, strict=True)
    ]
