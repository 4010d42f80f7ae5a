"""Put what was measured into docs/topics/performance.md: `python -m bench.report`.

The prose there is written by hand. Between `<!-- bench:NAME -->` and `<!-- bench -->` stands what this file makes of
`bench/results/*.json`: a job's table, `targets`, or `machine`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from bench import charts, machine, targets
from bench.jobs import fanout, growth, polls
from bench.processes import ROOT
from bench.results import FOLDER, Results

PAGE = ROOT / "docs" / "topics" / "performance.md"
IMAGES = ROOT / "docs" / "images"
NAMES = ("polls", "fanout", "memory", "idle", "publish", "latency", "growth", "cache", "route", "grants")
GROWTHS = {"events in the log": "log", "channels": "channels", "readers of other channels": "others"}
BLOCK = re.compile(r"(<!-- bench:(?P<name>[a-z]+) -->\n).*?(<!-- bench -->)", re.DOTALL)
NOT_YET = "*Not measured yet.*"

Found = Mapping[str, Results]


def main() -> int:
    """Rewrite the page's numbers and the charts."""
    found = {name: results for name in NAMES if (results := Results.load(name, FOLDER)) is not None}
    PAGE.write_text(fill(PAGE.read_text(), found))
    for name, text in draw(found).items():
        (IMAGES / name).write_text(text)
        print(f"bench: docs/images/{name}")
    print(f"bench: {PAGE.relative_to(ROOT)}, from {', '.join(found) or 'nothing'}")
    return 0


def fill(page: str, found: Found) -> str:
    """Return a page with the blocks between its marks made anew."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{block(match['name'], found)}\n\n{match[3]}", page)


def block(name: str, found: Found) -> str:
    """Return what stands between two marks."""
    if name == "machine":
        return _machine(found) or NOT_YET
    if name == "targets":
        lines = targets.table(found)
        return _markdown(lines) if len(lines) > 1 else NOT_YET
    if name not in found:
        return NOT_YET
    results = found[name]
    said = f"Median of {results.facts['rounds']} rounds (least to most), {results.facts['when']}."
    images = [f"![chart: {image.removesuffix('.svg')}](../images/{image})" for image in draw({name: results})]
    return "\n\n".join([*images, _table(results), said])


def draw(found: Found) -> dict[str, str]:
    """Return the charts, by file name."""
    drawn = {}
    if "polls" in found:
        drawn["bench-polls.svg"] = _bars(found["polls"], polls.CASE, "polls/s", "Idle polls a second")
    if "fanout" in found:
        for transport in fanout.TRANSPORTS:
            case = fanout.case(transport, targets.READERS)
            if any(row.case == case for row in found["fanout"].rows):
                title = f"Deliveries a second to {targets.READERS:,} readers, {transport}"
                drawn[f"bench-fanout-{transport}.svg"] = _bars(found["fanout"], case, "deliveries/s", title)
    if "memory" in found:
        for transport in ("sse", "websocket"):
            title = f"KB of memory for each reader, {transport}"
            drawn[f"bench-memory-{transport}.svg"] = _bars(found["memory"], transport, "KB", title)
    if "growth" in found:
        for of, name in GROWTHS.items():
            if series := _series(found["growth"], of):
                title, unit = f"Cost, by {of}", next(iter(growth.METRICS))
                drawn[f"bench-growth-{name}.svg"] = charts.lines(title, unit, of, series)
    return drawn


def _bars(results: Results, case: str, metric: str, title: str) -> str:
    rows = [row for row in results.rows if row.case == case and row.metric == metric]
    rows.sort(key=lambda row: -row.median)
    form = results.metrics[metric]
    return charts.bars(title, [(row.peer, row.values, form.format(row.median)) for row in rows])


def _series(results: Results, of: str) -> dict[str, dict[float, tuple[float, ...]]]:
    """Return what a chart of growth shows: by what is done, the costs at each number of something."""
    series: dict[str, dict[float, tuple[float, ...]]] = {}
    for row in results.rows:
        count, _, rest = row.case.partition(" ")
        if rest == of:
            series.setdefault(row.peer, {})[float(count.replace(",", ""))] = row.values
    # One point makes no line: polls are not asked again for each number of other readers.
    return {name: points for name, points in series.items() if len(points) > 1}


def _table(results: Results) -> str:
    """Return a table for each case; who is unable, and why, below."""
    head, *lines = results.table()
    able = [line for line in lines if len(line) == len(head)]
    unable = [f"{line[1]} ({line[0]}): {line[2].removeprefix('unable: ')}" for line in lines if len(line) < len(head)]
    text = _markdown([head, *able])
    if unable:
        text += "\n\nUnable: " + "; ".join(unable) + "."
    return text


def _machine(found: Found) -> str:
    """Describe the machine of the newest run."""
    facts = max((results.facts for results in found.values()), key=lambda facts: facts["when"], default=None)
    if facts is None:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["machine"]["versions"].items())
    return f"{machine.sentence(facts['machine'])}. {versions}."


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---" if number < 2 else "--:" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rest])


if __name__ == "__main__":
    sys.exit(main())
