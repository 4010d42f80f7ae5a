"""What a socket's client may send: few control frames."""

import pytest
from landline.protocol.websocket import Incoming
from websockets.frames import Frame, Opcode

PING = Frame(Opcode.PING, b"").serialize(mask=True)
PONG = Frame(Opcode.PONG, b"").serialize(mask=True)
TOO_MANY = (1008).to_bytes(2, "big")


@pytest.mark.parametrize("frame", [PING, PONG], ids=["ping", "pong"])
def test_twenty_control_frames_at_once_are_taken(frame: bytes) -> None:
    out, ends = Incoming().receive(frame * 20, 100.0)
    assert not ends
    assert out.count(b"\x8a\x00") == (20 if frame is PING else 0)


@pytest.mark.parametrize("frame", [PING, PONG], ids=["ping", "pong"])
def test_one_more_is_closed_with_1008(frame: bytes) -> None:
    out, ends = Incoming().receive(frame * 21, 100.0)
    assert ends
    assert TOO_MANY in out


def test_two_a_second_are_taken_for_good() -> None:
    incoming = Incoming()
    assert not incoming.receive(PING * 20, 0.0)[1]
    for number in range(1, 1000):
        assert not incoming.receive(PING, number * 0.5)[1]


def test_three_a_second_are_closed_once_the_burst_is_used_up() -> None:
    incoming = Incoming()
    ends = [incoming.receive(PONG, number / 3)[1] for number in range(100)]
    assert not any(ends[:55])
    assert any(ends)


def test_of_a_flood_little_is_parsed() -> None:
    """A frame is six bytes here, and a megabyte of them some hundred milliseconds."""
    out, ends = Incoming().receive(PING * 100_000, 0.0)
    assert ends
    assert out.count(b"\x8a\x00") < 100
