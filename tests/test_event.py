"""Events as they stand on the wire (WIRE §3)."""

import json

import pytest
from flask_landline import Event


def make(channel: str = "orders", payload: str = '{"id": 7}', *, at: float = 1795357200.123, **more) -> Event:
    return Event(channel, 1042, at, payload, epoch="k3f9a2zq", **more)


def test_event_is_encoded_as_the_wire_has_it() -> None:
    assert make().encoded == b'{"channel": "orders", "offset": 1042, "at": 1795357200.123, "data": {"id": 7}}'


def test_snapshot_says_so() -> None:
    assert json.loads(make(snapshot=True).encoded)["snapshot"] is True
    assert "snapshot" not in json.loads(make().encoded)


@pytest.mark.parametrize("channel", ["orders", 'a"b\\c', "grüße/𝄞", "\u2028", "a b"])
@pytest.mark.parametrize("payload", ["null", '"ü\u2028\\n"', "[1, 2.5e300]", '{"": {}}', "18446744073709551616"])
@pytest.mark.parametrize("at", [0.0, 1e9, 1795357200.999])
def test_encoded_event_is_json_on_one_line(channel: str, payload: str, at: float) -> None:
    encoded = make(channel, payload, at=at).encoded
    assert json.loads(encoded) == {"channel": channel, "offset": 1042, "at": at, "data": json.loads(payload)}
    assert b"\n" not in encoded
    assert b"\r" not in encoded


def test_data_is_decoded_anew_each_time() -> None:
    """A reader may change what it got without another seeing it."""
    event = make()
    event.data["id"] = 8
    assert event.data == {"id": 7}


def test_events_are_equal_by_value_also_after_encoding() -> None:
    one, other = make(), make()
    assert one.encoded
    assert one == other
    assert one != make("Orders")
