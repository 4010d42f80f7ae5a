"""The lesson, in a browser: five polls, and what the page makes of them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.processes import Process, free_port

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser


@pytest.fixture
def lesson() -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "examples/lesson/app.py", "run", "--port", str(port)]
    with Process(command, port=port, cwd=ROOT) as server:
        yield server


def test_five_polls_give_the_five_rows_and_then_the_page_stops(lesson: Process, page: Page) -> None:
    """The availability is True, False, False, True, False."""
    said: list[str] = []
    polls: list[str] = []
    page.on("console", lambda words: said.append(words.text))
    page.on("request", lambda request: polls.append(request.url) if "/landline/poll" in request.url else None)
    page.clock.install()
    page.goto(lesson.url)
    expect(page.locator("#end")).to_be_visible(timeout=20_000)
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#steps tr").all()]
    assert rows == [
        ["1", "GET poll", "1 new event", "data", "updated"],
        ["2", "GET poll", "nothing new", "null", "no change"],
        ["3", "GET poll", "nothing new", "null", "no change"],
        ["4", "GET poll", "1 new event", "data", "updated"],
        ["5", "GET poll", "nothing new", "null", "no change"],
    ]
    expect(page.locator("#data")).to_have_text("update 2")
    page.clock.run_for(60_000)
    assert len(polls) == 5
    assert said == []
