"""Runs all cases of a browser that are asked for side by side, once, and shows what became of them at the end."""

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


def _param(job: ground.Job) -> object:
    case, browser = job
    # All cases in all browsers take many minutes, and drivers of WebKit are not everywhere.
    marks = [] if browser in case.always else [pytest.mark.night]
    return pytest.param(job, id=f"{case.name}-{browser}", marks=marks)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "job" in metafunc.fixturenames:
        metafunc.parametrize("job", [_param(job) for job in JOBS])


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], str]
) -> dict[ground.Job, ground.Outcome]:
    """Return what became of the cases whose tests run now, and of those in the same browsers with nothing wrong."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    asked = [job for job in JOBS if any(call.get("job") is job for call in calls)]
    browsers = {browser for _, browser in asked}
    jobs = [job for job in JOBS if job in asked or (job[0].control and job[1] in browsers)]
    outcomes: dict[ground.Job, ground.Outcome] = {}
    for party, at_once in ground.PARTIES.items():
        if theirs := [job for job in jobs if job[1] in party]:
            folder = tmp_path_factory.mktemp("proving")
            outcomes |= asyncio.run(ground.run(theirs, require, folder, CHROMIUM_ARGUMENTS, at_once))
    rows = [row for job in JOBS if isinstance(row := outcomes.get(job), Row)]
    request.config.stash[ROWS] = rows
    if hasattr(request.config, "workeroutput"):
        request.config.workeroutput["lines"] = ["proving ground", *table.plain(rows)]
    return outcomes


@pytest.fixture
def row(job: ground.Job, outcomes: dict[ground.Job, ground.Outcome]) -> Row:
    """Return the account of a case."""
    return _account(outcomes[job])


@pytest.fixture
def late(job: ground.Job, outcomes: dict[ground.Job, ground.Outcome]) -> float:
    """Return by how many seconds machine and browser were late by themselves."""
    beside = next(other for other in outcomes if other[0].options.get("beside") and other[1] == job[1])
    return _account(outcomes[beside]).beside


def _account(outcome: ground.Outcome) -> Row:
    """Return a case's account; raise what it failed with, if it did."""
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


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
