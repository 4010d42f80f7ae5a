"""What is tried: each fault, and where the client is to stand while it lasts."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qs, urlsplit

from tests.proving import faults
from tests.proving.browsers import ChromiumPage
from tests.proving.course import WEBKITS, Case, Course
from tests.proving.faults import only
from tests.proving.middleboxes import DENY, GZIP, IGNORES, STRIP, Box, haproxy_with, nginx_with, squid
from tests.proving.proxy import Fault, Request

Trouble = Callable[[Course], AbstractAsyncContextManager[None]]

BOTH = ("Chromium", "Firefox", *WEBKITS)
ALWAYS = ("Chromium", "Firefox")


def behind(box: Box, *, leaves: bool = False) -> Trouble:
    """The network becomes one with a middlebox in it, and later one without.

    Connections end when it comes; when it goes only if it `leaves`, else what is open stays open through it, and the
    client has to find out by itself that there is a better way.
    """

    @contextlib.asynccontextmanager
    async def trouble(course: Course) -> AsyncIterator[None]:
        server = await course.enter(box(course.find, course.server, course.folder / "box"))
        straight, course.proxy.to = course.proxy.to, server.port
        await course.proxy.cut()
        yield
        course.proxy.to = straight
        if leaves:
            await course.proxy.cut()

    return trouble


def with_faults(*added: Callable[[], Fault]) -> Trouble:
    """The network becomes one that does this to what passes; what is open when it comes ends."""

    @contextlib.asynccontextmanager
    async def trouble(course: Course) -> AsyncIterator[None]:
        before = course.proxy.faults
        course.proxy.faults = (*before, *(make() for make in added))
        await course.proxy.cut()
        yield
        course.proxy.faults = before

    return trouble


@contextlib.asynccontextmanager
async def nothing(course: Course) -> AsyncIterator[None]:
    yield


@contextlib.asynccontextmanager
async def gone(course: Course) -> AsyncIterator[None]:
    """The network is gone somewhere out there, and nobody tells the browser."""
    course.network.go()
    yield
    course.network.come()


@contextlib.asynccontextmanager
async def unplugged(course: Course) -> AsyncIterator[None]:
    """The network is gone, and the browser knows."""
    assert isinstance(course.page, ChromiumPage)
    course.network.go()
    await course.page.set_offline(True)
    yield
    course.network.come()
    await course.page.set_offline(False)


@contextlib.asynccontextmanager
async def replaced(course: Course) -> AsyncIterator[None]:
    """Another version is deployed, which serves no sockets, and then the first one again."""
    await deploy(course, "gevent")
    yield
    await deploy(course, "gthread")


async def deploy(course: Course, worker: str) -> None:
    """Start the new server before the old one ends, and send everybody there meanwhile."""
    old, course.server = course.server, await course.site.start(worker)
    course.proxy.to = course.server.port
    await course.site.stop(old)


@contextlib.asynccontextmanager
async def stopped(course: Course) -> AsyncIterator[None]:
    await course.site.stop(course.server)
    yield
    course.server = await course.site.start(port=course.server.port)


@contextlib.asynccontextmanager
async def deleted(course: Course) -> AsyncIterator[None]:
    await course.delete_log()
    yield


def path(request: Request) -> str:
    """Key of a cache that leaves the query out."""
    return request.target.partition("?")[0]


def cursor(request: Request) -> str:
    """Key of a cache that takes half of the address for noise: whether an answer may be held, for one."""
    return parse_qs(urlsplit(request.target).query)["cursor"][0]


PUSH = "sse websocket"

CASES = [
    Case(
        "nothing wrong",
        nothing,
        "websocket",
        options={"beside": True},
        browsers=BOTH,
        always=ALWAYS,
        control=True,
    ),
    Case("nothing wrong, polls only", nothing, "poll", best="poll", options={"transports": ["poll"]}, control=True),
    Case(
        "network gone for 20 s, the browser not told",
        gone,
        "poll",
        lasts=20,
        blocks=True,
        browsers=BOTH,
        always=("Chromium",),
    ),
    Case(
        "network gone for 20 s, the browser told", unplugged, "offline", lasts=20, blocks=True, browsers=("Chromium",)
    ),
    # What an answer has just missed waits for that one to arrive, and for the next.
    Case("everything 8 s late", with_faults(lambda: faults.late(8)), "long-poll", delay=8 + 8),
    Case(
        "silent connections cut after 2 s, keepalive longer",
        with_faults(lambda: faults.cut_idle(2)),
        None,
        pause=3,
        enough=5,
        config={"LANDLINE_KEEPALIVE": 15.0},
    ),
    Case(
        "silent connections cut after 2 s, keepalive shorter",
        with_faults(lambda: faults.cut_idle(2)),
        "websocket",
        pause=3,
        enough=4,
    ),
    Case(
        "sockets killed after 0.3 s",
        with_faults(lambda: only("websocket", faults.cut_after(0.3))),
        "sse",
        browsers=BOTH,
        always=ALWAYS,
    ),
    Case("captive portal", with_faults(lambda: faults.portal), "offline", lasts=8, blocks=True, browsers=BOTH),
    Case(
        "server stopped, and started",
        stopped,
        "offline",
        lasts=5,
        blocks=True,
        config={},
        browsers=BOTH,
        always=("Chromium",),
    ),
    Case("server replaced by another version", replaced, "sse", config={}, browsers=BOTH),
    Case("log deleted", deleted, "websocket", config={}, resets=("epoch",), browsers=BOTH, always=("Chromium",)),
    Case("nginx, defaults", behind(nginx_with(), leaves=True), "sse", browsers=BOTH, always=ALWAYS),
    Case(
        "nginx, `X-Accel-Buffering` ignored",
        behind(nginx_with(IGNORES)),
        "long-poll",
        browsers=BOTH,
        always=("Chromium",),
    ),
    Case("nginx, gzip", behind(nginx_with(GZIP), leaves=True), "sse"),
    Case("haproxy, `Upgrade` denied", behind(haproxy_with(DENY)), "sse", browsers=BOTH),
    Case("haproxy, `Upgrade` stripped", behind(haproxy_with(STRIP)), "sse"),
    Case("squid", behind(squid), "sse", browsers=BOTH),
    Case(
        "a cache repeats one answer to all polls",
        with_faults(lambda: only("poll", faults.repeat(3600, path))),
        "websocket",
    ),
    Case(
        "a cache repeats each answer for 3 s, no push",
        with_faults(lambda: only("poll", faults.repeat(3, cursor)), lambda: only(PUSH, faults.refuse)),
        None,
        pause=2,
        enough=5,
        delay=3,
    ),
    Case(
        "bodies cut in the middle",
        with_faults(
            lambda: only("poll", faults.halve_every_second()), lambda: only(PUSH, faults.cut_after_bytes(1000))
        ),
        None,
        enough=40,
        browsers=BOTH,
        always=("Chromium",),
    ),
]
