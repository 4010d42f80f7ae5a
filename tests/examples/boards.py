"""The board, served and looked at: what its tests have in common."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from playwright.sync_api import BrowserContext, Page, expect

from tests.processes import Process, free_port

ROOT = Path(__file__).parents[2]

PATIENCE = 20_000
"""Milliseconds: a page that lost its server, or a line, pauses before it tries again, and the pauses grow."""


def serve(folder: Path, port: int | None = None, env: Mapping[str, str] | None = None) -> Process:
    port = port or free_port()
    app = f"examples/board/app.py:create_app({str(folder)!r})"
    command = [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port)]
    return Process(command, port=port, env=env, cwd=ROOT)


def post(server: Process, text: str) -> tuple[int, dict[str, object]]:
    try:
        with urlopen(f"{server.url}/notes", urlencode({"text": text}).encode(), timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


class Tabs:
    """Windows of one browser; what goes wrong in any of them is kept."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self.complaints: list[str] = []
        self.forgiven: re.Pattern[str] | None = None
        """What is no complaint: a page goes on trying what a test has cut, until its window is closed."""

    def forgive(self, pattern: re.Pattern[str]) -> None:
        """Take out of the complaints, and of those to come, what a test is bound to cause."""
        self.forgiven = pattern
        self.complaints[:] = [line for line in self.complaints if not pattern.search(line)]

    def _complain(self, words: str) -> None:
        if self.forgiven is None or not self.forgiven.search(words):
            self.complaints.append(words)

    def open(self, url: str, *, clock: bool = False, before: str = "", status: str = "live") -> Page:
        """Open a window, run a script before its own, and have the snapshots and the status."""
        page = self._context.new_page()
        page.add_init_script(before)
        if clock:
            page.clock.install()
        page.on("pageerror", lambda error: self._complain(error.stack or error.message))
        page.on("console", lambda words: self._complain(words.text) if words.type == "error" else None)
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        expect(rows(page).first).to_be_attached(timeout=PATIENCE)
        expect(page.locator("#status")).to_have_text(status, timeout=PATIENCE)
        return page


def rows(page: Page):
    """Return the rounds; between them, rows tell of falls and climbs."""
    return page.locator("#steps tr[data-step]")


def notes(page: Page) -> list[str]:
    """Return the notes' words, newest first."""
    return page.locator("#notes p").all_inner_texts()


def write(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.click("#form button")


def transport(page: Page):
    return page.locator("#transport")
