"""Everything Landline raises.

LandlineError
├── UsageError   the app's author must change something
├── Refusal      the client asked for what it cannot get; becomes a problem+json answer
└── LogError     the store failed; `retryable` says whether the same call may succeed later
"""

from __future__ import annotations

from typing import Any


class LandlineError(Exception):
    """Any error that Landline raises; catch this to catch all of them."""


class UsageError(LandlineError):
    """The app uses Landline wrongly. The message says what happened with which value, and what to change."""


class LogError(LandlineError):
    """The log could not be read or written. Nothing of the failed call was stored."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether the same call may succeed later, although nothing is repaired."""


class Refusal(LandlineError):
    """A client asked for what it cannot get; Landline answers it with a problem object (WIRE §10, RFC 9457).

    An app seldom meets one.

    Args:
        code: one of the wire's codes, for programs.
        status: the HTTP status.
        detail: for people: what was wrong with which value, and what to do.
        retry_after: seconds for the `Retry-After` header; None leaves it out.
        headers: further response headers.
        fields: further members of the problem object, such as `channels`.
    """

    def __init__(
        self,
        code: str,
        status: int,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        **fields: Any,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.headers = headers
        self.fields = fields
