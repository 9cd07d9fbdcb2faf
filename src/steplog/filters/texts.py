"""What all searches read alike: comparisons, quotes, lists, names of attributes, orders.

`sqlparse` turns a text into tokens and groups most comparisons; what it leaves apart is joined
here. What the words mean is the business of `steplog.filters.runs` and `steplog.filters.models`.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import sqlparse
from sqlparse import tokens as kinds
from sqlparse.exceptions import SQLParseError
from sqlparse.sql import Comparison, Identifier, Parenthesis, Token

from steplog.exceptions import invalid


def join_pieces(tokens: Iterable[Token]) -> Iterator[Token | list[Token]]:
    """Yield the pieces of a filter: the tokens of a comparison as a list, others as they are.

    A comparison has three tokens, the identifier, the comparator and the value, or two where the
    comparator is ``IS NULL`` or ``IS NOT NULL``; with comments in it, it has more. Of what begins
    like a comparison with words and is none, MLflow passes over four tokens at once. That shows
    where it lists what does not belong, so it is the same here.
    """
    rest = [token for token in tokens if not token.is_whitespace]
    while rest:
        head, size = rest[0], 1
        if not isinstance(head, Identifier) or len(rest) < 3:
            yield _as_piece(head)
        else:
            size = 3
            match [_word(token) for token in rest[1:4]]:
                case ["IN", "(", *_]:
                    yield rest[:3]
                case ["IS", ("NULL" | "NOT NULL") as null, *_]:
                    yield [head, _keyword(f"IS {null}")]
                case ["NOT", "IN", "("]:
                    yield [head, _keyword("NOT IN"), rest[3]]
                    size = 4
                case _:
                    yield from map(_as_piece, rest[:4])
                    size = 4
        del rest[:size]


def _as_piece(token: Token) -> Token | list[Token]:
    if isinstance(token, Comparison):
        return [inner for inner in token.tokens if not inner.is_whitespace]
    return token


def _word(token: Token) -> str:
    if isinstance(token, Parenthesis):
        return "("
    return token.value.upper() if token.ttype is kinds.Keyword else ""


def _keyword(text: str) -> Token:
    return Token(kinds.Keyword, text)  # type: ignore[no-untyped-call]  # sqlparse's is half typed


def read_order(text: str) -> tuple[str, bool]:
    """Return the identifier of one item of an order, and whether it ascends.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE with MLflow's text.

    Example:
        >>> read_order("metrics.`val loss` DESC")
        ('metrics.val loss', False)

    """
    unreadable = invalid(f"Invalid order_by clause '{text}'. Could not be parsed.")
    try:
        statements = sqlparse.parse(text)
    except (SQLParseError, TypeError) as error:
        raise invalid(f"Error on parsing order_by clause '{text}'") from error
    if len(statements) != 1 or not _is_order(statements[0].tokens):
        raise unreadable
    item = str(statements[0])
    try:
        words = shlex.split(item.replace("`", '"'))
    except ValueError:  # a quote that is not closed
        raise unreadable from None
    if len(words) > 2:
        raise unreadable
    if len(words) < 2:
        return item.strip(), True
    if words[1].lower() not in ("asc", "desc"):
        raise invalid(f"Invalid ordering key in order_by clause '{text}'.")
    return words[0].strip(), words[1].lower() == "asc"


def _is_order(tokens: list[Token]) -> bool:
    # An identifier and its direction are one token; but `timestamp` is a type of SQL, and is not.
    if len(tokens) == 1 and isinstance(tokens[0], Identifier):
        return True
    head, *blanks = tokens
    direction = blanks.pop().ttype if blanks else kinds.Keyword.Order
    return (
        head.ttype is kinds.Name.Builtin
        and head.value == "timestamp"
        and direction is kinds.Keyword.Order
        and all(token.is_whitespace for token in blanks)
    )


def unquote(text: str) -> str:
    """Return a text without the single or double quotes around it, or the text itself."""
    bare = unwrap(text, "'")
    return unwrap(text, '"') if bare is text else bare


def unwrap(text: str, quote: str) -> str:
    """Return a text without this quote at both ends, or the text itself.

    Example:
        >>> unwrap("`val loss`", "`"), unwrap("`", "`")
        ('val loss', '`')

    """
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == quote else text


def evaluate(text: str) -> tuple[Any, ...]:
    """Return the values of a list, which is written as Python writes a tuple, escapes included.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE; it is no such list.

    """
    try:
        values = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise invalid(
            "While parsing a list in the query, expected a non-empty list of string values, "
            "but got ill-formed list."
        ) from error
    return values if isinstance(values, tuple) else (values,)


def check_texts(values: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the values of a list, or raise INVALID_PARAMETER_VALUE where one is no text."""
    if not all(isinstance(value, str) for value in values):
        raise invalid(
            "While parsing a list in the query, expected string value, punctuation, or "
            f"whitespace, but got different type in list: {values}"
        )
    return values


def check_attribute(key: str, attributes: Collection[str]) -> None:
    """Raise INVALID_PARAMETER_VALUE where there is no such attribute."""
    if key not in attributes:
        valid = braces(attributes)
        raise invalid(f"Invalid attribute key '{key}' specified. Valid keys are '{valid}'")


def braces(names: Iterable[str]) -> str:
    """Return names as Python writes a set of them, sorted."""
    return "{" + ", ".join(map(repr, sorted(names))) + "}"
