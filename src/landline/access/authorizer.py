"""Who may read: what stands before each channel that has a reader function (WIRE §9).

A reader comes in by the grant it brought (`grants`), unless that is revoked (`revocations`); else the app is asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..app import App, Cookies
from ..channels.channel import Resolved
from ..config import Config
from ..follow.hub import Hub
from ..protocol.request import Request
from ..times import SYSTEM, Times
from .forwarded import Forwarded
from .grants import Grant, Grants
from .keys import Keys
from .revocations import Revocations, keep_for


class Admission(NamedTuple):
    """A reader that may come in."""

    grant: Grant | None
    """What lets it read; None: its channels are public."""
    cookies: Cookies = ()
    """What the app set as it was asked just now."""


class Authorizer:
    """Lets readers in, in one process. Safe to use from any thread.

    Args:
        app: is asked, and has the keys.
        hub: reads the log.
        config: the app's.
        forwarded: knows the host that the app was asked about.
        times: clocks and randomness.
    """

    def __init__(
        self,
        app: App,
        hub: Hub,
        config: Config,
        *,
        forwarded: Forwarded,
        times: Times = SYSTEM,
    ) -> None:
        self._app = app
        self._hub = hub
        self.keys = Keys(app.keys)
        self.grants = Grants(self.keys, config, forwarded, clock=times.wall, rand=times.random)
        # See SECURITY.md: revocations-are-forgotten-by-a-steady-clock
        self.revocations = Revocations(hub, keep_for(config), clock=times.clock)

    def check(self, request: Request, closed: Iterable[Resolved], token: str | None) -> Grant | None:
        """Return what a token stands for, None if it is not good here and now.

        Args:
            request: which brought it.
            closed: the channels that it must be for, those with a reader function.
            token: None: the request brought none.

        Raises:
            LogError: the log cannot be read, so it is not known what is revoked.
        """
        if token is None:
            return None
        grant = self.grants.read(token, _names(closed), self.grants.credentials_of(request.headers))
        # See SECURITY.md: grant-ends
        if grant is None or not self.grants.is_current(self.grants.renews(grant)) or self.revocations.cover(grant):
            return None
        return grant

    def ask(self, request: Request, closed: list[Resolved]) -> Admission:
        """Ask the app to let a reader in, which takes a request of the app's own.

        Raises:
            Refusal: the app does not let it read one of the channels, or cannot say.
            LogError: the log cannot be read.
            UsageError: there is no key.
        """
        self.require_key()
        given = self._hub.position()  # before asking: what is revoked while the app thinks is revoked
        # See SECURITY.md: grant-is-from-before-the-question
        identity, cookies = self._app.authorize(request, closed)
        who = () if identity is None else self.keys.marks(identity)
        credentials = self.grants.credentials_of(request.headers)
        # With a cookie the client is sent no grant: it would be bound to the old one. What this opens lives by it.
        # See SECURITY.md: no-grant-comes-with-a-cookie
        return Admission(self.grants.sign(_names(closed), credentials, who, given, fresh=not cookies), cookies)

    def is_revoked(self, grant: Grant | None, *, ask_log: bool = False) -> bool:
        """Return whether what was read under a grant must not be sent any more.

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

    def seconds_left(self, grant: Grant) -> float:
        """Return the seconds for which what a grant has opened may stay open."""
        return self.grants.seconds_left(grant)

    def require_key(self) -> None:
        """Make sure that there is something to sign grants with.

        Raises:
            UsageError: there is not.
        """
        self.keys.signer()


def guarded(items: Iterable[Resolved]) -> list[Resolved]:
    """Return those channels that have a reader function."""
    return [item for item in items if item.channel.reader_function is not None]


def _names(items: Iterable[Resolved]) -> tuple[str, ...]:
    return tuple(sorted(item.name for item in items))
