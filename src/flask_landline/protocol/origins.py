"""Whose pages may read: origins (RFC 6454), and what a browser is told of them (https://fetch.spec.whatwg.org/#cors-protocol).

A page of the same host always may. Of the others those that are listed may, with the cookies that browsers send
along for them; and if `*` is listed everybody's pages, but public channels only, and without cookies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..errors import Refusal, UsageError
from .reply import Reply, status_line

Headers = tuple[tuple[str, str], ...]

_FORM = re.compile(r"([a-z][a-z0-9+.-]*)://(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]+))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_LABEL = "[a-z0-9_-]+"
_EXPOSED = (("Access-Control-Expose-Headers", "Landline-Interval, Landline-Hold, Retry-After, ETag, Date"),)
PREFLIGHT_AGE = 600
"""Seconds for which a browser need not ask again whether it may ask."""
_EMBEDDED = ("object", "embed")
"""What `Sec-Fetch-Dest` says of elements that show a foreign page whether an answer was a success or a refusal."""


class Site(NamedTuple):
    """Where a request goes, as its browser has it."""

    scheme: str
    """`http` or `https`; `http` also where a proxy that has undone the encryption does not say so."""
    host: str
    """With its port, if that is named; empty if nothing names it."""


class Origins:
    """The origins that an app lists.

    Args:
        listed: whole origins, such as `https://app.example.org`; `https://*.example.org`, where the star is one label,
            as in a certificate; or `*`.

    Raises:
        UsageError: one of them is none of these.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        listed = tuple(listed)
        self._everybody = "*" in listed
        patterns = [_pattern(item) for item in listed if item != "*"]
        self._listed = re.compile("|".join(patterns)) if patterns else None
        self._vary = ("Origin",) if patterns else ()
        # Without CORS headers a foreign page cannot read an answer, but may still load it, say as an image.
        self._policy: Headers = () if listed else (("Cross-Origin-Resource-Policy", "same-origin"),)

    def allow(self, origin: str | None, site: Site, *, public: bool) -> bool:
        """Return whether pages of an origin may read at a site; without one it is no page of another origin.

        Args:
            origin: the request's `Origin`.
            site: where the request goes.
            public: whether all channels asked for are public.
        """
        return origin is None or _is_same_host(origin, site) or self._is_listed(origin) or (self._everybody and public)

    def answer(self, headers: Mapping[str, str], *, public: bool, vary: tuple[str, ...] = ()) -> Headers:
        """Return what an answer of the wire to a request with these headers says of origins.

        Args:
            headers: the request's.
            public: whether all channels asked for are public.
            vary: what else the answer depends on: names of request headers.
        """
        return (*self._policy, *self.share(headers.get("origin"), public=public, vary=vary))

    def share(self, origin: str | None, *, public: bool = True, vary: tuple[str, ...] = ()) -> Headers:
        """Return the CORS headers of an answer to an origin, and what it depends on. Scripts get these alone."""
        names = (*self._vary, *vary)
        said: Headers = (("Vary", ", ".join(names)),) if names else ()
        if origin is not None and self._is_listed(origin):
            allowed = (("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"))
            return (*allowed, *_EXPOSED, *said)
        if self._everybody and public:
            return (("Access-Control-Allow-Origin", "*"), *_EXPOSED, *said)
        return said

    def preflight(self, headers: Mapping[str, str]) -> Reply | None:
        """Answer a browser that asks whether it may ask; None if it may not, or is none."""
        origin = headers.get("origin")
        may_ask = origin is not None and (self._everybody or self._is_listed(origin))
        if not may_ask or "access-control-request-method" not in headers:
            return None
        more = [
            ("Access-Control-Allow-Methods", "GET, HEAD"),
            ("Access-Control-Allow-Headers", "Authorization, If-None-Match, Last-Event-ID"),
            ("Access-Control-Max-Age", str(PREFLIGHT_AGE)),
        ]
        return Reply(status_line(204), [*self.share(origin), *more], b"")

    def _is_listed(self, origin: str) -> bool:
        return self._listed is not None and self._listed.fullmatch(origin) is not None


def _pattern(item: str) -> str:
    form = _FORM.fullmatch(item) if isinstance(item, str) else None
    if form is None:
        raise UsageError(
            f"LANDLINE_ORIGINS has {item!r}. An origin is scheme and host, and port if need be, in small letters and "
            "without a path: 'https://app.example.org', 'https://*.example.org' or '*'."
        )
    scheme, star, host, port = form.groups()
    if port is not None and port == _DEFAULT_PORTS.get(scheme):
        raise UsageError(f"LANDLINE_ORIGINS has {item!r}. Browsers leave {scheme}'s own port out: leave out ':{port}'.")
    label = _LABEL + r"\." if star else ""
    return re.escape(scheme) + "://" + label + re.escape(host) + (f":{port}" if port else "")


def _is_same_host(origin: str, site: Site) -> bool:
    scheme, _, host = origin.lower().partition("://")  # no host where a browser says "null": of a sandboxed frame
    port = ":" + _DEFAULT_PORTS.get(scheme, "")  # which browsers leave out of Origin, and some proxies put into Host
    is_same = host.removesuffix(port) == site.host.lower().removesuffix(port)
    # A page that came in the clear may be anyone's on the way. The other way round is no news: behind a proxy that
    # undoes the encryption a request of an https page arrives by http.
    return host != "" and is_same and not (scheme == "http" and site.scheme == "https")


def is_from_elsewhere(destination: str | None, relation: str | None) -> bool:
    """Return whether a request may be a foreign page's, so that it is neither held nor remembered unseen.

    Args:
        destination: its `Sec-Fetch-Dest` (https://www.w3.org/TR/fetch-metadata/).
        relation: its `Sec-Fetch-Site`.
    """
    return relation == "cross-site" or destination in _EMBEDDED


def refuse_embedded(headers: Mapping[str, str]) -> None:
    """Refuse to be an `<object>` or `<embed>`, whose page sees by `load` and `error` whether its visitor may read.

    Raises:
        Refusal: `not-allowed`, whatever is asked for, so that there is nothing to see.
    """
    destination = headers.get("sec-fetch-dest")
    if destination in _EMBEDDED:
        detail = f"<{destination}> cannot show what is answered here. Use fetch, EventSource or WebSocket."
        raise Refusal("not-allowed", 403, detail)


def foreign_origin(origin: str | None) -> Refusal:
    """Refuse a stream or socket: browsers send cookies along, whatever page asks (RFC 6455 §10.2)."""
    whose = f"Pages of {origin[:80]!a}" if origin is not None else "Pages of another site, without an Origin,"
    detail = (
        f"{whose} may not open a stream or socket here. If that is the app itself, have the proxy pass Host on "
        "(nginx: proxy_set_header Host $http_host), or believe its X-Forwarded-Host (LANDLINE_TRUSTED_HOPS); else "
        "add the origin to LANDLINE_ORIGINS. The server's log says what the origin was compared with."
    )
    return Refusal("not-allowed", 403, detail)
