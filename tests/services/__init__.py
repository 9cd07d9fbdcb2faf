"""The real services that tests talk to: PostgreSQL, ClickHouse, and a network that fails.

`postgres`, `clickhouse` and `modern_clickhouse` start servers of their kind on loopback, for
fixtures (one of each for a whole run, a fresh database for each test) and for tests that kill them
(a cluster of the test's own); `proxy` stands between a client and any of them. `daemons` are the
processes; `sharing` is how the workers of a run use the same ones. What a test does with them is
in the tests.
"""

from __future__ import annotations

from services.clickhouse import ClickHouse, clickhouse_cluster, clickhouse_database
from services.modern_clickhouse import modern_clickhouse_database
from services.postgres import (
    postgres_cluster,
    postgres_store_uri,
    postgres_template,
    postgres_uri,
)
from services.proxy import Proxy, proxied, proxying

__all__ = [
    "ClickHouse",
    "Proxy",
    "clickhouse_cluster",
    "clickhouse_database",
    "modern_clickhouse_database",
    "postgres_cluster",
    "postgres_store_uri",
    "postgres_template",
    "postgres_uri",
    "proxied",
    "proxying",
]
