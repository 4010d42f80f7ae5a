"""The log's word on origins that were refused: one line for each, with what was compared."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from ..protocol.origins import Site
from ..protocol.request import Request

MOST = 100
"""Origins that are logged in an hour at most: a client that makes them up must not fill log or memory."""
FORGET_AFTER = 3600.0
"""Seconds after which they are logged anew: what came first must not hide for good what comes later."""
_LONGEST = 300
"""Characters by which an origin is known: a host's name has at most 253 (RFC 1035 §2.3.4)."""

logger = logging.getLogger("flask_landline")


class RefusedOrigins:
    """Logs the origins whose pages may not read. Safe to use from any thread, without a lock.

    Args:
        listed: `LANDLINE_ORIGINS`.
        clock: monotonic seconds.
    """

    def __init__(self, listed: Iterable[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._listed = list(listed)
        self._clock = clock
        self._seen: dict[str, object] = {}
        self._since = clock()

    def note(self, origin: str, site: Site, request: Request, *, public: bool) -> None:
        """Log an origin, unless that was done.

        Args:
            origin: which no rule permits.
            site: what it was compared with.
            request: the request that named it.
            public: whether all channels asked for are public.
        """
        if self._clock() - self._since > FORGET_AFTER:
            self._since, self._seen = self._clock(), {}
        seen, mine = self._seen, object()
        # One step, so that of two threads one logs; two that look at the length together may log one more than MOST.
        # See SECURITY.md: refused-origins-are-logged-by-the-hundred
        if len(seen) >= MOST or seen.setdefault(origin[:_LONGEST], mine) is not mine:
            return
        logger.warning(
            "Pages of %s may not read %s: the origin is neither this host, %s://%s%s, nor in LANDLINE_ORIGINS, %s%s. "
            "If it is the app's own, have the proxy pass Host on, or believe what it forwards "
            "(LANDLINE_TRUSTED_HOPS, ProxyFix); else add it to LANDLINE_ORIGINS.%s",
            _shown(origin),
            _shown(request.path),
            site.scheme,
            _shown(site.host),
            _disbelieved(request, site),
            self._listed,
            "" if public or "*" not in self._listed else ", whose '*' is for public channels alone",
            "" if len(seen) < MOST else f" It is number {MOST}: no other one is logged for an hour.",
        )


def _disbelieved(request: Request, site: Site) -> str:
    forwarded = request.headers.get("x-forwarded-host")
    if forwarded is None or forwarded == site.host:
        return ""
    return f" (X-Forwarded-Host is {_shown(forwarded)}, of which no more is believed)"


def _shown(text: str) -> str:
    """Quote what a client wrote: short, and without what could end a line."""
    # See SECURITY.md: refused-origins-are-shown-short
    return ascii(text[:100])
