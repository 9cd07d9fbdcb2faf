"""The web page: its files, and the plain page for who has no use for them.

What is not here: who may see it (`steplog.server.entrance`), what it asks for (`table`, `details`,
`charts`).
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from steplog import plain
from steplog.server import answers, bundle
from steplog.server.endpoint import Answer, Endpoint, Request, Service

SCRIPTED = ("app.js", "app.css", "icon.svg", "LICENSES.txt")
"""Files that everybody may have: they are the same in every package."""
SVG = bundle.FILES["icon.svg"]
_KEPT = ("cache-control", "no-cache")
"""A browser may keep a file, and asks each time whether it is still the one."""


def page(service: Service, request: Request) -> Answer:
    """Show the runs to a person."""
    parameters = parse_qsl(request.query, keep_blank_values=True)
    index = bundle.read("index.html")
    if index is not None and "plain" not in dict(parameters):
        sent = _sent(index, request)
        return sent._replace(headers=(*answers.PAGE, *sent.headers))
    runs = [value for name, value in parameters if name == "run"]
    client = service.client
    live = client.live_writers()
    held = request.caller.experiment_id
    seen = None if held is None else (held,)
    store, query = client.store, request.query
    if not runs:
        missing = bundle.why_missing()
        text = plain.runs_page(store, live, query, experiment_ids=seen, missing=missing)
    elif len(runs) == 1:
        text = plain.run_page(store, live, runs[0], query, experiment_ids=seen)
    else:
        text = plain.compare_page(store, live, runs, query, experiment_ids=seen)
    return answers.html(text)


def file(service: Service, request: Request) -> Answer:
    """Return a file of the page."""
    name = request.path.rpartition("/")[2]
    found = _STYLE if name == "plain.css" else bundle.read(name)
    if found is None:
        said = f"This package lacks its page. {bundle.why_missing()}"
        return answers.refused(said, "RESOURCE_DOES_NOT_EXIST")
    return _sent(found, request)


def _sent(found: bundle.File, request: Request) -> Answer:
    """Return a file, or that the browser has it."""
    # Browsers ask for the icon again whenever the address changes, and it hardly ever does.
    kept = ("cache-control", "max-age=86400") if found.content_type == SVG else _KEPT
    headers = (("etag", found.etag), ("vary", "accept-encoding"), kept)
    if found.etag in request.headers.get(b"if-none-match", b"").decode("latin-1"):
        return Answer(b"", found.content_type, 304, headers)
    if b"gzip" in request.headers.get(b"accept-encoding", b""):
        compressed = (*headers, ("content-encoding", "gzip"))
        return Answer(found.compressed, found.content_type, 200, compressed)
    return Answer(found.body, found.content_type, 200, headers)


_STYLE = bundle.file(plain.STYLE.encode(), "text/css; charset=utf-8")
_TYPES = {**{name: bundle.FILES[name] for name in SCRIPTED}, "plain.css": _STYLE.content_type}

ENDPOINTS = (
    Endpoint("GET", "/", page, "read", ("",), answer="text/html", page=True),
    *(
        Endpoint("GET", f"/{name}", file, "open", ("",), answer=content_type)
        for name, content_type in _TYPES.items()
    ),
)
