"""Ten times as many clients as may be held, on one worker: everybody is told everything, and the app still answers."""

import http.client
import json
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.held.servers import GTHREAD, ROOT, ask, serve
from tests.processes import Process, free_port, until

BUDGET = 300
CLIENTS = 10 * BUDGET
SECONDS = (20.0, 60.0)
"""For each change, and at night."""
LOOK = 0.5
"""Seconds between two looks at the server."""


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Let the clients' process open as many sockets as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def memory(pid: int) -> int:
    """Return the kilobytes that a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.mark.slow
@pytest.mark.usefixtures("descriptors")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [SECONDS[0], pytest.param(SECONDS[1], marks=pytest.mark.night)])
def test_ten_times_the_budget_of_clients_are_all_told_everything(seconds: float, tmp_path: Path) -> None:
    config = {"LANDLINE_MAX_HELD": BUDGET, "LANDLINE_KEEPALIVE": 5.0}
    held, kilobytes = [], []
    with serve(GTHREAD, tmp_path, config) as server:
        worker = server.worker()
        command = [sys.executable, "-m", "tests.held.crowd", str(server.port), str(CLIENTS), str(seconds)]
        with Process(command, cwd=ROOT) as crowd:
            end = time.monotonic() + seconds
            while time.monotonic() < end and not crowd.ended():
                # An ordinary route, and one that counts, while all the others ask.
                assert ask(f"{server.base}/plain", timeout=30.0).body == b"plain"
                held.append(server.facts()["held"])
                kilobytes.append(memory(worker))
                threading.Event().wait(LOOK)
            until(crowd.ended, 150.0, "that everybody has everything")
            assert crowd.wait() == 0, crowd.tail()
            found = json.loads(crowd.stdout)
        said = server.process.stderr
    assert found["wrong"] == 0, found
    assert found["published"] > seconds / 4  # all the while, as often as a busy machine lets it
    assert found["seen"].keys() == {"200", "503 busy"}, found["seen"]
    # Those who were refused are sent away, and not all until the same moment.
    retries = {int(seconds): count for seconds, count in found["retries"].items()}
    assert min(retries) > 0
    assert max(retries.values()) < sum(retries.values()) / 2
    assert max(map(float, found["intervals"])) > 2.0, "nobody was asked for more time"
    assert max(held) == BUDGET
    assert statistics.median(held) >= 0.9 * BUDGET
    # The first third brings threads, caches and the window; from then on nothing piles up.
    third = len(kilobytes) // 3
    assert max(kilobytes[2 * third :]) <= max(kilobytes[third : 2 * third]) + 4096, kilobytes
    assert "Traceback" not in said


@pytest.mark.parametrize("door", ["gunicorn", "second door"])
def test_one_address_holds_no_more_than_it_may(door: str, tmp_path: Path) -> None:
    """Behind a proxy it is the address that the proxy saw, through either door."""
    port = free_port()
    config = {"LANDLINE_MAX_HELD_PER_ADDRESS": 2, "LANDLINE_TRUSTED_HOPS": 1, "LANDLINE_LISTEN": f"127.0.0.1:{port}"}
    with serve(GTHREAD, tmp_path, config) as server, ExitStack() as stack:
        server.cursor()  # which opens the second door
        to = server.port if door == "gunicorn" else port

        def is_open() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", to)) == 0

        until(is_open, 10.0, "the door")

        def stream(address: str) -> tuple[int, http.client.HTTPConnection]:
            connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", to, timeout=10.0)))
            headers = {"X-Forwarded-For": f"203.0.113.66, {address}"}
            connection.request("GET", "/landline/events?channel=news", headers=headers)
            answer = connection.getresponse()
            stack.callback(answer.close)
            return answer.status, connection

        first = [stream("192.0.2.1") for _ in range(3)]
        assert [status for status, _ in first] == [200, 200, 503]
        assert stream("192.0.2.2")[0] == 200
        stack.close()
        until(lambda: server.facts()["held"] == 0, 10.0, "that nothing is held")
        assert stream("192.0.2.1")[0] == 200
