"""What is wrapped around an app sees nothing odd when a connection is taken: no exception, no error page, a plain log.

Debuggers and error trackers wrap apps, as generators some of them; what passes through them is shown, kept, reported.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.held.readers import READERS
from tests.held.servers import COMMANDS, ask, flask_run, gunicorn, serve
from tests.processes import until

TRACKED = "tests.held.app:create_tracked_app()"
CHECKED = "tests.held.app:create_checked_app()"
SERVERS = {
    "debugger": flask_run("--debug", "--no-reload"),
    "reloader": flask_run("--debug"),
    "werkzeug": COMMANDS["werkzeug"],
    "gthread": gunicorn("--worker-class", "gthread", "--threads", "4", "--access-logfile", "-", app=TRACKED),
    "sync": gunicorn("--worker-class", "sync", "--access-logfile", "-", app=TRACKED),
}

CHECKED_SERVERS = {
    "werkzeug": flask_run(app=CHECKED),
    "gthread": gunicorn("--worker-class", "gthread", "--threads", "4", app=CHECKED),
    "sync": gunicorn("--worker-class", "sync", app=CHECKED),
    "gevent": gunicorn("--worker-class", "gevent", app=CHECKED),
}


@pytest.mark.parametrize("name", SERVERS)
def test_held_requests_pass_for_ordinary_ones(name: str, tmp_path: Path) -> None:
    command: Callable[[int], list[str]] = SERVERS[name]
    with serve(command, tmp_path, {"LANDLINE_HOLD": 5.0}) as server:
        cursor = server.cursor()
        for transport in ("sse", "websocket", "long-poll"):
            with READERS[transport](server.base, cursor) as reader:
                (offset,) = server.publish(transport)
                while cursor != reader.cursor or not cursor.endswith(f"-{offset}"):
                    reader.take(1)
                    cursor = str(reader.cursor)
        until(lambda: server.facts()["held"] == 0, 10, "that nothing is held")
        printed = server.process.stdout + server.process.stderr
    for word in ("Traceback", "tracked", '" 500 ', "ERROR"):
        assert word not in printed, printed
    assert "GET /landline/events?channel=news" in printed


@pytest.mark.parametrize("name", CHECKED_SERVERS)
def test_checker_of_the_servers_interface_has_nothing_to_say(name: str, tmp_path: Path) -> None:
    """`wsgiref.validate` sees what the server is answered once a connection is taken, and all else (PEP 3333)."""
    with serve(CHECKED_SERVERS[name], tmp_path, {"LANDLINE_HOLD": 5.0}) as server:
        transports = ("sse", "long-poll") if name == "gevent" else ("sse", "websocket", "long-poll")
        for transport in transports:
            with READERS[transport](server.base, server.cursor()) as reader:
                (offset,) = server.publish(transport)
                assert [event.offset for event in reader.take(1)] == [offset]
        assert ask(f"{server.base}/landline/poll?channel=news&cursor=nonsense").status == 400
        assert ask(f"{server.base}/landline/poll?channel=news", headers={"If-None-Match": "W/x"}).status == 200
        printed = server.process.stdout + server.process.stderr
    for word in ("Traceback", "AssertionError", "WSGIWarning"):
        assert word not in printed, printed
