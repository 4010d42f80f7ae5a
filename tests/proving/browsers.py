"""Browsers with one face: Debian's Chromium, driven by Playwright, and Debian's Firefox, driven by puppeteer-core."""

import asyncio
import contextlib
import itertools
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from playwright.async_api import Browser, BrowserContext, async_playwright
from playwright.async_api import Page as PlaywrightPage

FIREFOX = Path(__file__).with_name("firefox.mjs")
PATIENCE = 60.0
"""Seconds for one order; the slowest is to open a page."""
MOST = 64 * 2**20
"""Bytes in one line of `firefox.mjs`, at most: more than a page ever tells at once."""


class Page(Protocol):
    """An open page.html, in a browser context of its own."""

    async def take(self) -> list[dict[str, Any]]:
        """Take what it wrote down since the last time."""

    async def close(self) -> None:
        """Close it, with its context."""


class Opener(Protocol):
    async def open(self, url: str) -> Page:
        """Open a page in a context of its own."""


class ChromiumPage:
    def __init__(self, context: BrowserContext, page: PlaywrightPage) -> None:
        self._context = context
        self._page = page

    async def take(self) -> list[dict[str, Any]]:
        return await self._page.evaluate("take()")

    async def set_offline(self, offline: bool) -> None:
        """Have the browser know that there is no network; in itself it stops fewer things than one thinks."""
        await self._context.set_offline(offline)

    async def close(self) -> None:
        await self._context.close()


class Chromium:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    async def open(self, url: str) -> ChromiumPage:
        context = await self._browser.new_context()
        page = await context.new_page()
        await page.goto(url)
        return ChromiumPage(context, page)


@contextlib.asynccontextmanager
async def chromium(program: str, arguments: Sequence[str]) -> AsyncIterator[Chromium]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=arguments)
        yield Chromium(browser)
        await browser.close()


class FirefoxPage:
    def __init__(self, firefox: "Firefox", number: int) -> None:
        self._firefox = firefox
        self._number = number

    async def take(self) -> list[dict[str, Any]]:
        return await self._firefox.order("take", page=self._number)

    async def close(self) -> None:
        await self._firefox.order("close", page=self._number)


class Firefox:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.create_task(self._listen())

    async def open(self, url: str) -> FirefoxPage:
        number = next(self._numbers)
        await self._send(number, "open", url=url)
        return FirefoxPage(self, number)

    async def order(self, what: str, **more: Any) -> Any:
        return await self._send(next(self._numbers), what, **more)

    async def close(self) -> None:
        """End it; what it still said of errors goes where this process's do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listening

    async def _send(self, number: int, what: str, **more: Any) -> Any:
        assert self._process.stdin is not None
        self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"number": number, "what": what, **more}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            answer = await self._waiting[number]
        assert "error" not in answer, f"{what} {more}: {answer['error']}"
        return answer.get("value")

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for words in self._process.stdout:
            answer = json.loads(words)
            future = self._waiting.pop(answer["number"])
            if not future.done():  # else nobody waits any more
                future.set_result(answer)


@contextlib.asynccontextmanager
async def firefox(program: str, node: str) -> AsyncIterator[Firefox]:
    process = await asyncio.create_subprocess_exec(node, str(FIREFOX), program, stdin=PIPE, stdout=PIPE, limit=MOST)
    browser = Firefox(process)
    try:
        yield browser
    finally:
        await browser.close()
