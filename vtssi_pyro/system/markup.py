"""Small pieces of HTML, as notebooks show objects; every value is escaped where it enters."""

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

import numpy as np
import torch


def terms(title: str, values: Mapping[str, str]) -> str:
    """A heading, and a table of names and values."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in values.items()
    )
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table></div>"


def grid(header: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""

    def line(cells: Iterable[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"


def picture(grey: torch.Tensor, about: str, height: int) -> str:
    """A picture and a line about it.

    Args:
        grey: (H, W), in [0, 1].
        about: what it shows.
        height: pixels that it takes on the screen, at least; small pictures are enlarged without smoothing.
    """
    from PIL import Image  # here alone: most of what imports this module shows no picture

    file = io.BytesIO()
    levels = (255 * grey.detach().cpu().double().numpy()).round().astype(np.uint8)
    Image.fromarray(levels).save(file, "png")
    return embedded("image/png", file.getvalue(), about, height if len(levels) < height else None)


def embedded(kind: str, content: bytes, about: str, height: int | None = None) -> str:
    """The content of a picture's file, which the page then holds, and a line about it."""
    source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    size = "max-width:100%" if height is None else f"height:{height}px;image-rendering:pixelated"
    return f"<img style='{size}' alt='{escape(about)}' src='{source}'/><div>{escape(about)}</div>"


def policy(style: str, script: str | None = None) -> str:
    """What a page allows (Content-Security-Policy): this style, this script, pictures in it, and nothing else.

    Args:
        style: the text of its one style.
        script: the text of its one script; None: it has none.
    """
    scripts = "'none'" if script is None else _hash(script)
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(style)}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
