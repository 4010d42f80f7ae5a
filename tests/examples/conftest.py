"""A board, and windows to look at it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.examples.boards import Tabs, serve
from tests.processes import Process

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Process]:
    """Return a board that is served."""
    with serve(tmp_path) as server:
        yield server


@pytest.fixture
def tabs(browser: "Browser") -> Iterator[Tabs]:
    """Return windows of a desk's size; whatever they complain of, and the test does not expect, fails it."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        opened = Tabs(context)
        yield opened
    assert opened.complaints == []
