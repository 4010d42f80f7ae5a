"""Bytes of a connection to the second door in, requests out. Touched by the side loop's thread alone."""

from __future__ import annotations

from typing import NamedTuple

import httptools

from ..errors import Refusal
from ..protocol.head import check_head, split_target
from ..protocol.request import Request, bad_request, without_ignored
from ..serve.endpoints import Endpoints
from ..serve.offers import ALL, STREAM_OR_POLL
from ..serve.poll_key import PollKey


class Known(NamedTuple):
    """A plain poll, as the same bytes ask it again."""

    poll_key: PollKey
    offer: tuple[str, ...]
    """What its client can be offered."""
    forwarded: str | None
    """Its `X-Forwarded-For`."""
    keep: bool
    """Whether the connection is for more than this."""


class Pending(NamedTuple):
    """A request that has come in."""

    request: Request
    offer: tuple[str, ...]
    keep: bool
    known: Known | None
    """Of a plain poll."""
    repeats: bool
    """Whether the same bytes may come again: a client that writes another `_` each time never sends them twice."""


class RequestParser:
    """Parses what one client sends.

    Args:
        endpoints: answers; says which requests are polls.
        peer: the client's address, or the proxy's.
    """

    __slots__ = ("_complete", "_endpoints", "_headers", "_parser", "_peer", "_url", "within")

    def __init__(self, endpoints: Endpoints, peer: str) -> None:
        self._endpoints = endpoints
        self._peer = peer
        self._parser = httptools.HttpRequestParser(self)
        self._complete: list[Pending] = []
        self.within = False
        """Whether a request has begun and is not complete."""
        self._url = b""
        self._headers: dict[str, str] = {}

    def feed(self, data: bytes) -> list[Pending]:
        """Take bytes, and return the requests that they complete.

        Raises:
            Refusal: `bad-request`, they are no HTTP or may be read in two ways.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # a handshake; the wire looks at it
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, Refusal):
                raise
            raise error.__context__ from None
        except httptools.HttpParserError as error:
            # See SECURITY.md: no-http, requests-of-two-readings
            raise bad_request(f"This is not HTTP/1.1: {error}.") from error
        complete, self._complete = self._complete, []
        return complete

    def close(self) -> None:
        """Parse nothing more, and let go of what has come in."""
        # It has this parser's methods: without this, both would stay until the garbage collector's turn.
        self._parser = _NO_PARSER
        self._url, self._headers, self._complete = b"", {}, []

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._url = b""
        self._headers = {}
        self.within = True

    def on_url(self, url: bytes) -> None:
        """Called by the parser, perhaps in parts."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser for each header."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        # Several headers of one name are a list (RFC 9110 §5.3).
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Called by the parser, before it reads a body; what is raised here is raised by `feed_data`."""
        check_head(self._parser.get_http_version(), self._headers)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.within = False
        endpoints, headers = self._endpoints, self._headers
        host, path, asked = split_target(self._url.decode("latin-1"))
        self._url, self._headers = b"", {}  # which may be long, and the request be held for long
        query = without_ignored(asked)
        if host is not None:  # then Host does not count (RFC 9112 §3.2.2)
            # See SECURITY.md: targets-host-counts
            headers["host"] = host
        method = self._parser.get_method().decode("latin-1")
        # Behind a handshake, or a CONNECT, comes another protocol.
        keep = self._parser.should_keep_alive() and "upgrade" not in headers and method != "CONNECT"
        # A proxy that speaks HTTP/1.0 has no Upgrade (RFC 9110 §7.8).
        offer = STREAM_OR_POLL if self._parser.get_http_version() == "1.0" else ALL
        forwarded = headers.get("x-forwarded-for")
        request = Request(method, path, query, headers, endpoints.limits.address(self._peer, forwarded))
        poll_key = endpoints.poll_key(request)
        known = None if poll_key is None else Known(poll_key, offer, forwarded, keep)
        self._complete.append(Pending(request, offer, keep, known, query == asked))


_NO_PARSER = httptools.HttpRequestParser(object())
"""In the place of a closed connection's."""
