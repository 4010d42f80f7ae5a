"""All cases side by side: they mostly wait."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from tests.held.servers import Find
from tests.proving.browsers import Opener, chromium, firefox
from tests.proving.course import CONFIG, Case, Course, Row
from tests.proving.site import Site
from tests.proving.webkit import browsers as webkit_browsers
from tests.proving.webkit import windows as webkit_windows
from tests.webdriver import OLD, TODAY

PARTIES = {("Chromium", "Firefox"): 12, ("WebKit",): 6, ("WebKit 2.38",): 4}
"""Browsers whose cases run at the same time, and how many of them: a page has some 70 MB, and WebKit's, which all work
their way through one driver or have a browser each, some 90 to 150 MB."""
THREADS = 32
"""For what waits: a publishing must not stand in line behind the start of a server."""

Outcome = Row | BaseException
Job = tuple[Case, str]


async def run(
    jobs: Sequence[Job], find: Find, folder: Path, chromium_arguments: Sequence[str], at_once: int
) -> dict[Job, Outcome]:
    """Run cases in browsers, so many at once; return what became of each, which may be an error."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    async with AsyncExitStack() as stack:
        openers: dict[str, Callable[[], AbstractAsyncContextManager[Opener]]] = {
            "Chromium": lambda: chromium(find("chromium"), chromium_arguments),
            "Firefox": lambda: firefox(find("firefox-esr"), find("node")),
            "WebKit": lambda: webkit_windows(TODAY, find),
            "WebKit 2.38": lambda: webkit_browsers(OLD, find),
        }
        browsers: dict[str, Opener | BaseException] = {}
        for name in sorted({name for _, name in jobs}):
            try:
                browsers[name] = await stack.enter_async_context(openers[name]())
            except BaseException as error:  # noqa: BLE001  the cases of the other browser are none the worse for it
                browsers[name] = error
        shared = Site(folder / "shared", CONFIG)
        stack.push_async_callback(shared.close)
        server = await shared.start()
        turns = asyncio.Semaphore(at_once)
        over = asyncio.Event()

        async def one(number: int, case: Case, name: str) -> Row:
            browser = browsers[name]
            if isinstance(browser, BaseException):
                raise browser
            async with turns, AsyncExitStack() as own:
                here = folder / str(number)
                here.mkdir()
                site, its_server = shared, server
                if case.config is not None:
                    site = Site(here, CONFIG | case.config)
                    own.push_async_callback(site.close)
                    its_server = await site.start()
                return await Course(case, number, site, its_server, find, here).run(name, browser, over)

        tasks = {job: asyncio.create_task(one(number, *job)) for number, job in enumerate(sorted(jobs, key=_turn), 1)}
        await asyncio.gather(*(task for job, task in tasks.items() if not job[0].control), return_exceptions=True)
        over.set()
        outcomes = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return dict(zip(tasks, outcomes, strict=True))


def _turn(job: Job) -> tuple[bool, float]:
    """Sort those first that go on as long as all others, and then those that take longest."""
    case, _ = job
    return not case.control, -(case.lasts or case.enough * case.pause)
