"""Tokens: who may call the server. They live in ``server-tokens.json`` in the store's directory.

A token is 256 random bits, shown once when it is made. The file keeps its SHA-256 and nothing to
make it from. One plain hash is enough: stretching makes guessing a password expensive, and nobody
guesses 256 bits.

A token reads ``steplog_<id>_<secret>``. The id names it in lists and is no secret; the secret is
compared in constant time. Whoever holds the file open sees one whole list: it is replaced, not
written to, and a server looks for another one twice a second, and whenever it meets a token that
it does not know.

What is not here: which request needs which role (`steplog.server.endpoint`), and who asks
(`steplog.server.guard`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, get_args

from steplog import filesystem
from steplog.exceptions import StoreDamaged, StoreError, missing
from steplog.server.endpoint import Caller, Role

FILE_NAME = "server-tokens.json"
LOOK_SECONDS = 0.5
"""How long a revoked token may still be good."""

_PREFIX = "steplog"
_LOCK_SECONDS = 10.0
_VERSION = 1


class Token(NamedTuple):
    """A token as the file keeps it.

    Attributes:
        token_id: 8 hex digits.
        role: what it is good for.
        experiment_id: the one experiment that it is good for; None for all.
        created_ms: when it was made, in ms since 1970.
        sha256: of the secret, in hex.

    """

    token_id: str
    role: Role
    experiment_id: str | None
    created_ms: int
    sha256: str


def create(directory: str, role: Role, experiment_id: str | None = None) -> tuple[Token, str]:
    """Make a token; return what is kept of it, and its text, which is not kept.

    Args:
        directory: of the store; must exist.
        role: ``read``, ``write`` or ``admin``.
        experiment_id: of the one experiment that it is to be good for; None for all.

    Raises:
        StoreError: the file cannot be written now.

    """
    text = random_text()
    token = _of_text(text, role, experiment_id)
    with _changing(directory) as tokens:
        tokens.append(token)
    return token, text


def random_text() -> str:
    """Return the text of a token that nobody has yet."""
    return f"{_PREFIX}_{secrets.token_hex(4)}_{secrets.token_urlsafe(32)}"


def revoke(directory: str, token_id: str) -> None:
    """Make a token worthless: servers that run refuse it within a second.

    Raises:
        MlflowException: RESOURCE_DOES_NOT_EXIST.
        StoreError: the file cannot be written now.

    """
    with _changing(directory) as tokens:
        kept = [token for token in tokens if token.token_id != token_id]
        if len(kept) == len(tokens):
            raise missing(f"There is no token {token_id!r}. `steplog token list` lists them.")
        tokens[:] = kept


def read(directory: str) -> list[Token]:
    """Return the tokens of a store, the oldest first.

    Raises:
        StoreError: the file cannot be read now.
        StoreDamaged: it is not what `create` writes.

    """
    path = os.path.join(directory, FILE_NAME)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"Cannot read {path}: {error}") from error
    try:
        document = json.loads(text)
        if document["version"] != _VERSION:
            raise ValueError(f"its version is {document['version']!r}")
        return [_token(each) for each in document["tokens"]]
    except (ValueError, LookupError, TypeError) as error:
        raise StoreDamaged(f"{path} does not hold a list of tokens: {error!r}") from error


class Tokens:
    """The tokens of a store as a server knows them: read again when the file is another one.

    Args:
        directory: of the store.
        demanded: a token is needed even where the store has none.
        session: the text of a token for the role ``write`` that is good without being kept; then
            everybody needs one. Empty for none.
        ticket: a text that stands for `session`, once. A browser is started with it: what a
            program is started with, everybody on the machine can see.
        clock: the time in seconds, from anywhere.

    Raises:
        MlflowException: as `read`.

    """

    def __init__(
        self,
        directory: str,
        *,
        demanded: bool,
        session: str = "",
        ticket: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._demanded = demanded
        self._session = [_of_text(session, "write", None)] if session else []
        self._tickets = {ticket: session} if ticket else {}
        self._clock = clock
        self._stamp: tuple[int, ...] | None = None
        self._known: dict[bytes, Caller] = {}
        self._take()
        self._next_look = clock() + LOOK_SECONDS

    def caller(self, authorization: bytes | None) -> Caller | None:
        """Return who sends this Authorization header, None for somebody unknown.

        Raises:
            MlflowException: the file of the tokens cannot be read. Nobody is let in then.

        """
        if self._clock() >= self._next_look:
            self._look()
        if self._everybody is not None or authorization is None:
            return self._everybody
        # Only headers that were good once are remembered, so a guess learns nothing from how long
        # this takes.
        if authorization not in self._known:
            text = presented(authorization)
            token = self._good(text)
            if token is None:  # it may have been made a moment ago
                self._look()
                token = self._good(text)
            if token is None:
                return None
            self._known[authorization] = Caller(token.token_id, token.role, token.experiment_id)
        return self._known[authorization]

    def redeem(self, text: str) -> str:
        """Return the token that a text stands for: itself, unless it is a ticket, used up now."""
        return self._tickets.pop(text, text)

    def _good(self, text: str) -> Token | None:
        """Return the token that a text is; None where it is none."""
        prefix, _, rest = text.partition("_")
        token_id, _, secret = rest.partition("_")
        token = self._tokens.get(token_id)
        good = hmac.compare_digest(_hash(secret), token.sha256 if token else _hash(""))
        return token if good and token and prefix == _PREFIX else None

    def _look(self) -> None:
        if self._stamp_now() != self._stamp:
            self._take()
        self._next_look = self._clock() + LOOK_SECONDS

    def _take(self) -> None:
        stamp = self._stamp_now()  # before reading: a file that comes in between is read again
        kept = (*read(self._directory), *self._session)
        self._tokens = {token.token_id: token for token in kept}
        self._everybody = None if self._demanded or self._tokens else Caller("", "admin")
        self._known.clear()
        self._stamp = stamp

    def _stamp_now(self) -> tuple[int, ...] | None:
        try:
            stat = os.stat(os.path.join(self._directory, FILE_NAME))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"Cannot look for tokens in {self._directory}: {error}") from error
        return stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size


def presented(authorization: bytes) -> str:
    """Return the token in an Authorization header: what follows Bearer, or the password of Basic.

    Empty where there is none.

    Example:
        >>> presented(b"Bearer steplog_1"), presented(b"Basic " + base64.b64encode(b"me:steplog_1"))
        ('steplog_1', 'steplog_1')

    """
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip().decode("latin-1")
    if scheme.lower() == b"basic":
        with suppress(binascii.Error):
            return base64.b64decode(rest.strip(), validate=True).decode("latin-1").partition(":")[2]
    return ""


def _of_text(text: str, role: Role, experiment_id: str | None) -> Token:
    """Return what is kept of a token."""
    _, token_id, secret = text.split("_", 2)
    return Token(token_id, role, experiment_id, time.time_ns() // 1_000_000, _hash(secret))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(kept: dict[str, object]) -> Token:
    token = Token(**kept)  # type: ignore[arg-type]
    texts = (token.token_id, token.sha256, token.experiment_id or "")
    if token.role not in get_args(Role)[1:] or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{kept!r} is no token")
    return token


@contextmanager
def _changing(directory: str) -> Iterator[list[Token]]:
    """Yield the tokens, to be changed in place; the file then holds them, whole or not at all."""
    path = os.path.join(directory, FILE_NAME)
    try:
        with _locked(f"{path}.lock"):
            tokens = read(directory)
            yield tokens
            document = {"version": _VERSION, "tokens": [token._asdict() for token in tokens]}
            fresh = f"{path}.{secrets.token_hex(4)}"
            try:
                # 0600 from the start, whatever the umask: a moment would be enough to open it.
                with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                    json.dump(document, file, indent=2)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(fresh, path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(fresh)
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error}") from error


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Keep others from changing the tokens: of two that do at once, one would undo the other."""
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not filesystem.try_lock(fd):
            if time.monotonic() > deadline:
                raise TimeoutError("somebody else is changing it")
            time.sleep(0.02)
        yield
    finally:
        os.close(fd)
