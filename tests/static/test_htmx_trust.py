"""The extension for htmx beside what people wrote: it does nothing that htmx would not do there."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.examples.howto import expect_items
from tests.static.sites import LATE, MAIN, SCRIPTS, WITNESS, Site

pytestmark = pytest.mark.browser


class Elsewhere(BaseHTTPRequestHandler):
    """Another origin, which lets any page read what would make it the attacker's."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        event = {"channel": "orders", "offset": 1, "at": 1, "data": "<li>foreign</li>"}
        advice = {"interval": 60, "hold": 0, "transports": ["poll"]}
        body = json.dumps({"data": [event], "cursor": "aaaaaaaa-1", "advice": advice}).encode()
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Return the address of another origin, and what is asked of it."""
    asked: list[str] = []
    handler = type("Handler", (Elsewhere,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/elsewhere", asked
        server.shutdown()
        thread.join()


CONFIG = """<meta name="htmx-config" content='%s'>"""


class TestUserContent:
    """What a sanitiser left of data-* attributes does nothing where htmx does nothing."""

    SWAP = 'data-landline-channel="orders" data-landline-swap'

    @pytest.mark.parametrize(
        "around",
        [
            "<div hx-disable>%s</div>",
            "<div data-hx-disable>%s</div>",
            "<div hx-disable><section><p>%s</p></section></div>",
            '<div hx-disable="false">%s</div>',
        ],
    )
    def test_nothing_is_read_inside_hx_disable(self, site: Site, around: str) -> None:
        user = f'<b class="user" {self.SWAP}>hi</b><b class="user" {self.SWAP} hx-disable>hi</b>'
        fetch = 'data-hx-get="/newest" data-hx-trigger="landline:room/3"'
        trigger = f'<b class="user" data-landline-channel="room/3" {fetch}>hi</b>'
        fetched = site.requests("/newest")
        site.open(MAIN % (around % (user + trigger) + WITNESS), "orders")
        # Only now the load is over at which the extension looks for elements by itself.
        site.page.wait_for_function("document.readyState === 'complete'")
        site.publish("room/3", None)
        site.publish("orders", "<li>1</li>")
        expect_items(site.page, "li", "1")
        expect_items(site.page, ".user", "hi", "hi", "hi")
        site.lines.expect_channels(["orders"])
        assert fetched == []

    def test_selector_of_the_pages_own_counts(self, site: Site) -> None:
        site.open(
            CONFIG % '{"disableSelector": ".comment"}'
            + MAIN % f'<div class="comment"><b class="user" {self.SWAP}>hi</b></div>{WITNESS}',
            "orders",
        )
        site.publish("orders", "<li>1</li>")
        expect_items(site.page, "li", "1")
        expect_items(site.page, ".user", "hi")

    def test_element_that_is_moved_in_does_nothing_from_then_on(self, site: Site) -> None:
        """Neither the next event nor the next reset, and its channel is read no more."""
        site.open(
            MAIN % f'<div id="pen" hx-disable></div>{LATE % "room/3"}{WITNESS}',
            "orders",
            "room/3",
        )
        site.publish("room/3", "<li>1</li>")
        expect_items(site.page, "#late li", "1")
        site.page.evaluate("pen.append(late)")
        site.publish("room/3", "<li>2</li>")
        site.lines.expect_channels(["orders"])
        expect_items(site.page, "#late li", "1")

    def test_element_that_is_moved_in_is_not_reset(self, site: Site) -> None:
        """Not even by the reset that is under way: the first element that it reaches moves the second."""
        told: list[str] = []
        site.page.expose_function("tell", lambda name: told.append(name))
        site.page.add_init_script(
            'addEventListener("landline-reset", ({ target }) => { tell(target.id); pen.append(late); }, true);'
        )
        body = f'{WITNESS.replace("orders", "room/5")}{LATE % "room/5"}<div id="pen" hx-disable></div>'
        site.open(f'{SCRIPTS}<main hx-ext="landline" landline-cursor="aaaaaaaa-1">{body}</main>', "room/5")
        site.publish("room/5", "<li>1</li>")
        expect_items(site.page, "#witness li", "1")
        assert told == ["witness"]
        assert site.page.locator("#late li").count() == 0

    def test_status_inside_hx_disable_has_no_line(self, site: Site) -> None:
        body = f"<div hx-disable><landline-status></landline-status></div>{WITNESS}<landline-status></landline-status>"
        site.open(MAIN % body, "orders")
        assert site.page.evaluate(
            "[...document.querySelectorAll('landline-status')].map(({ line }) => Boolean(line))"
        ) == [False, True]


class TestOtherOrigins:
    """A `landline-url` is followed as htmx follows an `hx-get`."""

    USER = '<ol data-landline-channel="orders" data-landline-swap data-landline-url="%s"></ol>'

    def test_it_is_not_asked_by_default(self, site: Site, elsewhere: tuple[str, list[str]]) -> None:
        url, asked = elsewhere
        site.open(MAIN % (self.USER % url + WITNESS), "orders")
        site.publish("orders", "<li>own</li>")
        expect_items(site.page, "li", "own")
        assert asked == []
        about = [words for words in site.said if "selfRequestsOnly" in words]
        assert len(about) == 1
        assert f'landline-url: "{url}" is not of this page\'s origin' in about[0]
        assert any(words.startswith("htmx:invalidPath") for words in site.said)

    def test_it_is_asked_where_self_requests_only_is_off(self, site: Site, elsewhere: tuple[str, list[str]]) -> None:
        url, _ = elsewhere
        site.open(CONFIG % '{"selfRequestsOnly": false}' + MAIN % (self.USER % url))
        expect_items(site.page, "li", "foreign")

    def test_listener_of_htmx_has_a_say(self, site: Site, elsewhere: tuple[str, list[str]]) -> None:
        url, asked = elsewhere
        listener = """<script>
            addEventListener("htmx:validateUrl", (event) => {
              if (!event.detail.sameHost && event.detail.url.pathname === "/elsewhere") event.preventDefault();
            });
        </script>"""
        site.open(listener + CONFIG % '{"selfRequestsOnly": false}' + MAIN % (self.USER % url + WITNESS), "orders")
        site.publish("orders", "<li>own</li>")
        expect_items(site.page, "li", "own")
        assert asked == []
        assert any("refused by a listener of htmx:validateUrl" in words for words in site.said)

    def test_line_that_is_handed_in_may_read_from_there(self, site: Site, elsewhere: tuple[str, list[str]]) -> None:
        url, _ = elsewhere
        body = f"""
            <script type="module">
              import {{ Landline }} from "{{{{ url_for('landline.script') }}}}";
              import {{ useLine }} from "{{{{ url_for('landline.htmx') }}}}";
              useLine(new Landline({{ url: "{url}" }}), "{url}");
            </script>
        """
        site.open(body + MAIN % (self.USER % url))
        expect_items(site.page, "li", "foreign")

    def test_address_that_is_none_is_told_and_the_rest_works(self, site: Site) -> None:
        site.open(MAIN % (self.USER % "http://[" + WITNESS), "orders")
        site.publish("orders", "<li>own</li>")
        expect_items(site.page, "li", "own")
        assert any('landline-url: "http://[" is no address' in words for words in site.said)
