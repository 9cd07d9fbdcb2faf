"""The files in deploy/ name what there is: commands, options, settings, addresses, measurements."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from steplog.cli import main
from steplog.server import about
from steplog.server.connection import IDLE_SECONDS
from steplog.server.endpoints import ENDPOINTS
from steplog.server.monitoring import FAMILIES
from steplog.server.serving import STOP_SECONDS
from steplog.settings import SETTINGS

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")
FILES = sorted(DEPLOY.iterdir())
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVERS = ["steplog-1", "steplog-2"]


def accept(arguments: list[str]) -> click.Context:
    """Parse arguments of steplog's command line; what does not exist raises. Nothing is run."""
    command: click.Command | None = main
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(click.Context(command), name)
    assert command is not None, f"there is no command {name!r}"
    return command.make_context(name, arguments)


def directives(name: str) -> dict[str, list[str]]:
    """Return the values of each directive of a Containerfile."""
    found: dict[str, list[str]] = {}
    text = (DEPLOY / name).read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found.setdefault(word, []).append(rest.strip())
    return found


def shell_commands() -> Iterator[str]:
    """Yield the lines of the page, and of comments in deploy/, that call steplog."""
    for text in (PAGE, *(path.read_text("utf-8") for path in FILES)):
        for line in text.splitlines():
            found = re.match(
                r"(?:#\s+)?(?:podman compose run --rm steplog-1 (.*)|steplog (\w.*))$", line
            )
            if found:
                yield re.split(r"  +#| > ", found[1] or found[2])[0]


def test_every_file_is_named_in_the_page() -> None:
    """docs/deploy.md says what each file in deploy/ is for."""
    assert not [path.name for path in FILES if f"deploy/{path.name}" not in PAGE]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_settings_that_are_named_exist(path: Path) -> None:
    """Every STEPLOG_ or MLFLOW_ variable is in the table of settings."""
    known = {setting.name for setting in SETTINGS} | {"STEPLOG_UI"}  # that of hatch_build.py
    named = set(re.findall(r"\b(?:STEPLOG|MLFLOW)_[A-Z_]+\b", path.read_text("utf-8")))
    assert named <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.name))
def test_no_host_of_others_is_named(path: Path) -> None:
    """Hosts are our own, examples, or the machine itself; images have short names."""
    text = path.read_text("utf-8")
    hosts = set(re.findall(r"https?://([\w.-]+)", text))
    assert hosts <= {"steplog", "127.0.0.1"}
    images = re.findall(r"^(?:FROM|\s+image:) (\S+)", text, re.MULTILINE)
    assert not [image for image in images if "." in image.partition("/")[0].partition(":")[0]]


@pytest.mark.parametrize("line", sorted(set(shell_commands())))
def test_commands_of_the_page_exist(line: str) -> None:
    """Every call of steplog on the page, and in comments, is understood."""
    accept(shlex.split(line))


def test_the_container() -> None:
    """The container starts a server that other machines can reach, as a user without rights."""
    container = directives("Containerfile")
    (entry,), (command,) = container["ENTRYPOINT"], container["CMD"]
    assert json.loads(entry) == ["steplog"]
    assert accept(json.loads(command)).params["host"] == "0.0.0.0"
    assert container["USER"] == ["steplog"]
    assert "[server,postgres]" in container["RUN"][0]
    (check,) = container["HEALTHCHECK"]
    assert "/health" in {each.path for each in about.endpoints(ENDPOINTS)}
    assert "/health" in check
    for copied in container["COPY"]:
        assert copied.startswith((". ", "--from=build"))


def test_the_services() -> None:
    """All services of the compose file are understood, and have what they refer to."""
    services = COMPOSE["services"]
    for name in ("upgrade", *SERVERS):
        accept(services[name]["command"])
        assert services[name]["environment"]["STEPLOG_TRACKING_URI"].startswith("postgresql://")
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            made = ("./certificate.pem", "./key.pem", "./metrics-token")  # by whoever uses it
            known = source in COMPOSE["volumes"] or source in made
            assert known or (DEPLOY / source).exists(), volume
    for name in SERVERS:
        parameters = accept(services[name]["command"]).params
        assert set(SERVERS) <= set(parameters["allowed_hosts"])
        grace = int(services[name]["stop_grace_period"].removesuffix("s"))
        assert grace > parameters["drain_seconds"] + 2 * STOP_SECONDS


def test_the_unit() -> None:
    """The unit of systemd starts a server, and waits until it has ended."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "steplog.service")
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program.endswith("/steplog")
    parameters = accept(arguments).params
    assert parameters["host"] == "127.0.0.1"
    assert int(service["TimeoutStopSec"]) > parameters["drain_seconds"] + 2 * STOP_SECONDS


def test_the_proxy() -> None:
    """The proxy gives connections up before the server does, and sends again what may be."""
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    assert text.count("{") == text.count("}")
    servers = re.findall(r"^\s+server ([\w-]+):5000 ", text, re.MULTILINE)
    assert servers == SERVERS
    (kept,) = re.findall(r"keepalive 64;\s+keepalive_timeout (\d+)s;", text)
    assert int(kept) < IDLE_SECONDS
    (harmless,) = re.findall(r"location ~ (\S+) \{", text)
    for endpoint in ENDPOINTS:
        for prefix in endpoint.prefixes:
            again = bool(re.match(harmless, prefix + endpoint.path))
            points = endpoint.path in ("/mlflow/runs/log-metric", "/mlflow/runs/log-batch")
            ours = prefix == "/api/steplog/1"
            assert again == (ours or (points and "2.0" in prefix)), prefix + endpoint.path


def test_measurements_that_are_named_exist() -> None:
    """Alerts, and the page, name only what /metrics shows, and the page names all of it."""
    known = {family.name for family in FAMILIES}
    endings = re.compile(r"_(bucket|count|sum)$")
    alerts = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert all({"alert", "expr", "labels", "annotations"} <= set(rule) for rule in rules)
    used = re.findall(r"\b(?:steplog|process)_\w+", " ".join(rule["expr"] for rule in rules))
    assert {endings.sub("", name) for name in used} <= known
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text("utf-8"))
    (job,) = prometheus["scrape_configs"]
    assert job["metrics_path"] in {each.path for each in about.endpoints(ENDPOINTS)}
    assert job["static_configs"][0]["targets"] == [f"{name}:5000" for name in SERVERS]
    missing = [name for name in known if name not in PAGE and not name.startswith("process_")]
    assert not [name for name in missing if f"_{name.rpartition('_')[2]}`" not in PAGE]
