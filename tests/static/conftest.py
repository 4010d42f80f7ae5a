"""The app of the pages that tests write, and a page of it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import Process, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.static.sites import Site


@pytest.fixture(scope="module")
def server() -> Iterator[Process]:
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", "app.py", "run", "--port", str(port)]
    with Process(command, port=port, cwd=Path(__file__).parent) as process:
        yield process


@pytest.fixture
def site(server: Process, page: "Page") -> "Site":
    from tests.static.sites import Site

    return Site(server.url, page)
