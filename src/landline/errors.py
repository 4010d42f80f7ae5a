"""Everything Landline raises.

LandlineError
├── UsageError   the app's author must change something
├── Refusal      the client asked for what it cannot get; becomes a problem+json answer
└── LogError     the store failed; `retryable` says whether the same call may succeed later
"""

from __future__ import annotations

from typing import Any


class LandlineError(Exception):
    """Any error of Landline."""


class UsageError(LandlineError):
    """The app uses Landline wrongly; the message says what with which value, and what to do."""


class LogError(LandlineError):
    """The log could not be read or written. Nothing of the failed call was stored."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether the same call may succeed later without anybody's help."""


class Refusal(LandlineError):
    """An answer other than 200 for a client (WIRE §10, RFC 9457).

    Args:
        code: one of the codes of the wire, for programs.
        status: the HTTP status.
        detail: what was wrong with which value and what to do, for people.
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
