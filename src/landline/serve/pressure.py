"""How much this process is asked, and what it asks of its clients in return.

Clients come back when they are told to, so a server need not refuse them: it gives each its turn. Every poll that is
answered takes one place in a queue that this process could work off, and its client is told to come back when the
queue, as long as it is now, will be through. Whoever comes ten times as often as the process can bear makes the
queue ten times as long, and is told ten times the interval. Nothing is measured and corrected after the fact, so
nothing swings: wherever the clients' times were, from here on they are as far apart as the process needs them.

`Pressure` decides, and has neither clock nor thread. `Meter` measures for it, in passing, when a poll comes: where
nobody polls there is nobody to advise.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from .. import forks

STRETCH = 30.0
"""How many times the usual interval is asked of clients at most: a minute, by default. Beyond, polls cost what they
cost: refusing one costs as much as an answer that nothing is new."""
STEP = 1.05
"""Two intervals asked of clients one after the other differ at least by this factor. So an answer that was made once
stands for long; and as clients stretch their intervals by up to a tenth at random, they do not notice the steps."""
FILL = 0.8
"""The part of the capacity given to clients who were told when to come; the rest is for those who come untold."""
FALL = 0.5
"""Seconds by which the interval may fall in one second. At one, all who come meanwhile would be told one moment."""
CALM = 10.0
"""Seconds without a queue after which the usual interval is asked again. Some moments are calm under any load."""

SPENT = 0.9
"""The part of one processor above which a process has no time left: threads of Python share one."""
SPEND = 0.75
"""The part of a processor that a process which had no time left is to come down to."""
SPARE = 0.6
"""The part of a processor below which there is time for more polls again. Between this and `SPENT` nothing is changed,
so that what was changed last can show."""
REGAIN = 0.1
"""The part of capacity that is given back after an interval with time to spare: all clients came once meanwhile."""
FEWEST = 50
"""Polls a second that no process is too busy for: they are a twentieth of its time at a millisecond each. If it has
none left, something else is taking it, such as the app's start."""
LAGGING = 1.0
"""Seconds by which the side loop is late when it has too much to do: more than a person takes for live."""
ROOM = 0.9
"""The part of its budget that a process which was full must be down to before it offers to hold requests again. Else
each line that ends would call a hundred clients for its place."""

BACK = 4.0
"""Intervals over which those come back who were not held: they poll meanwhile, so it costs them nothing to wait."""

TURN = 0.1
"""Seconds between two decisions, at least; at ten times the capacity the queue grows by half an interval meanwhile."""
LOOK = 1.0
"""Seconds over which the processor's time is measured, at least: a page being rendered is no load yet."""


class Load(NamedTuple):
    """What was measured since the last time."""

    elapsed: float
    """Seconds."""
    polls: int
    """Polls answered meanwhile."""
    busy: float | None = None
    """The part of one processor that this process used since it was last looked at; None: not looked at this time."""
    lag: float = 0.0
    """Seconds by which the side loop is late."""
    held: float = 0.0
    """The part of its budget of held requests that is taken."""


class Pressure:
    """Decides what to ask of clients. Knows nothing but what it is told.

    Args:
        interval: seconds between short polls when there is no pressure.
        hold: seconds a long poll is held at most.
        capacity: polls a second that this process may be asked; infinite: as many as it can.
    """

    def __init__(self, interval: float, hold: float, capacity: float) -> None:
        self._usual = interval
        self._hold = hold
        self._most = capacity
        self._capacity = capacity
        self._queue = interval
        self._calm = 0.0
        self._asked = 0
        self._since = 0.0
        self._spare = 0.0
        self.interval = interval
        """Seconds between short polls that clients are asked for."""
        self.holds = True
        """Whether holding a long poll saves anything."""
        self.room = True
        """Whether clients are offered to be held."""

    @property
    def capacity(self) -> float:
        """Polls a second that this process may be asked now; less than what was given while it has no time."""
        return self._capacity

    def pause(self, random: float) -> int:
        """Return after how many whole seconds one whom there was no room for may try again.

        Args:
            random: from 0 to 1; those who are refused together do not come back together.
        """
        # See SECURITY.md: refused-do-not-come-back-together
        return math.ceil(self.interval * (1 + BACK * random))

    def step(self, load: Load) -> bool:
        """Take in what was measured; tell whether something else is asked of clients now."""
        before = self.interval, self.holds, self.room
        self._asked += load.polls
        self._since += load.elapsed
        if load.busy is not None:
            # See SECURITY.md: lag-is-a-load
            self._learn(1.0 if load.lag >= LAGGING else min(load.busy, 1.0))
        self._line_up(load)
        self._choose(load)
        return before != (self.interval, self.holds, self.room)

    def _learn(self, busy: float) -> None:
        """Find out how many polls are too many here, whatever the configuration hopes."""
        rate, seconds = self._asked / self._since, self._since
        self._asked, self._since = 0, 0.0
        # See SECURITY.md: capacity-is-what-there-is-time-for
        if busy >= SPENT and rate > FEWEST:
            # From the rate as it is, not from the last capacity: what was just decided cannot have shown yet.
            # See SECURITY.md: few-polls-are-always-welcome
            self._capacity = max(FEWEST, min(self._capacity, rate * SPEND / busy))
        self._spare = self._spare + seconds if busy < SPARE else 0.0
        if self._spare >= self.interval:
            # See SECURITY.md: capacity-comes-back
            self._capacity = min(self._most, self._capacity * (1 + REGAIN))
            self._spare = 0.0

    def _line_up(self, load: Load) -> None:
        """Let the queue grow by those who came, and shrink by the time that passed."""
        # See SECURITY.md: interval-grows-with-the-crowd
        grown = load.polls / (FILL * self._capacity) - load.elapsed
        # See SECURITY.md: interval-falls-slowly
        queue = self._queue + max(grown, -FALL * load.elapsed)
        self._queue = min(max(queue, self._usual), STRETCH * self._usual)
        self._calm = self._calm + load.elapsed if self._queue == self._usual else 0.0

    def _choose(self, load: Load) -> None:
        """Ask for something else only where it makes a difference."""
        # See SECURITY.md: usual-interval-waits-for-calm
        if self._queue > self.interval or self._queue < self.interval / STEP**3 or self._calm >= CALM:
            steps = math.ceil(math.log(self._queue / self._usual, STEP) - 1e-9)
            # See SECURITY.md: interval-has-a-limit
            self.interval = min(round(self._usual * STEP**steps, 3), STRETCH * self._usual)
        # See SECURITY.md: holding-ends-where-it-saves-nothing
        if self.interval >= self._hold:
            self.holds = False  # a held poll comes as often as a short one, and at each event besides
        elif self.interval == self._usual:
            self.holds = True
        # See SECURITY.md: lagging-loop-is-given-no-more
        if load.held >= 1 or load.lag >= LAGGING:
            self.room = False
        # See SECURITY.md: room-is-for-many
        elif load.held <= ROOM and load.lag < LAGGING / 2:
            self.room = True


class Meter:
    """Measures the pressure of one process, when a poll comes. Safe to use from any thread.

    Args:
        make: makes what decides, anew in each process.
        changed: called when something else is asked of clients, by the thread that noticed.
        clock: monotonic seconds.
        used: seconds of processor time that this process has used.
    """

    def __init__(
        self,
        make: Callable[[], Pressure],
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._make = make
        self._changed = changed
        self._clock = clock
        self._used = used
        self._begin()
        self.observe: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0)
        """Tells which part of the budget of held requests is taken, and by how many seconds the side loop is late."""
        forks.register(self)

    def after_fork(self) -> None:
        """Begin anew: the parent's clients are the parent's."""
        self._begin()
        self._changed()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self.pressure = self._make()
        self._polls = 0
        self._last = self._looked = self._clock()
        self._next = self._last + TURN
        self._used_before = self._used()

    def count(self) -> None:
        """Count a poll. On the way of each, so it does next to nothing; one in `TURN` seconds decides."""
        # Not locked: a count that two threads lose between them changes nothing.
        self._polls += 1
        now = self._clock()
        if now >= self._next:
            self._turn(now)

    def _turn(self, now: float) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if now < self._next:
                return  # another thread was here meanwhile
            elapsed, self._last, self._next = now - self._last, now, now + TURN
            polls, self._polls = self._polls, 0
            busy = None
            if now - self._looked >= LOOK:
                used = self._used()
                busy = (used - self._used_before) / (now - self._looked)
                self._looked, self._used_before = now, used
            held, lag = self.observe()
            if self.pressure.step(Load(elapsed, polls, busy, lag, held)):
                self._changed()
        finally:
            self._lock.release()
