"""An HTTP answer, as data."""

from __future__ import annotations

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
