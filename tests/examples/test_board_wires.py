"""The board's switches, in a browser: a wire is cut, the page falls, and climbs back; a line for all tabs."""

import json
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect

from examples.board import app as board_app
from examples.board import wires
from tests.examples.boards import PATIENCE, Tabs, notes, post, rows, serve, transport, write
from tests.processes import Process, until

CUT = re.compile(r"\b503\b|ERR_|Connection closed")
"""What the browser itself says, on its console, of a request that was refused, or whose connection died."""

LADDER = ("websocket", "sse", "long-poll", "poll")


def flip(page: Page, name: str) -> None:
    page.locator(f"[data-rung={name}] input").click()


def said(page: Page, name: str):
    return page.locator(f"#said-{name}")


def told(page: Page, words: str):
    """Return the rows between the rounds that say this."""
    return page.locator("#steps tr:not([data-step])", has_text=words)


def expect_transport(page: Page, name: str) -> None:
    expect(transport(page)).to_have_text(name, timeout=PATIENCE)


def sockets(server: Process) -> int:
    """Return how many sockets were opened, by the server's own log."""
    return len(re.findall(r"GET /\S+/ws\?\S* HTTP/1.1\S* 101", server.stderr))


@pytest.mark.browser
class TestCutWires:
    @pytest.mark.parametrize("count", [1, 2, 3], ids=lambda count: f"left-{LADDER[count]}")
    def test_page_falls_to_what_is_left_and_climbs_back_and_no_note_is_lost(
        self, board: Process, tabs: Tabs, count: int
    ) -> None:
        page, other = tabs.open(board.url), tabs.open(board.url)
        left = LADDER[count]
        for name in LADDER[:count]:
            flip(page, name)
        expect_transport(page, left)
        expect(page.locator("#status")).to_have_text("live" if left == "sse" else "polling", timeout=PATIENCE)
        for name in LADDER[:count]:
            expect(said(page, name)).to_have_text(re.compile(r"^cut, tried \d+×$"), timeout=PATIENCE)
        expect(page.locator("#wires [aria-current]")).to_have_attribute("data-rung", left)
        write(other, "while cut")
        expect(page.locator("#notes p")).to_have_text(["while cut"], timeout=PATIENCE)
        expect(other.locator("#status")).to_have_text("live")
        for name in LADDER[:count]:
            flip(page, name)
        expect(transport(page)).to_have_text("websocket", timeout=3 * PATIENCE)
        write(other, "whole again")
        expect(page.locator("#notes p")).to_have_text(["whole again", "while cut"], timeout=PATIENCE)
        # It may have followed the page's line, but its own was never cut.
        assert told(other, "fell from websocket").count() == 0
        tabs.forgive(CUT)

    def test_open_line_dies_on_the_wire(self, board: Process, tabs: Tabs) -> None:
        """1006: no close frame came, neither from the server nor from the page."""
        page = tabs.open(board.url)
        flip(page, "websocket")
        expect(told(page, "fell from websocket (closed: 1006)")).to_be_attached(timeout=PATIENCE)
        expect_transport(page, "sse")
        flip(page, "sse")
        expect(told(page, "fell from sse (closed)")).to_be_attached(timeout=PATIENCE)
        tabs.forgive(CUT)

    def test_page_with_all_wires_cut_is_offline_and_misses_nothing(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        for name in LADDER:
            flip(page, name)
        expect(page.locator("#status")).to_have_text("offline", timeout=PATIENCE)
        expect(page.locator("#fault")).to_contain_text("The wire is cut here")
        expect(rows(page).first).to_contain_text("failed: cut")
        expect(page.locator("#response")).to_contain_text('"code": "cut"')
        post(board, "meanwhile")
        failed = rows(page).first.get_attribute("data-step")
        expect(rows(page).first).not_to_have_attribute("data-step", failed or "", timeout=PATIENCE)
        assert notes(page) == []
        for name in LADDER:
            flip(page, name)
        expect(page.locator("#notes p")).to_have_text(["meanwhile"], timeout=3 * PATIENCE)
        expect(page.locator("#status")).to_have_text("live", timeout=PATIENCE)
        expect(page.locator("#fault")).to_have_text("")
        tabs.complaints[:] = [line for line in tabs.complaints if "The wire is cut here" not in line]
        tabs.forgive(CUT)

    def test_cut_reaches_no_other_page(self, board: Process, tabs: Tabs) -> None:
        page, other = tabs.open(board.url), tabs.open(board.url)
        flip(other, "shared")
        expect_transport(other, "websocket")
        for name in ("websocket", "sse"):
            flip(page, name)
        expect_transport(page, "long-poll")
        write(page, "still there?")
        expect(other.locator("#notes p")).to_have_text(["still there?"], timeout=PATIENCE)
        assert told(other, "fell").count() == 0
        expect_transport(other, "websocket")
        tabs.forgive(CUT)

    def test_reload_mends_all(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        flip(page, "websocket")
        expect_transport(page, "sse")
        page.reload()
        expect_transport(page, "websocket")
        assert page.locator("#wires input:checked").count() == 5
        tabs.forgive(CUT)

    def test_switches_work_by_keyboard(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        switch = page.get_by_role("switch", name="websocket")
        switch.focus()
        page.keyboard.press("Space")
        expect(switch).not_to_be_checked()
        expect_transport(page, "sse")
        tabs.forgive(CUT)

    def test_paused_page_is_cut_and_asks_nothing(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        page.click("#pause")
        polls: list[str] = []
        page.on("request", lambda request: polls.append(request.url) if "poll?" in request.url else None)
        flip(page, "websocket")
        expect(said(page, "websocket")).to_have_text("cut", timeout=PATIENCE)
        assert polls == []
        page.click("#pause")
        expect_transport(page, "sse")
        tabs.forgive(CUT)

    def test_server_that_is_gone_leaves_the_switch_as_it_was(self, tmp_path: Path, tabs: Tabs) -> None:
        with serve(tmp_path) as server:
            page = tabs.open(server.url)
            flip(page, "shared")
            expect_transport(page, "websocket")
        flip(page, "sse")
        expect(page.locator("#wires-trouble")).to_contain_text("cannot be reached", timeout=PATIENCE)
        expect(page.locator("[data-rung=sse] input")).to_be_checked()
        page.close()
        tabs.complaints.clear()


@pytest.mark.browser
class TestSharing:
    def test_two_tabs_have_one_socket(self, board: Process, tabs: Tabs) -> None:
        one = tabs.open(board.url)
        expect(said(one, "shared")).to_have_text("no other tab")
        two = tabs.open(board.url)
        expect_transport(two, "shared")
        expect(said(two, "shared")).to_have_text("another tab leads")
        expect(said(one, "shared")).to_have_text("leads 1 other tab", timeout=PATIENCE)
        write(two, "by one line")
        for tab in (one, two):
            expect(tab.locator("#notes p")).to_have_text(["by one line"], timeout=PATIENCE)
        expect(rows(two).first).to_contain_text("none: shared", timeout=PATIENCE)
        assert sockets(board) == 1

    def test_closing_the_leader_hands_over(self, board: Process, tabs: Tabs) -> None:
        one, two = tabs.open(board.url), tabs.open(board.url)
        expect_transport(two, "shared")
        one.close()
        post(board, "in between")
        expect_transport(two, "websocket")
        expect(said(two, "shared")).to_have_text("no other tab", timeout=PATIENCE)
        post(board, "afterwards")
        expect(two.locator("#notes p")).to_have_text(["afterwards", "in between"], timeout=PATIENCE)

    def test_cutting_leader_hands_over(self, board: Process, tabs: Tabs) -> None:
        one, two = tabs.open(board.url), tabs.open(board.url)
        expect_transport(two, "shared")
        flip(one, "websocket")
        expect_transport(one, "sse")
        expect(said(one, "shared")).to_have_text("not shared")
        expect_transport(two, "websocket")
        write(two, "one and the other")
        for tab in (one, two):
            expect(tab.locator("#notes p")).to_have_text(["one and the other"], timeout=PATIENCE)
        tabs.forgive(CUT)

    def test_sharing_again_mends_all(self, board: Process, tabs: Tabs) -> None:
        one, two = tabs.open(board.url), tabs.open(board.url)
        for name in ("websocket", "sse"):
            flip(two, name)
        expect_transport(two, "long-poll")
        flip(two, "shared")
        expect_transport(two, "shared")
        assert two.locator("#wires input:checked").count() == 5
        post(board, "shared again")
        for tab in (one, two):
            expect(tab.locator("#notes p")).to_have_text(["shared again"], timeout=PATIENCE)
        tabs.forgive(CUT)


@pytest.mark.browser
def test_page_without_locks_says_so_and_may_be_cut(board: Process, tabs: Tabs) -> None:
    """As by plain HTTP from another machine: the browser has no locks there."""
    page = tabs.open(board.url, before="Object.defineProperty(navigator, 'locks', { value: undefined })")
    expect(said(page, "shared")).to_have_text("needs https")
    expect(page.locator("[data-rung=shared] input")).to_be_disabled()
    flip(page, "websocket")
    expect_transport(page, "sse")
    flip(page, "websocket")
    expect_transport(page, "websocket")
    tabs.forgive(CUT)


UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n".format(
    "dGhlIHNhbXBsZSBub25jZQ=="
)


def hold(server: Process, address: str, head: str = "") -> socket.socket:
    """Open a line, and return its connection when the server holds it."""
    connection = socket.create_connection(("127.0.0.1", server.port or 0), timeout=PATIENCE / 1000)
    connection.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
    until(lambda: address in server.stderr, PATIENCE / 1000, "the line in the server's log")
    return connection


def read(connection: socket.socket, word: bytes) -> bytes:
    """Return what comes, up to this word or the connection's end."""
    got = b""
    while word not in got and (more := connection.recv(65536)):
        got += more
    return got


@pytest.mark.parametrize(
    ("path", "head", "name"),
    [("ws?", UPGRADE, "websocket"), ("events?", "", "sse"), ("poll?wait=20&", "", "long-poll")],
)
def test_line_that_is_open_ends_without_a_word_and_no_other(board: Process, path: str, head: str, name: str) -> None:
    with urlopen(f"{board.url}/landline/poll?channel=notes", timeout=10) as answer:
        query = urlencode({"channel": "notes", "cursor": json.load(answer)["cursor"]})
    mine, yours = (hold(board, f"/wires/{page}/{path}{query}", head) for page in ("mine", "yours"))
    with mine, yours:
        with urlopen(f"{board.url}/wires/mine/cut", urlencode({"cut": name}).encode(), timeout=10) as answer:
            assert answer.status == 200
        post(board, "who is there?")
        assert b"who is there?" in read(yours, b"who is there?")
        assert b"who is there?" not in read(mine, b"who is there?")


class TestAtTheServer:
    """What a page has cut is refused to it, before Landline hears of it."""

    @pytest.fixture
    def client(self, tmp_path: Path) -> FlaskClient:
        return board_app.create_app(str(tmp_path)).test_client()

    def poll(self, client: FlaskClient, page: str) -> int:
        return client.get(f"/wires/{page}/poll?channel=notes").status_code

    def cut(self, client: FlaskClient, page: str, names: Sequence[str]) -> None:
        assert client.post(f"/wires/{page}/cut", data={"cut": names}).json == {"cut": list(names)}

    def test_cut_is_one_page_s_and_ends_when_mended(self, client: FlaskClient) -> None:
        assert self.poll(client, "mine") == 200
        self.cut(client, "mine", ["poll"])
        assert (self.poll(client, "mine"), self.poll(client, "yours")) == (503, 200)
        assert client.get("/landline/poll?channel=notes").status_code == 200
        self.cut(client, "mine", [])
        assert self.poll(client, "mine") == 200

    @pytest.mark.parametrize(
        ("path", "name"), [("ws?", "websocket"), ("events?", "sse"), ("poll?wait=9&", "long-poll"), ("poll?", "poll")]
    )
    def test_each_transport_is_told_apart(self, client: FlaskClient, path: str, name: str) -> None:
        others = [other for other in LADDER if other != name]
        self.cut(client, "mine", others)
        # The test's client can hold nothing, so Landline itself refuses some: in its own words.
        answer = client.get(f"/wires/mine/{path}channel=notes")
        assert answer.json is None or answer.json.get("code") != "cut"
        self.cut(client, "mine", [name])
        answer = client.get(f"/wires/mine/{path}channel=notes")
        assert (answer.status_code, answer.json and answer.json["code"]) == (503, "cut")

    def test_cut_outlives_the_process(self, client: FlaskClient, tmp_path: Path) -> None:
        self.cut(client, "mine", ["poll"])
        another = board_app.create_app(str(tmp_path)).test_client()
        assert self.poll(another, "mine") == 503

    def test_unknown_transport_is_not_kept(self, client: FlaskClient) -> None:
        assert client.post("/wires/mine/cut", data={"cut": ["carrier pigeon", "sse"]}).json == {"cut": ["sse"]}

    def test_only_so_many_lines_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wires, "LINES_KEPT", 2)
        ended: list[wires.Peer] = []
        monkeypatch.setattr(wires, "_shut", ended.append)
        app = wires.Wires(lambda *_: [], "/landline", lambda _: ())
        for port, page in enumerate(["a", "b", "c"]):
            environ = {"PATH_INFO": f"/wires/{page}/ws", "QUERY_STRING": "", "REMOTE_ADDR": "::1", "REMOTE_PORT": port}
            app(environ, lambda *_: lambda _: None)
        for page in ("a", "b", "c"):
            app.end(page, ["websocket", "sse"])
        assert ended == [("::1", 1), ("::1", 2)]
