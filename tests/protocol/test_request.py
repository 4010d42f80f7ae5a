"""Requests: what is understood, and what is refused with which code (WIRE §4, §10)."""

from urllib.parse import urlencode

import pytest
from flask_landline import Refusal
from hypothesis import given
from hypothesis import strategies as st
from landline.cursor import Cursor, Word
from landline.protocol.request import (
    MAX_CHANNELS,
    MAX_QUERY,
    Query,
    parse_poll,
    parse_socket,
    parse_stream,
    without_ignored,
)

CURSOR = Cursor("k3f9a2zq", 1042)


@pytest.mark.parametrize(
    ("query", "ask"),
    [
        ("channel=a", Query(("a",), Word.NOW)),
        ("channel=b&channel=a", Query(("b", "a"), Word.NOW)),
        ("channel=a&cursor=k3f9a2zq-1042", Query(("a",), CURSOR)),
        ("cursor=k3f9a2zq%2D1042&channel=%61", Query(("a",), CURSOR)),
        ("channel=a&cursor=now", Query(("a",), Word.NOW)),
        ("channel=a&cursor=start", Query(("a",), Word.START)),
        ("channel=a&cursor=", Query(("a",), Word.LOST)),
        ("channel=a&cursor", Query(("a",), Word.LOST)),
        ("channel=a&wait=20", Query(("a",), Word.NOW, 20.0)),
        ("channel=a&wait=0", Query(("a",), Word.NOW, 0.0)),
        ("channel=a&wait=0.5", Query(("a",), Word.NOW, 0.5)),
        ("channel=a&wait=999999.999999", Query(("a",), Word.NOW, 999999.999999)),
        ("channel=a&grant=xyz", Query(("a",), Word.NOW, grant="xyz")),
        ("channel=a&grant=", Query(("a",), Word.NOW, grant="")),
        ("channel=room/3", Query(("room/3",), Word.NOW)),
        ("channel=room%2F3", Query(("room/3",), Word.NOW)),
        ("channel=a+b", Query(("a b",), Word.NOW)),
        ("channel=a%20b", Query(("a b",), Word.NOW)),
        ("channel=a%2Bb", Query(("a+b",), Word.NOW)),
        ("channel=gr%C3%BC%C3%9Fe", Query(("grüße",), Word.NOW)),
        ("channel=a%0D%0AX", Query(("a\r\nX",), Word.NOW)),
        ("channel=", Query(("",), Word.NOW)),
        ("&&channel=a&&", Query(("a",), Word.NOW)),
        ("channel=a&_=1700000000", Query(("a",), Word.NOW)),
        ("_=1&channel=a&_=2&%5F&_", Query(("a",), Word.NOW)),
        ("channel=_", Query(("_",), Word.NOW)),
    ],
)
def test_poll_is_understood(query: str, ask: Query) -> None:
    assert parse_poll(query) == ask


def channels(count: int) -> str:
    return "&".join(f"channel=c{number}" for number in range(count))


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("", "too-many-channels", "No channel is asked for"),
        ("cursor=now", "too-many-channels", "'?channel=orders'"),
        (channels(101), "too-many-channels", "101 channels are asked for; 100 fit"),
        (channels(2000), "too-many-channels", "100 fit"),
        ("channel=a&channel=a", "bad-request", "Channel 'a' is asked for twice"),
        ("channel=a&chanel=b", "bad-request", "'chanel' is no parameter here. Did you mean 'channel'?"),
        ("channel=a&Channel=b", "bad-request", "'Channel' is no parameter here"),
        ("channel=a&xyzzy=b", "bad-request", "Known are channel, cursor, wait, grant"),
        ("channel=a&callback=alert(1)", "bad-request", "'callback' is no parameter"),
        ("channel=a&__=1700000000", "bad-request", "'__' is no parameter"),
        ("channel=a&lastEventId=now", "bad-request", "'lastEventId' is no parameter"),
        ("channel=a&=b", "bad-request", "'' is no parameter"),
        ("channel=a&%0d%0aSet-Cookie:x=b", "bad-request", r"'\r\nSet-Cookie:x' is no parameter"),
        ("channel=a&cursor=now&cursor=now", "bad-request", "'cursor' is given twice"),
        ("channel=a&wait=1&wait=2", "bad-request", "'wait' is given twice"),
        ("channel=a&grant=1&grant=1", "bad-request", "'grant' is given twice"),
        ("channel=a&nonce=1", "bad-request", "'nonce' is no parameter"),
        ("channel=a&cursor=+", "bad-cursor", "cursor=' '"),
        ("channel=a&cursor=NOW", "bad-cursor", "cursor='NOW': a cursor is what an earlier answer carried"),
        ("channel=a&cursor=1042", "bad-cursor", "cursor='1042'"),
        ("channel=a&cursor=k3f9a2zq-1+", "bad-cursor", "cursor='k3f9a2zq-1 '"),
        ("channel=a&cursor=k3f9a2zq-1%00", "bad-cursor", r"cursor='k3f9a2zq-1\x00'"),
        ("channel=a&cursor=k3f9a2zq-9223372036854775808", "bad-cursor", "cursor="),
        ("channel=a&cursor=" + "9" * 20_000, "bad-cursor", "999…'".encode("unicode_escape").decode()),
        ("channel=a&cursor=" + "-".join(["1"] * 255), "bad-cursor", "cursor="),
        ("channel=a&wait=", "bad-request", "wait=''"),
        ("channel=a&wait=-1", "bad-request", "wait='-1': give seconds"),
        ("channel=a&wait=1e3", "bad-request", "wait="),
        ("channel=a&wait=nan", "bad-request", "wait="),
        ("channel=a&wait=inf", "bad-request", "wait="),
        ("channel=a&wait=+5", "bad-request", "wait=' 5'"),
        ("channel=a&wait=5s", "bad-request", "wait='5s'"),
        ("channel=a&wait=.5", "bad-request", "wait="),
        ("channel=a&wait=1_0", "bad-request", "wait="),
        ("channel=a&wait=%D9%A3", "bad-request", "wait="),
        ("channel=a&wait=1000000", "bad-request", "wait="),
        ("channel=a&wait=0.5%0a", "bad-request", "wait="),
        ("channel=%ff", "bad-request", "not UTF-8"),
        ("channel=%ed%a0%80", "bad-request", "not UTF-8"),
        ("channel=a&%ff=b", "bad-request", "not UTF-8"),
        ("channel=" + "x" * 1_000_000, "bad-request", "longer than 32768"),
        ("channel=a" + "&" * MAX_QUERY, "bad-request", "longer than 32768"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_poll_that_is_not_understood_is_refused(query: str, code: str, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_poll(query)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert words in caught.value.detail
    assert len(caught.value.detail) < 400
    assert caught.value.detail.isascii()
    assert caught.value.detail.isprintable()


def test_hundred_long_names_fit() -> None:
    """Percent-encoded, as `urlencode` does it, and of three bytes a letter."""
    names = [f"{number:03}" + "x" * 197 for number in range(MAX_CHANNELS)]
    assert len(parse_poll(urlencode([("channel", name) for name in names])).channels) == MAX_CHANNELS
    names = [f"{number:03}" + "€" * 30 for number in range(MAX_CHANNELS)]
    assert len(parse_poll(urlencode([("channel", name) for name in names])).channels) == MAX_CHANNELS


@pytest.mark.parametrize(
    ("query", "header", "ask"),
    [
        ("channel=a", None, Query(("a",), Word.NOW)),
        ("channel=a&nonce=xyz", None, Query(("a",), Word.NOW, nonce="xyz")),
        ("channel=a&cursor=start", "k3f9a2zq-1042", Query(("a",), CURSOR)),
        ("channel=a&cursor=k3f9a2zq-1042", "", Query(("a",), CURSOR)),
        ("channel=a", "start", Query(("a",), Word.START)),
        ("channel=a&cursor=start&lastEventId=k3f9a2zq-1042", None, Query(("a",), CURSOR)),
        ("channel=a&lastEventId=k3f9a2zq-1042&cursor=start", "", Query(("a",), CURSOR)),
        ("channel=a&lastEventId=start", "k3f9a2zq-1042", Query(("a",), CURSOR)),
        ("channel=a&cursor=k3f9a2zq-1042&lastEventId=", None, Query(("a",), CURSOR)),
        ("channel=a&_=17", None, Query(("a",), Word.NOW)),
        ("channel=a&cursor=", None, Query(("a",), Word.LOST)),
        ("channel=a&cursor=", "", Query(("a",), Word.LOST)),
        ("channel=a&cursor=", "k3f9a2zq-1042", Query(("a",), CURSOR)),
        ("channel=a", "", Query(("a",), Word.NOW)),
        ("channel=a&cursor=&lastEventId=", None, Query(("a",), Word.LOST)),
        ("channel=a&cursor=&lastEventId=k3f9a2zq-1042", None, Query(("a",), CURSOR)),
    ],
)
def test_stream_is_understood_and_the_header_wins(query: str, header: str | None, ask: Query) -> None:
    """An `EventSource` repeats the URL it was made with, and tells where it is in `Last-Event-ID`."""
    assert parse_stream(query, header) == ask


@pytest.mark.parametrize(
    ("query", "header", "code"),
    [
        ("channel=a&wait=1", None, "bad-request"),
        ("channel=a&nonce=" + "x" * 65, None, "bad-request"),
        ("channel=a&nonce=%0a", None, "bad-request"),
        ("channel=a", "5", "bad-cursor"),
        ("channel=a&cursor=5", None, "bad-cursor"),
        ("channel=a&lastEventId=5", None, "bad-cursor"),
        ("channel=a&lastEventId=now&lastEventId=now", None, "bad-request"),
        ("channel=a&lasteventid=now", None, "bad-request"),
        ("", None, "too-many-channels"),
    ],
)
def test_stream_that_is_not_understood_is_refused(query: str, header: str | None, code: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_stream(query, header)
    assert (caught.value.code, caught.value.status) == (code, 400)


def test_socket_has_no_last_event_id() -> None:
    """No `WebSocket` comes back by itself: its client says where it is in `cursor`."""
    assert parse_socket("channel=a&nonce=x&_=17") == Query(("a",), Word.NOW, nonce="x")
    with pytest.raises(Refusal, match="'lastEventId' is no parameter"):
        parse_socket("channel=a&lastEventId=now")


@pytest.mark.parametrize(
    ("query", "rest"),
    [
        ("channel=a_b&cursor=now", "channel=a_b&cursor=now"),
        ("channel=a&_=17&cursor=now", "channel=a&cursor=now"),
        ("_=17&channel=a&%5f=18&%5F&_", "channel=a"),
        ("channel=a&__=17&x_=1", "channel=a&__=17&x_=1"),
        ("_", ""),
        ("", ""),
    ],
)
def test_what_is_ignored_is_cut(query: str, rest: str) -> None:
    assert without_ignored(query) == rest


@given(st.text(st.characters(max_codepoint=255)) | st.text("chanelursow=&%+0129afAF-;", max_size=60))
def test_any_query_is_understood_or_refused(query: str) -> None:
    """Nothing else is raised, whatever stands in the request line; and a refusal stays on one short line."""
    refused: Refusal | None = None
    ask = Query((), Word.NOW)
    try:
        ask = parse_poll(query)
    except Refusal as refusal:
        refused = refusal
    if refused is None:
        assert 1 <= len(ask.channels) <= MAX_CHANNELS
        assert 0 <= ask.wait < 1e6
    else:
        assert refused.status == 400
        assert refused.detail.isascii()
        assert refused.detail.isprintable()
        assert len(refused.detail) < 400


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=20, unique=True))
def test_names_come_through_any_encoding_of_the_url(names: list[str]) -> None:
    query = urlencode([("channel", name) for name in names])
    assert parse_poll(query).channels == tuple(names)
    assert parse_poll(query.replace("+", "%20")).channels == tuple(names)
