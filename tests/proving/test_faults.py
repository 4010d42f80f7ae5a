"""The faults do what they say: a case whose fault does nothing would prove nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.proving import faults
from tests.proving.faults import only
from tests.proving.proxy import Answer, Cut, Fault, Proxy, Request

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def asked(target: str, more: str = "") -> Request:
    return Request(f"GET {target} HTTP/1.1\r\nHost: app\r\nConnection: keep-alive\r\n{more}\r\n".encode())


POLL = asked("/landline/poll?channel=a&cursor=k-1&wait=4")
SOCKET = asked("/landline/ws?channel=a", "Upgrade: websocket\r\n")


async def says(*parts: bytes) -> Answer:
    for part in parts:
        yield part


async def says_and_stays(part: bytes) -> Answer:
    yield part
    await asyncio.Event().wait()


async def says_for_ever(part: bytes) -> Answer:
    while True:
        yield part
        await asyncio.sleep(0)


async def hears(fault: Fault, answer: Answer, request: Request = POLL) -> tuple[bytes, str]:
    """Return what comes through, and how it ended."""
    heard = b""
    try:
        async for data in fault(request, answer):
            heard += data
    except (Cut, TimeoutError):
        return heard, "cut"
    return heard, "over"


def test_request_knows_its_kind_and_its_connection_is_for_it_alone() -> None:
    kinds = {
        "/landline/poll?a=/ws": "poll",
        "/landline/events": "sse",
        "/landline/ws?x": "websocket",
        "/feed/1": "page",
    }
    assert {target: asked(target).kind for target in kinds} == kinds
    assert POLL.head.count(b"Connection:") == 1
    assert b"\r\nConnection: close\r\n" in POLL.head
    assert b"\r\nConnection: keep-alive\r\n" in SOCKET.head


def test_fault_for_one_kind_leaves_the_others_alone() -> None:
    fault = only("sse websocket", faults.refuse)
    assert asyncio.run(hears(fault, says(b"a", b"b"))) == (b"ab", "over")
    heard, _ = asyncio.run(hears(fault, says(b"a"), SOCKET))
    assert heard.startswith(b"HTTP/1.1 403 ")


def test_portal_says_200_and_something_else() -> None:
    heard, end = asyncio.run(hears(faults.portal, says(b"a")))
    assert heard.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/html")
    assert (heard.endswith(faults.PORTAL), end) == (True, "over")


def test_late_brings_everything_in_order_and_later() -> None:
    async def run() -> tuple[tuple[bytes, str], float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await hears(faults.late(0.05), says(b"a", b"b", b"c")), loop.time() - began

    heard, took = asyncio.run(run())
    assert heard == (b"abc", "over")
    assert took >= 0.05


@pytest.mark.parametrize(
    ("fault", "answer", "heard"),
    [
        (faults.cut_idle(0.01), says_and_stays(b"a"), b"a"),
        (faults.cut_after(0.01), says_and_stays(b"a"), b"a"),
        (faults.cut_after_bytes(5), says(b"abc", b"def", b"ghi"), b"abcde"),
    ],
    ids=["idle", "after", "bytes"],
)
def test_cut_comes_after_what_is_spared(fault: Fault, answer: Answer, heard: bytes) -> None:
    assert asyncio.run(hears(fault, answer)) == (heard, "cut")


def test_cut_after_a_time_takes_no_account_of_what_is_said() -> None:
    heard, end = asyncio.run(hears(faults.cut_after(0.01), says_for_ever(b"a")))
    assert (heard[:1], end) == (b"a", "cut")


@pytest.mark.parametrize("fault", [faults.cut_idle(60), faults.cut_after(60), faults.cut_after_bytes(99)])
def test_what_is_over_before_is_not_cut(fault: Fault) -> None:
    assert asyncio.run(hears(fault, says(b"a", b"b"))) == (b"ab", "over")


def test_every_second_body_is_halved() -> None:
    fault = faults.halve_every_second()
    heard = [asyncio.run(hears(fault, says(HEAD, b"12345678")))[0] for _ in range(4)]
    assert heard == [HEAD + b"1234", HEAD + b"12345678"] * 2


@pytest.mark.parametrize(("seconds", "heard"), [(3600.0, [b"old", b"old"]), (0.0, [b"old", b"new"])])
def test_repeated_answer_is_the_old_one_until_its_time_is_over(seconds: float, heard: list[bytes]) -> None:
    async def run() -> list[bytes]:
        fault = faults.repeat(seconds, lambda request: request.kind)
        return [(await hears(fault, says(part)))[0] for part in (b"old", b"new")]

    assert asyncio.run(run()) == heard


def test_network_that_is_gone_passes_nothing_until_it_is_back() -> None:
    async def run() -> list[bool]:
        network = faults.Network()
        network.go()
        hearing = asyncio.create_task(hears(network, says(b"a", b"b")))
        for _ in range(10):  # rounds of the loop: by then it would have come
            await asyncio.sleep(0)
        was_over = hearing.done()
        network.come()
        return [was_over, await hearing == (b"ab", "over")]

    assert asyncio.run(run()) == [False, True]


@contextlib.asynccontextmanager
async def app() -> AsyncIterator[int]:
    """Serve one answer that never ends, and the request's own head as its beginning."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + head.partition(b"\r\n")[0])
        await reader.read()  # until the other side leaves
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_proxy_passes_on_and_cuts_what_is_open() -> None:
    async def run() -> bytes:
        async with app() as port, Proxy(port) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(proxy.base.rpartition(":")[2]))
            writer.write(POLL.head)
            heard = await reader.readexactly(len(HEAD) + 8)
            await proxy.cut()
            with contextlib.suppress(ConnectionError):
                await reader.read()  # to the end, which the cut is
            writer.close()
            return heard

    assert asyncio.run(run()) == HEAD + b"GET /lan"
