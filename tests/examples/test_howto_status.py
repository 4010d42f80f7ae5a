"""The page of the how-to for `<landline-status>`, with a line of its own and a server that goes and comes."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.examples.howto import PATIENCE, HowTo

pytestmark = pytest.mark.browser


def test_word_follows_the_server(tmp_path: Path, page: Page) -> None:
    howto = HowTo("status", tmp_path)
    word = page.get_by_role("status")
    with howto.serve() as server:
        page.goto(server.url)
        expect(word).to_have_text("up to date", timeout=PATIENCE)
    expect(word).to_have_text("no connection", timeout=PATIENCE)
    with howto.serve():
        expect(word).to_have_text("up to date", timeout=PATIENCE)
        page.close()
