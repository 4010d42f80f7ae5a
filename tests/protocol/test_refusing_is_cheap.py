"""What a refusal costs, in calls, so that a busy machine measures the same as an idle one.

The greatest request that is let in at all is exhausted in each case; everything beside it is fixed.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from landline.access.limits import Limits
from landline.config import Config
from landline.cursor import Cursor
from landline.errors import Refusal
from landline.protocol.advice import Advice
from landline.protocol.poll import answer
from landline.protocol.request import MAX_QUERY, parse_poll, parse_socket, parse_stream, without_ignored
from landline.protocol.websocket import accept
from landline.reading import Reading

MOST = 1500
"""Calls: what a poll of a hundred channels takes, and some. An attack worth the name takes ten thousands."""
HANDSHAKE = {
    "Host": "h",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def calls(function: Callable[[], object]) -> int:
    """Return how many functions are called, in Python and in C."""
    count = 0

    def watch(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        with suppress(Refusal):
            function()
    finally:
        sys.setprofile(before)
    return count


def at_length(start: str, part: str) -> str:
    return (start + part * MAX_QUERY)[:MAX_QUERY]


@pytest.mark.parametrize(
    "query",
    [
        at_length("", "channe"),
        at_length("channel=a&", "curso"),
        at_length("channel=", "%41"),
        at_length("channel=", "a%41"),
        at_length("channel=", "%"),
        at_length("channel=", "%zz"),
        at_length("channel=", "\\"),
        at_length("channel=", "+"),
        at_length("", "%5F"),
        at_length("channel=a&cursor=", "1-"),
        at_length("channel=a&wait=", "9"),
        at_length("channel=a&nonce=", "%41"),
        at_length("channel=a&grant=", "%41"),
        at_length("channel=a", "&"),
        at_length("channel=a", "&_"),
        at_length("channel=a", "&channel=a"),
        "&".join(f"channel={number:03}" + "%E2%82%AC" * 30 for number in range(100)),
    ],
    ids=lambda query: f"{query[:24]}…{len(query)}",
)
@pytest.mark.parametrize("parse", [parse_poll, parse_stream, parse_socket])
def test_query_of_the_greatest_length_costs_no_more_than_a_hundred_channels(
    query: str, parse: Callable[[str], object]
) -> None:
    assert calls(lambda: parse(query)) < MOST


def test_cutting_what_is_ignored_decodes_no_names() -> None:
    names = "&".join(["%41" * 54] * 200)
    assert len(names) <= MAX_QUERY
    assert calls(lambda: without_ignored(names)) < MOST


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("Connection", 256),
        ("Upgrade", 256),
        ("Sec-WebSocket-Extensions", 256),
        ("Sec-WebSocket-Protocol", 512),
        ("Sec-WebSocket-Key", 256),
        ("Sec-WebSocket-Version", 256),
    ],
)
@pytest.mark.parametrize("part", [",a", ", ", "a;b=c,", " "])
def test_long_field_of_a_handshake_is_refused_unread(name: str, most: int, part: str) -> None:
    headers = HANDSHAKE | {name: (HANDSHAKE.get(name, "x") + part * MAX_QUERY)[:MAX_QUERY]}
    for cased in (headers, {key.lower(): value for key, value in headers.items()}):
        with pytest.raises(Refusal, match=f"(?i){name} has 32768 characters") as caught:
            accept("/landline/ws?channel=a", cased)
        assert caught.value.code == "bad-request"
        assert calls(lambda headers=cased: accept("/landline/ws?channel=a", headers)) < MOST  # type: ignore[misc]
    headers[name] = headers[name][: most + 1]
    with pytest.raises(Refusal, match=f"{name} has {most + 1} characters"):
        accept("/landline/ws?channel=a", headers)


def test_subprotocols_may_hold_a_token() -> None:
    offered = f"landline.v1, {'t' * (512 - 13)}"
    assert accept("/landline/ws?channel=a", HANDSHAKE | {"Sec-WebSocket-Protocol": offered}).startswith(b"HTTP/1.1 101")


def test_other_long_headers_are_no_part_of_a_handshake() -> None:
    assert accept("/landline/ws?channel=a", HANDSHAKE | {"Cookie": "c" * 8000}).startswith(b"HTTP/1.1 101")


def test_long_list_of_tags_matches_nothing() -> None:
    cursor = Cursor("k3f9a2zq", 1042)
    tag = f'W/"{cursor}"'

    def ask(etag: str) -> str:
        return answer(
            Reading((), cursor, cursor), Advice(2.0, 25.0, ("poll",)), etag=etag, cache_control="no-store"
        ).status

    assert ask(", ".join(['"x"'] * 300 + [tag])) == "304 Not Modified"
    assert ask(at_length("", "x,") + tag) == "200 OK"
    assert calls(lambda: ask(at_length("", "x,"))) < MOST


def test_what_is_too_long_for_an_address_is_not_remembered() -> None:
    """The memory of addresses holds thousands: of the longest heads they would be 128 MiB."""
    limits = Limits(Config(trusted_hops=1), lambda: 1)
    assert limits.address("10.0.0.1", "x" * MAX_QUERY) == "10.0.0.1"
    looked_at, passed_over = (calls(lambda n=n: limits.address("10.0.0.1", "y" * n)) for n in (64, 65))  # type: ignore[misc]
    assert passed_over < looked_at
