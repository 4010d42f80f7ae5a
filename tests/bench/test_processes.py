"""A server that fails says why, and nothing of it stays behind."""

import os
import sys
from collections.abc import Callable

import pytest

from bench.processes import Unable, cpu, free_port, pss, running, tree
from tests.processes import until


def test_server_that_does_not_start_is_quoted(require: Callable[[str], str]) -> None:
    require("taskset")
    with (
        pytest.raises(Unable, match="did not start; it said: ValueError: no such log"),
        running([sys.executable, "-c", "raise ValueError('no such log')"], free_port()),
    ):
        pytest.fail("it started")


@pytest.mark.slow
def test_server_is_watched_with_its_children_and_ended(require: Callable[[str], str]) -> None:
    require("taskset")
    port = free_port()
    # A parent that listens and a child that works.
    script = (
        "import os, socket, time\n"
        f"door = socket.create_server(('127.0.0.1', {port}))\n"
        "if os.fork() == 0:\n"
        "    while True: pass\n"
        "time.sleep(60)\n"
    )
    with running([sys.executable, "-c", script], port) as pid:
        both = tree([pid])
        while len(both) < 2:
            both = tree([pid])
        assert both[0] == pid
        assert pss([pid]) > pss(both[1:]) > 0
        before = cpu([pid])
        while cpu([pid]) == before:
            pass
    until(lambda: not any(os.path.exists(f"/proc/{each}") for each in both), 10.0, "both are gone")
