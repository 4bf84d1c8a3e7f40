"""Small pieces of HTML, as notebooks show objects; every value is escaped where it enters."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape


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
