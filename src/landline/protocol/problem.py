"""Refusals as `application/problem+json` (WIRE §10, RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..errors import LogError, Refusal
from .reply import Reply, status_line
from .request import shown


class Kind(NamedTuple):
    """One row of WIRE §10."""

    statuses: tuple[int, ...]
    title: str
    passes: bool = False
    """Whether it may pass by itself: the answer then has `Retry-After`."""


# See SECURITY.md: description-is-the-codes
KINDS = {
    "bad-request": Kind((400,), "The request is not of the form this server understands"),
    "bad-cursor": Kind((400,), "The cursor is not one"),
    "too-many-channels": Kind((400,), "Not one to a hundred channels"),
    "not-allowed": Kind((401, 403), "Not for this client"),
    "unknown-channel": Kind((404,), "No such channel"),
    "method": Kind((405,), "Only GET and HEAD"),
    "slow-down": Kind((429,), "Too many requests from this address", passes=True),
    "busy": Kind((503,), "No room for this right now", passes=True),
    "log-unavailable": Kind((503,), "The log cannot be read right now", passes=True),
    "app-failed": Kind((503,), "The app could not answer for this right now", passes=True),
}
"""What a request can be refused for, by code."""
RETRY_AFTER = 2
"""Seconds after which to try again what failed for a passing reason: one default poll interval."""


def problem(refusal: Refusal, more: Iterable[tuple[str, str]] = ()) -> Reply:
    """Render a refusal, with more headers than its own."""
    fields = {
        "type": f"urn:landline:problem:{refusal.code}",
        "title": KINDS[refusal.code].title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        **refusal.fields,
    }
    headers = [*refusal.headers, *more]
    if refusal.retry_after is not None:
        headers.append(("Retry-After", str(refusal.retry_after)))
    return _document(fields, headers)


def not_here(path: str, paths: Iterable[str]) -> Reply:
    """Answer a request for a path that is not one of the wire's.

    It has no code: nothing of the wire was asked for, so to a client it is what any other server's 404 is, and
    the browser's asks whether its address is right.
    """
    detail = (
        f"Nothing is at {shown(path)}. Landline answers {', '.join(sorted(paths))}; see whether the prefix is right."
    )
    return _document({"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail}, [])


def _document(fields: dict[str, Any], headers: list[tuple[str, str]]) -> Reply:
    body = json.dumps(fields).encode()
    # See SECURITY.md: refusals-are-not-stored
    head = [
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
    ]
    return Reply(status_line(fields["status"]), head + headers, body)


def method_refused(method: str) -> Refusal:
    """Refuse a method other than GET and HEAD."""
    allow = (("Allow", "GET, HEAD"),)
    return Refusal("method", 405, f"{method[:20]!a} changes nothing here. Use GET.", headers=allow)


def unknown_channels(names: list[str]) -> Refusal:
    """Refuse channels that the app did not declare; `names` as the client wrote them."""
    detail = f"The app declares no channel {shown(names[0])}. Names are matched exactly, case and all."
    return Refusal("unknown-channel", 404, detail, channels=names)


def not_allowed(names: list[str], status: int) -> Refusal:
    """Refuse channels that the app lets this client not read: 401, if it may help to log in, or 403."""
    what = "Log in, then ask again." if status == 401 else "Ask for the others without it."
    return Refusal(
        "not-allowed", status, f"The app does not let this client read {shown(names[0])}. {what}", channels=names
    )


def busy(detail: str, retry_after: int) -> Refusal:
    """Refuse to hold a request; polling always works."""
    return Refusal("busy", 503, f"{detail} Poll instead; that works.", retry_after=retry_after)


def app_busy(detail: str, retry_after: int) -> Refusal:
    """Refuse a request that is to wait for the app, where too many do."""
    detail = f"{detail} Ask again with the same cursor after Retry-After seconds; nothing is lost."
    return Refusal("busy", 503, detail, retry_after=retry_after)


def rights_change() -> Refusal:
    """Refuse a reader whose rights change again and again while it is answered."""
    detail = "This reader's rights change just now. Ask again with the same cursor after Retry-After seconds."
    return Refusal("busy", 503, detail, retry_after=RETRY_AFTER)


def slow_down(rate: float, retry_after: int) -> Refusal:
    """Refuse a request of an address that makes too many."""
    detail = f"More than {rate:g} requests a second come from this address. Ask again after Retry-After seconds."
    return Refusal("slow-down", 429, detail, retry_after=retry_after)


def log_unavailable(error: LogError | None = None) -> Refusal:
    """Refuse for now. The cause is the operator's to read, not the client's: it may name files."""
    detail = (
        "Events cannot be read right now. Ask again with the same cursor after Retry-After seconds; nothing is lost."
    )
    # See SECURITY.md: refusals-name-no-file, log-says-when-to-come-back
    refusal = Refusal("log-unavailable", 503, detail, retry_after=RETRY_AFTER)
    refusal.__cause__ = error
    return refusal


def app_failed() -> Refusal:
    """Refuse because a function of the app failed: a reader, a snapshot, or what the app runs around them.

    The client learns neither which function nor how. Both are in the server's log, for the app's author.
    """
    detail = (
        "A function of the app failed; the server's log says which, and how. Ask again with the same cursor after "
        "Retry-After seconds; nothing is lost."
    )
    return Refusal("app-failed", 503, detail, retry_after=RETRY_AFTER)
