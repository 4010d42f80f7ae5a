"""Ten thousand held readers on one worker: memory, idle cost, fan-out, and what an ordinary route loses by them."""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.servers import CLIENT_CPU, children, free_port, gunicorn, post, requests_per_second, running

READERS = 10_000
ROUNDS = 11
IDLE = 30
"""Seconds of idleness measured: two keepalives."""
MARK = "here-it-is"
"""What every hello and every event has in it, once."""
HEADERS = {
    "sse": ["Accept: text/event-stream"],
    "websocket": [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ],
}
NCHAN = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
load_module {module};
events {{ worker_connections 40000; }}
http {{
  access_log off; client_body_temp_path {folder}/body; nchan_shared_memory_size 256M;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /publish {{ nchan_publisher; nchan_channel_id orders; }}
    location = /events {{ nchan_subscriber eventsource; nchan_channel_id orders; nchan_eventsource_ping_interval 15; }}
    location = /ws {{ nchan_subscriber websocket; nchan_channel_id orders; }}
  }}
}}
"""


def main() -> None:
    """10,000 readers held by one gthread worker with four threads, and by nchan: memory, idle CPU, deliveries."""
    readers = min(READERS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        client = _build(folder)
        for transport, path in (("sse", "events"), ("websocket", "ws")):
            with gunicorn(folder) as (port, pid):
                target = f"/landline/{path}?channel=orders&nonce={MARK}"
                _measure("landline", transport, client, readers, port, pid, target)
            with _nchan(folder) as (port, pid):
                _measure("nchan", transport, client, readers, port, pid, f"/{path}")


def _measure(name: str, transport: str, client: str, readers: int, port: int, pid: int, path: str) -> None:
    route = requests_per_second(port, "/plain") if name == "landline" else 0.0
    before = _pss(pid)
    head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *HEADERS[transport], "\r\n"])
    if name == "nchan":
        _publish(port)  # kept for those who come; Landline's hello has the mark as its nonce
    with _reading(client, port, readers, head) as told:
        next(told)
        time.sleep(1)
        memory = (_pss(pid) - before) / readers
        begin = _cpu(pid)
        time.sleep(IDLE)
        idle = (_cpu(pid) - begin) / IDLE
        rates = []
        for _ in range(ROUNDS):
            begun = time.monotonic()
            _publish(port)
            rates.append(readers / (next(told)[0] - begun))
        print(
            f"  {name:<9} {transport:<10} {memory:5.2f} KB each   idle {idle:6.2%} of a processor   "
            f"{statistics.median(rates):>9,.0f} deliveries/s ({min(rates):,.0f} to {max(rates):,.0f})"
        )
        if route:
            pairs = [requests_per_second(port, "/plain") for _ in range(3)]
            print(f"  {'':<9} an ordinary route meanwhile: × {statistics.median(pairs) / route:.2f}")


def _publish(port: int) -> None:
    post(port, "/publish", b'{"n": 42, "text": "%s"}' % MARK.encode())


@contextmanager
def _reading(client: str, port: int, readers: int, head: str) -> Iterator[Iterator[list[float]]]:
    """Hold readers; yields when all have been told, again and again: time of the last, median, 99th of a hundred."""
    process = subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CPU), client, str(port), str(readers), MARK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(head.encode())
        process.stdin.close()
        yield ([float(word) for word in line.split()[1:]] for line in process.stdout)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _nchan(folder: str) -> Iterator[tuple[int, int]]:
    module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
    if shutil.which("nginx") is None or not module.exists():
        sys.exit("bench: nchan is missing; install Debian's packages nginx and libnginx-mod-nchan")
    port = free_port()
    config = Path(folder) / "nginx.conf"
    config.write_text(NCHAN.format(folder=folder, port=port, module=module))
    with running(["nginx", "-c", str(config), "-p", folder], port) as pid:
        yield port, children(pid)[0]


def _build(folder: str) -> str:
    target = str(Path(folder) / "readers")
    subprocess.run(["cc", "-O2", "-o", target, str(Path(__file__).with_name("readers.c"))], check=True)
    return target


def _pss(pid: int) -> int:
    """Return a process's share of memory in KB (proc_pid_smaps(5))."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def _cpu(pid: int) -> float:
    """Return the seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
