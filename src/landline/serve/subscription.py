"""One reader's progress, without I/O: from being let in to the last byte.

A `Subscription` says what is read, how it is rendered and how long it may last. It does not change, and equal requests
share one. `progress` is what becomes of it: a generator that yields steps for its host to carry out.

| step     | the host                                                                       | and sends back    |
|----------|--------------------------------------------------------------------------------|-------------------|
| `Call`   | runs a function that may read the log or run the app, where waiting harms none | what it returned  |
| `Check`  | holds grants against the revocations that the log has by now                   | whether to go on  |
| `Send`   | renders what was found, and sends it                                           | nothing           |
| `Sign`   | sends a sign of life                                                           | nothing           |
| `Wait`   | waits for news, at most until a time                                           | nothing           |
| `Pause`  | waits for some seconds, whatever comes                                         | nothing           |
| `Finish` | sends the last thing, and ends                                                 |                   |

What a `Call` or a `Check` raises is thrown into the generator. A host may let several connections at one position
share one generator; then it sends to all of them, and `Check` takes out those whose grant is revoked.

Invariants:

- *Read, make snapshots, revoked meanwhile?, send.* A host gets what was found only behind the `Check` that follows the
  reading. A check before the reading would miss a revocation that falls in between, and the reading would hold what
  came after it. Snapshots are made by the app and may show more than the reading, so with them the check goes to the
  log's own end (`Check.at_end`).
- *Register, read, wait.* A host registers with the hub before the first step, and clears its hint before it goes on
  after a `Wait`. An event published between reading and waiting has then set the hint already (message_bus #59).
- The cursor moves only with what is sent. After anything that is raised the reader still stands where it stood.
- A generator touches nothing but its arguments. Any thread may drive it, one at a time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol

from ..access.grants import Grant
from ..channels.channel import Resolved
from ..cursor import Cursor, Position
from ..errors import LogError, Refusal
from ..event import Event
from ..protocol.transport import Transport
from ..reading import Reading

RETRY_PAUSE = 1.0
"""Seconds between two tries to read a log that cannot be read; held requests wait meanwhile."""


class Subscription(NamedTuple):
    """How a request is held until there is something to send. Without the client: equal requests share one."""

    transport: Transport
    items: tuple[Resolved, ...]
    names: tuple[str, ...]
    cursor: Cursor
    """The position after `first`."""
    more: bool
    """Whether more than `first` is waiting already."""
    wait: float | None
    """Seconds after which a long poll is answered in any case; None for a stream."""
    head: bytes
    """What opens the connection: a response's head."""
    first: bytes
    """What is sent at once: the hello, and what was missed."""
    sent: int
    """Events in `first`."""
    transports: tuple[str, ...]
    """What its host offered, for later advice."""
    query: str
    """As the client wrote it, but for what is ignored; for the access log."""
    grant: Grant | None = None
    """What lets it read; None: its channels are public."""
    headers: tuple[tuple[str, str], ...] = ()
    """More headers for its answer, whatever that will be."""
    site: str = ""
    """Scheme and host that its snapshots are made for; empty where none of its channels has one."""

    @property
    def ends(self) -> bool:
        """Whether it ends with the first thing that is sent."""
        return self.transport.ends


class Call(NamedTuple):
    """Run a function that may read the log or run the app; send back what it returns."""

    function: Callable[[], Any]
    is_apps: bool = False
    """Whether it runs functions of the app, for which a loop has threads apart from those that read the log."""


class Check(NamedTuple):
    """Hold grants against what is revoked by now; send back whether there is still a reader."""

    at_end: bool
    """Whether to ask the log for its end first, rather than to go by what the hub has read."""


class Send(NamedTuple):
    """Render what was found, and send it."""

    reading: Reading
    snapshots: Sequence[Event] = ()


class Sign(NamedTuple):
    """Send a sign of life."""

    cursor: Cursor
    """Up to where the reader's channels were looked at."""


class Wait(NamedTuple):
    """Wait for news."""

    until: float
    """At most until then, in the time of `Services.clock`; inf: for as long as it takes."""
    cursor: Cursor
    """Up to where the reader's channels were looked at."""


class Pause(NamedTuple):
    """Wait, whatever comes: the log cannot be read. Its error is one for the server's log."""

    seconds: float
    error: LogError


class Finish(NamedTuple):
    """Send the last thing, and end: a held poll's answer, or a stream's goodbye."""

    why: str
    """`answered`, `over` (its time is up), `leaving` (the process ends), `revoked` or `failed`."""
    reading: Reading | None = None
    """What a held poll is answered with; None: nothing, and its reader stays where it stood."""
    snapshots: Sequence[Event] = ()
    error: LogError | Refusal | None = None
    """Why it failed. A held poll is answered with it; to a stream its next poll says so."""


Step = Call | Check | Send | Sign | Wait | Pause | Finish


class Services(NamedTuple):
    """What a subscription needs of its process. Each may be called by any thread."""

    read: Callable[[Sequence[str], Position], Reading]
    """Reads a page after a position; raises `LogError`."""
    snapshots: Callable[[Sequence[Resolved], Reading, str], Sequence[Event]]
    """Runs the snapshot functions of the channels that a reading resets, for a site; raises `Refusal`."""
    run_due: Callable[[Sequence[Resolved]], float]
    """Runs the sources that are due; returns the seconds until the next one is, inf if there is none."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""


class Terms(NamedTuple):
    """How long a reader is held, in the time of `Services.clock`. A host that sees to these itself leaves them out."""

    ends: float = math.inf
    """When it is over in any case: a held poll is answered, a stream's grant ends."""
    keepalive: float = math.inf
    """Seconds of silence after which a stream gives a sign of life."""
    leaving: Callable[[], bool] = lambda: False
    """Whether the process is ending."""
    sources: bool = True
    """Whether to run sources that are due."""
    patient: bool = False
    """Whether a held poll, too, waits until a log that fails can be read: its host answers it when its time is up."""


class Followed(Protocol):
    """What `progress` has to know of a subscription."""

    @property
    def names(self) -> tuple[str, ...]:
        """The channels' concrete names."""

    @property
    def items(self) -> tuple[Resolved, ...]:
        """The channels."""

    @property
    def site(self) -> str:
        """Scheme and host that snapshots are made for."""

    @property
    def ends(self) -> bool:
        """Whether it ends with the first thing that is sent."""


def progress(followed: Followed, services: Services, terms: Terms, position: Position) -> Generator[Step, Any, None]:
    """Yield what becomes of a reader, or of several at one position.

    Args:
        followed: what is read.
        services: what that needs of the process.
        terms: how long it may last.
        position: where the reader stands.
    """
    here = position
    quiet_since = services.clock()
    while True:
        due = (yield Call(lambda: services.run_due(followed.items), is_apps=True)) if terms.sources else math.inf
        try:
            found = yield from _look(followed, services, here)
        except LogError as error:
            if followed.ends and not terms.patient:
                yield Finish("failed", error=error)
                return
            why = _over(services, terms)
            if why:  # a log that fails keeps no reader beyond its time
                yield Finish(why)
                return
            yield Pause(RETRY_PAUSE, error)
            continue
        except Refusal as refusal:
            yield Finish("failed", error=refusal)
            return
        if found is None:
            yield Finish("revoked")
            return
        now, why = services.clock(), _why(found.reading, followed, services, terms)
        if why:
            yield Finish(why, *found)
            return
        here = found.reading.cursor
        if found.reading.has_news:
            quiet_since = now
            yield found
        elif now - quiet_since >= terms.keepalive:
            quiet_since = now
            yield Sign(here)
        else:
            yield Wait(min(now + due, quiet_since + terms.keepalive, terms.ends), here)


def _look(followed: Followed, services: Services, here: Position) -> Generator[Step, Any, Send | None]:
    """Read, and make sure that it may be sent; None if no reader is left."""
    reading: Reading = yield Call(lambda: services.read(followed.names, here))
    snapshots: Sequence[Event] = ()
    if reading.reset is not None:
        snapshots = yield Call(lambda: services.snapshots(followed.items, reading, followed.site), is_apps=True)
    may_send = yield Check(at_end=bool(snapshots))
    # See SECURITY.md: what-is-held-is-looked-at-again
    return Send(reading, snapshots) if may_send else None


def _why(reading: Reading, followed: Followed, services: Services, terms: Terms) -> str:
    """Return why a reader ends with what was read now; empty if it goes on."""
    if reading.has_news and followed.ends:
        return "answered"
    return _over(services, terms)


def _over(services: Services, terms: Terms) -> str:
    """Return why a reader's time is up, whatever there is to read; empty if it is not."""
    if services.clock() >= terms.ends:
        return "over"
    return "leaving" if terms.leaving() else ""
