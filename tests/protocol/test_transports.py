"""What each way to hold a request sends, byte for byte where a client parses it (WIRE §4 to §6)."""

import json
from typing import Any

import pytest
from flask_landline import Event, LandlineError
from landline.cursor import Cursor
from landline.protocol.advice import Advice
from landline.protocol.poll import LongPoll
from landline.protocol.sse import SSE, stream_head
from landline.protocol.websocket import SUBPROTOCOL, WebSocket, accept, close_frame, text_frame
from landline.reading import Reading, Reset

HERE = Cursor("k3f9a2zq", 1042)
ADVICE = Advice(2.0, 20.0, ("sse", "poll"))
ADVICE_JSON = {"interval": 2.0, "hold": 20.0, "transports": ["sse", "poll"]}
EVENT = Event("orders", 1042, 5.25, '{"id": 7}', "k3f9a2zq")
EVENT_JSON = {"channel": "orders", "offset": 1042, "at": 5.25, "data": {"id": 7}}
SNAPSHOT = Event("orders", 1042, 5.5, "[7]", "k3f9a2zq", snapshot=True)
SNAPSHOT_JSON = {"channel": "orders", "offset": 1042, "at": 5.5, "snapshot": True, "data": [7]}
RESET = Reset(("orders",), "trimmed")
RESET_JSON = {"channels": ["orders"], "reason": "trimmed"}
GRANT = {"token": "t", "seconds": 60}


def reading(*events: Event, reset: Reset | None = None) -> Reading:
    return Reading(events, HERE, HERE, False, reset)


def blocks(data: bytes) -> list[dict[str, Any]]:
    """Return the fields of each block of a stream; what is data there is decoded."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        fields: dict[str, Any] = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append({**fields, "data": json.loads(fields["data"])} if "data" in fields else fields)
    return found


def message(frame: bytes) -> Any:
    """Return the JSON of one unmasked text frame."""
    assert frame[0] == 0x81
    long = frame[1] == 126
    payload = frame[4:] if long else frame[2:]
    assert len(payload) == (int.from_bytes(frame[2:4], "big") if long else frame[1])
    return json.loads(payload)


# A stream.


@pytest.mark.parametrize(
    ("nonce", "grant", "more"),
    [(None, None, {}), ("n1", None, {"nonce": "n1"}), ("n1", GRANT, {"nonce": "n1", "grant": GRANT})],
)
def test_stream_begins_with_a_hello_that_says_how_it_goes_on(nonce: str | None, grant: Any, more: Any) -> None:
    (block,) = blocks(SSE(15.0).hello(HERE, ADVICE, 7.00049, nonce, grant))
    assert block == {
        "retry": "2000",
        "event": "landline",
        "data": {"cursor": str(HERE), "at": 7.0, "advice": ADVICE_JSON, "keepalive": 15.0, **more},
        "id": str(HERE),
    }
    assert list(block) == ["retry", "event", "data", "id"]  # the id last: a cut before it loses nothing


def test_stream_has_an_id_where_nothing_is_left_to_say() -> None:
    event = {"event": "orders", "data": {"id": 7}, "id": str(HERE)}
    reset = {"event": "landline", "data": {"reset": RESET_JSON}}
    snapshot = [
        {"event": "landline", "data": {"snapshot": {"channel": "orders", "offset": 1042}}},
        {"event": "orders", "data": [7]},
    ]
    position = {"event": "landline", "data": {"cursor": str(HERE)}, "id": str(HERE)}
    for given, snapshots, expected in [
        (reading(EVENT), [], [event]),
        (reading(EVENT, reset=RESET), [], [reset, event]),
        (reading(EVENT), [SNAPSHOT], [*snapshot, event]),
        (reading(reset=RESET), [], [reset, position]),
        (reading(reset=RESET), [SNAPSHOT], [reset, *snapshot, position]),
        (reading(), [], []),
    ]:
        assert blocks(SSE().render(given, snapshots, ADVICE, 7.0)) == expected


def test_stream_says_that_it_lives_and_when_to_come_back() -> None:
    (alive,) = blocks(SSE().keepalive(HERE, ADVICE, 7.0))
    assert alive == {
        "event": "landline",
        "data": {"cursor": str(HERE), "at": 7.0, "advice": ADVICE_JSON},
        "id": str(HERE),
    }
    (end,) = blocks(SSE().goodbye(0.25))
    assert end == {"retry": "250", "event": "landline", "data": {"goodbye": {"retry": 0.25}}}


def test_head_of_a_stream_keeps_proxies_from_collecting_it() -> None:
    reply = stream_head([("Vary", "Origin")])
    assert (reply.status, reply.body) == ("200 OK", b"")
    assert dict(reply.headers)["X-Accel-Buffering"] == "no"
    assert reply.headers[-1] == ("Vary", "Origin")
    assert repr(reply) == "<Reply '200 OK', 0 bytes>"


# A socket.


@pytest.mark.parametrize(
    ("nonce", "grant", "more"),
    [(None, None, {}), ("n1", None, {"nonce": "n1"}), ("n1", GRANT, {"nonce": "n1", "grant": GRANT})],
)
def test_socket_begins_with_the_same_hello(nonce: str | None, grant: Any, more: Any) -> None:
    hello = {"data": None, "cursor": str(HERE), "advice": ADVICE_JSON, "at": 7.0, "keepalive": 15}
    assert message(WebSocket().hello(HERE, ADVICE, 7.0, nonce, grant)) == {**hello, **more}


def test_socket_sends_polls_answers_as_messages() -> None:
    alive = {"data": None, "cursor": str(HERE), "advice": ADVICE_JSON, "at": 7.0}
    assert message(WebSocket().keepalive(HERE, ADVICE, 7.0)) == alive
    told = message(WebSocket().render(reading(EVENT, reset=RESET), [SNAPSHOT], ADVICE, 7.0))
    assert told == {"data": [SNAPSHOT_JSON, EVENT_JSON], "cursor": str(HERE), "reset": RESET_JSON}


def test_socket_closes_with_the_pause_before_coming_back() -> None:
    assert WebSocket().goodbye(0.25) == b"\x88\x07" + (1001).to_bytes(2, "big") + b"0.250"
    assert close_frame(1000) == b"\x88\x02\x03\xe8"
    assert text_frame(b"{}") == b"\x81\x02{}"


HANDSHAKE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize("offered", [None, "chat", f"chat, {SUBPROTOCOL}"])
def test_handshake_is_answered_as_rfc_6455_has_it(offered: str | None) -> None:
    headers = {**HANDSHAKE, **({"sec-websocket-protocol": offered} if offered else {})}
    lines = accept("/landline/ws", headers, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]).decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 101 Switching Protocols"
    assert "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert [line for line in lines if line.startswith("Set-Cookie")] == ["Set-Cookie: a=1", "Set-Cookie: b=2"]
    assert (f"Sec-WebSocket-Protocol: {SUBPROTOCOL}" in lines) == (offered is not None and SUBPROTOCOL in offered)


@pytest.mark.parametrize("missing", ["connection", "upgrade", "sec-websocket-version", "sec-websocket-key"])
def test_request_that_is_no_handshake_is_refused_with_the_way_out(missing: str) -> None:
    headers = {name: value for name, value in HANDSHAKE.items() if name != missing}
    with pytest.raises(LandlineError, match="use /events or /poll instead") as caught:
        accept("/landline/ws", headers)
    assert caught.value.status == 400  # type: ignore[attr-defined]


# A held poll.


def test_held_poll_says_nothing_before_its_answer_nor_after() -> None:
    poll = LongPoll("e", "no-store")
    assert (poll.hello(HERE, ADVICE, 7.0, None, None), poll.goodbye(1.0)) == (b"", b"")


@pytest.mark.parametrize("close", [True, False])
def test_held_poll_is_answered_in_full(close: bool) -> None:
    poll = LongPoll("e", "no-store", close=close)
    for data, told in [
        (poll.render(reading(EVENT), [SNAPSHOT], ADVICE, 7.0), [SNAPSHOT_JSON, EVENT_JSON]),
        (poll.keepalive(HERE, ADVICE, 7.0), None),
    ]:
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: %d" % len(body) in head
        assert (b"connection: close" in head.lower()) == close
        assert json.loads(body)["data"] == told


def test_held_polls_that_are_answered_alike_are_equal() -> None:
    """Equal ones are one group's: its bytes are rendered once."""
    one, same = LongPoll("e", "no-store"), LongPoll("e", "no-store")
    assert one == same
    assert hash(one) == hash(same)
    assert one != LongPoll("e", "no-store", close=False)
    assert one != SSE()
