"""A page in a real browser, real middleboxes and faults on the way, and a feed that goes on all the time.

The cases stand in cases.py, what is done in each in course.py; all run side by side, once, and each test looks at one
thing in the account of one of them.
"""

import os

import pytest

from tests.proving import table
from tests.proving.cases import CASES
from tests.proving.course import Row

# The first test waits for all cases.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_every_event_arrives_once_and_in_order(row: Row) -> None:
    assert (row.lost, row.twice, row.disordered) == ([], [], []), row.told
    assert row.resets == row.case.resets
    assert row.uncaught == []


def test_slowest_event_while_fallen_waits_for_one_interval_and_one_proof(row: Row, late: float) -> None:
    """And for what the fault itself takes, a pause after a poll that failed, and what the machine is late."""
    assert row.worst <= row.allowed + table.SLACK * late, row.told


def test_stands_where_it_can_and_climbs_back_by_itself(row: Row) -> None:
    assert row.case.rung in (None, row.rung), row.told
    assert row.after == row.case.best, row.told


@pytest.mark.skipif(os.environ.get("PROVING") == "write", reason="the table is about to be written")
def test_table_in_the_document_has_every_case() -> None:
    text = table.DOCUMENT.read_text()
    lines = text[text.index(table.BEGIN) : text.index(table.END)].splitlines()
    kept = [tuple(line.strip("| ").split(" | ")[:2]) for line in lines if line.startswith("| ")]
    assert kept[2:] == [(case.name, browser) for case in CASES for browser in case.browsers]
