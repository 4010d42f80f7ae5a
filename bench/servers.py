"""Starting servers for a measurement, on one processor, and ending them again."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER_CPU, CLIENT_CPU = 0, 1
"""Server and client have a processor each, so that neither's work slows the other's."""


def describe_machine() -> str:
    """Say on what was measured."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}, Python {platform.python_version()}"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int, environ: dict[str, str] | None = None) -> Iterator[int]:
    """Run a server on its processor until the block ends; yields its process id."""
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CPU), *command],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def gunicorn(folder: str, **environ: str) -> Iterator[tuple[int, int]]:
    """Run the app under plain gunicorn, one gthread worker with four threads; yields port and the worker's id."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "4", "--no-control-socket"]
    command += ["-b", f"127.0.0.1:{port}", "bench.app:app"]
    with running(command, port, {"BENCH_FOLDER": folder, **environ}) as pid:
        get(port, "/landline/poll?channel=orders")
        yield port, children(pid)[0]


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def get(port: int, path: str) -> bytes:
    """Ask once."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        body: bytes = response.read()
        return body


def post(port: int, path: str, body: bytes) -> None:
    """Post once."""
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body), timeout=60).close()


def requests_per_second(port: int, path: str, *, seconds: int = 3, connections: int = 32) -> float:
    """Load a path with `wrk` from the client's processor."""
    if shutil.which("wrk") is None:
        sys.exit("bench: wrk is missing; install Debian's package wrk")
    command = ["taskset", "-c", str(CLIENT_CPU), "wrk", "-t1", f"-c{connections}", f"-d{seconds}"]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("Requests/sec"))
    if "Non-2xx" in done.stdout:
        sys.exit(f"bench: {path} was refused\n{done.stdout}")
    return float(line.split()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"bench: the server did not start\n{process.stderr.read().decode() if process.stderr else ''}")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("bench: the server did not start within 20 s")
