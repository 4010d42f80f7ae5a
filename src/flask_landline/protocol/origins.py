"""Whose pages may read: origins (RFC 6454), and what a browser is told of them (https://fetch.spec.whatwg.org/#cors-protocol).

A page of the same host always may. Of the others those that are listed may, with the cookies that browsers send
along for them; and if `*` is listed everybody's pages, but public channels only, and without cookies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import Refusal, UsageError
from .reply import Reply, status_line

Headers = tuple[tuple[str, str], ...]

_FORM = re.compile(r"([a-z][a-z0-9+.-]*)://(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([0-9]+))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_LABEL = "[a-z0-9_-]+"
_EXPOSED = (("Access-Control-Expose-Headers", "Landline-Interval, Landline-Hold, Retry-After, ETag"),)
PREFLIGHT_AGE = 600
"""Seconds for which a browser need not ask again whether it may ask."""


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
        self._vary: Headers = (("Vary", "Origin"),) if patterns else ()

    def allow(self, headers: Mapping[str, str], *, public: bool) -> bool:
        """Tell whether a page may open a socket; who names no origin is no page."""
        origin = headers.get("origin")
        return (
            origin is None or _is_same_host(origin, headers) or self._is_listed(origin) or (self._everybody and public)
        )

    def answer(self, headers: Mapping[str, str], *, public: bool) -> Headers:
        """Return what an answer to a request with these headers says of origins."""
        origin = headers.get("origin")
        if origin is not None and self._is_listed(origin):
            allowed = (("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"))
            return (*allowed, *_EXPOSED, *self._vary)
        if self._everybody and public:
            return (("Access-Control-Allow-Origin", "*"), *_EXPOSED, *self._vary)
        return self._vary

    def preflight(self, headers: Mapping[str, str]) -> Reply | None:
        """Answer a browser that asks whether it may ask; None if it may not, or is none."""
        answer = self.answer(headers, public=True)
        if "origin" not in headers or "access-control-request-method" not in headers or answer == self._vary:
            return None
        more = [
            ("Access-Control-Allow-Methods", "GET, HEAD"),
            ("Access-Control-Allow-Headers", "Authorization, If-None-Match, Last-Event-ID"),
            ("Access-Control-Max-Age", str(PREFLIGHT_AGE)),
        ]
        return Reply(status_line(204), [*answer, *more], b"")

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


def _is_same_host(origin: str, headers: Mapping[str, str]) -> bool:
    host = origin.partition("://")[2]  # none where a browser says "null": of a sandboxed frame, for one
    return host != "" and host.lower() == headers.get("host", "").lower()


def foreign_origin(origin: str) -> Refusal:
    """Refuse a socket: browsers send cookies with its handshake, whatever page it comes from (RFC 6455 §10.2)."""
    detail = (
        f"Pages of {origin[:80]!a} may not open a socket here. If that is the app itself, have the proxy pass "
        "Host on (nginx: proxy_set_header Host $http_host); else add the origin to LANDLINE_ORIGINS."
    )
    return Refusal("not-allowed", 403, detail)
