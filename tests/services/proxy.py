"""A network that fails when it is told to: what it carries is cut, refused, held, slowed, or lost.

A proxy listens on loopback and carries the bytes of every connection to one server and back. It
runs in a thread of its own; its methods may be called from any other one.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from services.daemons import free_port

PIECE = 1 << 16
Serve = Callable[[int], "Proxy"]


class Proxy:
    """A port of loopback behind which there is another one.

    Attributes:
        port: where it listens.
        target: the port that it carries connections to; of those that come from now on.
        delay_seconds: how long each piece of up to 64 KiB waits before it is passed on.
        bytes_per_second: how fast each direction of a connection is; 0 is as fast as it gets.
        swallowing: of how many answers the first bytes are still to be lost, and with them the
            connection: the server has done what it was asked, and the client cannot know.
        cut_chance: how probable it is for each piece that its connection is cut before it.
        swallow_chance: how probable it is for each piece of an answer that it is swallowed.
        cuts: how many connections were cut so far.
        carried: how many bytes came from clients so far, passed on or not.
        answered: how many bytes went back to clients so far.

    """

    def __init__(self, target: int, seed: int = 0) -> None:
        """Listen.

        Args:
            target: the port of loopback that is behind it.
            seed: of what happens by chance.

        """
        self.target = target
        self.port = free_port()
        self.delay_seconds = 0.0
        self.bytes_per_second = 0
        self.swallowing = 0
        self.cut_chance = 0.0
        self.swallow_chance = 0.0
        self.cuts = 0
        self.carried = 0
        self.answered = 0
        self._chance = random.Random(seed)
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.accept()

    def accept(self) -> None:
        """Accept connections, as it does from the start."""
        self._do(self._accept)

    def refuse(self) -> None:
        """Refuse new connections, and cut those that there are."""
        self._do(self._refuse)

    def cut(self) -> None:
        """Cut all connections; new ones are accepted."""
        self._do(self._cut)

    def hold(self) -> None:
        """Pass nothing on, and say nothing: the network is there, and silent."""
        self._do(self._hold)

    def release(self) -> None:
        """Pass on what was held, and what comes."""
        self._do(self._release)

    def close(self) -> None:
        """End."""
        self.refuse()
        self._do(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, action: Callable[[], object]) -> None:
        async def run() -> None:
            result = action()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    def _cut(self) -> None:
        for writer in self._connections:
            writer.transport.abort()
        self.cuts += len(self._connections) // 2
        self._connections.clear()

    def _hold(self) -> None:
        self._flows.clear()

    def _release(self) -> None:
        self._flows.set()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, far_writer}
        self._connections |= both
        try:
            await asyncio.gather(
                self._pass(reader, far_writer, is_answer=False),
                self._pass(far_reader, writer, is_answer=True),
            )
        except (OSError, asyncio.CancelledError):  # asyncio would complain of a cancelled callback
            self.cuts += bool(both & self._connections)
        finally:
            self._connections -= both
            for each in both:
                each.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        while piece := await reader.read(PIECE):
            self.carried += 0 if is_answer else len(piece)
            await self._flows.wait()
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            if self.bytes_per_second:
                await asyncio.sleep(len(piece) / self.bytes_per_second)
            if self._is_lost(is_answer):
                raise ConnectionAbortedError
            writer.write(piece)
            self.answered += len(piece) if is_answer else 0
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()

    def _is_lost(self, is_answer: bool) -> bool:
        if is_answer and self.swallowing > 0:
            self.swallowing -= 1
            return True
        chance = self.cut_chance + (self.swallow_chance if is_answer else 0.0)
        return chance > 0 and self._chance.random() < chance


@contextmanager
def proxying(target: int, seed: int = 0) -> Iterator[Proxy]:
    """Run a proxy before a port of loopback."""
    proxy = Proxy(target, seed)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture
def proxied() -> Iterator[Serve]:
    """Put a proxy of the test's own before a port of loopback."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(proxying(port))
