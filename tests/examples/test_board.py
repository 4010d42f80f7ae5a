"""The board, in a browser: notes in every window, the loop laid open, a server that dies and comes back."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from examples.board import app as board_app
from examples.board.vitals import Vitals
from tests.examples.boards import PATIENCE, Tabs, notes, post, rows, serve, transport, write
from tests.processes import Process, free_port

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Process]:
    """Return a board that may hold nothing, so that its pages poll."""
    with serve(tmp_path, env={"FLASK_LANDLINE_MAX_HELD": "0"}) as server:
        yield server


def stop_asking(page: Page) -> int:
    """Pause, and return the number of the last step, which is over."""
    page.click("#pause")
    expect(page.locator("[data-node=waits] span")).to_have_text("until you go on", timeout=PATIENCE)
    return int(rows(page).first.locator("td").first.inner_text())


@pytest.mark.browser
class TestNotes:
    def test_note_appears_in_both_tabs_once(self, board: Process, tabs: Tabs) -> None:
        one, other = tabs.open(board.url), tabs.open(board.url)
        write(one, "first")
        for tab in (one, other):
            expect(tab.locator("#notes p")).to_have_text(["first"], timeout=PATIENCE)
        write(other, "second")
        for tab in (one, other):
            expect(tab.locator("#notes p")).to_have_text(["second", "first"], timeout=PATIENCE)
        expect(one.locator("#text")).to_have_value("")
        expect(one.locator("#no-notes")).to_be_hidden()

    def test_note_inside_the_snapshot_and_after_it_is_listed_once(self, board: Process, tabs: Tabs) -> None:
        """The snapshot is taken after the position it stands for, so a note may come both ways."""
        page = tabs.open(board.url)
        stop_asking(page)
        page.evaluate(
            """async () => {
              const { Notes } = await import("/static/notes.js");
              const list = new Notes(() => 0);
              const [one, two, three] = [1, 2, 3].map((id) => ({ id, at: 0, text: `note ${id}` }));
              list.replace([one, two]);
              for (const note of [two, three, one, three]) list.add(note);
            }"""
        )
        assert notes(page) == ["note 3", "note 2", "note 1"]

    def test_newcomer_gets_the_newest_fifty(self, board: Process, tabs: Tabs) -> None:
        for number in range(52):
            post(board, f"note {number}")
        page = tabs.open(board.url)
        expect(page.locator("#notes p").first).to_have_text("note 51", timeout=PATIENCE)
        assert notes(page) == [f"note {number}" for number in range(51, 1, -1)]
        post(board, "note 52")
        expect(page.locator("#notes p").first).to_have_text("note 52", timeout=PATIENCE)
        assert len(notes(page)) == 50

    def test_markup_stays_text(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        words = "<img src=x onerror=\"document.title='broken in'\"> & <b>bold</b>"
        write(page, words)
        expect(page.locator("#notes p")).to_have_text([words], timeout=PATIENCE)
        assert page.locator("#notes img, #notes b").count() == 0
        assert page.title() == "Board · Landline"

    @pytest.mark.parametrize(("text", "words"), [("   ", "The note is empty"), ("x" * 281, "281 characters; 280 fit")])
    def test_note_that_cannot_be_taken_is_refused_with_a_sentence(
        self, board: Process, tabs: Tabs, text: str, words: str
    ) -> None:
        page = tabs.open(board.url)
        write(page, text)
        expect(page.locator("#trouble")).to_contain_text(words, timeout=PATIENCE)
        expect(page.locator("#text")).to_be_focused()
        expect(page.locator("#text")).to_have_value(text)
        write(page, "x" * 280)
        expect(page.locator("#notes p")).to_have_text(["x" * 280], timeout=PATIENCE)
        expect(page.locator("#trouble")).to_have_text("")
        # The browser itself says so of every refused request.
        assert [line for line in tabs.complaints if "status of 400" not in line] == []
        tabs.complaints.clear()


@pytest.mark.browser
class TestVitals:
    def test_vitals_are_shown_and_go_on(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        for card, pattern in {
            "cpu": r"^\d+%$",
            "memory": r"^[\d.]+(MiB|GiB)$",
            "network": r"^[\d.]+(B/s|kB/s|MB/s) in$",
            "load": r"^\d+\.\d\d$",
        }.items():
            expect(page.locator(f"#{card} .value")).to_have_text(re.compile(pattern), timeout=PATIENCE)
        line = page.locator("#cpu .line").first
        first = line.get_attribute("d")
        expect(line).not_to_have_attribute("d", first or "", timeout=PATIENCE)

    def test_newcomer_has_what_was_measured_before(self, board: Process, tabs: Tabs) -> None:
        before = tabs.open(board.url)
        expect(before.locator("#cpu .line").first).to_have_attribute("d", re.compile("L"), timeout=PATIENCE)
        before.close()
        page = tabs.open(board.url)
        stop_asking(page)
        expect(page.locator("#cpu .line").first).to_have_attribute("d", re.compile("L"), timeout=PATIENCE)


@pytest.mark.browser
class TestWhatIsHappening:
    def test_each_row_tells_one_round(self, asked: Process, tabs: Tabs) -> None:
        page = tabs.open(asked.url, status="polling")
        # Vitals come with every second poll or so: there is one round of each kind soon.
        for action in ("updated", "no change"):
            expect(page.locator(f"#steps tr[data-action='{action}']").nth(1)).to_be_attached(timeout=PATIENCE)
        stop_asking(page)
        cells = [row.locator("td").all_inner_texts() for row in rows(page).all()]
        assert [int(step) for step, *_ in cells] == list(range(len(cells), 0, -1))
        assert cells[-1][1:] == ["GET poll no cursor yet", "2 new events", '{"data": [2]}', "updated"]
        for _, request, found, response, action in cells[:-1]:
            assert re.fullmatch(r"GET poll cursor=[0-9a-z]{8}-\d+", request)
            if action == "updated":
                events = re.fullmatch(r"(\d+) new events?", found)
                assert events is not None
                assert response == f'{{"data": [{events[1]}]}}'
            else:
                assert (found, response, action) == ("nothing new", '{"data": null}', "no change")

    def test_note_is_pushed_and_the_panel_waits_on_the_line(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        expect(transport(page)).to_have_text("websocket")
        polls: list[str] = []
        page.on("request", lambda request: polls.append(request.url) if "/landline/poll" in request.url else None)
        for note in ("one", "two"):
            post(board, note)
            expect(page.locator("#notes p").first).to_have_text(note, timeout=PATIENCE)
        expect(page.locator("[data-node=waits] span")).to_have_text("on a line: websocket", timeout=PATIENCE)
        newest = rows(page).first.locator("td").all_inner_texts()
        assert newest[1:] == ["none: websocket", "1 new event", '{"data": [1]}', "updated"]
        assert polls == []

    def test_line_that_comes_is_told_between_the_rounds(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        expect(page.locator("#steps tr:not([data-step])")).to_have_text(["climbed to websocket"], timeout=PATIENCE)

    def test_without_lines_the_page_asks(self, asked: Process, tabs: Tabs) -> None:
        page = tabs.open(asked.url, status="polling")
        expect(transport(page)).to_have_text("poll")
        expect(page.locator("#said-websocket")).to_have_text("not offered")
        post(asked, "polled")
        expect(page.locator("#notes p")).to_have_text(["polled"], timeout=PATIENCE)

    def test_flow_and_variables_show_the_way_that_was_taken(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        stop_asking(page)
        post(board, "look")
        page.click("#step")
        expect(page.locator("#flow")).to_have_attribute("data-current", "asks", timeout=PATIENCE)
        expect(page.locator("#flow")).to_have_attribute("data-current", "waits", timeout=PATIENCE)
        taken = [node.get_attribute("data-node") for node in page.locator(".node[data-state=done]").all()]
        assert taken == ["asks", "checks", "question", "send", "update"]
        expect(page.locator("[data-node=waits]")).to_have_attribute("data-state", "lit")
        expect(page.locator("#new-data")).to_have_text("yes")
        expect(page.locator("#ui")).to_contain_text("a note added")
        cursor = page.locator("#cursor").inner_text()
        assert f'"cursor": "{cursor}"' in page.locator("#response").inner_text()

    def test_paused_page_asks_no_more_and_a_step_asks_once(self, board: Process, tabs: Tabs) -> None:
        polls: list[str] = []
        page = tabs.open(board.url, clock=True)
        page.on("request", lambda request: polls.append(request.url) if "/landline/poll" in request.url else None)
        last = stop_asking(page)
        polls.clear()
        page.clock.run_for(30_000)
        assert polls == []
        page.click("#step")
        expect(rows(page).first.locator("td").first).to_have_text(str(last + 1), timeout=PATIENCE)
        expect(rows(page).first.locator("td").nth(4)).to_have_text(re.compile("updated|no change"), timeout=PATIENCE)
        page.clock.run_for(30_000)
        assert len(polls) == 1
        page.click("#pause")
        expect(page.locator("#pause")).to_have_text("Pause")
        expect(rows(page).first.locator("td").first).to_have_text(str(last + 3), timeout=PATIENCE)

    def test_step_pauses_a_page_that_runs(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        page.click("#step")
        expect(page.locator("#pause")).to_have_text("Resume")
        expect(page.locator("[data-node=waits] span")).to_have_text("until you go on", timeout=PATIENCE)

    def test_note_posted_while_paused_waits_for_the_step(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        stop_asking(page)
        write(page, "later")
        expect(page.locator("#text")).to_have_value("", timeout=PATIENCE)
        assert notes(page) == []
        page.click("#step")
        expect(page.locator("#notes p")).to_have_text(["later"], timeout=PATIENCE)

    def test_slider_sets_the_wait(self, asked: Process, tabs: Tabs) -> None:
        page = tabs.open(asked.url, status="polling")
        page.locator("#interval").fill("5000")
        expect(page.locator("#interval-said")).to_have_text("5.0 s")
        expect(page.locator("[data-node=waits] span")).to_have_text(re.compile(r"for 5\.\d s"), timeout=PATIENCE)

    def test_table_keeps_ten_rows(self, board: Process, tabs: Tabs) -> None:
        page = tabs.open(board.url)
        last = stop_asking(page)
        for step in range(last + 1, last + 13):
            post(board, f"for step {step}")  # the client stops one who asks in vain so quickly
            page.click("#step")
            expect(rows(page).first.locator("td").first).to_have_text(str(step), timeout=PATIENCE)
        expect(page.locator("#steps tr")).to_have_count(10)


@pytest.mark.browser
class TestServerThatDies:
    def test_notes_that_came_meanwhile_appear_and_none_twice(self, tmp_path: Path, tabs: Tabs) -> None:
        """Another process of the same board takes notes while the page's own server is gone."""
        port = free_port()
        with serve(tmp_path, port) as server:
            page, other = tabs.open(server.url), tabs.open(server.url)
            for tab in (page, other):
                write(tab, "before")
            expect(page.locator("#notes p")).to_have_text(["before", "before"], timeout=PATIENCE)
            server.signal(signal.SIGKILL)
            server.wait()
            for tab in (page, other):
                expect(tab.locator("#status")).to_have_text("offline", timeout=PATIENCE)
            expect(page.locator("#fault")).to_contain_text("Trying again")
        with serve(tmp_path) as elsewhere:
            assert [post(elsewhere, f"meanwhile {number}")[0] for number in (1, 2, 3)] == [201, 201, 201]
        with serve(tmp_path, port) as server:
            for tab in (page, other):
                expect(tab.locator("#status")).to_have_text("live", timeout=PATIENCE)
            write(page, "after")
            for tab in (page, other):
                expected = ["after", "meanwhile 3", "meanwhile 2", "meanwhile 1", "before", "before"]
                expect(tab.locator("#notes p")).to_have_text(expected, timeout=PATIENCE)
            expect(page.locator("#fault")).to_have_text("")
            assert "reset" not in "".join(action.inner_text() for action in rows(page).all())
            # They would notice the end of this server too.
            for tab in (page, other):
                tab.close()
            # What the browser and the client say of a server that is gone, and nothing else.
            assert [line for line in tabs.complaints if not re.search("ERR_|Trying again", line)] == []
            tabs.complaints.clear()

    def test_note_that_cannot_be_sent_stays_in_the_form(self, tmp_path: Path, tabs: Tabs) -> None:
        with serve(tmp_path) as server:
            page = tabs.open(server.url)
            stop_asking(page)
        write(page, "not lost")
        expect(page.locator("#trouble")).to_contain_text("cannot be reached", timeout=PATIENCE)
        expect(page.locator("#text")).to_have_value("not lost")
        tabs.complaints.clear()


@pytest.mark.browser
class TestLooks:
    @pytest.mark.parametrize("viewport", [PHONE, {"width": 820, "height": 1100}, DESK], ids=lambda size: size["width"])
    def test_nothing_is_wider_than_the_window(self, board: Process, browser: Browser, viewport: dict[str, int]) -> None:
        post(board, "W" * 280)
        with browser.new_context(viewport=viewport) as context:  # type: ignore[arg-type]
            page = Tabs(context).open(board.url)
            expect(page.locator("#notes p")).to_have_count(1, timeout=PATIENCE)
            assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
            parts = "document.querySelectorAll('.list, pre, section, .wires b, .said')"
            inside = f"[...{parts}].filter(one => one.scrollWidth > one.clientWidth)"
            assert page.evaluate(f"{inside}.map(one => one.id || one.className || one.textContent)") == []

    def test_switches_are_large_enough_for_fingers(self, board: Process, browser: Browser) -> None:
        """44 px: WCAG 2.2, target size (enhanced)."""
        with browser.new_context(viewport=PHONE) as context:  # type: ignore[arg-type]
            page = Tabs(context).open(board.url)
            heights = "[...document.querySelectorAll('#wires label')].map(one => one.offsetHeight)"
            assert min(page.evaluate(heights)) >= 44

    def test_reduced_motion_moves_nothing(self, board: Process, browser: Browser) -> None:
        with browser.new_context(viewport=DESK, reduced_motion="reduce") as context:  # type: ignore[arg-type]
            context.add_init_script(
                "window.moved = []; Element.prototype.animate = function () { moved.push(this.outerHTML); };"
                "addEventListener('animationstart', event => moved.push(event.animationName), true);"
            )
            page = Tabs(context).open(board.url)
            line = page.locator("#cpu .line").first
            first = line.get_attribute("d")
            expect(line).not_to_have_attribute("d", first or "", timeout=PATIENCE)
            post(board, "still")
            expect(page.locator("#notes p")).to_have_text(["still"], timeout=PATIENCE)
            expect(page.locator("#flow")).to_have_attribute("data-current", "waits")
            assert page.evaluate("moved") == []


def test_machine_without_vitals_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board_app, "Vitals", lambda: Vitals(tmp_path / "proc"))
    client = board_app.create_app(str(tmp_path / "instance")).test_client()
    page = client.get("/").text
    assert "There is no <code>/proc</code> on this machine" in page
    assert 'id="cpu"' not in page
    assert 'id="form"' in page
