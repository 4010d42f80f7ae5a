"""WebKit for the proving ground: pages are windows of one browser, or, where that has but one, each a browser."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from tests.held.servers import Find
from tests.processes import TICK
from tests.webdriver import PATIENCE, Engine, WebDriver, webkit

T = TypeVar("T")


class WebKitPage:
    def __init__(self, browser: "WebKit", handle: str, left: contextlib.AsyncExitStack) -> None:
        self._browser = browser
        self._handle = handle
        self._left = left

    async def take(self) -> list[dict[str, Any]]:
        return await self._browser.order(self._handle, lambda driver: driver.run("return take()"))

    async def close(self) -> None:
        await self._left.aclose()


class WebKit:
    """One browser. It has a current window, so orders take turns."""

    def __init__(self, driver: WebDriver) -> None:
        self._driver = driver
        self._turn = asyncio.Lock()
        self.first = driver.window()

    async def order(self, handle: str, what: Callable[[WebDriver], T]) -> T:
        """Do something in a window."""

        def obey() -> T:
            self._driver.switch(handle)
            return what(self._driver)

        async with self._turn:
            return await asyncio.to_thread(obey)

    async def open(self, url: str) -> WebKitPage:
        # From the first window, which stays open: whichever is the current one may be closed already.
        handle = await self.order(self.first, lambda driver: driver.new_window())
        left = contextlib.AsyncExitStack()
        left.push_async_callback(self.order, handle, lambda driver: driver.close_window())
        return await self.show(url, handle, left)

    async def show(self, url: str, handle: str, left: contextlib.AsyncExitStack) -> WebKitPage:
        """Open a page in a window, and wait until its module has run, which may be after the load."""
        await self.order(handle, lambda driver: driver.open(url))
        async with asyncio.timeout(PATIENCE):
            while not await self.order(handle, lambda driver: driver.run("return typeof take === 'function'")):
                await asyncio.sleep(TICK)
        return WebKitPage(self, handle, left)


class Alone:
    """Opens each page in a browser of its own."""

    def __init__(self, engine: Engine, find: Find) -> None:
        self._engine = engine
        self._find = find
        self._starting = asyncio.Lock()

    async def open(self, url: str) -> WebKitPage:
        left = contextlib.AsyncExitStack()
        try:
            # One after the other: of several that start on two busy cores, some never answer their driver.
            async with self._starting:
                browser = await _start(self._engine, self._find, left)
            return await browser.show(url, browser.first, left)
        except BaseException:
            await left.aclose()
            raise


@contextlib.asynccontextmanager
async def windows(engine: Engine, find: Find) -> AsyncIterator[WebKit]:
    async with contextlib.AsyncExitStack() as left:
        yield await _start(engine, find, left)


@contextlib.asynccontextmanager
async def browsers(engine: Engine, find: Find) -> AsyncIterator[Alone]:
    yield Alone(engine, find)


async def _start(engine: Engine, find: Find, left: contextlib.AsyncExitStack) -> WebKit:
    """Start a browser, which ends with the stack; both take seconds, so threads do it."""
    starting = webkit(engine, find)
    driver = await asyncio.to_thread(starting.__enter__)
    left.push_async_callback(asyncio.to_thread, starting.__exit__, None, None, None)
    return await asyncio.to_thread(WebKit, driver)
