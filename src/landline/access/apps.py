"""Which apps use this log, and what they guard.

Two apps may have one log, on purpose or by chance (two modules in one folder have one instance folder). Channels of one
name are then one channel, and what one app closes with a reader function stood open in the other. So each app says in
the log what it is called and which rules it guards, and each looks at what the others say.

Invariants:

- An app says so *before* it publishes, so in the log's order it stands before anything that it guards.
- Statements are events on the reserved channel, beside revocations. The newest of an app counts. It is said again when
  it is another one or grows old, by one process at a time (a lease), so neither many workers that start together nor
  one that starts again and again fill the log. It is kept for `KEEP` seconds: an app that is gone is forgotten.
- What is asked before something is sent (`closes`) looks as far as the hub knows; no reading holds a newer event.
- An app whose log no other app can have, `memory:`, says nothing.

Safe to use from any thread: what was said changes under `_lock`, and is replaced as a whole.

Known weakness: two apps of one name are one app here.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .. import forks
from ..channels.channel import Resolved
from ..channels.names import RESERVED, Channels, form
from ..config import Config
from ..cursor import Position, Word
from ..errors import LogError, UsageError
from ..follow.hub import Hub
from ..logs.base import Log, Retention

KEEP = 7 * 86_400.0
"""Seconds for which a statement is kept: an app that has not run for a week guards nothing any more."""
RENEW = 86_400.0
"""Seconds after which a statement is said again: one event a day."""
LOOK = 3600.0
"""Seconds between two looks whether it is time for that, in a process that runs on."""
AGAIN = 5.0
"""Seconds until the next try where the log failed, or where another process is just saying the same."""
PUBLISH_LOOK = 1.0
"""Seconds for which publishing goes by what is known of other apps: asking at each event would cost as much again."""

logger = logging.getLogger("flask_landline")


class Statement(NamedTuple):
    """What an app has said of itself."""

    guarded: frozenset[str]
    """Its rules with a reader function, as `channel.form` has them."""
    since: float
    """When an app of this name first said something, Unix seconds: the oldest one is the log's first."""
    at: float


class Apps:
    """The apps of one log, as one of them sees them in one process.

    Args:
        name: this app's.
        channels: its channels.
        log: where it is said.
        hub: reads the log.
        config: the app's.
        clock: Unix seconds.
        monotonic: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        channels: Channels,
        log: Log,
        hub: Hub,
        config: Config,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._channels = channels
        self._log = log
        self._hub = hub
        self._named = config.log_apps
        self._clock = clock
        self._monotonic = monotonic
        self._is_alone = config.log == "memory:"
        self._warned: set[object] = set()
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Look again: the child may have another log than its parent, and is another holder of leases."""
        self._lock = threading.Lock()
        self._holder = secrets.token_hex(8)
        self._position: Position = Word.START
        self._said: dict[str, Statement] = {}
        self._guards: dict[str, str] = {}
        """Of each rule that another app guards, that app's name."""
        self._generation: object = None
        self._due = self._look_due = 0.0
        self._stated = -1

    @property
    def due(self) -> bool:
        """Whether it is time to look whether something is to be said, which may take its time."""
        if self._is_alone:
            return False
        return self._stated != self._channels.guards or self._monotonic() >= self._due

    def say(self) -> None:
        """Say what this app guards, unless the log has it already. A log that fails is warned of, and tried again."""
        if not self.due or not self._lock.acquire(blocking=False):
            return  # another thread is at it
        try:
            guards = self._channels.guards
            self._due = self._monotonic() + (LOOK if self._is_stated() else AGAIN)
            self._stated = guards
        except LogError as error:
            self._due, self._stated = self._monotonic() + AGAIN, self._channels.guards
            self._hub.warn("What this app guards could not be told to other apps on its log.", error)
        finally:
            self._lock.release()

    def closes(self, items: Iterable[Resolved]) -> bool:
        """Tell whether another app guards one of these channels that this app has open.

        Asked between reading and sending, like a revocation.

        Raises:
            LogError: the log cannot be read.
        """
        if self._is_alone:
            return False
        with self._lock:
            if self._generation is not self._hub.known:
                self._catch_up()
        return any(self._guard(item) is not None for item in items)

    def require_own(self, item: Resolved) -> None:
        """Make sure that no other app guards a channel that this app has open.

        Raises:
            UsageError: one does; what is published here would be read there by whom that app lets, and here by all.
        """
        if self._is_alone or item.channel.reader_function is not None:
            return
        if self._monotonic() >= self._look_due:
            self._look_due = self._monotonic() + PUBLISH_LOOK
            try:
                self._hub.tail()
                self.closes((item,))
            except LogError:
                return  # storing the event raises it again, with the cause
        # See SECURITY.md: what-another-app-guards-is-not-published
        if (guard := self._guard(item)) is not None:
            raise UsageError(self._conflict(item, guard))

    def _guard(self, item: Resolved) -> str | None:
        """Return the name of the app that guards a channel which is open here."""
        if not self._guards or item.channel.reader_function is not None:
            return None
        guard = self._guards.get(form(item.channel.rule))
        if guard is not None:
            self._warn_once((item.channel.rule, guard), logging.ERROR, self._conflict(item, guard))
        return guard

    def _conflict(self, item: Resolved, guard: str) -> str:
        return (
            f"App {self._name!r} has channel {item.channel.rule!r} open, and app {guard!r}, which has the same log, "
            "decides who may read it. It is neither read nor published to here. Give one of the apps a log of its own "
            f"(LANDLINE_LOG = 'sqlite:///{self._name}.db'), or give the channel another name, or a reader function."
        )

    def _is_stated(self) -> bool:
        """Say it if need be; False if another process is at it. The caller holds `_lock`."""
        self._hub.tail()
        self._catch_up()
        guarded = sorted({form(channel.rule) for channel in self._channels if channel.reader_function is not None})
        mine = self._said.get(self._name)
        now = self._clock()
        # See SECURITY.md: starts-fill-no-log
        if mine is None or mine.guarded != frozenset(guarded) or mine.at < now - RENEW:
            if not self._log.lease(f"app:{self._name}", AGAIN, self._holder):
                return False
            since = now if mine is None else mine.since
            said = {"app": self._name, "guarded": guarded, "since": since}
            self._log.append(RESERVED, json.dumps(said), Retention(None, KEEP))
            self._hub.invalidate()
            self._hub.tail()
            self._catch_up()
        self._look_around()
        return True

    def _catch_up(self) -> None:
        generation, said, more = self._hub.known, dict(self._said), True
        while more:
            reading = self._hub.read((RESERVED,), self._position)
            if reading.reset is not None and reading.reset.reason != "trimmed":
                said.clear()
            for event in reading.events:
                if "app" in event.data:
                    said[event.data["app"]] = Statement(frozenset(event.data["guarded"]), event.data["since"], event.at)
            more = reading.more
            self._position = reading.cursor if more else reading.tail
        forgotten = self._clock() - KEEP
        self._said = {name: one for name, one in said.items() if one.at > forgotten}
        self._guards = {rule: name for name, one in self._said.items() if name != self._name for rule in one.guarded}
        self._generation = generation
        self._look_around()

    def _look_around(self) -> None:
        """Warn once if this app shares a log that it is not named for."""
        if self._name not in self._said:
            return
        first = min(self._said, key=lambda name: (self._said[name].since, name))
        if self._name in (self._named or (first,)):
            return
        others = sorted(self._said.keys() - {self._name})
        names = [*others, self._name]
        self._warn_once(
            None,
            logging.WARNING,
            f"App {self._name!r} has the log of {', '.join(map(repr, others)) or 'no other app'}, and "
            "LANDLINE_LOG_APPS does not name it: channels of one name are one channel for all of them. Give it a log "
            f"of its own (LANDLINE_LOG = 'sqlite:///{self._name}.db'), or name all of them, in each: "
            f"LANDLINE_LOG_APPS = {names!r}.",
        )

    def _warn_once(self, what: object, level: int, text: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            logger.log(level, "%s", text)
