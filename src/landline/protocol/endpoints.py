"""The wire's addresses: what each is asked with, what it answers by, and how OpenAPI describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .request import (
    POLL_PARAMETERS,
    SOCKET_PARAMETERS,
    STREAM_PARAMETERS,
    Query,
    parse_poll,
    parse_socket,
    parse_stream,
)


class Endpoint(NamedTuple):
    """One address."""

    name: str
    """The last part of its path, under the prefix."""
    transport: str
    """What must be offered to a client for it to be answered."""
    parse: Callable[[str, Mapping[str, str]], Query]
    """Reads a raw query and headers with names in lower case; raises `Refusal`."""
    parameters: tuple[str, ...]
    summary: str
    header: str | None = None
    """A request header that counts here."""
    meaning: str = ""
    """What that header says."""


POLL = Endpoint(
    "poll",
    "poll",
    lambda query, _headers: parse_poll(query),
    POLL_PARAMETERS,
    "Ask what is new.",
    "If-None-Match",
    "The `ETag` of an earlier answer.",
)
EVENTS = Endpoint(
    "events",
    "sse",
    lambda query, headers: parse_stream(query, headers.get("last-event-id")),
    STREAM_PARAMETERS,
    "Open a stream of server-sent events.",
    "Last-Event-ID",
    "The `id` of the last event; wins over `lastEventId`, and that over `cursor`.",
)
SOCKET = Endpoint(
    "ws",
    "websocket",
    lambda query, _headers: parse_socket(query),
    SOCKET_PARAMETERS,
    "Open a WebSocket: each message is the body of a poll's answer.",
)
ENDPOINTS = (POLL, EVENTS, SOCKET)
