"""The extension for htmx, with htmx itself: what an event does to the elements, and who reads what."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Route, expect

from tests.examples.howto import expect_items
from tests.static.sites import LATE, MAIN, SCRIPTS, WITNESS, Site

pytestmark = pytest.mark.browser


class TestTrigger:
    def test_each_element_that_names_the_channel_fetches_once(self, site: Site) -> None:
        """One inside the other: the event of the inner one does not trigger the outer one, too."""
        fetch = 'landline-channel="orders" hx-get="/newest" hx-trigger="landline:orders"'
        site.open(
            MAIN
            % f'<div {fetch} hx-target="#one"><p {fetch} hx-target="#two"></p></div><i id="one"></i><i id="two"></i>',
            "orders",
        )
        fetched = site.requests("/newest")
        for times in (1, 2, 3):
            offset = site.publish("orders", times)
            expect_items(site.page, "i", offset, offset)
            assert len(fetched) == 2 * times

    def test_channels_have_slashes_and_an_element_several_of_them(self, site: Site) -> None:
        site.open(
            MAIN % '<p landline-channel="orders, room/3"'
            ' hx-get="/newest" hx-trigger="landline:orders, landline:room/3"></p>',
            "orders",
            "room/3",
        )
        for channel in ("room/3", "orders"):
            offset = site.publish(channel, None)
            expect_items(site.page, "p", offset)

    def test_filter_sees_the_event(self, site: Site) -> None:
        site.open(
            MAIN
            % '<p landline-channel="orders" hx-get="/newest" hx-trigger="landline:orders[detail.data.id == 7]"></p>',
            "orders",
        )
        fetched = site.requests("/newest")
        site.publish("orders", {"id": 6})
        expect_items(site.page, "p", site.publish("orders", {"id": 7}))
        assert len(fetched) == 1

    def test_attributes_may_have_data_before_them(self, site: Site) -> None:
        site.open(
            SCRIPTS + '<main data-hx-ext="landline" data-landline-cursor="{{ landline_cursor() }}">'
            '<p data-landline-channel="orders" data-hx-get="/newest" data-hx-trigger="landline:orders"></p></main>',
            "orders",
        )
        expect_items(site.page, "p", site.publish("orders", None))


class TestSwap:
    def test_data_goes_where_target_and_swap_say(self, site: Site) -> None:
        site.open(
            MAIN % '<p landline-channel="orders" landline-swap hx-target="next ol" hx-swap="afterbegin"></p>'
            "<ol><li>0</li></ol>",
            "orders",
        )
        site.publish("orders", "<li>1</li>")
        site.publish("orders", "<li>2</li>")
        expect_items(site.page, "ol li", "2", "1", "0")

    def test_what_is_swapped_in_is_processed(self, site: Site) -> None:
        site.open(MAIN % WITNESS, "orders")
        site.publish("orders", '<li landline-channel="room/3" landline-swap hx-swap="innerHTML">new</li>')
        expect_items(site.page, "li", "new")
        site.lines.expect_channels(["orders", "room/3"])
        site.publish("room/3", "told")
        expect_items(site.page, "li", "told")

    def test_data_that_is_no_string_is_told_and_left_out(self, site: Site) -> None:
        site.open(MAIN % WITNESS, "orders")
        offset = site.publish("orders", {"id": 7})
        site.publish("orders", "<li>next</li>")
        expect_items(site.page, "li", "next")
        (words,) = site.said
        assert f'what "orders" brought at {offset} is not a string of HTML' in words
        assert "leave landline-swap away" in words

    def test_target_that_is_nowhere_is_told(self, site: Site) -> None:
        site.open(MAIN % f'<p landline-channel="orders" landline-swap hx-target="#gone"></p>{WITNESS}', "orders")
        site.publish("orders", "<li>1</li>")
        expect_items(site.page, "li", "1")
        assert site.said[0].startswith("htmx:targetError")

    def test_listener_may_keep_the_data_out(self, site: Site) -> None:
        site.open(MAIN % WITNESS, "orders")
        site.page.evaluate(
            """witness.addEventListener("landline:orders", event => {
                if (event.detail.data.includes("no")) event.preventDefault();
            })"""
        )
        site.publish("orders", "<li>no</li>")
        site.publish("orders", "<li>yes</li>")
        expect_items(site.page, "li", "yes")

    def test_snapshot_takes_the_place_of_what_was_there(self, site: Site) -> None:
        body = (
            '<main hx-ext="landline">'
            '<ol landline-channel="state" landline-swap hx-swap="beforeend"><li>old</li></ol></main>'
        )
        site.open(SCRIPTS + body, "state")
        expect_items(site.page, "li", "whole")
        site.publish("state", "<li>more</li>")
        expect_items(site.page, "li", "whole", "more")


class TestReset:
    """The page is from another life of the log."""

    @pytest.fixture
    def told(self, page: Page) -> list[list[str]]:
        """Return what elements are told, before anything is loaded: tag and event."""
        told: list[list[str]] = []
        page.expose_function("tell", lambda *words: told.append([*words]))
        page.add_init_script(
            """for (const type of ["landline:room/9", "landline-reset"])
                addEventListener(type, ({ target }) => tell(target.localName, type), true);"""
        )
        return told

    def test_fetchers_fetch_again_and_collectors_are_told(self, told: list[list[str]], site: Site) -> None:
        body = (
            '<main hx-ext="landline" landline-cursor="aaaaaaaa-1">'
            '<p landline-channel="room/9" hx-get="/newest" hx-trigger="landline:room/9">old</p>'
            '<ol landline-channel="room/9" landline-swap hx-on:landline-reset="this.textContent = event.detail.reason">'
            "</ol></main>"
        )
        newest = site.publish("orders", None)
        site.open(SCRIPTS + body, "room/9")
        expect_items(site.page, "p", newest)
        expect_items(site.page, "ol", "epoch")
        assert told == [["p", "landline-reset"], ["p", "landline:room/9"], ["ol", "landline-reset"]]

    def test_part_whose_log_is_gone_is_told_too(self, told: list[list[str]], site: Site) -> None:
        """Its cursor counts for nothing, so what is held for it meanwhile is not compared with it."""
        site.open(MAIN % f'{WITNESS}<div id="place"></div>', "orders")

        def answer_late(route: Route) -> None:
            answer = route.fetch()
            site.publish("room/9", "<li>held</li>")
            site.publish("orders", "<li>mark</li>")
            expect(site.page.locator("#witness li").last).to_have_text("mark")
            route.fulfill(response=answer)

        site.page.route(re.compile("/landline/poll.*aaaaaaaa"), answer_late, times=1)
        site.fetch_part(f'<div landline-cursor="aaaaaaaa-999999">{LATE % "room/9"}</div>')
        expect_items(site.page, "#late li", "held")
        assert told == [["ul", "landline-reset"], ["ul", "landline:room/9"]]


class TestWhatComesLater:
    def test_part_with_a_cursor_is_told_what_came_since(self, site: Site) -> None:
        site.open(MAIN % f'{WITNESS}<div id="place"></div>', "orders")
        site.publish("orders", "<li>before</li>")

        def meanwhile() -> None:
            site.publish("orders", "<li>between</li>")
            expect(site.page.locator("#witness li").last).to_have_text("between")

        site.fetch_part(f'<div landline-cursor="{{{{ landline_cursor() }}}}">{LATE % "orders"}</div>', meanwhile)
        expect_items(site.page, "#late li", "between")
        site.publish("orders", "<li>after</li>")
        expect_items(site.page, "#late li", "between", "after")
        assert site.lines.opened() == 1

    def test_also_of_a_channel_that_is_new_to_the_page(self, site: Site) -> None:
        site.open(MAIN % f'{WITNESS}<div id="place"></div>', "orders")
        site.publish("room/3", "<li>before</li>")
        site.fetch_part(
            f'<div landline-cursor="{{{{ landline_cursor() }}}}">{LATE % "room/3"}</div>',
            lambda: site.publish("room/3", "<li>between</li>"),
        )
        expect_items(site.page, "#late li", "between")
        site.lines.expect_channels(["orders", "room/3"])
        site.publish("room/3", "<li>after</li>")
        expect_items(site.page, "#late li", "between", "after")

    def test_nor_is_it_told_again_by_a_line_that_goes_on_from_before_it(self, site: Site) -> None:
        """The line reads a further channel from where it stands itself, and that may be further back."""
        site.open(MAIN % f'{WITNESS}<div id="place"></div>', "orders")
        site.publish("room/3", "<li>before</li>")
        caught_up = []

        def answer_late(route: Route) -> None:
            expect_items(site.page, "#late li", "between")
            caught_up.append(True)
            route.continue_()

        site.page.route(re.compile(r"/landline/poll\?channel=orders&channel=room"), answer_late)
        site.page.route_web_socket(re.compile("room"), lambda socket: socket.close())
        site.page.route(re.compile(r"/landline/events.*room"), lambda route: route.abort())
        site.fetch_part(
            f'<div landline-cursor="{{{{ landline_cursor() }}}}">{LATE % "room/3"}</div>',
            lambda: site.publish("room/3", "<li>between</li>"),
        )
        expect_items(site.page, "#late li", "between")
        site.publish("room/3", "<li>after</li>")
        expect_items(site.page, "#late li", "between", "after")
        assert caught_up

    def test_what_comes_while_the_past_is_fetched_comes_after_it(self, site: Site) -> None:
        site.open(MAIN % f'{WITNESS}<div id="place"></div>', "orders")

        def answer_late(route: Route) -> None:
            answer = route.fetch()
            site.publish("orders", "<li>held</li>")
            expect(site.page.locator("#witness li").last).to_have_text("held")
            route.fulfill(response=answer)

        site.page.route("**/landline/poll?*", answer_late, times=1)
        site.fetch_part(
            f'<div landline-cursor="{{{{ landline_cursor() }}}}">{LATE % "orders"}</div>',
            lambda: site.publish("orders", "<li>between</li>"),
        )
        expect_items(site.page, "#late li", "between", "held")
        site.publish("orders", "<li>after</li>")
        expect_items(site.page, "#late li", "between", "held", "after")

    def test_part_without_a_cursor_is_told_from_then_on(self, site: Site) -> None:
        """The cursor around it is the page's, and the part is newer than the page."""
        site.open(MAIN % f'{WITNESS}<div id="place"></div>', "orders")
        site.publish("orders", "<li>before</li>")
        expect_items(site.page, "#witness li", "before")
        polls = site.requests("/landline/poll")
        site.fetch_part(LATE % "orders")
        # htmx takes its own class off when it has processed what it swapped in.
        expect(site.page.locator("#late:not(.htmx-added)")).to_be_attached()
        site.publish("orders", "<li>after</li>")
        expect_items(site.page, "#late li", "after")
        assert polls == []

    def test_boosted_page_and_the_one_restored_behind_it_are_up_to_date(self, site: Site) -> None:
        """Both bring the cursor they were rendered with: the one from the server, the other from htmx's history."""
        shown = '<p landline-channel="orders" hx-get="/newest" hx-trigger="landline:orders">{{ newest() }}</p>'
        address = f"/?body={quote(MAIN.removeprefix(SCRIPTS) % f'<h1>Next</h1>{shown}', safe='')}"
        site.open(
            MAIN % f'<a hx-boost="true" href="{{{{ request.args.next }}}}">Next</a>{shown}', "orders", next=address
        )
        offsets: list[str] = []

        def answer(route: Route) -> None:
            rendered = route.fetch()
            offsets.append(site.publish("orders", None))
            route.fulfill(response=rendered)

        site.page.route(lambda url: "Next%3C" in url and "next=" not in url, answer)
        site.page.click("a")
        expect(site.page.locator("h1")).to_be_attached()
        expect_items(site.page, "p", offsets[0])
        site.page.go_back()
        expect(site.page.locator("a")).to_be_attached()
        expect_items(site.page, "p", offsets[0])
        expect_items(site.page, "p", site.publish("orders", None))

    def test_element_that_replaces_itself_keeps_the_line(self, site: Site) -> None:
        site.open(MAIN % "{{ itself }}", "orders")
        for _ in range(3):
            expect_items(site.page, "#self", site.publish("orders", None))
        assert site.lines.opened() == 1


class TestWhatGoes:
    GONE = '<p id="gone" landline-channel="room/3" hx-get="/newest" hx-trigger="landline:room/3"></p>'

    def test_channel_of_what_htmx_has_removed_is_read_no_more(self, site: Site) -> None:
        site.open(MAIN % f"{WITNESS}{self.GONE}", "orders", "room/3")
        site.page.evaluate("htmx.swap('#gone', '', { swapStyle: 'delete', swapDelay: 0, settleDelay: 0 })")
        site.lines.expect_channels(["orders"])

    def test_what_was_removed_behind_its_back_is_missed_when_something_comes(self, site: Site) -> None:
        site.open(MAIN % f"{WITNESS}{self.GONE}", "orders", "room/3")
        fetched = site.requests("/newest")
        site.page.evaluate("gone.remove()")
        site.publish("room/3", None)
        site.lines.expect_channels(["orders"])
        assert fetched == []


class TestLine:
    def test_line_that_is_handed_in_is_the_only_one(self, site: Site) -> None:
        body = """
            <script type="module">
              import { Landline } from "{{ url_for('landline.script') }}";
              import { useLine } from "{{ url_for('landline.htmx') }}";
              window.line = new Landline({ cursor: "{{ landline_cursor() }}" });
              line.on("room/3", () => {});
              useLine(line);
            </script>
        """
        site.open(body + MAIN % WITNESS, "orders", "room/3")
        # Not what it has opened: on a busy machine its first answer may come before htmx has processed the page.
        assert site.lines.alive() == 1
        site.publish("orders", "<li>1</li>")
        expect_items(site.page, "li", "1")
        site.page.evaluate("line.close()")
        site.lines.expect_channels()

    def test_line_that_is_handed_in_too_late_is_refused(self, site: Site) -> None:
        site.open(MAIN % WITNESS, "orders")
        words = site.page.evaluate(
            """async () => {
              const { Landline } = await import("/landline/landline.js");
              const { useLine } = await import("/landline/landline-htmx.js");
              try { useLine(new Landline()) } catch (error) { return error.message }
            }"""
        )
        assert "Call useLine earlier" in words

    def test_url_of_an_ancestor_is_where_it_asks(self, site: Site) -> None:
        polls = site.requests("/elsewhere/poll")
        with site.page.expect_request("**/elsewhere/poll*"):
            site.open(SCRIPTS + f'<main hx-ext="landline" landline-url="/elsewhere">{WITNESS}</main>')
        assert "channel=orders" in polls[0]


class TestScripts:
    def test_script_may_come_after_htmx_has_processed_the_page(self, site: Site) -> None:
        htmx, _, extension = SCRIPTS.strip().partition("\n")
        assert "landline" in extension
        site.open(htmx + f'<main hx-ext="landline">{WITNESS}</main><aside>{WITNESS}</aside>')
        site.page.evaluate("import('/landline/landline-htmx.js')")
        site.lines.expect_channels(["orders"])
        site.publish("orders", "<li>1</li>")
        # Outside of hx-ext there is no extension.
        expect_items(site.page, "li", "1")

    def test_htmx_that_is_no_global_is_told(self, site: Site) -> None:
        site.open(
            """
            <script type="module">
              import htmx from "{{ url_for('static', filename='htmx.esm.js') }}";
              import { install } from "{{ url_for('landline.htmx') }}";
              install(htmx);
            </script>"""
            + (MAIN % WITNESS).removeprefix(SCRIPTS),
            "orders",
        )
        site.publish("orders", "<li>1</li>")
        expect_items(site.page, "li", "1")
        assert site.said == []

    def test_page_without_htmx_is_told_what_to_do(self, site: Site) -> None:
        with site.page.expect_console_message() as said:
            site.open('<script type="module" src="{{ url_for(\'landline.htmx\') }}"></script>')
        assert said.value.text.startswith("landline-htmx.js found no htmx. Load htmx")
