"""Answers to polls as bytes (WIRE §4, §7, §8)."""

import json
from typing import Any

import pytest
from flask_landline import Event
from landline.cursor import Cursor
from landline.protocol.advice import Advice
from landline.protocol.poll import answer, cache_control
from landline.reading import Reading, Reset

HERE = Cursor("k3f9a2zq", 1042)
ADVICE = Advice(2.0, 20.0, ("long-poll", "poll"))
EVENT = Event("orders", 1042, 5.25, '{"id": 7}', "k3f9a2zq")
SNAPSHOT = Event("orders", 1042, 5.5, "[7]", "k3f9a2zq", snapshot=True)
RESET = Reset(("orders", "a"), "trimmed")
ADVICE_JSON = {"interval": 2.0, "hold": 20.0, "transports": ["long-poll", "poll"]}
EVENT_JSON = {"channel": "orders", "offset": 1042, "at": 5.25, "data": {"id": 7}}
SNAPSHOT_JSON = {"channel": "orders", "offset": 1042, "at": 5.5, "snapshot": True, "data": [7]}
RESET_JSON = {"channels": ["orders", "a"], "reason": "trimmed"}


def reading(*events: Event, more: bool = False, reset: Reset | None = None) -> Reading:
    return Reading(events, HERE, HERE, more, reset)


@pytest.mark.parametrize(
    ("told", "snapshots", "body"),
    [
        (reading(), [], {"data": None}),
        (reading(EVENT), [], {"data": [EVENT_JSON]}),
        (reading(EVENT, EVENT), [], {"data": [EVENT_JSON, EVENT_JSON]}),
        (reading(), [SNAPSHOT], {"data": [SNAPSHOT_JSON]}),
        (reading(EVENT), [SNAPSHOT], {"data": [SNAPSHOT_JSON, EVENT_JSON]}),
        (reading(reset=RESET), [], {"data": None, "reset": RESET_JSON}),
        (reading(EVENT, reset=RESET), [SNAPSHOT], {"data": [SNAPSHOT_JSON, EVENT_JSON], "reset": RESET_JSON}),
        (reading(EVENT, more=True), [], {"data": [EVENT_JSON], "advice": {**ADVICE_JSON, "interval": 0}}),
    ],
)
def test_body_is_the_wires(told: Reading, snapshots: list[Event], body: dict[str, Any]) -> None:
    reply = answer(told, ADVICE, snapshots, cache_control="no-store")
    assert reply.status == "200 OK"
    assert json.loads(reply.body) == {"cursor": "k3f9a2zq-1042", "advice": ADVICE_JSON, **body}
    assert dict(reply.headers) == {
        "ETag": 'W/"k3f9a2zq-1042"',
        "Cache-Control": "no-store",
        "Content-Type": "application/json",
        "Content-Length": str(len(reply.body)),
    }


TAG = 'W/"k3f9a2zq-1042"'


@pytest.mark.parametrize(
    ("etag", "told", "snapshots", "status"),
    [
        (TAG, reading(), [], "304 Not Modified"),
        ('"k3f9a2zq-1042"', reading(), [], "304 Not Modified"),
        (f'W/"k3f9a2zq-1", {TAG}', reading(), [], "304 Not Modified"),
        (f'"a,b" ,{TAG},', reading(), [], "304 Not Modified"),
        ('W/"k3f9a2zq-1041"', reading(), [], "200 OK"),
        ('W/"k3f9a2zq-10422"', reading(), [], "200 OK"),
        ("k3f9a2zq-1042", reading(), [], "200 OK"),
        ("*", reading(), [], "200 OK"),
        ("", reading(), [], "200 OK"),
        (TAG, reading(EVENT), [], "200 OK"),
        (TAG, reading(reset=RESET), [], "200 OK"),
        (TAG, reading(), [SNAPSHOT], "200 OK"),
    ],
)
def test_not_modified_only_where_nothing_is_new(etag: str, told: Reading, snapshots: list[Event], status: str) -> None:
    reply = answer(told, ADVICE, snapshots, etag=etag, cache_control="no-store")
    assert reply.status == status
    if status.startswith("304"):
        assert reply.body == b""
        assert dict(reply.headers) == {
            "ETag": TAG,
            "Cache-Control": "no-store",
            "Landline-Interval": "2",
            "Landline-Hold": "20",
        }


@pytest.mark.parametrize(
    ("shared", "header"),
    [(None, "no-store"), (1, "public, max-age=0, s-maxage=1"), (30, "public, max-age=0, s-maxage=30")],
)
def test_shared_cache_is_told_how_long(shared: int | None, header: str) -> None:
    assert cache_control(shared) == header
