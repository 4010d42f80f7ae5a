"""The access log of held requests: one line each, at the end. A server's own does not say how long one was held."""

from __future__ import annotations

import logging
from urllib.parse import unquote_plus

logger = logging.getLogger("flask_landline.access")


def log(remote: str, transport: str, query: str, seconds: float, told: int, reason: str) -> None:
    """Write a held request's line.

    Args:
        remote: the client's address.
        transport: how it was held.
        query: its query, as the client wrote it.
        seconds: how long it was held.
        told: events told.
        reason: why it ended: `done`, `gone` (the client), `slow` (it was cut), `left` (the process ended).
    """
    if not logger.isEnabledFor(logging.INFO):
        return  # ten thousand polls that end at once would each have a line made that nobody writes
    # ascii: what a client sent must not be able to end the line.
    shown = ascii(without_grant(query))[1:-1]
    logger.info("%s %s ?%s %.1fs %d events, %s", remote, transport, shown, seconds, told, reason)


def without_grant(query: str) -> str:
    """Return a query as a log may have it: a grant is worth something for as long as it is good."""
    return "&".join(_masked(pair) for pair in query.split("&"))


def _masked(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    # Decoded: `%67rant` is the same parameter to whoever reads the query.
    return f"{name}=-" if equals and unquote_plus(name) == "grant" else pair
