"""A million virtual clients of fifty processes, and a virtual clock: a hundred times the load and back, and a restart.

Clients keep the browser client's rules (js/src/pace.js): the advised interval and up to a tenth more; after a failure
full jitter, a second doubled each time up to a minute. After a goodbye they come when it says (WIRE §11.6).
"""

import itertools
from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import pytest
from flask_landline.pressure import FILL, STEP, STRETCH, TURN, Load, Pressure
from flask_landline.returning import RETURN_RATE, RETURN_WITHIN

INTERVAL, HOLD = 2.0, 20.0
PROCESSES, CAPACITY = 50, 1000.0
TOTAL = PROCESSES * CAPACITY
FEW, MANY = 10_000, 1_000_000
"""Clients that ask for a tenth of the total capacity at the usual interval, and for ten times of it."""
SECOND = round(1 / TURN)


class Second(NamedTuple):
    """What all processes together saw in a second."""

    polls: int
    first: int
    """Of them, those of clients that nobody could have told when to come."""
    told: tuple[float, ...]
    """The interval that each process asked for at its end."""


class World:
    """Clients and processes. Each poll goes to any process: nothing is sticky."""

    def __init__(self, capacity: float = CAPACITY) -> None:
        self._capacity = capacity
        self.random = np.random.default_rng(20_261_122)
        self.now = 0.0
        self.due = np.empty(0)
        self.failures = np.empty(0, int)
        self.seen = np.empty(0)
        """When each client was answered last; NaN: never."""
        self.longest = 0.0
        """Seconds between two answers to one client, at most."""
        self.is_up = True
        self.start()

    def start(self) -> None:
        """Start all processes, which know nothing."""
        self.processes = [Pressure(INTERVAL, HOLD, self._capacity) for _ in range(PROCESSES)]

    def come(self, count: int, over: float) -> None:
        """Let clients open their pages, over some seconds."""
        self.due = np.append(self.due, self.now + over * self.random.random(count))
        self.failures = np.append(self.failures, np.zeros(count, int))
        self.seen = np.append(self.seen, np.full(count, np.nan))

    def leave(self, count: int) -> None:
        stay = self.random.permutation(len(self.due))[count:]
        self.due, self.failures, self.seen = self.due[stay], self.failures[stay], self.seen[stay]

    def run(self, seconds: int) -> list[Second]:
        return [self._second() for _ in range(seconds)]

    def _second(self) -> Second:
        polls = first = 0
        for _ in range(SECOND):
            self.now += TURN
            asking = np.flatnonzero(self.due < self.now)
            if self.is_up:
                polls += len(asking)
                first += int(np.count_nonzero(np.isnan(self.seen[asking])))
                self._answer(asking)
            else:
                self._fail(asking)
        return Second(polls, first, tuple(process.interval for process in self.processes))

    def _answer(self, asking: "np.ndarray") -> None:
        answering = self.random.integers(0, PROCESSES, len(asking))
        told = np.array([process.interval for process in self.processes])
        at = self.due[asking]
        gaps = at - self.seen[asking]
        self.longest = max(self.longest, np.nanmax(gaps, initial=0.0))
        self.seen[asking] = at
        self.failures[asking] = 0
        self.due[asking] = at + told[answering] * (1 + self.random.random(len(asking)) / 10)
        for process, polls in zip(self.processes, np.bincount(answering, minlength=PROCESSES).tolist(), strict=True):
            process.step(Load(TURN, polls))

    def _fail(self, asking: "np.ndarray") -> None:
        limit = np.minimum(60.0, 2.0 ** self.failures[asking])
        self.due[asking] += limit * self.random.random(len(asking))
        self.failures[asking] += 1


def most(seconds: list[Second]) -> int:
    return max(second.polls for second in seconds)


def untold(seconds: list[Second]) -> int:
    """Return the polls of the busiest second, without those that nobody could have told when to come."""
    return max(second.polls - second.first for second in seconds)


def intervals(seconds: list[Second]) -> Iterator[float]:
    return (interval for second in seconds for interval in second.told)


@pytest.fixture(scope="module")
def loaded() -> World:
    """Return a world under ten times its capacity, settled."""
    world = World()
    world.come(FEW, INTERVAL)
    world.run(20)
    world.come(MANY - FEW, 60)
    world.run(240)
    return world


def test_from_a_tenth_of_the_capacity_to_ten_times_and_back() -> None:
    world = World()
    world.come(FEW, INTERVAL)
    few = world.run(60)
    assert set(intervals(few)) == {INTERVAL}

    world.come(MANY - FEW, 60)
    rising = world.run(60)
    # Nobody can tell a page when to be opened. Those that were told when to come leave the capacity room for it.
    assert untold(rising) <= TOTAL
    assert most(rising) <= TOTAL + max(second.first for second in rising)
    assert world.longest <= 1.1 * max(intervals(rising)) + TURN

    world.run(60)
    many = world.run(180)
    assert most(many) <= TOTAL
    wanted = MANY / (FILL * TOTAL) / 1.05  # clients wait a twentieth longer than asked, on average
    assert wanted / 1.2 <= min(intervals(many)) <= max(intervals(many)) <= wanted * 1.2
    # It does not swing: whatever a process asked for when it was settled, it asks for a few steps of it at the end.
    for told in zip(*(second.told for second in many), strict=True):
        assert max(told) <= min(told) * STEP**5
        assert sum(before != after for before, after in itertools.pairwise(told)) <= 20
    # Nobody starves: each client came as soon as the longest interval told to anybody allowed.
    assert world.longest <= 1.1 * max(intervals(many)) + TURN
    assert np.isfinite(world.seen).all()

    world.leave(MANY - FEW)
    falling = world.run(120)
    assert most(falling) <= TOTAL
    assert set(falling[-1].told) == {INTERVAL}
    turning = [before.told[0] < after.told[0] for before, after in itertools.pairwise(falling)]
    assert not any(turning)


def test_load_beyond_the_longest_interval_is_served_at_that_interval() -> None:
    """A poll costs as much as its refusal: so there is none, and everybody has a turn."""
    world = World(CAPACITY / 10)
    world.come(MANY, 60)
    world.run(180)
    late = world.run(60)
    assert set(intervals(late)) == {STRETCH * INTERVAL}
    assert np.nanmax(world.now - world.seen) <= 1.1 * STRETCH * INTERVAL + 1


@pytest.mark.parametrize("outage", [0, 1, 3])
def test_after_a_restart_of_everything_clients_spread_over_the_interval_advised(outage: int, loaded: World) -> None:
    """The processes know nothing, the clients do: they come when they were told, and those who failed try again."""
    world = deepcopy(loaded)
    mean = most(world.run(10))
    world.is_up = False
    world.run(outage)
    world.start()
    world.is_up = True
    back = world.run(60)
    # Who was not told yet comes once, who was told at once is back meanwhile: twice as many, for one interval.
    assert most(back) <= 3 * mean
    assert most(back[5:]) <= 2 * TOTAL
    assert most(world.run(30)) <= TOTAL
    assert np.nanmax(world.now - world.seen) < 60


@pytest.mark.parametrize("outage", [10, 60])
def test_after_a_long_outage_those_who_failed_are_spread_by_their_own_jitter(outage: int, loaded: World) -> None:
    world = deepcopy(loaded)
    world.is_up = False
    world.run(outage)
    world.start()
    world.is_up = True
    back = world.run(90)
    assert most(back) <= 4 * TOTAL
    assert most(back[5:]) <= 2 * TOTAL
    assert most(back[60:]) <= TOTAL


@pytest.mark.parametrize("outage", [0.0, 2.0])
def test_after_a_restart_of_everything_lines_come_back_over_the_time_that_their_goodbyes_named(outage: float) -> None:
    """Each process says goodbye to ten thousand lines; a client polls after the pause that it was told, then climbs."""
    random = np.random.default_rng(20_261_122)
    lines = 10_000
    spread = max(RETURN_WITHIN, lines / RETURN_RATE)
    polls = random.uniform(0.1, spread, MANY)
    asked, failures = [], 0
    while len(early := polls[polls < outage]):
        asked.append(polls[polls >= outage])
        polls = early + min(60.0, 2.0**failures) * random.random(len(early))
        failures += 1
    answered = np.concatenate([*asked, polls])
    requests = np.concatenate([answered, answered + random.random(MANY)])  # the poll, and the line's opening
    by_second = np.bincount(requests.astype(int))
    assert by_second.max() <= 3 * len(requests) / spread
    assert by_second.max() * lines / MANY <= 3000  # of one process in a second: what it can answer (make bench)
