"""Results keep every round's value, tell median and spread, and forget what a peer could not do."""

from pathlib import Path

import pytest

from bench.results import Results, ratio


@pytest.fixture
def results() -> Results:
    results = Results("polls", "idle polls", {"polls/s": "{:,.0f}", "p99 ms": "{:.1f}"})
    for rate in (1000.0, 3000.0, 2000.0):
        results.add("Landline", "32 connections", **{"polls/s": rate, "p99 ms": 1.5})
    results.add_unable("Flask-SSE", "32 connections", "it speaks SSE")
    return results


def test_table_tells_median_and_spread(results: Results) -> None:
    assert results.table() == [
        ["", "", "polls/s", "p99 ms"],
        ["32 connections", "Landline", "2,000 (1,000 to 3,000)", "1.5 (1.5 to 1.5)"],
        ["32 connections", "Flask-SSE", "unable: it speaks SSE"],
    ]


def test_what_a_peer_did_before_it_failed_is_no_result(results: Results) -> None:
    results.add_unable("Landline", "32 connections", "it ended")
    assert results.rows == []
    assert results.unable["Landline", "32 connections"] == "it ended"


def test_saved_results_come_back(results: Results, tmp_path: Path) -> None:
    results.facts = {"rounds": 3, "when": "2026-11-22"}
    results.save(tmp_path)
    again = Results.load("polls", tmp_path)
    assert again is not None
    assert again.table() == results.table()
    assert again.facts == results.facts
    assert Results.load("fanout", tmp_path) is None


def test_ratio_is_taken_round_by_round() -> None:
    """The second round ran on a slow machine, for both: no median of one divided by the other's."""
    assert ratio((200.0, 20.0, 300.0), (100.0, 10.0, 100.0)) == 2.0
    assert ratio((1.0,), ()) is None
    assert ratio((1.0,), (0.0,)) is None
