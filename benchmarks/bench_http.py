"""Which HTTP server? One tiny endpoint, behind each of several, under wrk.

The endpoint does what `log-metric` does in the best case: parse 170 bytes of JSON, pack 32 bytes
into mapped memory, answer ``{}`` with the security headers. So this measures what is around it. Run
by hand, with wrk and ``pip install uvicorn starlette granian uvloop httptools``:

    python benchmarks/bench_http.py
"""

from __future__ import annotations

import asyncio
import json
import mmap
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SECONDS = 3
ROUNDS = 3
PATH = "/api/2.0/mlflow/runs/log-metric"
SCRIPT = f"""
wrk.method, wrk.path = "POST", "{PATH}"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{{"run_uuid": "{"a" * 32}", "run_id": "{"a" * 32}", "key": "train/loss", ' ..
  '"value": 0.123456, "timestamp": 1700000000000, "step": 123}}'
"""
HEADERS = {
    "content-type": "application/json",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'",
}
QUIET = ["--log-level", "error"]
UVICORN = ["-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", *QUIET]
GRANIAN = ["-m", "granian", "--no-ws", *QUIET, "--interface"]
SERVERS = {
    "uvicorn, bare ASGI": [*UVICORN, "bench_http:asgi"],
    "uvicorn, Starlette": [*UVICORN, "--factory", "bench_http:starlette"],
    "granian, ASGI": [*GRANIAN, "asgi", "bench_http:asgi"],
    "granian, RSGI": [*GRANIAN, "rsgi", "bench_http:rsgi"],
    "httptools, asyncio": ["bench_http.py", "asyncio"],
    "httptools, uvloop": ["bench_http.py", "uvloop"],
}

_mapped = mmap.mmap(-1, 1 << 20)
_pack = struct.Struct("<qqdII").pack_into


def work(body: bytes) -> bytes:
    """Do what the endpoint does."""
    asked = json.loads(body)
    _pack(_mapped, 0, asked["step"], asked["timestamp"], float(asked["value"]), 1, 1)
    return b"{}"


async def asgi(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]
) -> None:
    """Answer through ASGI, without a framework."""
    if scope["type"] == "lifespan":
        while (event := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{event}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = (await receive())["body"]
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    headers.append((b"content-length", b"2"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": work(body)})


def starlette() -> object:
    """Return the endpoint as one of thirty routes of Starlette."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def log_metric(request: Request) -> Response:
        return Response(work(await request.body()), headers=HEADERS)

    others = [Route(f"{PATH}-{number}", log_metric, methods=["POST"]) for number in range(29)]
    return Starlette(routes=[*others, Route(PATH, log_metric, methods=["POST"])])


async def rsgi(scope: Any, protocol: Any) -> None:
    """Answer through RSGI, which only granian speaks."""
    protocol.response_bytes(200, [*HEADERS.items()], work(await protocol()))


def bare(port: int, loop: str) -> None:
    """Answer in callbacks of the parser: no task, no framework."""
    import httptools

    head = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    start = f"HTTP/1.1 200 OK\r\n{head}content-length: 2\r\n\r\n".encode()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_message_begin(self) -> None:
            self.headers: dict[bytes, bytes] = {}
            self.body = b""

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers[name.lower()] = value

        def on_body(self, part: bytes) -> None:
            self.body += part

        def on_message_complete(self) -> None:
            self.transport.write(start + work(self.body))

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Protocol, "127.0.0.1", port)
        await server.serve_forever()

    if loop == "uvloop":
        import uvloop

        uvloop.run(serve())
    asyncio.run(serve())


def measure(arguments: list[str], script: Path, connections: int) -> float:
    """Return the requests a second that wrk had answered."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    place = [port] if arguments[0] == "bench_http.py" else ["--port", port]
    folder = Path(__file__).parent
    with subprocess.Popen([sys.executable, *arguments, *place], cwd=folder) as process:
        try:
            while process.poll() is None:
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", int(port))).close()
                    break
                time.sleep(0.05)
            wrk = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}", "-s", str(script)]
            said = subprocess.run(
                [*wrk, f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
            ).stdout
        finally:
            process.terminate()
    assert "Non-2xx" not in said, said
    return float(said.partition("Requests/sec:")[2].split()[0])


def main() -> None:
    """Measure all of them in turn, and print medians and ranges."""
    if shutil.which("wrk") is None:
        sys.exit("This needs wrk.")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "post.lua")
        script.write_text(SCRIPT)
        found: dict[tuple[str, int], list[float]] = {}
        for _ in range(ROUNDS):
            for name, arguments in SERVERS.items():
                for connections in (1, 8):
                    each = measure(arguments, script, connections)
                    found.setdefault((name, connections), []).append(each)
    print("| requests a second, in thousands | 1 connection | 8 connections |\n|---|---:|---:|")
    for name in SERVERS:
        cells = [sorted(each / 1e3 for each in found[name, count]) for count in (1, 8)]
        shown = [f"{low:.1f} – **{mid:.1f}** – {high:.1f}" for low, mid, high in cells]
        print(f"| {name} | {' | '.join(shown)} |")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        bare(int(sys.argv[2]), sys.argv[1])
    else:
        main()
