"""The endpoints by which the server tells about itself, rather than about runs.

What is not here: what it keeps (`steplog.server.endpoints`), its page (`steplog.server.site`), how
it is watched (`steplog.server.monitoring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version

from steplog.server import answers, openapi, site
from steplog.server.endpoint import API_3, OURS, Answer, Endpoint, Request, Service
from steplog.server.exposition import CONTENT_TYPE
from steplog.server.monitoring import Monitor
from steplog.server.storage_messages import About
from steplog.server.wire import answer
from steplog.stores.wire import VERSION


def endpoints(others: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return all endpoints of a server, those that are not about the server itself among them."""

    @cache  # making it takes 20 ms that only who asks for it should wait for
    def document(mlflow_version: str) -> Answer:
        return answers.json_answer(openapi.document(table, mlflow_version))

    def describe(service: Service, request: Request) -> Answer:
        """Return this document."""
        return document(service.version)

    monitor = Monitor()
    table = (
        Endpoint("GET", "/health", _health, "open", ("",)),
        Endpoint("GET", "/ready", monitor.ready, "open", ("",)),
        Endpoint("GET", "/metrics", monitor.metrics, "read", ("",), None, CONTENT_TYPE),
        Endpoint("GET", "/version", _version, "open", ("",)),
        Endpoint("GET", "/openapi.json", describe, "read", ("",)),
        Endpoint("GET", "/mlflow/server-info", _server_info, "read", API_3),
        Endpoint("GET", "/about", _about, "open", OURS, None, About),
        *site.ENDPOINTS,
        *others,
    )
    return table


def _health(service: Service, request: Request) -> Answer:
    """Tell that the server runs; whether it should be sent anything, says ``/ready``."""
    return answers.page("OK")


def _version(service: Service, request: Request) -> Answer:
    """Return the version of MLflow, not ours: its client decides by it what it may send."""
    return answers.page(service.version)


def _about(service: Service, request: Request) -> Answer:
    """Tell which steplog this is; a client tells it by this from a server of MLflow's."""
    return answer(About(version("steplog"), VERSION))


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
