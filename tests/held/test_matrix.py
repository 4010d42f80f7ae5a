"""Every server by every transport: a publish arrives, a cut is resumed, silence is broken, nothing is left behind.

What a server cannot do is not offered, and asking for it anyway is refused in a way that leads back to polling.
"""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.held.readers import READERS, Polls, Reader
from tests.held.servers import (
    COMMANDS,
    DIRECT,
    OLDER,
    UPGRADE,
    WITHOUT_UVLOOP,
    Server,
    ask,
    haproxy,
    nginx,
    second_door,
    serve,
    sockets,
)
from tests.processes import until

KEEPALIVE = 0.3
CONFIG = {"LANDLINE_KEEPALIVE": KEEPALIVE, "LANDLINE_HOLD": 5.0}

WITHOUT_SOCKET = ("sse", "long-poll", "poll")
OFFERS = {
    "sync": DIRECT,
    "gthread": DIRECT,
    "asyncio": DIRECT,  # gthread again, without uvloop
    **dict.fromkeys(OLDER, DIRECT),
    "preload": DIRECT,
    "gevent": WITHOUT_SOCKET,  # a greenlet waits in place; what it may send is a response
    "werkzeug": DIRECT,
    "waitress": ("long-poll", "poll"),  # a few threads wait; a stream would never give one back
    "listener": DIRECT,
    "nginx": WITHOUT_SOCKET,  # HTTP/1.0 to the app, by default, and that has no Upgrade
    "nginx-upgrade": DIRECT,
    "haproxy": DIRECT,
}
NIGHT = ("sync", "asyncio", *OLDER, "preload", "nginx-upgrade")
"""Columns that differ little from one that each change is tried in."""
TRANSPORTS = ("poll", "long-poll", "sse", "websocket")
WORKS = [(column, name) for column, offer in OFFERS.items() for name in TRANSPORTS if name in offer]
REFUSED = [(column, name) for column, offer in OFFERS.items() for name in TRANSPORTS if name not in offer]
HELD = [(column, name) for column, name in WORKS if name != "poll"]


@pytest.fixture(scope="module")
def columns(
    tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], str]
) -> Iterator[Callable[[str], Server]]:
    """Return a function that returns a running server by name. One process serves all cells of its column."""
    running: dict[str, Server] = {}
    with ExitStack() as stack:

        def column(name: str) -> Server:
            if name not in running:
                running[name] = _start(name, tmp_path_factory.mktemp(name), stack, require)
                _warm_up(running[name])
            return running[name]

        yield column


@pytest.fixture
def column(request: pytest.FixtureRequest, columns: Callable[[str], Server]) -> Server:
    return columns(request.param)


def _start(name: str, folder: Path, stack: ExitStack, require: Callable[[str], str]) -> Server:
    if name == "listener":
        return stack.enter_context(second_door(folder, CONFIG))
    first_on_path = {"asyncio": WITHOUT_UVLOOP, **OLDER}.get(name)
    assert first_on_path is None or first_on_path.is_dir(), f"{first_on_path} is missing; `make test` makes it"
    env = {"PYTHONPATH": str(first_on_path)} if first_on_path else {}
    server = stack.enter_context(serve(COMMANDS.get(name, COMMANDS["gthread"]), folder, CONFIG, **env))
    if name.startswith("nginx"):
        more = UPGRADE if name == "nginx-upgrade" else ""
        return stack.enter_context(nginx(require("nginx"), server, folder / "nginx", more))
    if name == "haproxy":
        return stack.enter_context(haproxy(require("haproxy"), server, folder / "haproxy"))
    return server


def _warm_up(server: Server) -> None:
    """Have the process open what it opens once: its log, its loop, the socket it leaves to the server."""
    cursor = server.cursor()
    server.publish(0)
    ask(f"{server.base}/landline/poll?channel=other&cursor={cursor}&wait=0.1")


def cells(which: list[tuple[str, str]]) -> pytest.MarkDecorator:
    params = [pytest.param(*cell, id="-".join(cell), marks=marks(cell[0])) for cell in which]
    return pytest.mark.parametrize(("column", "transport"), params, indirect=["column"])


def marks(column: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.night] if column in NIGHT else []


def new_reader(server: Server, transport: str, cursor: str | None = None, nonce: str | None = None) -> Reader:
    return READERS[transport](server.base, cursor, nonce=nonce)


class Waiting:
    """Takes events in a thread, so that the test can publish while a request is held."""

    def __init__(self, reader: Reader, count: int) -> None:
        self.told: list[tuple[int, object]] = []
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(reader, count))
        self._thread.start()

    def _run(self, reader: Reader, count: int) -> None:
        try:
            self.told = [(event.offset, event.data) for event in reader.take(count)]
        except BaseException as error:  # noqa: BLE001 raised again in `join`
            self.error = error

    def join(self) -> list[tuple[int, object]]:
        self._thread.join()
        if self.error is not None:
            raise self.error
        return self.told


def at_rest(server: Server) -> None:
    until(lambda: server.facts()["held"] == 0, 10, "that nothing is held")


@pytest.mark.parametrize(
    ("column", "offer"),
    [pytest.param(name, offer, id=name, marks=marks(name)) for name, offer in OFFERS.items()],
    indirect=["column"],
)
def test_advice_offers_what_works_and_nothing_else(column: Server, offer: tuple[str, ...]) -> None:
    answer = ask(f"{column.base}/landline/poll?channel=news").json
    assert tuple(answer["advice"]["transports"]) == offer
    assert answer["advice"]["hold"] == (5.0 if "long-poll" in offer else 0)


@cells(WORKS)
def test_publish_arrives(column: Server, transport: str) -> None:
    """What is published while the request is held, and what had been published before."""
    at_rest(column)
    cursor = column.cursor()
    before = column.publish("before")
    with new_reader(column, transport, cursor, nonce="n0nce" if transport in ("sse", "websocket") else None) as reader:
        assert [(event.offset, event.data) for event in reader.take(1)] == [(before[0], "before")]
        waiting = Waiting(reader, 3)
        if transport != "poll":
            until(lambda: column.facts()["held"] == 1, 10, "the held request")
        first = column.publish({"n": 1, "word": "Grüße\u2028"})
        second = column.publish([2], "three")
        expected = [(first[0], {"n": 1, "word": "Grüße\u2028"}), (second[0], [2]), (second[1], "three")]
        assert waiting.join() == expected


@cells(WORKS)
def test_cut_is_resumed_without_a_gap(column: Server, transport: str) -> None:
    with new_reader(column, transport, column.cursor()) as reader:
        got = [column.publish(1)[0]]
        assert [event.offset for event in reader.take(1)] == got
        reader.cut()
        missed = column.publish(2, 3)
        cached = READERS[transport](column.base, reader.cursor)
        if transport == "sse":
            # An `EventSource` asks for the same URL again; where it stands is in the header alone.
            cached.cursor, cached.last_id = "now", reader.last_id  # type: ignore[attr-defined]
        with cached:
            last = column.publish(4)
            assert [event.offset for event in cached.take(3)] == missed + last


@cells(WORKS)
def test_lost_position_begins_with_a_reset_and_goes_on_from_now(column: Server, transport: str) -> None:
    column.publish("before")
    with new_reader(column, transport, "") as reader:
        assert reader.sign()["reset"] == {"channels": ["news"], "reason": "unknown"}
        after = column.publish("after")
        assert [(event.offset, event.data) for event in reader.take(1)] == [(after[0], "after")]


@cells([cell for cell in HELD if cell[1] != "long-poll"])
def test_lost_position_is_told_of_a_reset_also_if_the_line_is_cut_behind_the_hello(
    column: Server, transport: str
) -> None:
    with new_reader(column, transport, "") as reader:
        hello = reader.signs[0]
    with new_reader(column, transport, hello["cursor"]) as cached:
        cached.more()
        assert cached.signs[1]["reset"]["channels"] == ["news"]


@pytest.mark.parametrize("column", ["gthread", "listener"], indirect=True)
def test_empty_last_event_id_is_as_none(column: Server) -> None:
    """And one that is not wins over an empty cursor: an `EventSource` comes back to the address that it began with."""
    lost, position = new_reader(column, "sse", ""), column.cursor()
    lost.headers["Last-Event-ID"] = ""
    with lost:
        assert lost.sign()["reset"]["reason"] == "unknown"
    back = new_reader(column, "sse", "")
    back.last_id = position  # type: ignore[attr-defined]
    event = column.publish(1)
    with back:
        assert [told.offset for told in back.take(1)] == event


@cells(WORKS)
def test_silence_is_broken_in_time(column: Server, transport: str) -> None:
    """By a sign that names the unchanged position, and advises what a poll by the same way does."""
    first = ask(f"{column.base}/landline/poll?channel=news").json
    reader = new_reader(column, transport, first["cursor"])
    if transport == "long-poll":
        reader.wait = KEEPALIVE  # type: ignore[attr-defined]
    with reader:
        for _ in range(2):
            sign = reader.sign(patience=3.0)
            assert (sign["cursor"], sign["advice"]) == (first["cursor"], first["advice"])


@cells(HELD)
def test_client_that_leaves_leaves_nothing_behind(column: Server, transport: str) -> None:
    at_rest(column)
    worker = column.worker()
    before = sockets(worker)
    reader = new_reader(column, transport, column.cursor())
    with ExitStack() as stack:
        if transport == "long-poll":
            # A client that is waiting cannot leave before it has an answer; a bare connection can.
            connection = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", column.port)))
            connection.request("GET", f"/landline/poll?channel=news&wait=2&cursor={reader.cursor}")
        else:
            stack.enter_context(reader)
        until(lambda: column.facts()["held"] == 1, 10, "the held request")
        during = sockets(worker) - before
    at_rest(column)
    until(lambda: not during & sockets(worker), 10, "its sockets' end")
    with new_reader(column, "poll", reader.cursor) as polls:
        offset = column.publish("on")[0]
        assert [event.offset for event in polls.take(1)] == [offset]


@cells(REFUSED)
def test_what_is_not_offered_is_refused_as_busy(column: Server, transport: str) -> None:
    path = {"sse": "events", "websocket": "ws"}[transport]
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    answer = ask(f"{column.base}/landline/{path}?channel=news", headers=headers if transport == "websocket" else {})
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert json.loads(answer.body)["code"] == "busy"
    with Polls(column.base) as polls:
        polls.sign()


@pytest.mark.parametrize("column", [pytest.param(name, marks=marks(name)) for name in OFFERS], indirect=True)
def test_log_of_the_server_has_no_traceback(column: Server) -> None:
    """Runs last in its column: taking sockets is no reason for any server to complain."""
    printed = column.process.stdout + column.process.stderr
    assert "Traceback" not in printed, column.process.tail()
    assert "ERROR" not in printed, column.process.tail()
