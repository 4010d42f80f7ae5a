"""Functions of the app beside the loop: they wait for each other alone, and clients that have gone are forgotten."""

import http.client
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from landline.reading import PAGE_EVENTS
from landline.serve.app_threads import AppThreads

from tests.apps import PREFIX, App
from tests.doors import listening, second_door
from tests.held.readers import PATIENCE, Events


class Site:
    """An app with a second door, whose functions stand still while the test has closed their gate."""

    def __init__(self, make_app: Callable[..., App], **config: Any) -> None:
        self.app = listening(make_app, prepare=lambda flask: flask.config.update(SECRET_KEY="k"), **config)
        self.begun: queue.Queue[str] = queue.Queue()
        self.gate = threading.Event()
        self.app.live.channel("news")
        self.app.live.channel("room/<name>").reader(self._may_read)

    def _may_read(self, name: str) -> bool:
        self.stop(name)
        return True

    def stop(self, name: str) -> None:
        self.begun.put(name)
        assert self.gate.wait(PATIENCE)

    def open(self) -> None:
        self.port = second_door(self.app)

    def send(self, query: str, *headers: str) -> socket.socket:
        """Ask without waiting for the answer."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        head = "\r\n".join((f"GET {PREFIX}/poll?{query} HTTP/1.1", "Host: h", *headers))
        sock.sendall(f"{head}\r\n\r\n".encode())
        return sock

    def pass_loop(self) -> None:
        """Wait until the loop has seen all that was sent, and closed, before."""
        for _ in range(2):
            with closing(self.send("channel=news")) as sock:
                assert answer(sock).status == 200


def answer(sock: socket.socket) -> http.client.HTTPResponse:
    found = http.client.HTTPResponse(sock)
    found.begin()
    return found


@pytest.fixture
def make_site(make_app: Callable[..., App]) -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(**config: Any) -> Site:
        sites.append(Site(make_app, **config))
        return sites[-1]

    yield make
    for site in sites:
        site.gate.set()


@pytest.mark.parametrize("early", ["", "GET / HTTP/1.1\r\n"])
def test_client_that_has_gone_is_not_asked_about(make_site: Callable[..., Site], early: str) -> None:
    """Also one that sent more before it went; else a few strangers would keep all others waiting."""
    site = make_site(app_threads=1)
    site.open()
    with closing(site.send("channel=room/first")) as first:
        assert site.begun.get(timeout=PATIENCE) == "first"
        gone = [site.send(f"channel=room/gone{number}") for number in range(20)]
        site.pass_loop()
        for sock in gone:
            sock.sendall(early.encode())
            sock.close()
        site.pass_loop()
        with closing(site.send("channel=room/last")) as last:
            site.pass_loop()
            site.gate.set()
            assert answer(first).status == answer(last).status == 200
    assert site.begun.get(timeout=PATIENCE) == "last"
    assert site.begun.empty()


def test_what_is_sent_ahead_while_the_app_is_asked_is_answered_in_its_order(make_site: Callable[..., Site]) -> None:
    site = make_site(app_threads=1)
    site.open()
    with closing(site.send("channel=room/first")) as sock:
        assert site.begun.get(timeout=PATIENCE) == "first"
        sock.sendall(f"GET {PREFIX}/poll?channel=none HTTP/1.1\r\nHost: h\r\nX-Long: {'x' * 8000}\r\n\r\n".encode())
        site.pass_loop()
        site.gate.set()
        stream = sock.makefile("rb")
        statuses: list[int] = []
        length = 0
        while len(statuses) < 2:
            line = stream.readline()
            if line.startswith(b"HTTP/1.1 "):
                statuses.append(int(line.split()[1]))
            elif line.lower().startswith(b"content-length:"):
                length = int(line.split()[1])
            elif line == b"\r\n":
                stream.read(length)
    assert statuses == [200, 404]


def test_request_that_there_is_no_room_for_is_told_to_come_back(make_site: Callable[..., Site]) -> None:
    site = make_site(origins=["https://a.example"])
    site.app.runtime.app_threads = AppThreads(1, most=2, most_of_one=1)
    site.open()
    with closing(site.send("channel=room/first")) as first:
        assert site.begun.get(timeout=PATIENCE) == "first"
        with closing(site.send("channel=room/second")) as second:
            site.pass_loop()
            with closing(site.send("channel=room/third", "Origin: https://a.example")) as third:
                refused = answer(third)
            assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (503, "https://a.example")
            assert int(refused.headers["Retry-After"]) >= 1
            assert b'"busy"' in refused.read()
            site.gate.set()
            assert answer(first).status == answer(second).status == 200
    site.app.runtime.app_threads.close()


def test_held_connection_catches_up_while_the_apps_functions_stand_still(make_site: Callable[..., Site]) -> None:
    site = make_site(app_threads=1)
    site.open()
    begin = site.app.live.cursor()
    for number in range(2 * PAGE_EVENTS + 1):
        site.app.live.publish("news", number)
    with closing(site.send("channel=room/first")):
        assert site.begun.get(timeout=PATIENCE) == "first"
        with Events(f"http://127.0.0.1:{site.port}", begin, "news") as reader:
            assert len(reader.take(2 * PAGE_EVENTS + 1)) == 2 * PAGE_EVENTS + 1
        site.gate.set()


def test_slow_source_does_not_slow_another(make_site: Callable[..., Site]) -> None:
    """Both are asked once as the stream is opened; then one stands still, and the other goes on."""
    site = make_site()
    calls: list[str] = []

    @site.app.live.channel("slow").source(every=0.01)
    def slow() -> None:
        calls.append("slow")
        if calls.count("slow") > 1:
            site.stop("slow")

    @site.app.live.channel("fast").source(every=0.01)
    def fast() -> int:
        calls.append("fast")
        return len(calls)

    site.open()
    base = f"http://127.0.0.1:{site.port}"
    with Events(base, None, "slow"), Events(base, None, "fast") as reader:
        assert site.begun.get(timeout=PATIENCE) == "slow"
        reader.take(5)
        assert calls.count("slow") == 2
        site.gate.set()


def test_source_that_exits_ends_no_connection(make_site: Callable[..., Site], caplog: pytest.LogCaptureFixture) -> None:
    site = make_site()
    called = threading.Event()
    calls: list[int] = []

    @site.app.live.channel("odd").source(every=0.01)
    def odd() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise SystemExit("what a library does with a value it does not like")
        if len(calls) == 3:
            called.set()

    site.open()
    with Events(f"http://127.0.0.1:{site.port}", None, "odd") as reader:
        assert called.wait(PATIENCE)
        site.app.live.publish("odd", 1)
        assert [event.data for event in reader.take(1)] == [1]
    assert "SystemExit" in caplog.text
