"""Runs all cases that are asked for side by side, once, and shows what became of them at the end."""

import asyncio
import os
from collections.abc import Callable

import pytest

from tests.conftest import CHROMIUM_ARGUMENTS
from tests.proving import ground, table
from tests.proving.cases import CASES
from tests.proving.course import Row

ROWS = pytest.StashKey[list[Row]]()
JOBS = [(case, browser) for case in CASES for browser in case.browsers]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "job" in metafunc.fixturenames:
        metafunc.parametrize("job", JOBS, ids=[f"{case.name}-{browser}" for case, browser in JOBS])


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], str]
) -> dict[ground.Job, ground.Outcome]:
    """Return what became of the cases whose tests run now. Those in which nothing goes wrong always do."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = [params["job"] for params in params if "job" in params]
    jobs = [job for job in JOBS if job in asked or job[0].control]
    outcomes = asyncio.run(ground.run(jobs, require, tmp_path_factory.mktemp("proving"), CHROMIUM_ARGUMENTS))
    request.config.stash[ROWS] = [row for job in JOBS if isinstance(row := outcomes.get(job), Row)]
    return outcomes


@pytest.fixture
def row(job: ground.Job, outcomes: dict[ground.Job, ground.Outcome]) -> Row:
    """Return the account of a case; raise what it failed with, if it did."""
    outcome = outcomes[job]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@pytest.fixture
def late(outcomes: dict[ground.Job, ground.Outcome]) -> float:
    """Return by how many seconds the machine was late, at most, in this run: an `EventSource` without our client."""
    rows = [row for (case, _), row in outcomes.items() if case.control and isinstance(row, Row)]
    return max(entry["late"] for row in rows for entry in row.told if entry["what"] == "plain")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    terminalreporter.section("proving ground")
    for line in table.plain(rows):
        terminalreporter.line(line)
    if os.environ.get("PROVING") == "write":
        if exitstatus == 0 and len(rows) == len(JOBS):
            table.write(rows)
            terminalreporter.line(f"written to {table.DOCUMENT}")
        else:
            terminalreporter.line(f"not written to {table.DOCUMENT}: only a whole run in which all pass is")
