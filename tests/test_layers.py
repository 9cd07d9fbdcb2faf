"""The architecture as a test: imports point down, in no circle, and stand at the top of a file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import steplog

PACKAGE = Path(steplog.__file__).parent

# From the top down. A module may import what stands in its own line or below.
LAYERS = """
    __main__
    cli mlflow_plugin
    syncing collecting databases server.commands
    command working
    server.supervisor
    server.serving
    server.asgi server.connection
    server.app server.about
    server.monitoring
    server.entrance server.site
    server.guard server.routes server.bundle
    server.tokens server.answers server.logs
    server.openapi
    server.endpoints
    server.details
    server.experiments server.metrics server.models server.runs server.table server.charts
    server.storage
    server.scope server.translation
    server.wire
    server.view_messages server.storage_messages
    server.messages
    server
    server.endpoint
    server.measuring
    server.exposition
    top follow
    watching
    live
    pages terminal braille
    screen
    steplog tracking testing
    models
    fluent config searching
    runs experiments
    plain
    links system_metrics
    client
    experiment_client metric_client model_client
    base_client
    charts
    reading listing history lookup lines
    pending context paging active_model
    backend
    recorder
    background delivering
    writer ingest
    journals
    journal_reader stores
    sync
    carrying
    comparing differences sending
    stores.servers
    stores.migrations
    stores.migrations.versions
    stores.migrations.versions.r0001_catalog
    stores.clickhouse
    stores.sqlite stores.memory stores.remote stores.mlflow_server stores.postgres
    stores.whole stores.mlflow_sending
    stores.mlflow_operations stores.mlflow_records
    stores.mlflow_ids
    stores.mlflow_api stores.mlflow_ledger stores.mlflow_points stores.mlflow_queries
    stores.relational
    stores.searching
    stores.purging stores.blocks
    stores.checking stores.sealing stores.pieces
    stores.tail stores.waiting stores.outlines stores.chunks
    stores.catalog
    stores.rows
    stores.database stores.postgres_database
    stores.postgres_values
    stores.locks
    stores.connection
    stores.schema
    stores.clickhouse_points
    stores.clickhouse_client
    stores.http stores.wire
    stores.base stores.retrying stores.native stores.stretches
    filters
    filters.runs filters.models
    filters.texts
    grouping
    places
    journal chunk fold downsample buckets reducing
    filesystem summary
    svg
    axes
    points operations entities rules rows query recent direction ticks
    ranks
    settings markup
    tally
    exceptions forks git
"""

# An import inside a function hides what a module depends on. Each of these has its reason.
_NUMPY = "brings numpy, which a process that only logs does not wait for"
_DATABASE = "brings numpy and SQLite; with STEPLOG_INGEST=off a process loads neither"
_PARSER = "brings the parser of filters, which only who searches waits for"
_TEXT = "brings numpy, which --help does not wait for"
_BAR = "brings rich, which only long work waits for"
_LIVE = "brings what only a live page needs, on systems that have terminals"
_SERVER = "brings what only the server needs"
LATE_IMPORTS = {
    ("backend", "steplog.ingest"): _DATABASE,
    ("places", "urllib.parse"): "5 ms that a plain path need not wait for",
    ("places", "hashlib"): "loads OpenSSL, only to name what is very long",
    ("places", "tempfile"): "8 ms that only who reads in a home on a shared disk waits for",
    ("backend", "steplog.journals"): _NUMPY,
    ("backend", "steplog.stores"): _DATABASE,
    ("background", "steplog.ingest"): _DATABASE,
    ("background", "steplog.stores"): _DATABASE,
    ("syncing", "steplog.delivering"): _NUMPY,
    ("syncing", "steplog.pages"): _TEXT,
    ("syncing", "steplog.sync"): _NUMPY,
    ("working", "rich.console"): _BAR,
    ("working", "rich.progress"): _BAR,
    ("cli", "steplog.listing"): _NUMPY,
    ("cli", "steplog.plain"): _NUMPY,
    ("cli", "steplog.pages"): _TEXT,
    ("cli", "steplog.reading"): _NUMPY,
    ("cli", "steplog.terminal"): _TEXT,
    ("cli", "steplog.braille"): _TEXT,
    ("cli", "steplog.follow"): _TEXT,
    ("cli", "steplog.live"): _LIVE,
    ("cli", "steplog.top"): _TEXT,
    ("cli", "steplog.watching"): _TEXT,
    ("databases", "steplog.pages"): _TEXT,
    ("command", "steplog.screen"): "a line of --json needs no screen",
    ("collecting", "steplog.pages"): _TEXT,
    ("client", "steplog.filters"): _PARSER,
    ("experiment_client", "steplog.filters"): _PARSER,
    ("metric_client", "steplog.history"): _NUMPY,
    ("metric_client", "steplog.reading"): _NUMPY,
    ("model_client", "steplog.filters"): _PARSER,
    ("context", "configparser"): "4 ms that a home without MLflow's credentials need not wait for",
    ("journal", "socket"): "8 ms that only Windows needs",
    ("entities", "steplog.markup"): "brings what only a notebook shows",
    ("runs", "steplog.plain"): _NUMPY,
    ("reading", "pandas"): "is an extra",
    ("searching", "pandas"): "is an extra",
    ("rules", "hashlib"): "loads OpenSSL, only to name a new experiment",
    ("server.commands", "steplog.server.serving"): _SERVER,
    ("server.commands", "steplog.server.supervisor"): _SERVER,
    ("server.commands", "steplog.server.tokens"): _SERVER,
    ("system_metrics", "psutil"): "is an extra",
    ("system_metrics", "pynvml"): "is an extra",
    ("stores.relational", "steplog.stores.searching"): "brings SQLAlchemy, for searches only",
    ("stores", "steplog.stores.servers"): "brings HTTP",
    ("stores", "steplog.stores.clickhouse"): "is an extra",
    ("stores", "steplog.stores.database"): _DATABASE,
    ("stores", "steplog.stores.migrations"): "is an extra",
    ("stores", "steplog.stores.postgres"): "is an extra",
    ("stores", "steplog.stores.schema"): _DATABASE,
    ("stores", "steplog.stores.sqlite"): "brings SQLite, which the store in memory does without",
}


class Import(NamedTuple):
    """One import of the package: who imports what, in which line, inside a function or not."""

    importer: str
    imported: str
    line: int
    late: bool


def qualified(name: str) -> str:
    """Return the dotted name of a module as `LAYERS` and `LATE_IMPORTS` call it."""
    return name if name == "steplog" else f"steplog.{name}"


def read_modules() -> dict[str, ast.Module]:
    """Return the parsed modules of the package by their dotted names."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        dotted = ".".join(["steplog", *path.relative_to(PACKAGE).with_suffix("").parts])
        modules[dotted.removesuffix(".__init__")] = ast.parse(path.read_text("utf-8"))
    return modules


def walk(node: ast.AST, late: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node below `node`, and whether it stands inside a function."""
    for child in ast.iter_child_nodes(node):
        yield child, late
        yield from walk(child, late or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))


def read_imports(modules: dict[str, ast.Module]) -> Iterator[Import]:
    """Yield every import of these modules. ``from steplog import chunk`` names `steplog.chunk`."""
    for importer, tree in modules.items():
        for node, late in walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(importer, alias.name, node.lineno, late)
            elif isinstance(node, ast.ImportFrom):
                assert node.module and not node.level, f"{importer}: imports here are absolute"
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    imported = inner if inner in modules else node.module
                    yield Import(importer, imported, node.lineno, late)


MODULES = read_modules()
IMPORTS = list(read_imports(MODULES))
LEVELS = {
    qualified(name): -depth
    for depth, layer in enumerate(LAYERS.strip().splitlines())
    for name in layer.split()
}


def test_every_module_has_its_layer() -> None:
    """The layers name every module of the package and nothing else."""
    assert set(LEVELS) == set(MODULES)


def test_imports_point_down() -> None:
    """No module imports from a layer above its own, not even for its type annotations."""
    assert not [
        f"{each.importer} imports {each.imported} in line {each.line}"
        for each in IMPORTS
        if each.imported in LEVELS and LEVELS[each.imported] > LEVELS[each.importer]
    ]


def test_imports_form_no_circle() -> None:
    """There is an order in which each module needs only those read before it."""
    below: dict[str, set[str]] = {}
    for each in IMPORTS:
        if each.imported in MODULES:
            below.setdefault(each.importer, set()).add(each.imported)
    TopologicalSorter(below).prepare()  # a CycleError names the circle


def test_imports_stand_at_the_top() -> None:
    """An import inside a function is on the list, with its reason."""
    late = {(each.importer, each.imported) for each in IMPORTS if each.late}
    assert late == {(qualified(importer), imported) for importer, imported in LATE_IMPORTS}
