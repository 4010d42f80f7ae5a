"""The access log of held requests: one line each, at the end. A server's own does not say how long one was held."""

from __future__ import annotations

import logging
from urllib.parse import unquote_plus

from .observers import Closed, Observer

LONGEST = 512
"""Characters of a query in a line: a stranger's may have 32,000, and there is a line for each request."""
_LONGEST_REMOTE = 64

logger = logging.getLogger("flask_landline.access")


class AccessLog(Observer):
    """Writes a line for each held request, at its end."""

    def closed(self, what: Closed) -> None:
        """Write a held request's line."""
        log(*what)


def log(remote: str, transport: str, query: str, seconds: float, sent: int, reason: str) -> None:
    """Write a held request's line.

    Args:
        remote: the client's address.
        transport: how it was held.
        query: its query, as the client wrote it.
        seconds: how long it was held.
        sent: events sent.
        reason: why it ended: `done`, `gone` (the client), `slow` (it was cut), `left` (the process ended).
    """
    if not logger.isEnabledFor(logging.INFO):
        return  # ten thousand polls that end at once would each have a line made that nobody writes
    # See SECURITY.md: access-log-address
    address = _shown(remote, _LONGEST_REMOTE)  # what a `ProxyFix` took it from may be anything
    logger.info("%s %s ?%s %.1fs %d events, %s", address, transport, _shown_query(query), seconds, sent, reason)


def _shown_query(query: str) -> str:
    """Return what a line has of a query: without grants, and not too much of it."""
    # Cut first, so that a long one costs no more; what is cut of a grant is masked like a whole one.
    # See SECURITY.md: access-log-is-short
    return _shown(without_grant(query[: LONGEST + 1]), LONGEST)


def _shown(text: str, longest: int) -> str:
    """Return text of a client's that cannot end the line, and is no longer than so many characters."""
    # See SECURITY.md: access-log-line
    shown = ascii(text[: longest + 1])[1:-1]
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


def without_grant(query: str) -> str:
    """Return a query as a log may have it: a grant is worth something for as long as it is good."""
    return "&".join(_masked(pair) for pair in query.split("&"))


def _masked(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    # Decoded: `%67rant` is the same parameter to whoever reads the query.
    # See SECURITY.md: grant-is-masked-in-logs, grant-is-masked-however-it-is-spelled
    return f"{name}=-" if equals and unquote_plus(name) == "grant" else pair
