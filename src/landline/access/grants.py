"""Grants: the app's yes to a reader, signed, which any process of the app can check by itself (WIRE §9).

Asking the app takes a request of its own, so what it said is kept by the client and sent along. A grant is good for

- exactly the channels it was given for;
- the host, the cookie and the `Authorization` it was given to: a token that is found in a log opens nothing without
  them, and a reader that has logged in or out since is asked about anew;
- some minutes;
- as long as no revocation voids it (see `revocations`).

A token with anything wrong about it is no grant: the app is asked, and no client learns what was wrong.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from itsdangerous import BadData

from ..config import Config
from ..cursor import Cursor
from .forwarded import Forwarded
from .keys import Keys

RENEW_BEFORE = 0.25
"""Share of a grant's life at the end of which it is not accepted any more: a reader that sends it is given the next
one, and has it before the first has ended."""
JITTER = 0.1
"""Share of its life that a grant may be short of: connections that were opened together do not end together."""
_PURPOSE = "flask-landline.grant.2"
"""Keeps these signatures apart from everything else that is signed with the app's key, and from grants of other
forms."""
_KNOWN = 4096
"""Signatures remembered as good: checking one again costs more than the rest of a poll. Each takes some hundred bytes,
however long the names and cookies it was signed for, so all of them at most some megabytes."""

Credentials = tuple[str | None, ...]
"""What a grant is bound to, of a request: its host, and the values of some headers."""


class Grant(NamedTuple):
    """The app's yes to one reader, for some time."""

    names: tuple[str, ...]
    """The channels it is for, sorted; public ones, which need no grant, are not among them."""
    who: tuple[str, ...]
    """Whose it is: the reader's mark by each key (see `Keys.marks`); none where the app does not tell readers apart."""
    expires: float
    """Unix seconds."""
    given: Cursor
    """The log's position before the app was asked."""
    token: str
    fresh: bool = False
    """Whether the client does not have it yet."""

    @property
    def unsent(self) -> dict[str, Any] | None:
        """What the client must be sent of it (WIRE §9); None: it has it already."""
        return {"token": self.token, "expires": self.expires} if self.fresh else None


class _Signed(NamedTuple):
    """What a token says. Not the names and credentials it is signed for: whoever asks has brought them."""

    who: tuple[str, ...]
    expires: float
    given: Cursor


class Grants:
    """Signs grants, and reads those that clients bring. Safe to use from any thread.

    Args:
        keys: the app's.
        config: the app's.
        forwarded: knows the host that the app was asked about.
        clock: Unix seconds.
        rand: draws from 0 to 1.
    """

    def __init__(
        self,
        keys: Keys,
        config: Config,
        forwarded: Forwarded,
        *,
        clock: Callable[[], float] = time.time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._keys = keys
        self._forwarded = forwarded
        self._age = config.grant_age
        self._clock = clock
        self._rand = rand
        # See SECURITY.md: grant-is-for-configured-headers
        self._headers = tuple(name.lower() for name in config.credentials)
        self._known: dict[bytes, _Signed] = {}
        """What good tokens say, by a hash of them and all that they are signed for."""

    def sign(
        self, names: tuple[str, ...], credentials: Credentials, who: tuple[str, ...], given: Cursor, *, fresh: bool
    ) -> Grant:
        """Make a grant.

        Args:
            names: the channels it is for, sorted.
            credentials: the request's.
            who: the reader's marks.
            given: the log's position before the app was asked.
            fresh: whether the client is to be sent it.

        Raises:
            UsageError: there is no key.
        """
        expires = round(self._clock() + self._age * (1 - JITTER * self._rand()), 3)
        token = self._keys.signer().dumps([who, expires, *given], salt=self._salt(names, credentials))
        return Grant(names, who, expires, given, str(token), fresh)

    def read(self, token: str, names: tuple[str, ...], credentials: Credentials) -> Grant | None:
        """Return the grant that a token is, None if it is not signed for these channels and credentials.

        The grant may have ended, and may be revoked.
        """
        salt = self._salt(names, credentials)
        # See SECURITY.md: remembered-grant-is-its-readers, remembered-grants-are-small
        key = blake2b(salt + token.encode(), digest_size=32).digest()
        signed = self._known.get(key)
        if signed is None:
            try:
                # See SECURITY.md: grant-is-signed
                who, expires, *given = self._keys.signer().loads(token, salt=salt)
            except BadData:
                return None
            signed = _Signed(tuple(who), expires, Cursor(*given))
            # See SECURITY.md: good-grants-are-remembered-by-the-thousand
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key] = signed
        return Grant(names, signed.who, signed.expires, signed.given, token)

    def renews(self, grant: Grant) -> float:
        """Return the time from which a grant is not accepted any more, Unix seconds; what it has opened goes on."""
        return grant.expires - RENEW_BEFORE * self._age

    def is_current(self, renews: float) -> bool:
        """Return whether a grant that is to be renewed at a time, Unix seconds, is accepted now.

        Not one that has longer to go than any grant has when it is given: the clock was ahead then, and how long ago
        that was cannot be known.
        """
        # See SECURITY.md: grant-from-the-future-has-ended
        return 0 < renews - self._clock() <= (1 - RENEW_BEFORE) * self._age + 0.001  # expiries are rounded

    def seconds_left(self, grant: Grant) -> float:
        """Return the seconds for which what a grant has opened may stay open."""
        # See SECURITY.md: line-ends-with-its-grant, line-ends-with-its-grant-whatever-the-clock
        return min(max(0.0, grant.expires - self._clock()), self._age)

    def credentials_of(self, headers: Mapping[str, str]) -> Credentials:
        """Return what a grant is bound to, of a request's headers, names in lower case.

        The host is among it: the app may let a reader read at one host and not at another, where the same channel has
        another snapshot, and the reader may send the one host's cookies to the other by hand.
        """
        # See SECURITY.md: grant-is-for-its-host
        return (self._forwarded.seen_host(headers), *[headers.get(name) for name in self._headers])

    def _salt(self, names: tuple[str, ...], credentials: Credentials) -> bytes:
        """Return what a signature holds for beside what it signs.

        It is not in the token, which would be longer, and in URLs there would be something of a reader's password.
        The age is in it because revocations are kept by it: a grant from before it was lowered would outlive them. The
        headers' names are in it because a value says little without: one configured later may be written by anybody.
        """
        # See SECURITY.md: grant-has-a-purpose, grant-is-for-its-channels, grant-is-for-its-credentials
        # See SECURITY.md: grant-is-of-its-age, grant-is-for-a-headers-name
        return json.dumps([_PURPOSE, self._age, names, self._headers, credentials]).encode()
