"""The load programs: built when needed, run on the client's processor, their one-line answers read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.processes import CACHE, CLIENT_CPU, Unable, free_port, pinned, running

SOURCES = Path(__file__).with_name("load")
STAMP = "@T" + "0" * 20
"""Where in an event the time of its publishing stands (see load/readers.c)."""
BODY = '{"n": 42, "text": "%s"}' % STAMP  # noqa: UP031  braces
"""The event of all measurements."""
CONNECTIONS = 32


class Polled(NamedTuple):
    """What asking again and again gave; times in seconds."""

    rate: float
    """Answers a second, after some time to warm up."""
    answers: int
    """Answers, those while it warmed up too."""
    p50: float
    p99: float
    client: float
    """Share of its processor that the load program was busy; near 1 it measured itself."""


class Told(NamedTuple):
    """Seconds from an event's stamp until the first, half, 99 of a hundred, and all of its readers had it."""

    first: float
    p50: float
    p99: float
    last: float


class Reading(NamedTuple):
    """How readers read a server by one transport (see load/readers.c)."""

    kind: str
    first: str
    next: str = ""
    captures: tuple[str, ...] = ()


def request(path: str, *headers: str, method: str = "GET", body: str = "") -> str:
    """Return an HTTP request's text."""
    if body:
        headers = (*headers, "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]) + body


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def program(name: str) -> Path:
    """Return a load program, compiled if its source is newer."""
    CACHE.mkdir(exist_ok=True)
    built, sources = CACHE / name, [SOURCES / f"{name}.c", SOURCES / "load.h"]
    if not built.exists() or built.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", built, sources[0]], check=True)
    return built


def poll(port: int, text: str, *, seconds: float, connections: int = CONNECTIONS) -> Polled:
    """Send a request again and again; `{number}` in it is another number in each.

    Raises:
        Unable: it was refused.
    """
    command = pinned(CLIENT_CPU, [program("polls"), port, connections, seconds])
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds * 2 + 30, check=False)
    if done.returncode:
        raise Unable(done.stdout.removeprefix("failed ").strip() or f"the load program ended with {done.returncode}")
    found = json.loads(done.stdout)
    if found["refused"]:
        raise Unable(f"{found['refused']} requests were refused: {text.splitlines()[0]}")
    return Polled(found["rate"], found["all"], found["p50"], found["p99"], found["client"])


@contextmanager
def target() -> Iterator[tuple[int, int]]:
    """Run the trivial server, against which the load program shows its own ceiling; yields port and process id."""
    port = free_port()
    with running([program("target"), port], port) as pid:
        yield port, pid


class Readers:
    """Very many held readers of one server.

    Args:
        port: where they read.
        reading: how.
        publish: the request that publishes.
        publish_port: where that goes.

    Every method raises `Unable` with the load program's words when it fails.
    """

    def __init__(self, port: int, reading: Reading, publish: str, publish_port: int) -> None:
        arguments = [port, publish_port, reading.kind, reading.first, reading.next, publish, *reading.captures]
        self._process = subprocess.Popen(
            pinned(CLIENT_CPU, [program("readers"), *arguments]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Readers:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with suppress(BrokenPipeError):  # what a failed program left unread
            self._process.stdin.close()

    def open(self, count: int) -> None:
        """Connect so many more."""
        self._tell(f"open {count}")

    def ready(self, seconds: float = 60.0) -> float:
        """Publish until each has been told something; return the seconds that took."""
        return self._tell(f"ready {seconds}")[0]

    def round(self, seconds: float = 60.0) -> Told:
        """Publish one event and wait until all have been told."""
        return Told(*self._tell(f"round {seconds}"))

    def begin_watch(self, count: int, seconds: float) -> None:
        """Begin to watch deliveries of what others publish."""
        self._send(f"watch {count} {seconds}")

    def end_watch(self) -> Told:
        """Wait for what `begin_watch` was asked for."""
        return Told(*self._answer())

    def _tell(self, command: str) -> list[float]:
        self._send(command)
        return self._answer()

    def _send(self, command: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._answer()

    def _answer(self) -> list[float]:
        assert self._process.stdout is not None
        word, _, rest = self._process.stdout.readline().strip().partition(" ")
        if word in ("failed", ""):
            raise Unable(rest or "the load program ended without a word")
        return [float(number) for number in rest.split()]
