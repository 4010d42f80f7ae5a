"""All cases side by side: they mostly wait."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

from tests.held.servers import Find
from tests.proving.browsers import Opener, chromium, firefox
from tests.proving.course import CONFIG, Case, Course, Row
from tests.proving.site import Site

AT_ONCE = 12
"""Cases that run at the same time; each is a page of some 70 MB."""
THREADS = 32
"""For what waits: a publishing must not stand in line behind the start of a server."""

Outcome = Row | BaseException
Job = tuple[Case, str]


async def run(jobs: Sequence[Job], find: Find, folder: Path, chromium_arguments: Sequence[str]) -> dict[Job, Outcome]:
    """Run cases in browsers; return what became of each, which may be an error."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    async with AsyncExitStack() as stack:
        browsers: dict[str, Opener] = {}
        names = {name for _, name in jobs}
        if "Chromium" in names:
            browsers["Chromium"] = await stack.enter_async_context(chromium(find("chromium"), chromium_arguments))
        if "Firefox" in names:
            browsers["Firefox"] = await stack.enter_async_context(firefox(find("firefox-esr"), find("node")))
        shared = Site(folder / "shared", CONFIG)
        stack.push_async_callback(shared.close)
        server = await shared.start()
        turns = asyncio.Semaphore(AT_ONCE)
        over = asyncio.Event()

        async def one(number: int, case: Case, name: str) -> Row:
            async with turns, AsyncExitStack() as own:
                here = folder / str(number)
                here.mkdir()
                site, its_server = shared, server
                if case.config is not None:
                    site = Site(here, CONFIG | case.config)
                    own.push_async_callback(site.close)
                    its_server = await site.start()
                return await Course(case, number, site, its_server, find, here).run(name, browsers[name], over)

        # Those that take longest first.
        ordered = sorted(enumerate(jobs, 1), key=lambda job: -job[1][0].lasts - job[1][0].enough * job[1][0].pause)
        tasks = {job: asyncio.create_task(one(number, *job)) for number, job in ordered}
        await asyncio.wait(
            [task for (case, _), task in tasks.items() if not case.control] or [asyncio.create_task(asyncio.sleep(0))]
        )
        over.set()
        outcomes = await asyncio.gather(*tasks.values(), return_exceptions=True)
        return dict(zip(tasks, outcomes, strict=True))
