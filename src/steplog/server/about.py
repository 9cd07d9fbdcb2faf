"""The endpoints by which the server tells about itself, rather than about runs.

What is not here: what it keeps (`steplog.server.endpoints`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape

from steplog.server import answers, openapi
from steplog.server.endpoint import API_3, Answer, Endpoint, Request, Service

_PAGE = """<!DOCTYPE html>
<html lang="en">
<title>steplog</title>
<h1>steplog</h1>
<p>This server records training runs. It speaks the REST API of MLflow {version}.</p>
<p>In a program: <code>mlflow.set_tracking_uri("{url}")</code></p>
<p>In a shell: <code>export MLFLOW_TRACKING_URI={url}</code></p>
<p>With a token, also: <code>export MLFLOW_TRACKING_TOKEN=steplog_…</code></p>
<p>All that it answers: <a href="/openapi.json">openapi.json</a></p>
</html>
"""


def endpoints(url: str, others: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return all endpoints of a server.

    Args:
        url: by which clients reach it.
        others: those that are not about the server itself.

    """

    @cache  # making it takes 20 ms that only who asks for it should wait for
    def document(version: str) -> Answer:
        return answers.json_answer(openapi.document(table, version))

    def describe(service: Service, request: Request) -> Answer:
        """Return this document."""
        return document(service.version)

    def page(service: Service, request: Request) -> Answer:
        """Tell a person what this server is."""
        text = _PAGE.format(url=escape(url), version=escape(service.version))
        return Answer(text.encode(), "text/html; charset=utf-8")

    table = (
        Endpoint("GET", "/health", _health, "open", ("",)),
        Endpoint("GET", "/version", _version, "open", ("",)),
        Endpoint("GET", "/", page, "read", ("",)),
        Endpoint("GET", "/openapi.json", describe, "read", ("",)),
        Endpoint("GET", "/mlflow/server-info", _server_info, "read", API_3),
        *others,
    )
    return table


def _health(service: Service, request: Request) -> Answer:
    """Tell that the server runs."""
    return answers.page("OK")


def _version(service: Service, request: Request) -> Answer:
    """Return the version of MLflow, not ours: its client decides by it what it may send."""
    return answers.page(service.version)


def _server_info(service: Service, request: Request) -> Answer:
    """Return what MLflow's client asks before it uses what not every server has: we have none."""
    return answers.json_answer(
        {
            "store_type": None,
            "workspaces_enabled": False,
            "trace_archival_enabled": False,
            "multipart_uploads_enabled": False,
            "multipart_downloads_enabled": False,
            "presigned_upload_run_id_supported": False,
            "presigned_upload_model_id_supported": False,
            "features_enabled": {"gateway": False},
        }
    )
