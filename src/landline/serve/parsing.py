"""The first step of each answer: what is asked for, and by which page."""

from __future__ import annotations

from typing import NamedTuple

from ..access.forwarded import Forwarded
from ..access.refused import RefusedOrigins
from ..channels.channel import Resolved
from ..protocol.endpoints import ENDPOINTS, POLL, SOCKET, Endpoint
from ..protocol.origins import Headers, Origins, foreign_origin, refuse_embedded
from ..protocol.problem import method_refused
from ..protocol.request import Query, Request
from .poll_key import PollKey
from .runtime import Runtime


class Asked(NamedTuple):
    """A request that was understood."""

    request: Request
    endpoint: Endpoint
    transports: tuple[str, ...]
    """What its host can offer its client now, best first."""
    close: bool
    """Whether a held poll's connection ends with its answer."""
    poll_key: PollKey | None
    """Of a plain poll."""
    query: Query
    items: tuple[Resolved, ...]
    closed: tuple[Resolved, ...]
    """Those of `items` that have a reader function."""
    headers: Headers
    """For its answer: what it says of origins."""
    site: str
    """Scheme and host that its snapshots are made for; empty where none of its channels has one."""
    is_refused: bool
    """Whether it names an origin that may not read."""

    @property
    def is_foreign(self) -> bool:
        """Whether it is a page's that may not read the answer, so that it is not held."""
        # Browsers name no origin where a page only loads what it asks for, say as an image.
        headers = self.request.headers
        is_cross_site = headers.get("sec-fetch-site") == "cross-site"
        return is_cross_site and ("origin" not in headers or self.is_refused)


class Parser:
    """Understands requests, or refuses them, with neither log nor app. Safe to use from any thread.

    Args:
        runtime: the app's Landline.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._forwarded: Forwarded = runtime.forwarded
        self.origins = Origins(runtime.config.origins)
        self._refused = RefusedOrigins(runtime.config.origins, clock=runtime.times.clock)
        self.endpoints = {f"{runtime.config.prefix}/{endpoint.name}": endpoint for endpoint in ENDPOINTS}
        """The addresses, by path."""

    def parse(self, request: Request, transports: tuple[str, ...], poll_key: PollKey | None, *, close: bool) -> Asked:
        """Return what a request asks for.

        Raises:
            Refusal: it is not of the wire's form, or names channels that are not declared.
        """
        if request.method not in ("GET", "HEAD"):
            raise method_refused(request.method)
        refuse_embedded(request.headers)
        endpoint = self.endpoints[request.path]
        query = endpoint.parse(request.query, request.headers)
        items = tuple(self._runtime.resolve(query.channels))
        closed = tuple(item for item in items if item.channel.reader_function is not None)
        by_host = any(item.channel.snapshot_function is not None for item in items)
        return Asked(
            request,
            endpoint,
            transports,
            close,
            poll_key,
            query,
            items,
            closed,
            self._headers(request, public=not closed, by_host=by_host),
            self._forwarded.seen(request) if by_host else "",
            self._is_refused(request, public=not closed),
        )

    def _headers(self, request: Request, *, public: bool, by_host: bool) -> Headers:
        # nginx's cache tells answers apart by the upstream's name and the path; a snapshot is of its host.
        is_shared = public and by_host and self._runtime.config.shared_cache is not None
        vary = ("Host", "X-Forwarded-Host", "X-Forwarded-Proto") if is_shared else ()
        # See SECURITY.md: snapshots-in-caches-are-their-hosts
        return self.origins.answer(request.headers, public=public, vary=vary)

    def _is_refused(self, request: Request, *, public: bool) -> bool:
        """Return whether a request is a page's of an origin that may not read; the log names each such origin once."""
        origin = request.headers.get("origin")
        if origin is None:
            return False
        site = self._forwarded.site(request)
        is_refused = not self.origins.allow(origin, site, public=public)
        if is_refused:
            self._refused.note(origin, site, request, public=public)
        return is_refused


def check_origin(asked: Asked) -> None:
    """Refuse a stream or socket to a page that may not read it: it would hold a place, and any page reads sockets.

    Raises:
        Refusal: `not-allowed`.
    """
    is_refused_socket = asked.is_refused and asked.endpoint is SOCKET
    # See SECURITY.md: sockets-ask-for-the-origin, foreign-pages-open-no-streams
    if (asked.is_foreign and asked.endpoint is not POLL) or is_refused_socket:
        raise foreign_origin(asked.request.headers.get("origin"))
