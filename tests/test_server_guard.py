"""Who gets in: tokens, Host, Origin and content type, against real servers.

The classes of attack are those that MLflow's server had to be fixed for; each has its test here.
"""

from __future__ import annotations

import ast
import base64
import json
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from serving import API, Reply, Server, serving

import steplog
from steplog import MlflowException
from steplog.cli import main
from steplog.server import about, site, tokens
from steplog.server.endpoint import Endpoint
from steplog.server.endpoints import ENDPOINTS

EVERYTHING = about.endpoints(ENDPOINTS)
GUARDED = [each for each in EVERYTHING if each.role != "open"]
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a store without tokens."""
    with serving(tmp_path_factory.mktemp("open") / "store") as server:
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of a store with tokens."""
    store = tmp_path_factory.mktemp("guarded") / "store"
    store.mkdir()
    tokens.create(str(store), "admin")
    with serving(store) as server:
        yield server


def make(server: Server, *options: str) -> str:
    """Make a token as a user does."""
    result = CliRunner().invoke(main, ["token", "create", "--store", str(server.store), *options])
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def addresses(endpoint: Endpoint) -> Iterator[str]:
    for prefix in endpoint.prefixes:
        yield prefix + endpoint.path.replace(":path", "").replace("{", "").replace("}", "")


def call(server: Server, endpoint: Endpoint, address: str, token: str | None = None) -> Reply:
    body: object = None if endpoint.method == "GET" else {}
    return server.request(endpoint.method, address, body, token=token)


# Tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", EVERYTHING, ids=lambda each: f"{each.method} {each.path}")
def test_every_endpoint_wants_a_token(guarded: Server, endpoint: Endpoint) -> None:
    """Without a token every address of every endpoint answers 401, but what is no secret."""
    free = {
        "/health",
        "/ready",
        "/about",
        "/version",
        *(each.path for each in site.ENDPOINTS if not each.page),
    }
    for address in addresses(endpoint):
        reply = call(guarded, endpoint, address)
        if endpoint.path in free:
            assert reply.status == 200
        elif endpoint.page:
            assert reply.status == 401
            assert b'name="token" type="password"' in reply.body
        else:
            assert reply.status == 401
            assert reply.error_code() == "UNAUTHENTICATED"
            assert reply.headers["www-authenticate"] == "Bearer"


def test_what_does_not_exist_wants_a_token(guarded: Server) -> None:
    """Without a token nobody learns which addresses and methods there are."""
    for method, path in [("GET", "/nothing"), ("PUT", f"{API}/runs/get"), ("BREW", "/health")]:
        assert guarded.request(method, path, b"").status in (400, 401)


def test_a_read_token_only_reads(guarded: Server) -> None:
    """With a read token every endpoint that writes answers 403, and the others do not."""
    token = make(guarded, "--role", "read")
    for endpoint in GUARDED:
        for address in addresses(endpoint):
            reply = call(guarded, endpoint, address, token)
            assert (reply.status == 403) == (endpoint.role != "read"), (endpoint, reply)
            assert reply.status != 403 or reply.error_code() == "PERMISSION_DENIED"


def test_a_write_token_does_not_administer(guarded: Server) -> None:
    """With a write token every endpoint answers but those that need an admin."""
    token = make(guarded, "--role", "write")
    for endpoint in GUARDED:
        reply = call(guarded, endpoint, next(addresses(endpoint)), token)
        assert (reply.status == 403) == (endpoint.role == "admin"), (endpoint, reply)


def test_the_two_ways_to_send_a_token(guarded: Server) -> None:
    """A token is taken as Bearer and as the password of Basic, whoever the user is."""
    token = make(guarded, "--role", "read")
    password = base64.b64encode(f"anybody:{token}".encode()).decode()
    for sent in [f"Bearer {token}", f"bearer  {token} ", f"Basic {password}", f"BASIC {password}"]:
        assert guarded.request("GET", "/", headers={"Authorization": sent}).status == 200


def test_what_is_not_a_token(guarded: Server) -> None:
    """Nothing but a whole, known token gets anybody in: no default password, no id, no hash."""
    token = make(guarded, "--role", "admin")
    _, token_id, secret = token.split("_", 2)
    kept = {each.token_id: each for each in tokens.read(str(guarded.store))}[token_id]
    defaults = base64.b64encode(b"admin:password1234").decode()
    wrong = [
        "", "Bearer", "Bearer ", f"Token {token}", token, f"Basic {defaults}", "Basic !!!",
        f"Bearer {token_id}", f"Bearer steplog_{token_id}", f"Bearer steplog_{token_id}_",
        f"Bearer steplog_{token_id}_{kept.sha256}", f"Bearer {secret}", f"Bearer {token}x",
        f"Bearer x{token}", f"Bearer {token[:-1]}", f"Bearer steplog_00000000_{secret}",
        f"Bearer other_{token_id}_{secret}", f"Basic {base64.b64encode(token.encode()).decode()}",
        "Bearer \xe9\xff", "Bearer steplog__", f"Bearer {token.upper()}",
    ]  # fmt: skip
    for sent in wrong:
        assert guarded.request("GET", "/", headers={"Authorization": sent}).status == 401, sent
    assert guarded.request("GET", "/", token=token).status == 200


def test_a_store_without_tokens_is_open_to_this_machine(open_server: Server) -> None:
    """Where nobody made a token, everybody on this machine may do everything."""
    assert open_server.post("/experiments/create", {"name": "anything"})["experiment_id"]


@pytest.mark.slow
def test_tokens_come_and_go_while_the_server_runs(tmp_path: Path) -> None:
    """The first token closes the server and a revoked one is refused, within a second each."""
    with serving(tmp_path / "store") as server:
        assert server.request("GET", "/").status == 200
        first, second = make(server, "--role", "read"), make(server, "--role", "read")
        wait_for_status(server, None, 401)
        assert server.request("GET", "/", token=first).status == 200
        result = CliRunner().invoke(
            main, ["token", "revoke", first.split("_")[1], "--store", str(server.store)]
        )
        assert result.exit_code == 0
        wait_for_status(server, first, 401)
        assert server.request("GET", "/", token=second).status == 200


@pytest.mark.slow
def test_a_damaged_list_of_tokens_lets_nobody_in(tmp_path: Path) -> None:
    """Where the tokens cannot be read nobody gets in, not even with a token that was good."""
    store = tmp_path / "store"
    with serving(store) as server:
        token = make(server, "--role", "admin")
        wait_for_status(server, None, 401)
        (store / tokens.FILE_NAME).write_text("{}")
        wait_for_status(server, token, 500)
        assert server.request("GET", "/").error_code() == "DATA_LOSS"
        assert server.request("GET", "/health").status == 200
    result = CliRunner().invoke(main, ["token", "list", "--store", str(store)])
    assert result.exit_code == 1
    assert tokens.FILE_NAME in result.stderr


def wait_for_status(server: Server, token: str | None, status: int) -> None:
    """Ask until the answer is another one; the file of the tokens is looked at twice a second."""
    pause = threading.Event()
    while server.request("GET", "/", token=token).status != status:
        pause.wait(0.02)


def test_what_is_kept_of_a_token(tmp_path: Path) -> None:
    """The file is for its owner only, and holds nothing that a token could be made from."""
    token, text = tokens.create(str(tmp_path), "write", "7")
    path = tmp_path / tokens.FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = text.rpartition("_")[2] if text.count("_") == 2 else text.split("_", 2)[2]
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert secret not in path.read_text("utf-8")
    assert tokens.read(str(tmp_path)) == [token]
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, f"{path.name}.lock"]


def test_tokens_made_at_once(tmp_path: Path) -> None:
    """Of tokens that are made and revoked at the same time none is lost and none comes back."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: tokens.create(str(tmp_path), "read")[0], range(32)))
        gone = made[::2]
        list(pool.map(lambda token: tokens.revoke(str(tmp_path), token.token_id), gone))
    kept = {token.token_id for token in tokens.read(str(tmp_path))}
    assert kept == {token.token_id for token in made[1::2]}
    with pytest.raises(MlflowException, match="no token"):
        tokens.revoke(str(tmp_path), gone[0].token_id)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"version": 2, "tokens": []}', '{"version": 1, "tokens": [{}]}',
        '{"version": 1, "tokens": [{"token_id": "a", "role": "open", "experiment_id": null, '
        '"created_ms": 0, "sha256": ""}]}',
    ],
)  # fmt: skip
def test_a_list_of_tokens_that_is_none(tmp_path: Path, text: str) -> None:
    """A file of tokens that steplog did not write is an error, never an empty list."""
    (tmp_path / tokens.FILE_NAME).write_text(text)
    with pytest.raises(MlflowException) as raised:
        tokens.read(str(tmp_path))
    assert raised.value.error_code == "DATA_LOSS"


def test_the_commands_of_tokens(tmp_path: Path) -> None:
    """What is made is listed, with its experiment's name, until it is revoked."""

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["token", *arguments, "--store", str(tmp_path / "store")])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "no token" in run("list")
    assert not (tmp_path / "store").exists()
    made = json.loads(run("create", "--role", "write", "--experiment", "digits", "--json"))
    run("create", "--role", "read")
    listed = json.loads(run("list", "--json"))["tokens"]
    assert [(each["role"], each["experiment"]) for each in listed] == [
        ("write", "digits"),
        ("read", None),
    ]
    assert made["token_id"] == listed[0]["token_id"]
    assert made["token"] not in run("list")
    run("revoke", made["token_id"])
    assert made["token_id"] not in run("list")


def test_a_token_of_one_experiment(guarded: Server) -> None:
    """A token of one experiment neither reads nor writes another, nor learns that it is there."""
    admin = make(guarded, "--role", "admin")
    token = make(guarded, "--role", "write", "--experiment", "mine")
    found = guarded.request(
        "GET", f"{API}/experiments/get-by-name?experiment_name=mine", token=token
    )
    mine = found.json()["experiment"]["experiment_id"]
    theirs = guarded.post("/experiments/create", {"name": "theirs"}, token=admin)["experiment_id"]
    their_run = guarded.post("/runs/create", {"experiment_id": theirs}, token=admin)
    run_id = their_run["run"]["info"]["run_id"]
    guarded.post("/runs/create", {"experiment_id": mine}, token=token)
    point = {"run_id": run_id, "key": "loss", "value": 1.0, "timestamp": 1}
    for method, path, body in [
        ("POST", "/runs/create", {"experiment_id": theirs}),
        ("POST", "/experiments/create", {"name": "more"}),
        ("POST", "/runs/log-metric", point),
        ("POST", "/runs/log-batch", {"run_id": run_id, "metrics": [point]}),
        ("POST", "/runs/set-tag", {"run_id": run_id, "key": "a", "value": "b"}),
        ("POST", "/runs/delete", {"run_id": run_id}),
        ("GET", f"/runs/get?run_id={run_id}", None),
        ("GET", f"/metrics/get-history?run_id={run_id}&metric_key=loss", None),
        ("GET", f"/experiments/get?experiment_id={theirs}", None),
    ]:
        reply = guarded.request(method, API + path, body, token=token)
        assert (reply.status, reply.error_code()) == (403, "PERMISSION_DENIED"), (path, reply)
    everywhere = {"experiment_ids": [mine, theirs], "max_results": 100}
    searched = guarded.request("POST", f"{API}/runs/search", everywhere, token=token)
    assert searched.status == 403 or {
        run["info"]["experiment_id"] for run in searched.json()["runs"]
    } == {mine}
    listed = guarded.post("/experiments/search", {"max_results": 100}, token=token)
    assert [each["experiment_id"] for each in listed["experiments"]] == [mine]


def test_mlflows_client_sends_a_token(guarded: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client gets in by MLFLOW_TRACKING_TOKEN, and by _USERNAME and _PASSWORD."""
    token = make(guarded, "--role", "write")
    client = mlflow.MlflowClient(guarded.url)
    with pytest.raises(mlflow.MlflowException, match="steplog token create") as raised:
        client.create_run("0")
    assert raised.value.error_code == "UNAUTHENTICATED"
    for way in [
        {"MLFLOW_TRACKING_TOKEN": token},
        {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": token},
    ]:
        with monkeypatch.context() as patch:
            for name, value in way.items():
                patch.setenv(name, value)
            run_id = client.create_run("0").info.run_id
            client.log_metric(run_id, "loss", 1.0)
            assert [point.value for point in client.get_metric_history(run_id, "loss")] == [1.0]


# Where it listens ---------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_only_with_a_token(tmp_path: Path, host: str) -> None:
    """The server does not start where other machines could call it and the store has no token."""
    result = CliRunner().invoke(main, ["server", "--host", host, "--store", str(tmp_path / "s")])
    assert result.exit_code == 1
    assert "steplog token create" in result.stderr
    assert not result.stdout


@pytest.mark.slow
def test_other_machines_never_without_a_token(tmp_path: Path) -> None:
    """A server that other machines reach wants a token even when the last one was revoked."""
    store = tmp_path / "store"
    store.mkdir()
    token, text = tokens.create(str(store), "admin")
    with serving(store, "--host", "0.0.0.0") as server:
        assert server.host == "127.0.0.1"
        assert server.request("GET", "/", token=text).status == 200
        tokens.revoke(str(store), token.token_id)
        wait_for_status(server, text, 401)
        assert server.request("GET", "/").status == 401


# Host and Origin ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:5000", "[::1]:80", "[::1]", "localhost."]
)
def test_the_names_of_this_machine(open_server: Server, host: str) -> None:
    """The server goes by the names of the loopback, whatever the port."""
    assert open_server.request("GET", "/health", headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:5000", "localhost.evil.example", "127.0.0.1.evil.example",
        "192.168.1.1", "", "localhost@evil.example", "[::1].evil.example", "evil.example#localhost",
        "127.0.0.1:5000:evil", "0.0.0.0",
    ],
)  # fmt: skip
def test_a_foreign_name_gets_nothing(open_server: Server, host: str) -> None:
    """DNS rebinding: under a name that is not its own the server answers nothing but 403."""
    for method, path in [("GET", "/health"), ("GET", "/"), ("POST", f"{API}/runs/create")]:
        reply = open_server.request(method, path, b"{}", headers={"Host": host})
        assert reply.status == 403
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert b"--allowed-host" in reply.body


def test_more_than_one_name(open_server: Server) -> None:
    """Two Host headers are refused: a proxy could have looked at the other one."""
    with open_server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "https://localhost.evil", "x"]
)
def test_a_foreign_page_gets_nothing(open_server: Server, origin: str) -> None:
    """Cross-site requests: what a page of another site sends is answered 403, and not done."""
    before = open_server.post("/experiments/search", {"max_results": 1000})
    for method in ("GET", "POST", "PATCH", "DELETE", "OPTIONS"):
        reply = open_server.request(
            method, f"{API}/experiments/create", {"name": "evil"}, headers={"Origin": origin}
        )
        assert reply.status == 403
        assert b"--allowed-origin" in reply.body
        assert not [name for name in reply.headers if name.startswith("access-control")]
    assert open_server.post("/experiments/search", {"max_results": 1000}) == before


def test_its_own_page_may_call(open_server: Server) -> None:
    """A page that this server sent may call it."""
    host = f"{open_server.host}:{open_server.port}"
    headers = {"Origin": f"http://{host}", "Host": host}
    assert open_server.request("GET", "/health", headers=headers).status == 200


@pytest.mark.slow
def test_what_is_allowed(tmp_path: Path) -> None:
    """Names and sites that were allowed may be used, and no others."""
    allowed = ["--allowed-host", "Runs.example", "--allowed-origin", "https://page.example"]
    with serving(tmp_path / "store", *allowed) as server:

        def status(**headers: str) -> int:
            return server.request("GET", "/health", headers=headers).status

        assert status(Host="runs.example:443") == status(Origin="https://page.example") == 200
        assert status(Host="other.example") == status(Origin="http://page.example") == 403


@pytest.mark.parametrize("content_type", [FORM, "text/plain", "multipart/form-data", ""])
def test_a_form_changes_nothing(open_server: Server, content_type: str) -> None:
    """Cross-site forms, which need no permission of the browser's: what is not JSON is refused."""
    headers = {"Content-Type": content_type}
    for method in ("POST", "PATCH", "DELETE"):
        path = f"{API}/logged-models/m-1" if method != "POST" else f"{API}/experiments/create"
        reply = open_server.request(method, path, b'{"name": "form"}', headers=headers)
        assert reply.status == 400
        assert reply.error_code() == "INVALID_PARAMETER_VALUE"
        assert "application/json" in reply.json()["message"]


# What an answer carries ---------------------------------------------------------------------------


def test_headers_of_every_answer(open_server: Server) -> None:
    """Every answer, errors too, tells browsers to run, guess, keep and pass on nothing of it."""
    for path in ("/?plain", "/health", "/openapi.json", "/nothing", f"{API}/runs/get", "/%00"):
        headers = open_server.request("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in headers


def test_html_in_a_name_is_not_html(open_server: Server) -> None:
    """What a caller names is answered as JSON or plain text, which no browser runs."""
    script = "<script>alert(1)</script>"
    for reply in [
        open_server.request("GET", f"/{script}"),
        open_server.request("GET", "/", headers={"Host": script}),
        open_server.request("GET", "/", headers={"Origin": script}),
        open_server.request("POST", f"{API}/runs/get-{script}", {}),
    ]:
        assert reply.headers["content-type"].split(";")[0] in ("application/json", "text/plain")


# What a request cannot reach ----------------------------------------------------------------------

TRAVERSALS = [
    "../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "/etc/passwd",
    "..%5c..%5c..%5cetc%5cpasswd", "....//....//etc/passwd", "%252e%252e%252fetc%252fpasswd",
    "..%c0%af..%c0%afetc/passwd", "file:///etc/passwd", "..\\..\\etc\\passwd".replace("\\", "%5C"),
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_of_a_request_is_opened(open_server: Server, path: str) -> None:
    """Path traversal: no address, parameter or id leads to a file."""
    for address in [
        f"/{path}", f"/static-files/{path}", f"/api/2.0/mlflow-artifacts/artifacts/{path}",
        f"/get-artifact?run_uuid={path}&path={path}", f"{API}/artifacts/list?path={path}",
        f"{API}/runs/get?run_id={path}", f"{API}/logged-models/{path}",
        f"/ajax-api/2.0/mlflow/logged-models/{path}/artifacts/files?artifact_file_path={path}",
        f"{API}/metrics/get-history?run_id={path}&metric_key={path}",
    ]:  # fmt: skip
        for method in ("GET", "PUT", "DELETE"):
            reply = open_server.request(method, address)
            assert reply.status < 500 or reply.status == 501, (method, address, reply)
            assert b"root:x:" not in reply.body


def test_no_url_of_a_request_is_fetched(open_server: Server) -> None:
    """Server-side requests: URLs that a caller names are kept, and nobody connects to them."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        bait = f"http://127.0.0.1:{trap.getsockname()[1]}/bait"
        made = open_server.post("/experiments/create", {"name": "bait", "artifact_location": bait})
        run = open_server.post("/runs/create", {"experiment_id": made["experiment_id"]})["run"]
        run_id = run["info"]["run_id"]
        assert run["info"]["artifact_uri"].startswith(bait)
        dataset = {"name": "d", "digest": "1", "source_type": "http", "source": bait}
        open_server.post("/runs/log-inputs", {"run_id": run_id, "datasets": [{"dataset": dataset}]})
        for path in ("artifacts/list", "runs/get"):
            open_server.request("GET", f"{API}/{path}?run_id={run_id}")
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_the_server_has_nothing_that_opens_urls_or_runs_data() -> None:
    """No module of the server imports what fetches, or what turns data into code."""
    dangerous = {"pickle", "marshal", "shelve", "urllib.request", "http.client", "requests", "yaml"}
    folder = Path(steplog.__file__).parent / "server"
    for module in folder.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                assert dangerous.isdisjoint(alias.name for alias in node.names), module
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in dangerous, module
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "__import__", "compile"}, module


def test_what_the_server_needs_is_said() -> None:
    """Without what the server needs the command says how to get it."""
    script = "import sys; sys.modules['uvicorn'] = None; from steplog.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "server", "--port", "0"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "uvicorn: pip install 'steplog[server]'" in done.stderr


def test_logging_loads_nothing_of_the_server() -> None:
    """A process that only logs loads neither the server nor what it needs."""
    script = (
        "import sys, steplog; steplog.start_run(); steplog.log_metric('a', 1); steplog.end_run();"
        "print([m for m in sys.modules if m.startswith('steplog.server') or m in "
        "('uvicorn', 'httptools', 'msgspec', 'asyncio', 'multiprocessing')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
