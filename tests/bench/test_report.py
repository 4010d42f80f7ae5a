"""The page's numbers are made anew between their marks; its prose and unmeasured parts stay honest."""

import re
import xml.etree.ElementTree as ET

import pytest

from bench import charts, report, targets
from bench.jobs import growth, held, latency, polls
from bench.peers import PEERS, flask_plain, nginx
from bench.processes import ROOT
from bench.results import Results

PAGE = "# Prose\n\n<!-- bench:polls -->\nold\n<!-- bench -->\n\nMore prose.\n\n<!-- bench:route -->\n<!-- bench -->\n"


@pytest.fixture
def results() -> Results:
    results = Results("polls", "idle polls", polls.METRICS)
    for rate in (1000.0, 2000.0):
        results.add("Landline <&>", polls.CASE, **{"polls/s": rate})
    results.add_unable("Flask-SSE", polls.CASE, "it speaks SSE")
    results.facts = {"rounds": 2, "when": "2026-11-22"}
    return results


def test_only_what_is_between_marks_changes(results: Results) -> None:
    page = report.fill(PAGE, {"polls": results})
    assert "old" not in page
    assert "1,500 (1,000 to 2,000)" in page
    assert "- Flask-SSE (32 connections): it speaks SSE." in page
    assert page.count("Prose") == page.count("More prose.") == 1


def test_those_who_are_unable_for_one_reason_stand_together(results: Results) -> None:
    for peer, case in (("nginx", "sse"), ("nginx", "websocket"), ("a constant", "sse"), ("a constant", "websocket")):
        results.add_unable(peer, case, "it answers at once")
    page = report.fill(PAGE, {"polls": results})
    assert page.count("it answers at once") == 1
    assert "- nginx · a constant (sse · websocket): it answers at once." in page


def test_what_was_not_measured_says_so(results: Results) -> None:
    assert report.fill(PAGE, {"polls": results}).endswith(
        "<!-- bench:route -->\n\n*Not measured yet.*\n\n<!-- bench -->\n"
    )


def test_filling_twice_changes_nothing(results: Results) -> None:
    page = report.fill(PAGE, {"polls": results})
    assert report.fill(page, {"polls": results}) == page


def test_charts_are_well_formed_and_name_what_they_show(results: Results) -> None:
    (drawn,) = report.draw({"polls": results}).values()
    texts = [element.text for element in ET.fromstring(drawn).iter() if element.tag.endswith("text")]
    assert "Landline <&>" in texts
    assert "1,500" in texts


def test_growth_is_drawn_over_a_logarithmic_scale() -> None:
    results = Results("growth", "", growth.METRICS)
    for count in (10, 1_000, 100_000):
        results.add("a poll", growth.case("events in the log", count), **{next(iter(growth.METRICS)): 5.0})
    drawn = ET.fromstring(report.draw({"growth": results})["bench-growth-log.svg"])
    dots = [
        float(element.attrib["cx"])
        for element in drawn.iter()
        if element.tag.endswith("circle") and element.attrib["r"] == "4"
    ]
    assert len(dots) == 4  # the last is the legend's
    assert dots[1] - dots[0] == pytest.approx(dots[2] - dots[1])


def test_bars_are_as_long_as_what_they_show() -> None:
    drawn = ET.fromstring(charts.bars("", [("Landline", (10.0,), "10"), ("other", (5.0,), "5")]))
    lengths = [float(element.attrib["width"]) for element in drawn.iter() if element.tag.endswith("rect")]
    assert lengths[0] == pytest.approx(2 * lengths[1], rel=0.01)


def test_the_short_of_it_names_the_best_of_those_one_would_use_instead() -> None:
    results = Results("polls", "", polls.METRICS)
    rates = {
        targets.LISTENER: 150_000.0,
        flask_plain.GTHREAD.name: 5_000.0,
        flask_plain.GRANIAN.name: 13_000.0,
        flask_plain.CONSTANT.name: 14_000.0,
        nginx.PEER.name: 250_000.0,
    }
    for name, rate in rates.items():
        results.add(name, polls.CASE, **{"polls/s": rate})
    page = report.fill("<!-- bench:short -->\n<!-- bench -->\n", {"polls": results})
    assert "| idle polls a second | 150,000 | not measured | not measured | 13,000 (Flask route, granian) |" in page
    assert "deliveries" not in page
    assert report.NOT_YET in report.fill("<!-- bench:short -->\n<!-- bench -->\n", {})


def test_each_door_has_a_column_of_its_own_in_the_short_of_it() -> None:
    results = Results("memory", "", {"KB": "{:.2f}"})
    for name, size in ((targets.LISTENER, 3.33), (targets.GTHREAD, 1.55), (targets.NCHAN, 13.99)):
        results.add(name, "sse", KB=size)
    lines = report.block("short", {"memory": results}).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][1:4] == [targets.LISTENER, "Landline, plain gunicorn", "nchan"]
    assert cells[2][1:4] == ["3.33", "1.55", "13.99"]


def test_memory_is_said_by_number_by_door_and_by_loop() -> None:
    results = Results("held", "", held.METRICS)
    for door in held.DOORS:
        for loop in held.LOOPS:
            for count, values in ((1_000, (7.0, 7.0)), (6_000, (3.2, 2.3))):
                results.add(door, held.case(loop, count), **dict(zip(held.METRICS, values, strict=True)))
    memory = Results("memory", "", {"KB": "{:.2f}"})
    memory.add(targets.LISTENER, "sse", KB=3.33)
    short = report.block("short", {"held": results, "memory": memory})
    for door in held.DOORS:
        (line,) = [
            line for line in short.splitlines() if line.startswith(f"KB of memory for each event stream, {door}:")
        ]
        for loop in held.LOOPS:
            assert f"7.0 among 1,000, 3.2 among 6,000, and 2.3 for each further one ({loop})" in line


@pytest.mark.parametrize(("theirs", "told"), [(0.1, True), (2.0, False)])
def test_who_is_told_sooner_by_others_is_said(theirs: float, told: bool) -> None:
    results = Results("latency", "", latency.METRICS)
    for name, ms in ((targets.GTHREAD, 1.32), (targets.NCHAN, theirs)):
        results.add(name, latency.HTTP, **{"p50 ms": ms})
    said = "after 1.32 ms (plain gunicorn), from nchan after 0.10 ms" in report.block("slower", {"latency": results})
    assert said == told
    assert ("from nchan after" in report.block("short", {"latency": results})) == told


def test_machine_is_that_of_the_run_with_all_peers(results: Results) -> None:
    alone = Results("held", "", {})
    machine = {"processors": 2, "model": "A", "memory": "1 GiB", "kernel": "Linux"}
    results.facts |= {"machine": {**machine, "versions": {"nchan": "1", "Flask": "3"}}}
    alone.facts = {"when": "2027-01-01", "rounds": 1, "machine": {**machine, "model": "B", "versions": {"Flask": "4"}}}
    assert "Flask 3" in report.block("machine", {"polls": results, "held": alone})


def test_servers_that_the_comparison_recommends_are_measured_or_marked() -> None:
    text = (ROOT / "README.md").read_text()
    table = text[text.index("## How it compares") : text.index("## How fast")]
    rows = re.findall(r"^\| \[([\w-]+)\]\(.*$", table, re.MULTILINE)
    assert len(rows) >= 5
    for name in rows:
        (row,) = re.findall(rf"^\| \[{name}\].*$", table, re.MULTILINE)
        assert any(name in peer.name for peer in PEERS) != ("not measured below" in row), row
