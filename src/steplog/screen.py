"""What can be shown where text goes: width, height, Unicode, colours; and text made fit for it.

What the text is stands elsewhere: charts in `steplog.braille`, tables in `steplog.terminal`.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple, TextIO

from steplog import settings

PIPED_WIDTH = 4096  # text for another program is not cut to the width of a window

# Numbers of the terminal's own palette, which suits light and dark backgrounds alike.
STYLES = {
    "bold": 1,
    "dim": 2,
    "reverse": 7,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
}
_ESCAPE = re.compile(r"\x1b\[[\d;]*m")
_WITHOUT_COLOURS = {"dumb", "unknown"}


class Screen(NamedTuple):
    """What can be shown where the text goes.

    Attributes:
        width: columns of text.
        unicode: braille dots and box-drawing characters can be printed.
        colour: escape sequences for colours are understood, and wanted.
        height: lines of text; what scrolls does not look at it.

    """

    width: int = 80
    unicode: bool = True
    colour: bool = False
    height: int = 24

    @classmethod
    def of(cls, stream: TextIO, *, colour: bool = True) -> Screen:
        """Return what `stream`, such as ``sys.stdout``, can show.

        Args:
            stream: where the text will be printed.
            colour: False where the user wants none (``NO_COLOR``).

        """
        window = stream.isatty()
        size = shutil.get_terminal_size()
        kind = (settings.get("TERM") or "").lower()
        return cls(
            width=size.columns if window else PIPED_WIDTH,
            unicode=_can_encode("⣿│×…", stream.encoding or "utf-8"),
            colour=colour and window and kind not in _WITHOUT_COLOURS,
            height=size.lines,
        )


def paint(text: str, style: str, screen: Screen) -> str:
    """Give text a style, such as ``bold`` or ``bold red``, where the screen has colours.

    Example:
        >>> paint("loss", "bold red", Screen(colour=True))
        '\\x1b[1;31mloss\\x1b[0m'

    """
    if not (screen.colour and style and text.strip()):
        return text
    codes = ";".join(str(STYLES[word]) for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m"


def printable(text: str, screen: Screen) -> str:
    """Return text with everything escaped that the screen cannot show or might obey.

    Names come from whoever logged: an escape sequence in one must not reach the terminal.
    """
    return "".join(
        char
        if char.isprintable() and (screen.unicode or char.isascii())
        else char.encode("unicode_escape").decode()
        for char in text
    )


def width_of(text: str) -> int:
    """Return how many columns text takes; escape sequences for colours take none.

    Example:
        >>> [width_of(text) for text in ("loss", "損失", "\\x1b[1mloss\\x1b[0m")]
        [4, 4, 4]

    """
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return len(text) if text.isascii() else sum(map(_columns, text))


def widest(texts: Iterable[str]) -> int:
    """Return how many columns the widest of these takes; 0 where there is none."""
    return max(map(width_of, texts), default=0)


def shortened(text: str, width: int, screen: Screen) -> str:
    """Return text of at most `width` columns, with an ellipsis where something is missing.

    Example:
        >>> shortened("validation", 6, Screen(unicode=False))
        'valid~'

    """
    return text if width_of(text) <= width else _cut(text, width - 1) + _ellipsis(screen)


def clipped(line: str, width: int) -> str:
    """Return a line cut to `width` columns; its colours end with it."""
    if width_of(line) <= width:
        return line
    kept, room, coloured = "", width, False
    for part in re.split(f"({_ESCAPE.pattern})", line):
        if part.startswith("\x1b"):
            kept, coloured = kept + part, True
        else:
            piece = _cut(part, room)
            kept, room = kept + piece, room - width_of(piece)
    return kept + "\x1b[0m" if coloured else kept


def _cut(text: str, width: int) -> str:
    taken = 0
    for index, char in enumerate(text):
        taken += _columns(char)
        if taken > width:
            return text[:index]
    return text


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _ellipsis(screen: Screen) -> str:
    return "…" if screen.unicode else "~"


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
