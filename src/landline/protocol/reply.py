"""An HTTP answer, as data and as bytes."""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

INCREMENTAL = ("Incremental", "?1")
"""Asks whatever is on the way to pass on what comes as it comes, and not to collect it (RFC 10036)."""


class Reply:
    """A whole answer: what WSGI's `start_response` takes, and a body. Not changed once made.

    Args:
        status: code and phrase, such as `200 OK`.
        headers: names and values.
        body: the body.
    """

    __slots__ = ("_encoded", "body", "headers", "status")

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._encoded: tuple[tuple[int, bool, bool], bytes] | None = None

    def __repr__(self) -> str:
        return f"<Reply {self.status!r}, {len(self.body)} bytes>"

    def encode(self, at: float, *, close: bool, head_only: bool = False) -> bytes:
        """Render it as HTTP/1.1 (RFC 9112).

        The bytes are kept: "nothing new" is answered a hundred thousand times a second, and only `Date` changes.

        Args:
            at: the time, Unix seconds, for `Date`.
            close: whether the connection ends with it.
            head_only: whether to leave the body out, as for HEAD.
        """
        how = (int(at), close, head_only)
        encoded = self._encoded  # one tuple, set in one step: several threads may give the same answer
        if encoded is None or encoded[0] != how:
            encoded = self._encoded = how, self._head(how[0], close) + (b"" if head_only else self.body)
        return encoded[1]

    def _head(self, second: int, close: bool) -> bytes:
        lines = [f"HTTP/1.1 {self.status}\r\nDate: {_date(second)}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in self.headers]
        lines.append("Connection: close\r\n\r\n" if close else "Connection: keep-alive\r\n\r\n")
        return "".join(lines).encode("latin-1")


def status_line(status: int) -> str:
    """Return code and phrase of an HTTP status."""
    return f"{status} {HTTPStatus(status).phrase}"


@lru_cache(4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
