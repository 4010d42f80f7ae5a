"""Positions of pages: from before the view began, for every request, whatever becomes of the log."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from flask import Flask, render_template_string
from flask_landline import Landline, LogError
from landline.cursor import Cursor
from landline.follow import position
from landline.logs.memory import MemoryLog
from landline.testing import Clock, in_child, in_threads
from landline.times import Times

from tests.apps import App
from tests.processes import until

PAGE = "{{ landline_cursor() }}"
ACCEPTS = ["text/html", "*/*", "application/json", None]


class Watched(MemoryLog):
    """Counts looks, and fails or hangs in them when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.error: BaseException | None = None
        self.free = threading.Event()
        self.free.set()

    def tail(self) -> Cursor:
        self.looks += 1
        assert self.free.wait(30.0)
        if self.error is not None:
            raise self.error
        return super().tail()


class Site:
    """An app whose page does what a test puts into its view before it renders; the clock is the test's."""

    def __init__(self, app: App, log: Watched, clock: Clock) -> None:
        self.app, self.log, self.clock = app, log, clock
        self.view: Callable[[], object] = lambda: None
        app.live.channel("orders")
        app.flask.add_url_rule("/page", "page", self._page)

    def _page(self) -> str:
        self.view()
        return render_template_string(PAGE)

    def page(self, accept: str | None = "*/*") -> str:
        answer = self.app.ask("", path="/page") if accept is None else self.app.ask("", path="/page", accept=accept)
        assert answer.status == 200
        return answer.body.decode()

    def follow(self, cursor: str) -> list[Any]:
        return self.app.poll("orders", cursor=cursor).data


@pytest.fixture
def site(make_app: Callable[..., App], monkeypatch: pytest.MonkeyPatch) -> Site:
    # A machine that is busy is no log that hangs.
    monkeypatch.setattr(position, "PATIENCE", 20.0)
    log = Watched()
    clock = Clock()
    return Site(make_app(log=log, times=Times(clock=clock)), log, clock)


def append_elsewhere(site: Site, data: int) -> None:
    """Append as another process does: nothing here knows of it."""
    site.log.append("orders", str(data))


@contextmanager
def hanging(log: Watched, patience: float = position.PATIENCE) -> Iterator[None]:
    log.free.clear()
    try:
        with mock.patch.object(position, "PATIENCE", patience):
            yield
    finally:
        log.free.set()


# Before the view began.


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
@pytest.mark.parametrize("accept", ACCEPTS)
def test_event_published_while_the_view_works_is_in_the_feed(accept: str | None, elsewhere: bool, site: Site) -> None:
    """Whatever the request accepts: htmx sends `*/*`, `fetch` what it likes."""
    site.view = lambda: append_elsewhere(site, 1) if elsewhere else site.app.live.publish("orders", 1)
    assert site.follow(site.page(accept)) == [1]


def test_route_that_answers_json_gets_the_same_position(site: Site) -> None:
    def route() -> dict[str, str]:
        append_elsewhere(site, 1)
        return {"cursor": site.app.flask.jinja_env.globals["landline_cursor"]()}  # type: ignore[operator]

    site.app.flask.add_url_rule("/board.json", "board", route, methods=["POST"])
    answer = site.app.ask("", path="/board.json", method="POST")
    assert site.follow(answer.json["cursor"]) == [1]


def test_page_is_not_told_again_of_what_this_process_published_before_it(site: Site) -> None:
    """As after a form: publish, redirect, and the page shows it."""
    site.page()
    site.app.live.publish("orders", 1)
    assert site.follow(site.page()) == []


def test_position_is_at_most_a_second_old(site: Site) -> None:
    before = site.page()
    append_elsewhere(site, 1)
    site.clock.advance(0.99)
    assert site.page() == before
    site.clock.advance(0.02)
    assert site.follow(site.page()) == []


def test_log_is_looked_at_once_a_second_and_by_anybody(site: Site) -> None:
    for _ in range(50):
        site.page()
    assert site.log.looks == 1
    site.clock.advance(1.5)
    site.app.poll("orders")
    looks = site.log.looks
    for _ in range(50):
        site.page()
    assert site.log.looks == looks


def test_app_without_channels_does_not_touch_its_log(make_app: Callable[..., App]) -> None:
    log = Watched()
    app = make_app(log=log)
    app.flask.add_url_rule("/page", "page", lambda: "")
    assert app.ask("", path="/page").status == 200
    assert log.looks == 0


def test_no_request_looks_at_the_log_twice_at_the_same_time(site: Site) -> None:
    """Eight come while a look is under way: they wait for that one."""
    with hanging(site.log, 20.0):
        threads = [threading.Thread(target=site.page) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: site.log.looks, 10.0, "a look at the log")
    for thread in threads:
        thread.join()
    assert site.log.looks == 1


# While the log cannot be read.


def test_page_is_served_without_a_position_when_the_log_fails(site: Site, caplog) -> None:
    site.log.error = LogError("The log x.db cannot be opened. Free some space.")
    for _ in range(3):
        assert site.page() == ""
        site.clock.advance(6.0)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("A page got no position, since the log cannot be read")
    assert "The log x.db cannot be opened. Free some space." in told
    site.clock.advance(61.0)
    site.page()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("error", [LogError("no"), OSError("no"), RuntimeError("a bug")])
def test_whatever_the_log_raises_the_last_known_position_is_given(error: Exception, site: Site, caplog) -> None:
    known = site.page()
    site.log.error = error
    site.clock.advance(86_400.0)
    assert site.page() == known
    assert caplog.records == []


def test_empty_position_leads_to_a_reset(site: Site) -> None:
    site.log.error = LogError("no")
    cursor = site.page()
    site.log.error = None
    append_elsewhere(site, 1)
    answer = site.app.poll("orders", cursor=cursor)
    assert answer.json["reset"]["reason"] == "unknown"
    site.clock.advance(6.0)
    assert site.page() == answer.cursor


def test_log_that_hangs_keeps_one_page_waiting_a_quarter_of_a_second(site: Site) -> None:
    """The first one; for those that follow the trouble is remembered, and a look that is late is not joined."""
    site.page()
    with hanging(site.log):
        site.clock.advance(2.0)
        began = time.monotonic()
        pages = [site.page() for _ in range(200)]
        assert time.monotonic() - began < 30.0  # 200 waits would be 50 s
        assert site.log.looks == 2
        site.clock.advance(60.0)
        pages.append(site.page())
        assert site.log.looks == 2
    assert set(pages) == {pages[0]} != {""}


def test_page_waits_a_quarter_of_a_second_for_the_log_and_no_longer(site: Site) -> None:
    with hanging(site.log):
        began = time.monotonic()
        assert site.page() == ""
        waited = time.monotonic() - began
    assert 0.2 < waited < 20.0  # on a machine that has time to spare 0.25; the log hung for ever


def test_look_that_was_late_is_used_when_it_ends(site: Site) -> None:
    with hanging(site.log):
        assert site.page() == ""
    until(lambda: site.app.runtime.position._look is None, 10.0, "the end of the look")
    assert site.page() != ""
    assert site.log.looks == 1


def test_log_is_looked_at_again_after_a_rest(site: Site) -> None:
    site.log.error = LogError("no")
    assert [site.page() for _ in range(20)] == [""] * 20
    assert site.log.looks == 1
    site.log.error = None
    site.clock.advance(4.9)
    assert site.page() == ""
    site.clock.advance(0.2)
    assert site.page() != ""
    assert site.log.looks == 2


def test_process_that_gets_no_thread_serves_its_pages(site: Site, monkeypatch, caplog) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert site.page() == ""
    assert "can't start new thread" in caplog.text
    site.clock.advance(6.0)
    assert site.page() != ""


def test_file_that_cannot_be_opened_takes_no_page_down(make_app: Callable[..., App], tmp_path: Path) -> None:
    (tmp_path / "instance" / "landline.db").mkdir(parents=True)
    app = make_app(log="sqlite:")
    app.live.channel("orders")
    app.flask.add_url_rule("/page", "page", lambda: render_template_string(f"[{PAGE}]"))
    answer = app.ask("", path="/page")
    assert (answer.status, answer.body) == (200, b"[]")
    with pytest.raises(LogError):
        app.live.publish("orders", 1)


def test_locked_file_keeps_no_page_but_the_first_waiting(make_app: Callable[..., App], tmp_path: Path) -> None:
    """A shell that holds the file, as in a backup; the clock of positions stands, so that the trouble does not pass."""
    clock = Clock()
    app = make_app(log="sqlite:", times=Times(clock=clock))
    app.live.channel("orders")
    app.flask.add_url_rule("/page", "page", lambda: render_template_string(PAGE))
    app.live.publish("orders", 1)
    known = app.ask("", path="/page").body
    app.runtime.log.close()
    with closing(sqlite3.connect(tmp_path / "instance" / "landline.db", isolation_level=None)) as shell:
        shell.execute("PRAGMA locking_mode = EXCLUSIVE")
        shell.execute("BEGIN EXCLUSIVE")
        clock.advance(2.0)
        began = time.monotonic()
        assert [app.ask("", path="/page").body for _ in range(200)] == [known] * 200
        assert time.monotonic() - began < 30.0  # 200 waits would be 50 s
        shell.execute("ROLLBACK")


# Outside of a request, and in Python.


def test_python_gets_the_end_as_it_is_now(site: Site) -> None:
    for number in range(3):
        append_elsewhere(site, number)
        with site.app.flask.test_request_context():
            assert site.app.live.cursor() == f"{site.log.epoch}-{number + 1}"
            assert render_template_string(PAGE) == site.app.live.cursor()
        assert site.app.live.cursor() == f"{site.log.epoch}-{number + 1}"


def test_view_in_python_is_not_taken_down_by_the_log(site: Site) -> None:
    site.log.error = LogError("no")
    with site.app.flask.test_request_context():
        assert site.app.live.cursor() == ""
        site.log.error = None
        site.clock.advance(6.0)
        known = site.app.live.cursor()
        site.log.error = LogError("no")
        assert site.app.live.cursor() == known != ""


def test_outside_of_a_request_the_log_is_heard(site: Site) -> None:
    site.log.error = LogError("no")
    with pytest.raises(LogError, match="no"):
        site.app.live.cursor()
    with site.app.flask.app_context():
        assert render_template_string(PAGE) == ""  # a template never raises: it may be a mail's


def test_end_that_is_asked_for_is_never_from_before(site: Site) -> None:
    """Threads that append and ask at once: each finds its own event behind it. The schedule is left to the machine."""

    def body() -> None:
        for number in range(50):
            event = site.log.append("orders", str(number))
            with site.app.flask.test_request_context():
                assert int(site.app.live.cursor().partition("-")[2]) >= event.offset

    in_threads(*[body] * 4)


def test_forked_child_knows_nothing_of_its_parents_log_in_memory(site: Site) -> None:
    site.app.live.publish("orders", 1)
    cursor = site.page()
    in_the_child = in_child(site.page)
    assert in_the_child.partition("-")[2] == "0"
    assert in_the_child.partition("-")[0] != cursor.partition("-")[0]


def test_several_apps_have_positions_of_their_own(tmp_path: Path) -> None:
    live = Landline()
    live.channel("orders")
    pages = []
    for name in ("one", "two"):
        app = Flask(name, instance_path=str(tmp_path / name))
        app.config["LANDLINE_LOG"] = "memory:"
        live.init_app(app)
        app.add_url_rule("/", "page", lambda: render_template_string(PAGE))
        pages.append(app.test_client().get("/").text)
        live.close(app)
    assert pages[0] != pages[1]
