"""Each target finds what it needs in a run's results, and judges it."""

import pytest

from bench import targets
from bench.jobs import JOBS, fanout, polls
from bench.results import Results
from bench.targets import GTHREAD, LISTENER, NCHAN, Target


def judged(results: Results) -> dict[str, list[str]]:
    return {line[0]: line[3:] for line in targets.table({results.job: results})[1:]}


def polled(*rates: tuple[str, float]) -> Results:
    results = Results("polls", "", polls.METRICS)
    for name, rate in rates:
        results.add(name, polls.CASE, **{"polls/s": rate, targets.PER_CPU: rate})
    return results


@pytest.mark.parametrize(
    ("rate", "verdict"), [(59.0, "missed"), (61.0, "at least reached"), (80.0, "reached"), (100.0, "reached")]
)
def test_polls_are_held_against_nginx(rate: float, verdict: str) -> None:
    found = judged(polled(("nginx `return 200`", 100.0), (LISTENER, rate)))
    assert found["idle polls, listener : nginx `return 200`"] == [f"{rate / 100:.2f} ×", verdict]


def test_what_was_not_measured_is_not_judged() -> None:
    assert judged(polled((LISTENER, 100.0)))["idle polls, listener : Flask route"] == ["", "not measured"]
    assert targets.table({}) == [["", "at least", "aim", "reached", "verdict"]]


def test_streams_are_held_against_the_best_of_the_others() -> None:
    results = Results("fanout", "", fanout.METRICS)
    for name, transport, rate in (
        (GTHREAD, "sse", 90.0),
        (NCHAN, "sse", 100.0),
        ("Flask-SSE, gunicorn gevent and Redis", "sse", 10.0),
        ("Socket.IO, node", "websocket", 30.0),
    ):
        results.add(name, fanout.case(transport, 10_000), **{"deliveries/s": rate})
    found = judged(results)
    assert found["SSE to 10,000 : best Python or node peer"] == ["3.00 ×", "reached"]
    assert found["SSE to 10,000 : nchan"] == ["0.90 ×", "missed"]


def test_memory_is_better_when_it_is_less() -> None:
    target = Target("", "memory", 0.4, 0.25, lambda _: None, at_most=True)
    assert [target.verdict(value) for value in (0.5, 0.3, 0.2)] == ["missed", "at least reached", "reached"]


def test_every_target_is_of_something_that_is_measured() -> None:
    """A target of a renamed job would never be judged, and nobody would notice."""
    assert {target.job for target in targets.TARGETS} <= {*JOBS, "memory"}  # which fan-out measures along
