"""The ledger over all four transports: readers change between them at random, while the server has its troubles.

Two workers, one of which is killed now and then, and all reloaded; readers that cut their lines, switch, resume. At the
end every reader's account must be a run of the log: nothing lost, nothing twice, nothing out of order.
"""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.held.servers import ROOT, Server, gunicorn, serve
from tests.processes import Process

READERS = 64
EVENTS = 3_500
PUBLISHERS = 2
PATIENCE = 90.0
SEED = int(os.environ.get("LEDGER_SEED", random.SystemRandom().randrange(10**6)))
MASK = b"\x00\x00\x00\x00"

PUBLISH = """
import os, sys, time
from tests.held.app import create_app, live
app = create_app()
count, pause = int(sys.argv[1]), float(sys.argv[2])
with app.app_context():
    for number in range(count):
        print(live.publish("news", number).offset, flush=True)
        time.sleep(pause)
app.extensions["landline"].close()
"""


class Lost(Exception):
    """The connection ended, or was not to be had; the reader carries on from its cursor."""


class Ledger:
    """A reader, and what it was told.

    It believes nothing but the wire: an answer that comes in whole counts, with the cursor that came with it; a part
    of one does not.
    """

    def __init__(self, port: int, cursor: str, draw: random.Random) -> None:
        self.offsets: list[int] = []
        self.by_transport: dict[str, int] = {}
        self.lines = 0
        self.refused = 0
        self._port = port
        self._cursor = cursor
        self._draw = draw
        self._kinds = {"poll": self._poll, "long-poll": self._long_poll, "sse": self._sse, "websocket": self._websocket}

    async def read(self, count: int) -> None:
        while len(self.offsets) < count:
            name = self._draw.choice(list(self._kinds))
            before = len(self.offsets)
            self.lines += 1
            stay = self._draw.expovariate(1 / 1.5)
            try:
                # Cut from outside, wherever the reader then is: as a phone goes into a tunnel.
                async with asyncio.timeout(stay):
                    await self._kinds[name](count)
            except (Lost, OSError, asyncio.IncompleteReadError):
                self.refused += 1
                await asyncio.sleep(self._draw.uniform(0, 0.2))
            except TimeoutError:
                pass
            self.by_transport[name] = self.by_transport.get(name, 0) + len(self.offsets) - before

    async def _poll(self, count: int, wait: float = 0) -> None:
        query = f"channel=news&cursor={self._cursor}" + (f"&wait={wait:g}" if wait else "")
        async with self._connection("poll", query) as (reader, _):
            answer = json.loads(await self._body(reader))
        self._take(answer)
        if answer["advice"]["interval"]:
            await asyncio.sleep(self._draw.uniform(0, 0.1))

    async def _long_poll(self, count: int) -> None:
        while len(self.offsets) < count:
            await self._poll(count, wait=2)

    async def _sse(self, count: int) -> None:
        if self._draw.random() < 0.5:
            query, more = f"channel=news&cursor={self._cursor}", ""
        else:
            query, more = "channel=news&cursor=start", f"Last-Event-ID: {self._cursor}\r\n"
        async with self._connection("events", query, more) as (reader, _):
            await self._status(reader, 200)
            while len(self.offsets) < count:
                block = dict(
                    line.split(": ", 1) for line in (await reader.readuntil(b"\n\n")).decode().strip().split("\n")
                )
                if block["event"] == "landline":
                    assert "reset" not in json.loads(block["data"]), block
                    if "goodbye" in block["data"]:
                        raise Lost
                else:
                    self.offsets.append(int(block["id"].rpartition("-")[2]))
                self._cursor = block.get("id", self._cursor)

    async def _websocket(self, count: int) -> None:
        more = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        async with self._connection("ws", f"channel=news&cursor={self._cursor}", more) as (reader, writer):
            await self._status(reader, 101)
            while len(self.offsets) < count:
                opcode, length = await reader.readexactly(2)
                if length >= 126:
                    length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
                data = await reader.readexactly(length)
                if opcode == 0x88:
                    writer.write(b"\x88\x82" + MASK + data[:2])
                    raise Lost
                assert opcode == 0x81, opcode
                self._take(json.loads(data))

    def _take(self, answer: dict) -> None:
        assert "reset" not in answer, answer
        self.offsets += [event["offset"] for event in answer["data"] or ()]
        self._cursor = answer["cursor"]

    async def _body(self, reader: asyncio.StreamReader) -> bytes:
        head = await self._status(reader, 200)
        length = next(line for line in head.lower().split("\r\n") if line.startswith("content-length:"))
        return await reader.readexactly(int(length.partition(":")[2]))

    async def _status(self, reader: asyncio.StreamReader, expected: int) -> str:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        if status == 503:
            raise Lost
        assert status == expected, head
        return head

    def _connection(self, path: str, query: str, more: str = "") -> "_Connection":
        request = f"GET /landline/{path}?{query} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n{more}\r\n"
        return _Connection(self._port, request.encode())


class _Connection:
    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request

    async def __aenter__(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        self._writer.write(self._request)
        return reader, self._writer

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()


async def trouble(server: Server, draw: random.Random, log: list[str]) -> None:
    """Kill a worker or reload them all, again and again."""
    while True:
        await asyncio.sleep(draw.uniform(1.0, 3.0))
        if draw.random() < 0.5:
            server.process.signal(signal.SIGHUP)
            log.append("reload")
        else:
            children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
            if children:
                os.kill(int(draw.choice(children)), signal.SIGKILL)
                log.append("kill")


async def run(server: Server, cursor: str, draw: random.Random) -> tuple[list[Ledger], list[str]]:
    ledgers = [Ledger(server.port, cursor, random.Random(draw.random())) for _ in range(READERS)]
    log: list[str] = []
    troubles = asyncio.create_task(trouble(server, draw, log))
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(ledger.read(EVENTS) for ledger in ledgers))
    except TimeoutError:
        pass  # the accounts say who is behind
    finally:
        troubles.cancel()
    return ledgers, log


@pytest.mark.ledger
@pytest.mark.slow
def test_every_account_balances_over_all_transports(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    command = gunicorn("--worker-class", "gthread", "--threads", "4", workers=2)
    config = {"LANDLINE_HOLD": 5.0, "LANDLINE_INTERVAL": 0.05}
    begun = time.monotonic()
    with serve(command, tmp_path, config) as server:
        cursor = server.cursor()
        each, pause = EVENTS // PUBLISHERS, 0.012
        publishers = [
            Process([sys.executable, "-c", PUBLISH, str(each), str(pause)], env=server.env, cwd=ROOT)
            for _ in range(PUBLISHERS)
        ]
        with publishers[0], publishers[1]:
            ledgers, log = asyncio.run(run(server, cursor, draw))
            published = sorted(int(line) for publisher in publishers for line in publisher.stdout.split())
    seconds = time.monotonic() - begun
    transports: dict[str, int] = {}
    for ledger in ledgers:
        for name, count in ledger.by_transport.items():
            transports[name] = transports.get(name, 0) + count
    deliveries = sum(len(ledger.offsets) for ledger in ledgers)
    lines = sum(ledger.lines for ledger in ledgers)
    print(  # noqa: T201  what a failure, or a reader of the log, wants to know
        f"seed {SEED}: {deliveries} deliveries {transports} over {lines} lines,"
        f" {log.count('kill')} kills, {log.count('reload')} reloads, {seconds:.0f} s"
    )
    # The app's own word on what it guards stands before the first.
    assert published == list(range(published[0], published[0] + EVENTS))
    wrong = [ledger.offsets for ledger in ledgers if ledger.offsets != published]
    assert not wrong, f"seed {SEED}: {len(wrong)} accounts; {_first_fault(wrong[0])}"
    assert deliveries >= 200_000
    assert len(transports) == 4
    assert min(transports.values()) > deliveries // 50
    assert {"kill", "reload"} <= set(log)


def _first_fault(offsets: list[int]) -> str:
    for before, after in itertools.pairwise(offsets):
        if after != before + 1:
            return f"{after} after {before}"
    return f"{len(offsets)}, from {offsets[:1]} on"
