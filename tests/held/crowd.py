"""Thousands of clients in one process, and who publishes to them: `python -m tests.held.crowd PORT CLIENTS SECONDS`.

They keep the rules of WIRE §11 as the browser client does, but for some that open a stream whatever they are advised,
as a plain `EventSource` would. Prints what came of it as one JSON object.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from typing import Any, NamedTuple

ARRIVE = 5.0
"""Seconds over which the clients come."""
PAUSE = 0.25
"""Seconds between two events."""
PATIENCE = 30.0
"""Seconds within which any answer comes, and a silent line has said something."""
CATCH_UP = 120.0
"""Seconds within which everybody has the last event, when no more come: the longest interval, twice."""
STUBBORN = 0.1
"""The part of the clients that does not ask what is offered."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Crowd:
    """The clients, and what they saw."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.published: list[int] = []
        self.over = False
        self.seen = Counter[str]()
        """How often each answer came, by status and code."""
        self.retries = Counter[int]()
        """Each `Retry-After` of a refusal."""
        self.intervals = Counter[float]()

    async def ask(self, path: str, body: bytes | None = None) -> Answer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            answer = await self.begin(reader, writer, path, body)
            content = await reader.readexactly(int(answer.headers["content-length"]))
            return answer._replace(body=json.loads(content))
        finally:
            writer.close()

    async def begin(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes | None = None
    ) -> Answer:
        """Send a request and read the head of its answer."""
        head = f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
        if body is not None:
            head = f"POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"\r\n" + (body or b""))
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        return Answer(int(lines[0].split()[1]), headers, None)

    async def publish(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            answer = await self.ask("/publish/news", json.dumps({"number": len(self.published)}).encode())
            self.published += answer.body["offsets"]
            await asyncio.sleep(PAUSE)
        self.over = True


class Client:
    """One reader."""

    def __init__(self, crowd: Crowd, cursor: str, seed: int) -> None:
        self._crowd = crowd
        self._cursor = cursor
        self._draw = random.Random(seed)
        self._stubborn = self._draw.random() < STUBBORN
        self._kind = self._draw.choice(["sse", "long-poll"])
        self._climb_at = 0.0
        self._falls = 0
        self.offsets: list[int] = []
        self.lines = 0

    @property
    def is_done(self) -> bool:
        return self._crowd.over and self.offsets[-1:] == self._crowd.published[-1:]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._draw.random() * ARRIVE)
        failures, wait = 0, 0.0
        while not self.is_done:
            if self._stubborn and loop.time() >= self._climb_at:
                await self._stream()
                continue
            query = f"?channel=news&cursor={self._cursor}" + (f"&wait={wait:g}" if wait else "")
            answer = await asyncio.wait_for(self._crowd.ask(f"/landline/poll{query}"), PATIENCE + wait)
            self._note(answer)
            if answer.status != 200:
                failures += 1
                least = float(answer.headers.get("retry-after", 0))
                await asyncio.sleep(0 if wait else least + self._draw.random() * min(60.0, 2.0**failures))
                wait = 0.0
                continue
            failures = 0
            self._take(answer.body)
            advice = answer.body["advice"]
            self._crowd.intervals[advice["interval"]] += 1
            if self._kind == "sse" and "sse" in advice["transports"] and loop.time() >= self._climb_at:
                await self._stream()
                continue
            wait = advice["hold"] if self._kind == "long-poll" else 0.0
            stretched = advice["interval"] * (1 + self._draw.random() / 10)
            await asyncio.sleep(0.1 if wait or not stretched else stretched)

    async def _stream(self) -> None:
        """Read a stream until it ends, or is refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._crowd.port)
        try:
            answer = await self._crowd.begin(reader, writer, f"/landline/events?channel=news&cursor={self._cursor}")
            if answer.status != 200:
                body = json.loads(await reader.readexactly(int(answer.headers["content-length"])))
                answer = answer._replace(body=body)
            self._note(answer)
            least = float(answer.headers.get("retry-after", 0))
            self._climb_at = (
                asyncio.get_running_loop().time() + least + self._draw.random() * min(60.0, 2.0**self._falls)
            )
            self._falls += 1
            while answer.status == 200 and not self.is_done:
                block = await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE)
                self._read(dict(line.split(": ", 1) for line in block.decode().strip().split("\n")))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def _read(self, block: dict[str, str]) -> None:
        if block["event"] == "landline":
            self.lines += "advice" in json.loads(block["data"]) and "retry" in block
        else:
            self.offsets.append(int(block["id"].rpartition("-")[2]))
        self._cursor = block.get("id", self._cursor)

    def _take(self, body: Any) -> None:
        assert "reset" not in body, body
        self.offsets += [event["offset"] for event in body["data"] or ()]
        self._cursor = body["cursor"]

    def _note(self, answer: Answer) -> None:
        code = "" if answer.status == 200 else answer.body["code"]
        self._crowd.seen[f"{answer.status} {code}".strip()] += 1
        if answer.status != 200:
            self._crowd.retries[int(answer.headers.get("retry-after", 0))] += 1


async def main(port: int, count: int, seconds: float) -> dict[str, Any]:
    crowd = Crowd(port)
    cursor = (await crowd.ask("/landline/poll?channel=news")).body["cursor"]
    clients = [Client(crowd, cursor, seed) for seed in range(count)]
    async with asyncio.timeout(seconds + CATCH_UP), asyncio.TaskGroup() as tasks:
        for client in clients:
            tasks.create_task(client.run())
        tasks.create_task(crowd.publish(seconds))
    wrong = [client.offsets for client in clients if client.offsets != crowd.published]
    return {
        "published": len(crowd.published),
        "clients": len(clients),
        "wrong": len(wrong),
        "example": wrong[:1],
        "seen": crowd.seen,
        "retries": crowd.retries,
        "intervals": crowd.intervals,
        "lines": sum(client.lines > 0 for client in clients),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))  # noqa: T201
