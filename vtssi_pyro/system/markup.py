"""Small pieces of HTML, as notebooks show objects; every value is escaped where it enters."""

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
