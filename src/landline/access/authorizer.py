"""Who may read: the gate before each channel that has a reader function (WIRE §9).

Asking the app takes a trip through Flask, so its yes is kept as a grant: a signed token that the client sends along,
and that any process of the app can check by itself. A grant is good for

- exactly the channels it was given for;
- the host, the cookie and the `Authorization` it was given to: a token found in somebody's log opens nothing without
  them, and who has logged in or out since is asked anew;
- some minutes;
- as long as nobody revokes it. A revocation is an event in the log, on a channel that no client can ask for, and a
  grant carries the log's position from before the app was asked: the log's order decides, not clocks.

A grant with anything wrong about it is no grant: the app is asked, and nobody is told what was wrong.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from itsdangerous import BadData

from .. import forks
from ..app import App, Cookies
from ..channels.channel import Resolved
from ..channels.names import RESERVED
from ..config import Config
from ..cursor import Cursor, Position, Word
from ..follow.hub import Hub
from ..protocol.request import Request
from .forwarded import ENVIRON, Forwarded
from .keys import Keys

RENEW_BEFORE = 0.25
"""Share of a grant's life at the end of which it is not accepted any more: whoever uses it is given the next one, and
has it before the first has ended."""
JITTER = 0.1
"""Share of its life that a grant may be short of: lines that were opened together do not end together."""
_PURPOSE = "flask-landline.grant.2"
"""Keeps these signatures apart from everything else that is signed with the app's key, and from grants of other
forms."""

_KNOWN = 4096
"""Signatures remembered as good: looking at one again costs more than the rest of a poll."""

Credentials = tuple[str | None, ...]
"""What a grant is bound to, of a request: its host, and the values of some headers."""


class Grant(NamedTuple):
    """The app's yes to one reader, for some time."""

    names: tuple[str, ...]
    """The channels it is for, sorted; those that need none are not among them."""
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
    def told(self) -> dict[str, Any] | None:
        """What the client is told of it (WIRE §9); None: nothing."""
        return {"token": self.token, "expires": self.expires} if self.fresh else None


class Admission(NamedTuple):
    """A reader that may come in."""

    grant: Grant | None
    """What lets it read; None: its channels are public."""
    cookies: Cookies = ()
    """What the app set as it was asked just now."""


class Authorizer:
    """Lets readers through, in one process.

    Args:
        app: is asked, and has the keys.
        hub: reads the log.
        config: the app's.
        forwarded: knows the host that the app was asked about.
        clock: Unix seconds.
        rand: draws from 0 to 1.
    """

    def __init__(
        self,
        app: App,
        hub: Hub,
        config: Config,
        *,
        forwarded: Forwarded,
        clock: Callable[[], float] = time.time,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._app = app
        self.keys = Keys(app.keys)
        self._hub = hub
        self._forwarded = forwarded
        self._age = config.grant_age
        self._clock = clock
        self._rand = rand
        # See SECURITY.md: grant-is-for-configured-headers
        self._headers = tuple(name.lower() for name in config.credentials)
        self._keys = tuple("HTTP_" + name.upper().replace("-", "_") for name in config.credentials)
        self._known: dict[tuple[str, tuple[str, ...], Credentials], Grant] = {}
        # See SECURITY.md: revocations-are-forgotten-by-a-steady-clock
        self.revocations = Revocations(hub, keep_for(config))

    def admit(self, request: Request, items: Iterable[Resolved], token: str | None) -> Admission:
        """Let a reader in by the grant it brought, by a new one, or by none where all channels are public.

        Raises:
            Refusal: the app lets it read one of them not, or cannot say.
            LogError: the log cannot be read.
        """
        closed = guarded(items)
        if not closed:
            return Admission(None)
        brought = self.check(request, closed, token)
        return self._give(request, closed) if brought is None else Admission(brought)

    def check(self, request: Request, items: Iterable[Resolved], token: str | None) -> Grant | None:
        """Return what a token stands for, None if it is not good here and now.

        Raises:
            LogError: the log cannot be read, so nobody knows what is revoked.
        """
        if token is None:
            return None
        grant = self._read(token, _names(items), self.credentials_of(request.headers))
        # See SECURITY.md: grant-ends
        if grant is None or not self.is_current(self.renews(grant)) or self.revocations.cover(grant):
            return None
        return grant

    def is_revoked(self, grant: Grant | None, *, ask_log: bool = False) -> bool:
        """Tell whether what was read under a grant must not be sent any more.

        Every path that sends something asks this *between* reading and sending: read, revoked meanwhile?, send.
        Asked before the reading, it would miss a revocation that falls in between, and the reading would hold what
        came after it. No reading holds an event that the hub does not know (see `Hub.read`), so looking as far as
        the hub knows is enough for events.

        Args:
            grant: the connection's; None: its channels are public, and nothing is revoked.
            ask_log: ask the log itself for its end first. Needed for snapshots: a function of the app has made them
                just now, and they may show what came after a revocation that the hub does not know yet.

        Raises:
            LogError: the log cannot be read, so nothing may be sent.
        """
        if grant is None:
            return False
        # See SECURITY.md: snapshots-are-looked-at-by-the-log
        if ask_log:
            self._hub.tail()
        return self.revocations.cover(grant)

    def renews(self, grant: Grant) -> float:
        """Return the time from which a grant is not accepted any more, Unix seconds; what it has opened goes on."""
        return grant.expires - RENEW_BEFORE * self._age

    def is_current(self, renews: float) -> bool:
        """Whether a grant that is to be renewed at a time, Unix seconds, is accepted now.

        Not one that has longer to go than any grant has when it is given: the clock was ahead then, and nobody knows
        how long ago that was.
        """
        # See SECURITY.md: grant-from-the-future-has-ended
        return 0 < renews - self._clock() <= (1 - RENEW_BEFORE) * self._age + 0.001  # expiries are rounded

    def seconds_left(self, grant: Grant) -> float:
        """Return the seconds for which what a grant has opened may stay open."""
        # See SECURITY.md: line-ends-with-its-grant, line-ends-with-its-grant-whatever-the-clock
        return min(max(0.0, grant.expires - self._clock()), self._age)

    def credentials(self, environ: Mapping[str, Any]) -> Credentials:
        """Return what a grant is bound to, of a WSGI environment."""
        return (self._forwarded.seen_host(environ, ENVIRON), *[environ.get(key) for key in self._keys])

    def credentials_of(self, headers: Mapping[str, str]) -> Credentials:
        """Return the same of headers, names in lower case.

        The host is among it: the app may let a reader read at one host and not at another, where the same channel has
        another snapshot, and the reader may send the one host's cookies to the other by hand.
        """
        # See SECURITY.md: grant-is-for-its-host
        return (self._forwarded.seen_host(headers), *[headers.get(name) for name in self._headers])

    def require_key(self) -> None:
        """Make sure that there is something to sign grants with.

        Raises:
            UsageError: there is not.
        """
        self.keys.signer()

    def _give(self, request: Request, closed: list[Resolved]) -> Admission:
        names, credentials = _names(closed), self.credentials_of(request.headers)
        signer = self.keys.signer()
        given = self._hub.position()  # before asking: what is revoked while the app thinks is revoked
        # See SECURITY.md: grant-is-from-before-the-question
        identity, cookies = self._app.authorize(request, closed)
        who = () if identity is None else self.keys.marks(identity)
        expires = round(self._clock() + self._age * (1 - JITTER * self._rand()), 3)
        token = signer.dumps([who, expires, *given], salt=self._salt(names, credentials))
        # With a cookie the client is sent no grant: it would be bound to the old one. What this opens lives by it.
        # See SECURITY.md: no-grant-comes-with-a-cookie
        return Admission(Grant(names, who, expires, given, str(token), fresh=not cookies), cookies)

    def _read(self, token: str, names: tuple[str, ...], credentials: Credentials) -> Grant | None:
        """Return what stands in a token that is signed for these channels and credentials; it may have ended."""
        # See SECURITY.md: remembered-grant-is-its-readers
        key = (token, names, credentials)
        grant = self._known.get(key)
        if grant is None:
            try:
                # See SECURITY.md: grant-is-signed
                who, expires, *given = self.keys.signer().loads(token, salt=self._salt(names, credentials))
            except BadData:
                return None
            grant = Grant(names, tuple(who), expires, Cursor(*given), token)
            # See SECURITY.md: good-grants-are-remembered-by-the-thousand
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key] = grant
        return grant

    def _salt(self, names: tuple[str, ...], credentials: Credentials) -> bytes:
        """Return what a signature holds for beside what it signs.

        It is not in the token, which would be longer, and in URLs there would be something of somebody's password.
        The age is in it because revocations are kept by it: a grant from before it was lowered would outlive them. The
        headers' names are in it because a value says little without: one configured later may be anybody's to write.
        """
        # See SECURITY.md: grant-has-a-purpose, grant-is-for-its-channels, grant-is-for-its-credentials
        # See SECURITY.md: grant-is-of-its-age, grant-is-for-a-headers-name
        return json.dumps([_PURPOSE, self._age, names, self._headers, credentials]).encode()


class Revocations:
    """What was revoked, as far as the log tells; safe to use from any thread.

    Args:
        hub: reads the log.
        keep_for: seconds for which a revocation matters.
        clock: monotonic seconds. A wall clock that is ahead for a while would have revocations forgotten, and the
            grants they void would be good again once it is set right.
    """

    def __init__(self, hub: Hub, keep_for: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._keep_for = keep_for
        self._clock = clock
        self._position: Position = Word.START
        self._newest: dict[tuple[str, str], tuple[int, float]] = {}
        """Of each reader's mark and each channel the newest revocation's offset, and when it was read, oldest first."""
        self._floor = 0
        """Offset up to which the log has revocations no more. A grant from before it has ended long since, or a clock
        was ahead when they were trimmed, and nobody knows what was revoked."""
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Have a lock that no thread of the parent holds."""
        self._lock = threading.Lock()
        self._generation: object = None

    def cover(self, grant: Grant) -> bool:
        """Tell whether a grant is revoked: by its reader, by one of its channels, or by another life of the log.

        Raises:
            LogError: the log cannot be read.
        """
        generation = self._hub.generation()
        with self._lock:
            if generation is not self._generation:
                self._catch_up()
                self._generation = generation
            keys = [("channel", name) for name in grant.names] + [("who", mark) for mark in grant.who]
            newest = max(self._newest.get(key, (0, 0.0))[0] for key in keys)
            assert isinstance(self._position, Cursor)
            # See SECURITY.md: grant-from-before-trimmed-revocations-is-none
            missed = max(newest, self._floor)
            # See SECURITY.md: revocation-counts, grant-is-of-one-life-of-the-log
            return grant.given.epoch != self._position.epoch or missed > grant.given.offset

    def _catch_up(self) -> None:
        more, now = True, self._clock()
        while more:
            is_gap = self._position is Word.START
            reading = self._hub.read((RESERVED,), self._position)
            if reading.reset is not None:
                is_gap = True
                if reading.reset.reason != "trimmed":
                    self._newest.clear()
            if is_gap:  # after reading: what was trimmed in between is noticed
                self._floor = self._hub.floor(RESERVED)
            for event in reading.events:
                if "app" in event.data:
                    continue  # what an app says of itself: see `apps`
                for kind, marks in event.data.items():
                    for mark in marks:
                        self._newest.pop((kind, mark), None)
                        self._newest[kind, mark] = event.offset, now
            # See SECURITY.md: all-revocations-are-read
            more = reading.more
            self._position = reading.cursor if more else reading.tail
        forgotten = now - self._keep_for
        # See SECURITY.md: old-revocations-are-forgotten
        while self._newest and next(iter(self._newest.values()))[1] < forgotten:
            del self._newest[next(iter(self._newest))]


def guarded(items: Iterable[Resolved]) -> list[Resolved]:
    """Return those channels that have a reader function."""
    return [item for item in items if item.channel.reader_function is not None]


def keep_for(config: Config) -> float:
    """Return the seconds for which a revocation is kept: twice a grant's life, as the clocks of machines differ."""
    # See SECURITY.md: revocation-outlives-grants
    return 2 * config.grant_age


def _names(items: Iterable[Resolved]) -> tuple[str, ...]:
    return tuple(sorted(item.name for item in items))
