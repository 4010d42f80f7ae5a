"""An app whose pages the tests write, served, and one page of it."""

import json
import re
from collections.abc import Callable
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from playwright.sync_api import Page, Route

from tests.examples.howto import PATIENCE, Lines

SCRIPTS = """
<script src="{{ url_for('static', filename='htmx.js') }}"></script>
<script type="module" src="{{ url_for('landline.htmx') }}"></script>
"""
MAIN = SCRIPTS + '<main hx-ext="landline" landline-cursor="{{ landline_cursor() }}">%s</main>'

WITNESS = '<ol id="witness" landline-channel="orders" landline-swap hx-swap="beforeend"></ol>'
"""Shows that an event has reached the page."""

LATE = """<ul id="late" landline-channel="%s" landline-swap hx-swap="beforeend"></ul>"""


class Site:
    """The served app, and one page of it."""

    def __init__(self, url: str, page: Page) -> None:
        self.url = url
        self.page = page
        self.lines = Lines(page)
        self.said: list[str] = []
        page.on("console", lambda words: self.said.append(words.text) if words.type == "error" else None)
        page.set_default_timeout(PATIENCE)

    def open(self, body: str, *channels: str, **more: str) -> None:
        """Open a page, and wait until these channels are pushed to it."""
        self.page.goto(f"{self.url}/?{urlencode({'body': body, **more})}")
        if channels:
            self.lines.expect_channels(list(channels))

    def publish(self, channel: str, data: object) -> str:
        """Publish, and return the event's offset."""
        headers = {"Content-Type": "application/json"}
        with urlopen(
            Request(f"{self.url}/publish/{channel}", json.dumps(data).encode(), headers), timeout=10
        ) as answer:
            return str(answer.read(), "ascii")

    def requests(self, path: str) -> list[str]:
        """Return a list of the page's requests to a path, to which further ones are added."""
        found: list[str] = []
        self.page.on("request", lambda request: found.append(request.url) if path in request.url else None)
        return found

    def fetch_part(self, body: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Have htmx fetch a part into `#place`, and do something when it is rendered and not yet there."""

        def answer(route: Route) -> None:
            rendered = route.fetch()
            meanwhile()
            route.fulfill(response=rendered)

        self.page.route(re.compile("/part"), answer)
        self.page.evaluate("url => void htmx.ajax('GET', url, '#place')", f"/part?body={quote(body)}")
