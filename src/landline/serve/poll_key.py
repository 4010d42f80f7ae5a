"""What makes two polls one question, so that the second may be given the answer of the first."""

from __future__ import annotations

from typing import NamedTuple

from ..access.grants import Credentials, Grants
from ..protocol.origins import is_from_elsewhere
from ..protocol.request import Request


class PollKey(NamedTuple):
    """The question of a plain poll.

    Polls of one key are answered alike, by what was offered to their clients and until something is new.
    """

    query: str
    credentials: Credentials
    """What a grant in the query is bound to; empty where it has none."""

    @classmethod
    def of(cls, request: Request, grants: Grants) -> PollKey | None:
        """Return the question of a poll; None if its answer depends on more than its query and grant.

        That of another method, of a client that names the answer it has, of a page of another origin, and of a page
        of another site that does not say so.

        Args:
            request: to the address of polls.
            grants: know what a grant is bound to.
        """
        headers = request.headers
        # See SECURITY.md: answers-to-origins-are-not-remembered
        if request.method != "GET" or "if-none-match" in headers or "origin" in headers:
            return None
        # See SECURITY.md: foreign-polls-are-not-remembered
        if is_from_elsewhere(headers.get("sec-fetch-dest"), headers.get("sec-fetch-site")):
            return None
        return cls(request.query, grants.credentials_of(headers) if "grant=" in request.query else ())

    @property
    def has_grant(self) -> bool:
        """Whether the query may hold a grant; an answer to it is then one reader's alone."""
        return bool(self.credentials)
