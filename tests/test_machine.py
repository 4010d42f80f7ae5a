"""Any history of publishing, trimming, restarting and forking, against a plain list.

Readers of random channels at random positions read through hubs, which come and go like processes. Whatever happens,
what a reader was told since its last reset is the contiguous slice of its channels, nothing left out, doubled or out of
order; and a reset is told only where there is a reason for it.
"""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from flask_landline import Event
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from landline.cursor import Cursor, Word
from landline.follow.hub import Hub
from landline.logs.memory import MemoryLog
from landline.logs.registry import Log, Retention
from landline.logs.sqlite.log import SQLiteLog
from landline.reading import Reset
from landline.testing import Clock, in_child

NAMES = "abc"
RETENTION = {"a": Retention(None, None), "b": Retention(3, None), "c": Retention(20, 30.0)}
READERS = [("a",), ("b",), ("c", "a"), ("b", "a"), ("a", "b", "c")]
WINDOWS = (4096, 2)
"""Events in the windows of the two processes."""


class Reader:
    """A client: keeps its cursor and what it was told."""

    def __init__(self, channels: tuple[str, ...], position: Cursor | Word) -> None:
        self.channels = channels
        self.cursor = position
        self.told: dict[str, list[Event]] = {}
        """What it was told of each channel since its beginning, or the last reset that named the channel."""
        self.owed: dict[str, int] = {}
        """The offset after which it is owed everything of a channel."""

    def begin(self, channels: tuple[str, ...], after: int, kept: list[Event], tail: int) -> None:
        """Owe it all that is kept of channels after an offset, and everything after the log's tail."""
        for name in channels:
            self.told[name] = []
            theirs = [event.offset for event in kept if event.channel == name and event.offset > after]
            self.owed[name] = theirs[0] - 1 if theirs else tail


class LandlineMachine(RuleBasedStateMachine):
    """What the tests over both logs have in common."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.lives: dict[str, list[Event]] = {}
        """The model: of each life of the log, everything that was ever appended, as a list."""
        self.log = self.make_log()
        self.hubs = [self.make_hub(0), self.make_hub(1)]
        self.readers = [Reader(channels, Word.START) for channels in READERS]
        self.rare = 2
        """How often more the log may be lost, or the process fork: much may happen in between."""

    def make_log(self) -> Log:
        raise NotImplementedError

    def make_hub(self, which: int) -> Hub:
        return Hub(self.log, window_events=WINDOWS[which], clock=self.clock)

    @property
    def model(self) -> list[Event]:
        return self.lives.setdefault(self.log.epoch, [])

    def teardown(self) -> None:
        for hub in self.hubs:
            hub.close()
        self.log.close()
        self.folder.cleanup()

    # What happens.

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=12))
    def publish(self, names: list[str]) -> None:
        self.append_all(names)

    def append_all(self, names: list[str]) -> None:
        for name in names:
            self.model.append(self.log.append(name, str(len(self.model)), RETENTION[name]))

    @rule(seconds=st.sampled_from([0.001, 1.0, 31.0]), limit=st.sampled_from([1, 500]))
    def trim(self, seconds: float, limit: int) -> None:
        self.clock.advance(seconds)
        self.log.trim(limit)

    @rule(which=st.integers(0, 1))
    def restart(self, which: int) -> None:
        """A process ends and another comes in its place, with an empty window."""
        self.hubs[which].close()
        self.hubs[which] = self.make_hub(which)

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """A process looks at the log, and has what is new in its window from then on."""
        self.hubs[which].tail()

    @rule(who=st.integers(0, len(READERS) - 1), word=st.sampled_from(Word))
    def come_anew(self, who: int, word: Word) -> None:
        self.readers[who] = Reader(READERS[who], word)

    @rule(
        who=st.integers(0, len(READERS) - 1),
        limits=st.lists(st.sampled_from([1, 3, 100]), min_size=1, max_size=4),
        which=st.integers(0, 1),
    )
    def read(self, who: int, limits: list[int], which: int) -> None:
        """Ask for some pages, of either process in turn, as through a load balancer."""
        for turn, limit in enumerate(limits):
            self.read_page(self.readers[who], self.hubs[(which + turn) % 2], limit)

    def read_page(self, reader: Reader, hub: Hub, limit: int) -> None:
        asked, kept = reader.cursor, self.log.read(0, 10_000)
        hub.invalidate()
        reading = hub.read(reader.channels, asked, limit)
        tail = self.log.tail()
        assert len(reading.events) <= limit
        assert reading.tail == tail
        assert bool(reading.events) or not reading.more
        if asked is Word.NOW:
            reader.begin(reader.channels, tail.offset, [], tail.offset)
        elif asked is Word.LOST:
            assert reading.reset == (reader.channels, "unknown")
            assert not reading.events
            reader.begin(reader.channels, tail.offset, [], tail.offset)
        elif asked is Word.START:
            reader.begin(reader.channels, 0, kept, tail.offset)
        elif reading.reset is not None:
            self.check_reason(asked, reading.reset, kept)
            after = asked.offset if reading.reset.reason == "trimmed" else 0
            reader.begin(reading.reset.channels, after, kept, tail.offset)
        for event in reading.events:
            reader.told[event.channel].append(event)
        reader.cursor = reading.cursor
        if not reading.more:
            newest = {event.channel: event.offset for event in kept}
            assert all(newest.get(name, 0) <= reading.cursor.offset for name in reader.channels)

    def carry_on(self, names: list[str]) -> None:
        """Publish and read in the new life of the log, with cursors from the old one."""
        self.append_all(names)
        for number, reader in enumerate(self.readers):
            self.read_page(reader, self.hubs[number % 2], 3)

    def check_reason(self, asked: Cursor, reset: Reset, kept: list[Event]) -> None:
        """A reset is told only where something cannot be proven."""
        tail = self.log.tail()
        if reset.reason == "trimmed":
            offsets = {event.offset for event in kept}
            for name in reset.channels:
                newer = [event.offset for event in self.model if event.channel == name and event.offset > asked.offset]
                assert not offsets.issuperset(newer), f"{name} has all it should after {asked}"
        else:
            assert reset.reason == ("epoch" if asked.epoch != tail.epoch else "ahead")
            assert asked.epoch != tail.epoch or asked.offset > tail.offset

    # What must hold.

    @invariant()
    def readers_have_contiguous_slices(self) -> None:
        for reader in self.readers:
            if not isinstance(reader.cursor, Cursor):
                continue
            appended = self.lives.get(reader.cursor.epoch, [])
            for name, told in reader.told.items():
                after = min(reader.owed[name], told[0].offset - 1) if told else reader.owed[name]
                assert told == [
                    event
                    for event in appended
                    if event.channel == name and after < event.offset <= reader.cursor.offset
                ]

    @invariant()
    def log_has_what_it_promised(self) -> None:
        kept = self.log.read(0, 10_000)
        assert [event.offset for event in self.model] == list(range(1, len(self.model) + 1))
        for name, (keep, keep_for) in RETENTION.items():
            theirs = [event for event in self.model if event.channel == name]
            left = [event for event in kept if event.channel == name]
            assert left == theirs[len(theirs) - len(left) :]
            young = [event for event in theirs if keep_for is None or event.at + keep_for > self.clock.now + 0.001]
            assert len(left) >= (len(young) if keep is None else min(len(young), keep))
            assert keep is None or len(left) <= keep + keep // 10


def is_time_for_something_rare(machine: LandlineMachine) -> bool:
    return machine.rare > 0 and len(machine.model) >= 8


class MemoryMachine(LandlineMachine):
    def make_log(self) -> Log:
        return MemoryLog(clock=self.clock)

    @precondition(is_time_for_something_rare)
    @rule(count=st.integers(0, 5))
    def fork(self, count: int) -> None:
        """A forked child has a life of its own, which the parent never sees."""
        self.rare -= 1
        epoch, tail = self.log.epoch, self.log.tail()

        def child() -> list[Any]:
            for _ in range(count):
                self.log.append("a", "0")
            reset = self.hubs[0].read(["a"], Cursor(epoch, 0)).reset
            return [self.log.epoch, self.log.tail().offset, reset and reset.reason]

        other, offset, reason = in_child(child)
        assert (offset, reason) == (count, "epoch")
        assert other != epoch
        assert self.log.tail() == tail

    @precondition(is_time_for_something_rare)
    @rule(names=st.lists(st.sampled_from(NAMES), max_size=5))
    def lose(self, names: list[str]) -> None:
        """The process dies, and its log with it."""
        self.rare -= 1
        self.log.after_fork()  # type: ignore[attr-defined]
        self.carry_on(names)


class SQLiteMachine(LandlineMachine):
    @property
    def path(self) -> Path:
        return Path(self.folder.name) / "log.db"

    def make_log(self) -> Log:
        return SQLiteLog(self.path, synchronous="NORMAL", clock=self.clock)

    @rule()
    def reopen(self) -> None:
        """All processes end, and others open the file."""
        self.log.close()

    @rule(name=st.sampled_from(NAMES))
    def publish_elsewhere(self, name: str) -> None:
        """Another process appends."""
        other = self.make_log()
        self.model.append(other.append(name, str(len(self.model)), RETENTION[name]))
        other.close()

    @precondition(is_time_for_something_rare)
    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 3))
    def fork(self, name: str, count: int) -> None:
        """A forked child appends, and reads with the hub that it got from its parent."""
        self.rare -= 1
        first = len(self.model)

        def child() -> list[Any]:
            self.hubs[0].tail()
            events = [self.log.append(name, str(first + number), RETENTION[name]) for number in range(count)]
            self.hubs[0].invalidate()
            seen = self.hubs[0].read([name], Cursor(self.log.epoch, events[-1].offset - 1)).events
            assert list(seen) == events[-1:]
            return [[event.channel, event.offset, event.at, event.payload, event.epoch] for event in events]

        self.model.extend(Event(*fields) for fields in in_child(child))

    @precondition(is_time_for_something_rare)
    @rule(names=st.lists(st.sampled_from(NAMES), max_size=5))
    def lose(self, names: list[str]) -> None:
        """Somebody removes the file under everybody's feet."""
        self.rare -= 1
        for file in self.path.parent.iterdir():
            with suppress(FileNotFoundError):
                file.unlink()
        self.carry_on(names)


@pytest.mark.parametrize(
    ("machine", "histories"),
    [
        (MemoryMachine, 50),
        (SQLiteMachine, 20),
        pytest.param(MemoryMachine, 500, marks=pytest.mark.night),
        pytest.param(SQLiteMachine, 200, marks=pytest.mark.night),
    ],
)
def test_every_history_is_told_without_a_silent_hole(machine: type[LandlineMachine], histories: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=histories, stateful_step_count=40, suppress_health_check=list(HealthCheck)),
    )
