"""How long an event takes from the process that publishes it to a reader held by another process."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.servers import gunicorn

EVENTS = 100
PUBLISHER = """
import random, sys, time
from flask_landline.logs.sqlite import SQLiteLog
log = SQLiteLog(sys.argv[1])
for _ in range(int(sys.argv[2])):
    time.sleep(random.uniform(0.05, 0.5))
    log.append("orders", str(time.time()))
"""


def main() -> None:
    """Milliseconds from before an append, synced to disk, in one process to a stream's reader at another."""
    with tempfile.TemporaryDirectory() as folder, gunicorn(folder) as (port, _):
        reader = socket.create_connection(("127.0.0.1", port))
        reader.sendall(b"GET /landline/events?channel=orders HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        lines = reader.makefile("rb")
        for line in lines:
            if line.startswith(b"event: landline"):
                break
        publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER, str(Path(folder) / "landline.db"), str(EVENTS)])
        delays: list[float] = []
        name = b""
        for line in lines:
            if line.startswith(b"event: "):
                name = line[7:].strip()
            elif line.startswith(b"data: ") and name == b"orders":
                delays.append((time.time() - float(line[6:])) * 1000)
                if len(delays) == EVENTS:
                    break
        publisher.wait(10)
        reader.close()
    percentiles = statistics.quantiles(delays, n=100)
    print(f"  median {percentiles[49]:.1f} ms   99 % {percentiles[98]:.1f} ms")
