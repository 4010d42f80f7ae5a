"""Servers under measurement: started on a processor of their own, watched from outside, ended again."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

SERVER_CPU, CLIENT_CPU = 0, 1
"""Server and client have a processor each, so that neither's work slows the other's."""
ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "bench" / ".cache"
"""What is built and kept between runs: load programs, logs of ten million events. On the disk that is measured."""
START_WITHIN = 30.0
"""Seconds in which a server must listen."""
END_WITHIN = 10.0
"""Seconds in which it must end when asked to."""
QUIET = 0.05
"""Share of a processor below which a server has nothing more to do."""
OPEN_FILES = 60_000


class Unable(Exception):
    """A peer cannot do a job; the message says why."""


def raise_limits() -> None:
    """Allow ourselves, and so the servers, as many connections as are measured; root may exceed its shell's limit."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    except (ValueError, OSError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def pinned(cpu: int, command: Sequence[object]) -> list[str]:
    """Return a command that runs on one processor."""
    return ["taskset", "-c", str(cpu % (os.cpu_count() or 1)), *map(str, command)]


@contextmanager
def running(command: Sequence[object], port: int, environ: Mapping[str, str] | None = None) -> Iterator[int]:
    """Run a server on the servers' processor until the block ends; yields its process id.

    Raises:
        Unable: it did not listen in time; and what the block raises, with what the server said of it.
    """
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            pinned(SERVER_CPU, command),
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
        )
        try:
            if not _listens(port, process):
                raise Unable(f"{command[0]} did not start")
            yield process.pid
        except Unable as error:
            raise Unable(f"{error}{_last_error(words)}") from error
        finally:
            _end(process)


def tree(pids: Sequence[int]) -> list[int]:
    """Return processes and all that come from them."""
    found: list[int] = []
    for pid in pids:
        found.append(pid)
        for task in _listed(Path(f"/proc/{pid}/task")):
            try:
                found += tree([int(word) for word in (task / "children").read_text().split()])
            except OSError:
                continue
    return found


def pss(pids: Sequence[int]) -> int:
    """Return the bytes of memory that processes and their children have, each page divided among who shares it."""
    total = 0
    for pid in tree(pids):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024


def cpu(pids: Sequence[int]) -> float:
    """Return the seconds of processor time that processes and their children have used, to the nanosecond."""
    total = 0
    for pid in tree(pids):
        for task in _listed(Path(f"/proc/{pid}/task")):
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except OSError:
                continue  # a thread that ended meanwhile
    return total / 1e9


def wait_until_quiet(pids: Sequence[int], within: float = 30.0) -> None:
    """Wait until a server has done what it had to do: a round begins when the last one is over."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        before = cpu(pids)
        time.sleep(0.1)
        if cpu(pids) - before < 0.1 * QUIET:
            return


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[bytes, Mapping[str, str]]:
    """Ask once; return body and headers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=dict(headers or {}))
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.read(), response.headers


def post(port: int, path: str, body: bytes) -> None:
    """Post once."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=body, headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()


def send(port: int, text: str) -> None:
    """Send a request that closes its connection, and read its answer to the end.

    Raises:
        OSError: there was none.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(text.encode())
        if not sock.makefile("rb").read().startswith(b"HTTP/1.1 2"):
            raise OSError(f"refused: {text.splitlines()[0]}")


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.05)
    return False


def _last_error(words: IO[bytes]) -> str:
    """Return the last error that a server wrote, if any: it may be why it could not go on."""
    words.seek(0)
    lines = [line.strip() for line in words.read().decode(errors="replace").splitlines()]
    errors = [line for line in lines if re.search(r"Error|error:|\[(emerg|alert|crit)\]", line)]
    return f"; it said: {errors[-1][:160]}" if errors else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):  # ten thousand threads or greenlets take their time
        process.wait(END_WITHIN)
    # And what it left behind: the group is this server's own (start_new_session).
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
