"""The guard: which requests are looked at at all, decided from their heads.

It comes before everything else and denies by default. In this order it wants to know:

* the Host, so that a web page whose name was made to lead here (DNS rebinding) gets nothing;
* the Origin, so that a page of another site cannot use the browser of somebody who may call;
* the token, which only endpoints whose role is ``open`` do without;
* that the token is good for what the endpoint does;
* that what is sent is JSON: a form of another site can send anything but that.

What is not here: how much may be sent and how slowly (`steplog.server.connection`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

from steplog.exceptions import MlflowException, invalid
from steplog.server import answers
from steplog.server.endpoint import Answer, Caller, Endpoint, Role
from steplog.server.tokens import Tokens

_HOST = re.compile(r"(?:\[(?P<literal>[^\]]+)\]|(?P<name>[^:]+))(?::\d*)?")

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_RANK = {role: rank for rank, role in enumerate(get_args(Role))}
_JSON = b"application/json"
_TOKEN = re.compile(r"[\w-]+", re.ASCII)
_SINGLE = frozenset({b"host", b"authorization", b"origin", b"content-type", b"expect"})
_NOBODY = Caller("", "open")


class Head(NamedTuple):
    """What a request says before its body.

    Attributes:
        method: in capitals.
        path: still quoted.
        query: what follows the question mark, still quoted.
        headers: by name, in small letters.
        request_id: what logs and the answer call it.

    """

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    request_id: str = ""

    def has_body(self) -> bool:
        """Tell whether a body follows."""
        length = self.headers.get(b"content-length", b"0")
        return length != b"0" or b"transfer-encoding" in self.headers


class Guard:
    """Lets requests in, or does not.

    Args:
        tokens: of the store.
        bound: the address that the server listens on.
        hosts: names that clients may call it by, beside that address and the loopback names.
        origins: of web pages that may call it, such as ``https://example.org``; its own pages
            always may.
        cookie: the name of the cookie in which browsers send their token.

    """

    def __init__(
        self,
        tokens: Tokens,
        bound: str,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        cookie: str = "steplog_token",
    ) -> None:
        self.cookie = cookie.encode()
        self._tokens = tokens
        self._hosts = {_name(host) for host in (*LOOPBACK_NAMES, bound, *hosts)}
        # Who listens on every address is called by any of them. An address in numbers is no name,
        # so nobody can make it lead elsewhere.
        self._any_address = is_every_address(bound)
        self._origins = {origin.rstrip("/").lower() for origin in origins}

    def refuse_page(self, headers: Mapping[bytes, bytes]) -> Answer | None:
        """Return what to answer a request that another site had a browser send; None for others."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._is_ours(host):
            return answers.page(
                f"The Host of this request is {host!r}, and this server does not go by that name.\n"
                "If it should, start it with --allowed-host NAME.\n",
                403,
            )
        origin = headers.get(b"origin")
        if origin is not None and not self._may_call(origin.decode("latin-1").lower(), host):
            return answers.page(
                f"A page of {origin.decode('latin-1')!r} sent this request, and pages of other "
                "sites may not call this server.\n"
                "If this one should, start it with --allowed-origin ORIGIN.\n",
                403,
            )
        return None

    def caller(self, endpoint: Endpoint | None, headers: Mapping[bytes, bytes]) -> Caller:
        """Return who calls.

        Args:
            endpoint: what is called; None for what does not exist, which is nobody's business.
            headers: of the request.

        Raises:
            MlflowException: UNAUTHENTICATED, PERMISSION_DENIED; or the tokens cannot be read.

        """
        if endpoint is not None and endpoint.role == "open":
            return _NOBODY
        # A proxy that asks for a password of its own passes it on as a header.
        caller = self._tokens.caller(headers.get(b"authorization"))
        caller = caller or self._tokens.caller(self._from_cookie(headers))
        if caller is None:
            raise MlflowException(
                "This server wants a token. `steplog token create` makes one; MLflow's client "
                "takes it from MLFLOW_TRACKING_TOKEN, others send 'Authorization: Bearer TOKEN'.",
                "UNAUTHENTICATED",
            )
        if endpoint is not None and _RANK[caller.role] < _RANK[endpoint.role]:
            raise MlflowException(
                f"This token may {caller.role}; {endpoint.method} {endpoint.path} needs one that "
                f"may {endpoint.role}.",
                "PERMISSION_DENIED",
            )
        return caller

    def redeem(self, text: str) -> str:
        """Return the token that a text in an address stands for; see `Tokens.redeem`."""
        return self._tokens.redeem(text)

    def is_good(self, endpoint: Endpoint, token: str) -> bool:
        """Tell whether a token is one, and good for an endpoint."""
        try:
            self.caller(endpoint, {b"authorization": b"Bearer " + token.encode()})
        except MlflowException:
            return False
        return bool(_TOKEN.fullmatch(token))

    def _from_cookie(self, headers: Mapping[bytes, bytes]) -> bytes | None:
        """Return the header that a cookie stands for."""
        for cookie in headers.get(b"cookie", b"").split(b";"):
            name, _, value = cookie.strip().partition(b"=")
            if name == self.cookie and value:
                return b"Bearer " + value
        return None

    def _is_ours(self, host: str) -> bool:
        name = _name(host)
        return name in self._hosts or (self._any_address and _address(name) is not None)

    def _may_call(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin.partition("://")[2] == host.lower()


def refuse_twice(names: Iterable[bytes]) -> Answer | None:
    """Return what to answer where a header comes twice that may come once: it would mean one thing
    to us, and another to whoever passed it on.

    Args:
        names: of all headers, in small letters.

    """
    seen: set[bytes] = set()
    for name in names:
        if name in seen and name in _SINGLE:
            refusal = answers.refused(f"There is more than one {name.decode()}.", "BAD_REQUEST")
            return refusal._replace(headers=(("connection", "close"),))
        seen.add(name)
    return None


def require_json(head: Head) -> None:
    """Make sure that what changes something is JSON, and says so.

    Raises:
        MlflowException: INVALID_PARAMETER_VALUE.

    """
    # A form of another site can send POST; other methods its scripts can use only after asking.
    # MLflow's client sends DELETE without a body and without a type.
    if head.method not in ("POST", "PATCH") and not (head.method == "DELETE" and head.has_body()):
        return
    sent = head.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if sent != _JSON:
        raise invalid("Bad Request. Content-Type must be one of ['application/json'].")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens there."""
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def is_every_address(host: str) -> bool:
    """Tell whether this stands for all addresses of the machine."""
    address = _address(host)
    return address is not None and address.is_unspecified


def _name(host: str) -> str:
    """Return the name in a Host header, without port and brackets.

    Example:
        >>> _name("LocalHost:5000"), _name("[::1]:5000"), _name("::1")
        ('localhost', '::1', '::1')

    """
    if found := _HOST.fullmatch(host):
        host = found["literal"] or found["name"]
    return host.lower().rstrip(".")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
