"""Routes: from the method and path of a request to its endpoint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from steplog.server.endpoint import Endpoint

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")
_NO_PARAMS: Mapping[str, str] = {}

Methods = dict[str, Endpoint]


class Route(NamedTuple):
    """Where a request leads.

    Attributes:
        endpoint: what answers it; None where nothing does.
        params: what stands in the path for the names of its template.
        methods: by which the path can be called; none where there is no such path.

    """

    endpoint: Endpoint | None
    params: Mapping[str, str]
    methods: Mapping[str, Endpoint]


class Routes:
    """All addresses of a table of endpoints.

    Most paths are plain and found by one look-up. Those with parameters are tried in turn after
    that, on the quoted path: a quoted slash in a parameter is part of it.

    Args:
        endpoints: no two of them may have the same method and address.

    Example:
        >>> from steplog.server.endpoint import Answer
        >>> get = Endpoint("GET", "/models/{id}", lambda service, request: Answer(b""), "read")
        >>> Routes([get]).find("GET", "/api/2.0/models/m-1").params
        {'id': 'm-1'}

    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._plain: dict[str, Methods] = {}
        self._templates: dict[str, tuple[re.Pattern[str], Methods]] = {}
        for endpoint in endpoints:
            for prefix in endpoint.prefixes:
                methods = self._methods(prefix + endpoint.path)
                if endpoint.method in methods:
                    raise ValueError(f"two endpoints are {endpoint.method} {prefix}{endpoint.path}")
                methods[endpoint.method] = endpoint

    def find(self, method: str, path: str) -> Route:
        """Return where a request leads; HEAD leads where GET does.

        Args:
            method: of the request.
            path: of the request, still quoted.

        """
        if method == "HEAD":
            method = "GET"
        methods = self._plain.get(path)
        if methods is not None:
            return Route(methods.get(method), _NO_PARAMS, methods)
        for pattern, methods in self._templates.values():
            if found := pattern.fullmatch(path):
                params = {name: unquote(text) for name, text in found.groupdict().items()}
                return Route(methods.get(method), params, methods)
        return Route(None, _NO_PARAMS, {})

    def _methods(self, template: str) -> Methods:
        if "{" not in template:
            return self._plain.setdefault(template, {})
        return self._templates.setdefault(template, (_pattern(template), {}))[1]


def _pattern(template: str) -> re.Pattern[str]:
    """Return what the paths of a template match.

    Example:
        >>> _pattern("/files/{path:path}").pattern
        '/files/(?P<path>.+)'

    """
    parts, end = [], 0
    for found in _PARAMETER.finditer(template):
        name, rest = found.groups()
        parts += [
            re.escape(template[end : found.start()]),
            f"(?P<{name}>{'.+' if rest else '[^/]+'})",
        ]
        end = found.end()
    return re.compile("".join([*parts, re.escape(template[end:])]))
