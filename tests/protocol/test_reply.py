"""An answer's bytes: made once for a second, and never those of another kind of answer."""

import pytest
from landline.protocol.reply import Reply

SECOND = 1795357200


@pytest.fixture
def reply() -> Reply:
    return Reply("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")], b"{}")


def test_answer_is_a_head_and_a_body(reply: Reply) -> None:
    assert reply.encode(SECOND, close=False) == (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 14:20:00 GMT\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"
    )


def test_bytes_are_made_once_for_a_second(reply: Reply) -> None:
    first = reply.encode(SECOND + 0.1, close=False)
    assert reply.encode(SECOND + 0.9, close=False) is first
    later = reply.encode(SECOND + 1.0, close=False)
    assert later == first.replace(b"14:20:00", b"14:20:01")


def test_what_ends_a_connection_says_so_each_time(reply: Reply) -> None:
    """Another kind of answer may have been made of the same one a moment before."""
    for close, head_only in [(False, False), (True, False), (False, True), (True, True)] * 2:
        data = reply.encode(SECOND, close=close, head_only=head_only)
        assert data.endswith(b"\r\n\r\n" if head_only else b"\r\n\r\n{}")
        assert (b"Connection: close\r\n" in data) is close
        assert (b"Connection: keep-alive\r\n" in data) is not close
