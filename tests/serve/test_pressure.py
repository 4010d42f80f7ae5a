"""What is asked of clients under load: decided by measurements alone, a table of them here."""

import itertools
import math

import pytest
from landline.serve.pressure import (
    CALM,
    FEWEST,
    FILL,
    LAGGING,
    ROOM,
    SPEND,
    SPENT,
    STEP,
    STRETCH,
    TURN,
    Load,
    Meter,
    Pressure,
)
from landline.testing import Clock

INTERVAL, HOLD, CAPACITY = 2.0, 20.0, 1000.0


def pressed(**more: float) -> Pressure:
    return Pressure(**{"interval": INTERVAL, "hold": HOLD, "capacity": CAPACITY, **more})


def under(pressure: Pressure, rate: float, seconds: float, *, busy: float = 0.5, **more: float) -> Pressure:
    """Ask `rate` polls a second of it for some seconds, evenly."""
    asked = 0.0
    for _ in range(round(seconds / TURN)):
        before, asked = int(asked), asked + rate * TURN
        pressure.step(Load(TURN, int(asked) - before, busy, **more))
    return pressure


def test_no_load_asks_for_what_is_configured() -> None:
    pressure = under(pressed(), FILL * CAPACITY, 60)
    assert (pressure.interval, pressure.holds, pressure.room) == (INTERVAL, True, True)


@pytest.mark.parametrize("times", [1.5, 3, 10])
def test_interval_puts_those_who_come_as_far_apart_as_they_must_be(times: float) -> None:
    """Those who come for one second find as many seconds' places taken as they are too many."""
    pressure = under(pressed(), times * FILL * CAPACITY, 1)
    wanted = INTERVAL + times - 1
    assert wanted <= pressure.interval <= wanted * STEP


def test_interval_is_stretched_to_its_limit_and_no_further() -> None:
    assert under(pressed(), 100 * CAPACITY, 60).interval == STRETCH * INTERVAL
    assert under(pressed(interval=0.05), 100 * CAPACITY, 60).interval == STRETCH * 0.05


def test_interval_changes_in_steps_and_stands_in_between() -> None:
    pressure, seen = pressed(), []
    for _ in range(200):
        under(pressure, 3 * FILL * CAPACITY, TURN)
        seen.append(pressure.interval)
    steps = [interval for interval, _ in itertools.groupby(seen)]
    assert len(steps) > 10
    assert all(later >= earlier * (STEP - 1e-3) for earlier, later in itertools.pairwise(steps))


def test_interval_does_not_follow_small_waves() -> None:
    """Some more now and some fewer then: nothing else is asked of anybody."""
    pressure = under(pressed(), 5 * FILL * CAPACITY, 3)
    told = pressure.interval
    for _ in range(50):
        under(pressure, 1.02 * FILL * CAPACITY, 5)
        under(pressure, 0.98 * FILL * CAPACITY, 5)
        assert told / STEP <= pressure.interval <= told * STEP


def test_interval_falls_more_slowly_than_time_passes() -> None:
    """Else all who come while it falls would be told the same moment."""
    pressure = under(pressed(), 100 * CAPACITY, 60)
    falling = []
    for turn in range(2000):
        under(pressure, 1 / TURN, TURN)
        if pressure.interval > INTERVAL:
            falling.append(turn * TURN + pressure.interval)
    assert pressure.interval == INTERVAL
    # They come over as long a time as it took to fall, less what it fell by.
    assert falling[-1] - falling[0] > 40


def test_usual_interval_comes_back_only_when_it_is_calm() -> None:
    pressure = under(pressed(), 1.3 * FILL * CAPACITY, 2)
    assert pressure.interval > INTERVAL
    for _ in range(20):
        under(pressure, 0.5 * FILL * CAPACITY, CALM / 2)
        assert pressure.interval > INTERVAL
        under(pressure, 1.1 * FILL * CAPACITY, TURN)
        assert pressure.interval > INTERVAL
    under(pressure, 0.5 * FILL * CAPACITY, CALM * 2)
    assert pressure.interval == INTERVAL


def test_hours_without_polls_leave_no_queue() -> None:
    pressure = under(pressed(), 100 * CAPACITY, 60)
    pressure.step(Load(3600.0, 1))
    assert pressure.interval == INTERVAL


def test_clients_are_not_held_when_that_saves_nothing() -> None:
    """A held poll is answered at each event, and asked again at once; a stretched short poll is not."""
    pressure = pressed()
    while pressure.interval < HOLD:
        assert pressure.holds
        under(pressure, 5 * CAPACITY, TURN)
    assert not pressure.holds
    while pressure.interval > INTERVAL:
        assert not pressure.holds
        under(pressure, 0, TURN)
    assert pressure.holds


def test_held_requests_are_offered_again_when_there_is_room_for_many() -> None:
    pressure = pressed()
    assert under(pressure, 10, 1, held=0.99).room
    assert not under(pressure, 10, 1, held=1.0).room
    assert not under(pressure, 10, 1, held=ROOM + 0.01).room
    assert under(pressure, 10, 1, held=ROOM).room


def test_side_loop_that_lags_is_given_no_more_to_hold() -> None:
    pressure = pressed()
    assert under(pressure, 10, 1, lag=0.9 * LAGGING).room
    assert not under(pressure, 10, 1, lag=LAGGING).room
    assert not under(pressure, 10, 1, lag=0.6 * LAGGING).room
    assert under(pressure, 10, 1, lag=0.4 * LAGGING).room


@pytest.mark.parametrize("sign", [{"busy": 1.0}, {"busy": 3.0}, {"busy": 0.1, "lag": LAGGING}])
def test_process_without_time_left_takes_fewer_polls(sign: dict[str, float]) -> None:
    """Half of the capacity that was hoped for is all it can do: that, it learns, is too much."""
    pressure = under(pressed(), 500, 20, **sign)
    assert pressure.capacity == pytest.approx(500 * SPEND, rel=0.05)
    assert pressure.interval > INTERVAL


def test_process_with_time_is_given_its_capacity_back() -> None:
    pressure = under(pressed(), 500, 20, busy=1.0)
    assert under(pressure, 500, 60, busy=0.75).capacity == pytest.approx(500 * SPEND, rel=0.05)
    assert under(pressure, 100, 50, busy=0.5).capacity < CAPACITY
    assert under(pressure, 100, 150, busy=0.5).capacity == CAPACITY


@pytest.mark.parametrize("capacity", [CAPACITY, math.inf])
def test_processor_time_settles_and_does_not_swing(capacity: float) -> None:
    """A closed loop: clients come when told, and wait until it is their turn. No capacity is known beforehand."""
    clients, each_second = 5000, 1000
    pressure = pressed(capacity=capacity)
    due = [INTERVAL * n / clients for n in range(clients)]
    now, told, busy = 0.0, [], []
    while now < 600:
        now += TURN
        come = sorted((n for n, at in enumerate(due) if at < now), key=due.__getitem__)[: round(each_second * TURN)]
        for n in come:
            due[n] = now + pressure.interval * (1 + (n * 0.618 % 1) / 10)
        busy.append(len(come) / (each_second * TURN))
        is_look = len(busy) % 10 == 0
        pressure.step(Load(TURN, len(come), sum(busy[-10:]) / 10 if is_look else None))
        told.append(pressure.interval)
    late = told[-3000:]
    assert max(late) <= min(late) * STEP**4
    assert 0.4 < sum(busy[-3000:]) / 3000 < SPENT


def test_app_that_is_busy_with_itself_still_has_its_few_polls() -> None:
    """Polls are not what takes its time, so fewer of them would not give it any."""
    pressure = under(pressed(), 0.9 * FEWEST * FILL, 300, busy=1.0)
    assert pressure.interval == INTERVAL


def test_busy_start_says_nothing_about_polls() -> None:
    """An app that is loading has no time left, and those who come after a restart will meet another one."""
    assert under(pressed(), 0.9 * FEWEST, 10, busy=1.0).capacity == CAPACITY


def test_few_polls_are_always_welcome() -> None:
    assert under(pressed(), 1.1 * FEWEST, 300, busy=1.0).capacity == FEWEST


def test_no_capacity_given_leaves_it_to_what_is_measured() -> None:
    pressure = under(pressed(capacity=math.inf), 50_000, 60, busy=0.5)
    assert pressure.interval == INTERVAL
    assert under(pressure, 50_000, 60, busy=0.95).interval > INTERVAL


class Bench:
    """A meter whose clock and processor stand still."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.used = 0.0
        self.changes: list[float] = []
        self.loads: list[Load] = []
        self.meter = Meter(self.make, self.changed, clock=self.clock, used=lambda: self.used)

    def make(self) -> Pressure:
        pressure = pressed()
        step = pressure.step

        def watched(load: Load) -> bool:
            self.loads.append(load)
            return step(load)

        pressure.step = watched  # type: ignore[method-assign]
        return pressure

    def changed(self) -> None:
        self.changes.append(self.meter.pressure.interval)


def test_meter_decides_once_in_a_while_and_tells_of_changes() -> None:
    bench = Bench()
    for _ in range(400):
        bench.meter.count()
    assert bench.loads == []
    bench.clock.advance(TURN)
    bench.meter.count()
    assert [load.polls for load in bench.loads] == [401]
    assert bench.loads[0].elapsed == pytest.approx(TURN)
    assert bench.changes == [bench.meter.pressure.interval]
    bench.clock.advance(TURN)
    bench.meter.count()
    assert len(bench.changes) == 1


def test_meter_measures_the_processor_over_whole_seconds() -> None:
    bench = Bench()
    for _ in range(30):
        bench.clock.advance(TURN)
        bench.used += TURN / 2
        bench.meter.count()
    looks = [load.busy for load in bench.loads if load.busy is not None]
    assert len(looks) == 2
    assert looks == [pytest.approx(0.5)] * 2


def test_meter_asks_how_much_is_held_and_how_late_the_loop_is() -> None:
    bench = Bench()
    bench.meter.observe = lambda: (0.25, 0.125)
    bench.clock.advance(TURN)
    bench.meter.count()
    assert bench.loads[0][3:] == (0.125, 0.25)


def test_meter_of_a_child_begins_anew() -> None:
    bench = Bench()
    for _ in range(20_000):
        bench.meter.count()
    bench.clock.advance(TURN)
    bench.meter.count()
    assert bench.meter.pressure.interval > INTERVAL
    bench.meter.after_fork()
    assert bench.meter.pressure.interval == INTERVAL
