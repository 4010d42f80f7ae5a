"""An HTTP answer, as data and as bytes."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple


class Reply(NamedTuple):
    """A whole answer: what WSGI's `start_response` takes, and a body."""

    status: str
    """Code and phrase, such as `200 OK`."""
    headers: list[tuple[str, str]]
    body: bytes


def status_line(status: int) -> str:
    """Return code and phrase of an HTTP status."""
    return f"{status} {HTTPStatus(status).phrase}"


def encode_reply(reply: Reply, at: float, *, close: bool, head_only: bool = False) -> bytes:
    """Render an answer as HTTP/1.1 (RFC 9112).

    Args:
        reply: the answer.
        at: the time, Unix seconds, for `Date`.
        close: whether the connection ends with it.
        head_only: whether to leave the body out, as for HEAD.
    """
    lines = [f"HTTP/1.1 {reply.status}\r\nDate: {_date(int(at))}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in reply.headers]
    lines.append("Connection: close\r\n\r\n" if close else "Connection: keep-alive\r\n\r\n")
    return "".join(lines).encode("latin-1") + (b"" if head_only else reply.body)


@lru_cache(4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
