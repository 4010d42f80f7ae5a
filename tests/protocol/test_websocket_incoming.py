"""What a socket's client may send: few control frames, no data, and its own end."""

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


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_data_ends_the_socket_with_1003_once(opcode: Opcode) -> None:
    """Also if more of it has come in the same read, or comes behind."""
    frame = Frame(opcode, b"hello").serialize(mask=True)
    incoming = Incoming()
    out, ends = incoming.receive(frame * 3, 0.0)
    assert ends
    assert out.count((1003).to_bytes(2, "big") + b"nothing to say here") == 1
    assert incoming.receive(frame * 200, 0.0)[0] == b""


def test_message_longer_than_the_limit_ends_the_socket_with_1009() -> None:
    out, ends = Incoming(max_message=10).receive(Frame(Opcode.TEXT, b"x" * 11).serialize(mask=True), 0.0)
    assert ends
    assert (1009).to_bytes(2, "big") in out


def test_close_is_answered_and_ends_the_socket() -> None:
    close = Frame(Opcode.CLOSE, (1000).to_bytes(2, "big")).serialize(mask=True)
    out, ends = Incoming().receive(close, 0.0)
    assert (out, ends) == (b"\x88\x02\x03\xe8", True)


def test_connection_that_ends_without_a_close_is_over() -> None:
    assert Incoming().receive(b"", 0.0) == (b"", True)
