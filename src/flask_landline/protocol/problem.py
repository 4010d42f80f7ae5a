"""Refusals as `application/problem+json` (WIRE §10, RFC 9457)."""

from __future__ import annotations

import json

from ..errors import LogError, Refusal
from .reply import Reply, status_line
from .request import shown

_TITLES = {
    "bad-request": "The request is not of the form this server understands",
    "bad-cursor": "The cursor is not one",
    "too-many-channels": "Not one to a hundred channels",
    "unknown-channel": "No such channel",
    "method": "Only GET and HEAD",
    "not-allowed": "Not for this client",
    "busy": "No room for this right now",
    "log-unavailable": "The log cannot be read right now",
}
RETRY_AFTER = 2
"""Seconds after which to try again what failed for a passing reason: one default poll interval."""


def problem(refusal: Refusal) -> Reply:
    """Render a refusal."""
    fields = {
        "type": f"urn:landline:problem:{refusal.code}",
        "title": _TITLES[refusal.code],
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        **refusal.fields,
    }
    body = json.dumps(fields).encode()
    headers = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *refusal.headers,
    ]
    if refusal.retry_after is not None:
        headers.append(("Retry-After", str(refusal.retry_after)))
    return Reply(status_line(refusal.status), headers, body)


def method_refused(method: str) -> Refusal:
    """Refuse a method other than GET and HEAD."""
    allow = (("Allow", "GET, HEAD"),)
    return Refusal("method", 405, f"{method[:20]!a} changes nothing here. Use GET.", headers=allow)


def unknown_channels(names: list[str]) -> Refusal:
    """Refuse channels that the app did not declare; `names` as the client wrote them."""
    detail = f"The app declares no channel {shown(names[0])}. Names are matched exactly, case and all."
    return Refusal("unknown-channel", 404, detail, channels=names)


def busy(detail: str) -> Refusal:
    """Refuse to hold a request; polling always works."""
    return Refusal("busy", 503, f"{detail} Poll instead; that works.", retry_after=RETRY_AFTER)


def log_unavailable(error: LogError | None = None) -> Refusal:
    """Refuse for now. The cause is the operator's to read, not the client's: it may name files."""
    detail = (
        "Events cannot be read right now. Ask again with the same cursor after Retry-After seconds; nothing is lost."
    )
    refusal = Refusal("log-unavailable", 503, detail, retry_after=RETRY_AFTER)
    refusal.__cause__ = error
    return refusal
