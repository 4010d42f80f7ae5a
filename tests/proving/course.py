"""One case in one browser: read, fall, climb back, while events are published all the time; and its account."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from tests.held.servers import Find, Server
from tests.proving.browsers import Opener, Page
from tests.proving.faults import Network
from tests.proving.proxy import Proxy
from tests.proving.site import Site

T = TypeVar("T")

INTERVAL = 1.0
"""Seconds between short polls, as the servers here advise."""
STRETCH = 1.1
"""Up to so much longer the client waits, so that pages do not march in step (js/src/pace.js)."""
PROOF = 2.0
"""Seconds a new line has to prove itself."""
CONFIG: dict[str, Any] = {"LANDLINE_INTERVAL": INTERVAL, "LANDLINE_KEEPALIVE": 1.0, "LANDLINE_HOLD": 4.0}

WEBKITS = ("WebKit", "WebKit 2.38")
"""Safari's engine of today, and the one that Safari 16.0 has; both for the night."""

LOOK = 0.25
"""Seconds between two looks at a page; what it tells has the page's own times."""
PATIENCE = 150.0
"""Seconds until something is taken never to come: the client pauses for a minute at most, and machines may be slow."""
STEADY = 5
"""Events on the rung climbed back to, before the case is closed."""


@dataclass(frozen=True, eq=False)
class Case:
    """What goes wrong, and what the client is to make of it."""

    name: str
    fault: "Callable[[Course], AbstractAsyncContextManager[None]]"
    rung: str | None
    """Where it stands while the fault lasts; `offline`: nothing gets through; None: no rung lasts, so it changes."""
    lasts: float | None = None
    """Seconds for which the fault lasts; None: until the client stands there, and enough has arrived."""
    enough: int = 12
    """Events that arrive there before the fault goes."""
    pause: float = 0.25
    """Seconds between two events."""
    blocks: bool = False
    """While it lasts nothing can get through by any way: what is published at its begin waits for its end."""
    delay: float = 0
    """Seconds by which the fault itself holds back what is asked for in time."""
    resets: tuple[str, ...] = ()
    config: dict[str, Any] | None = None
    """A server of its own, which is told this beyond `CONFIG`."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the page is told beyond the usual."""
    best: str = "websocket"
    browsers: tuple[str, ...] = ("Chromium", *WEBKITS)
    always: tuple[str, ...] = ()
    """The browsers in which it runs for each change; the others' turn is at night."""
    control: bool = False
    """Nothing goes wrong, as long as all others go on: tells how late the machine is by itself."""


@dataclass(frozen=True)
class Row:
    """What became of a case."""

    case: Case
    browser: str
    rung: str
    worst: float
    """Seconds from the publishing to the handler, of the slowest event published while the fault lasted."""
    allowed: float
    """Seconds that `worst` may be, but for what the machine is late."""
    events: int
    lost: list[int]
    twice: list[int]
    disordered: list[int]
    resets: tuple[str, ...]
    uncaught: list[str]
    after: str
    climb: float
    """Seconds from the fault's end until it stood on `after`, and stayed. 0: it stood there already."""
    beside: float
    """Seconds that the slowest event needed to an `EventSource` beside the client, which no fault is in the way of."""
    told: list[dict[str, Any]]


class Course:
    """Runs a case.

    Args:
        case: which.
        number: of its feed, which it has for itself.
        site: has the feed.
        server: of the site.
        find: finds programs.
        folder: its own.
    """

    def __init__(self, case: Case, number: int, site: Site, server: Server, find: Find, folder: Path) -> None:
        self.case = case
        self.channel = f"feed/{number}"
        self.site = site
        self.server = server
        self.find = find
        self.folder = folder
        self.network = Network()
        self.proxy = Proxy(server.port)
        self.proxy.faults = (self.network,)
        self.published = 0
        """The newest number published, from 1."""
        self.told: list[dict[str, Any]] = []
        self._path = f"/feed/{number}"
        self.page: Page
        self._stop = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._left = contextlib.AsyncExitStack()
        self._cleared = 0
        """The last number of the log that was deleted, if it was."""

    async def run(self, name: str, browser: Opener, others: asyncio.Event) -> Row:
        case = self.case
        async with self._left, self.proxy:
            options = {"proveMs": round(PROOF * 1000), **case.options}
            self.page = await browser.open(f"{self.proxy.base}{self._path}?options={quote(json.dumps(options))}")
            self._left.push_async_callback(self.page.close)
            publishing = asyncio.create_task(self._publish())
            try:
                await self._until(lambda: self.rung() == case.best and self._arrived(0) >= STEADY, "the line, at first")
                began = time.time()
                async with case.fault(self):
                    if case.control:
                        await others.wait()
                    elif case.lasts is not None:
                        await asyncio.sleep(case.lasts)
                    else:
                        await self._until(lambda: self._has_fallen(began), "the fall")
                ended = time.time()
                await self._until(lambda: self._has_climbed(ended), "the climb back")
            finally:
                self._stop.set()
                await publishing
            await self._until(
                lambda: any(event["number"] == self.published for event in self._events()), "the last event"
            )
        return self._account(name, began, ended)

    async def enter(self, box: AbstractContextManager[T]) -> T:
        """Enter what waits while it does, in a thread; it is left when the case is over."""
        entered = await asyncio.to_thread(box.__enter__)
        self._left.push_async_callback(asyncio.to_thread, box.__exit__, None, None, None)
        return entered

    async def delete_log(self) -> None:
        """Delete the log: what was published before need not arrive any more, if the page is told so."""
        async with self._publishing:
            self.site.delete_log()
            self._cleared = self.published

    def rung(self) -> str:
        """Where it stands now."""
        return next((_rung(entry) for entry in reversed(self.told) if entry["what"] == "status"), "poll")

    def standing(self, began: float, ended: float) -> str:
        """Return the rung that it stood on longest in that time."""
        changes = [(0.0, "poll")] + [(entry["at"], _rung(entry)) for entry in self.told if entry["what"] == "status"]
        lengths: dict[str, float] = {}
        for (at, rung), (until, _) in zip(changes, [*changes[1:], (ended, "")], strict=True):
            lengths[rung] = lengths.get(rung, 0.0) + max(0.0, min(until, ended) - max(at, began))
        return max(lengths, key=lambda rung: lengths[rung])

    def _has_fallen(self, began: float) -> bool:
        rung = self.case.rung
        stands = rung is None or self.standing(began, time.time()) == rung
        return stands and self._arrived(began, rung) >= self.case.enough

    def _has_climbed(self, ended: float) -> bool:
        return self.rung() == self.case.best and self._arrived(max(ended, self._since()), self.case.best) >= STEADY

    def _since(self) -> float:
        """Return since when it stands where it stands."""
        return max((entry["at"] for entry in self.told if entry["what"] == "status"), default=0.0)

    def _events(self) -> list[dict[str, Any]]:
        return [entry for entry in self.told if entry["what"] == "event"]

    def _arrived(self, since: float, rung: str | None = None) -> int:
        return sum(event["at"] >= since and rung in (None, _rung(event)) for event in self._events())

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self.told += await self.page.take()
            if holds():
                return
            if time.monotonic() > deadline:
                last = "\n".join(map(str, self.told[-60:]))
                raise TimeoutError(
                    f"{self.case.name}: {what} did not come within {PATIENCE:g} s; the page told\n{last}"
                )
            await asyncio.sleep(LOOK)

    async def _publish(self) -> None:
        while not self._stop.is_set():
            async with self._publishing:
                await asyncio.to_thread(self.site.publish, self.channel, self.published + 1)
                self.published += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self.case.pause)

    def _account(self, name: str, began: float, ended: float) -> Row:
        case, events = self.case, self._events()
        numbers = [event["number"] for event in events]
        missing = sorted(set(range(1, self.published + 1)) - set(numbers))
        resets = [entry for entry in self.told if entry["what"] == "reset"]
        if resets:
            # What the deleted log had, and had not been read, is what the reset is about.
            read = max((event["number"] for event in events if event["at"] < resets[0]["at"]), default=0)
            missing = [number for number in missing if not read < number <= self._cleared]
        late = [event["late"] for event in events if began <= event["at"] - event["late"] <= ended]
        # A poll that failed is asked again after a pause that grows; the client says how long it is.
        retries = [entry["wait"] for entry in self.told if entry["what"] == "retry" and entry["at"] >= began]
        blocked = ended - began if case.blocks else 0.0
        return Row(
            case=case,
            browser=name,
            rung=self.standing(began, ended),
            worst=max(late, default=0.0),
            allowed=STRETCH * INTERVAL + PROOF + case.delay + blocked + max(retries, default=0.0),
            events=self.published,
            lost=missing,
            twice=[number for number in set(numbers) if numbers.count(number) > 1],
            disordered=[after for before, after in itertools.pairwise(numbers) if after < before],
            resets=tuple(entry["why"] for entry in resets),
            uncaught=[entry["why"] for entry in self.told if entry["what"] == "uncaught"],
            after=self.rung(),
            climb=max(0.0, self._since() - ended),
            beside=max((entry["late"] for entry in self.told if entry["what"] == "beside"), default=0.0),
            told=self.told,
        )


def _rung(entry: dict[str, Any]) -> str:
    return "offline" if entry["status"] == "offline" else entry["transport"]
