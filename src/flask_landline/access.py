"""The access log of held requests: one line each, at the end. A server's own does not say how long one was held."""

from __future__ import annotations

import logging

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
    # ascii: what a client sent must not be able to end the line.
    logger.info("%s %s ?%s %.1fs %d events, %s", remote, transport, ascii(query)[1:-1], seconds, told, reason)
