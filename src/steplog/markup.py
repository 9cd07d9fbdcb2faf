"""HTML made of texts from users: escaping, tables; numbers, times and spans as people read them.

Everything here returns markup that is safe to put into a page. What pages consist of is in
`steplog.plain`; curves are drawn by `steplog.svg`.
"""

from __future__ import annotations

import html
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

STYLE = (Path(__file__).parent / "plain.css").read_text("utf-8")
"""The style of everything that is made without a script; it touches only what is in .steplog."""

# A control character would be dropped or refused; each has a picture of its own.
_PICTURES = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"}
_PICTURES |= {0x7F: "␡", **{code: "\ufffd" for code in range(0x80, 0xA0)}}
_PICTURES |= {code: "\ufffd" for code in (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)}


def text(value: str) -> str:
    """Return a text of a user's, to stand anywhere in HTML or SVG, attributes in quotes included.

    Example:
        >>> text("<b>\\x00")
        '&lt;b&gt;␀'

    """
    return html.escape(value.translate(_PICTURES))


def name(value: str) -> str:
    """Return a name from a user as an element of its own, so that its direction stays inside."""
    return f"<bdi>{text(value)}</bdi>"


def number(value: float | None) -> str:
    """Return a number in six digits at most; the empty text for None.

    Example:
        >>> number(1234567.0), number(0.125), number(math.nan)
        ('1,234,567', '0.125', 'NaN')

    """
    if value is None:
        return ""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "\u2212Inf"
    whole = abs(value) < 1e9 and value == int(value)
    shown = f"{value:,.0f}" if whole else f"{value:.5g}"
    return shown.replace("-", "\u2212")


def moment(time_ms: int) -> str:
    """Return a time, given in ms since 1970, in the zone of this machine."""
    try:
        then = time.localtime(time_ms / 1000)
    except (OverflowError, ValueError, OSError):  # further away than calendars reach
        return f"{time_ms:,} ms"
    return time.strftime("%Y-%m-%d %H:%M:%S", then)


def span(span_ms: float) -> str:
    """Return a span of time in its two largest units.

    Example:
        >>> span(1_500), span(125_000)
        ('1.5 s', '2 min 05 s')

    """
    seconds = span_ms / 1000
    if abs(seconds) < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds) // 60
    if abs(minutes) < 60:
        return f"{minutes} min {round(seconds) % 60:02} s"
    hours = minutes // 60
    if abs(hours) < 24:
        return f"{hours} h {minutes % 60:02} min"
    return f"{hours // 24:,} d {hours % 24:02} h"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()
) -> str:
    """Return a table; a row is led by its first cell.

    Args:
        heads: markup of each column's head.
        rows: markup of the cells.
        numbers: which columns hold numbers, and stand to the right.

    """

    def kind(column: int) -> str:
        return ' class="number"' if column in numbers else ""

    head = "".join(f'<th scope="col"{kind(i)}>{each}</th>' for i, each in enumerate(heads))
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td{kind(i)}>{cell}</td>" for i, cell in enumerate(others, 1))
        + "</tr>\n"
        for first, *others in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>\n"
    )


def pairs(title: str, values: Mapping[str, str]) -> str:
    """Return a section with names and values, as params and tags are; nothing where there is none.

    Args:
        title: of the section, no text from a user.
        values: by name.

    """
    if not values:
        return ""
    rows = "".join(
        f"<div><dt>{name(key)}</dt><dd>{name(values[key])}</dd></div>" for key in sorted(values)
    )
    return f"<section><h2>{title}</h2><dl>{rows}</dl></section>\n"


def badge(status: str) -> str:
    """Return the status of a run, marked by its colour and its word."""
    return f'<span class="status {text(status.lower())}">{text(status)}</span>'


def fragment(body: str) -> str:
    """Return markup with its style beside it, to stand inside a page of somebody else's."""
    return f'<div class="steplog"><style>{STYLE}</style>{body}</div>'
