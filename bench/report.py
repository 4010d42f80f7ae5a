"""Put what was measured into docs/topics/performance.md, and the short of it into README.md: `python -m bench.report`.

The prose there is written by hand. Between `<!-- bench:NAME -->` and `<!-- bench -->` stands what this file makes of
`bench/results/*.json`: a job's table, `targets`, `machine`, or `short`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from bench import charts, machine, targets
from bench.jobs import fanout, growth, polls
from bench.peers import PEERS, flask_plain, nginx
from bench.processes import ROOT
from bench.results import FOLDER, Results, Row

PAGES = (ROOT / "docs" / "topics" / "performance.md", ROOT / "README.md")
IMAGES = ROOT / "docs" / "images"
NAMES = ("polls", "fanout", "memory", "idle", "publish", "latency", "growth", "cache", "route", "grants")
GROWTHS = {"events in the log": "log", "channels": "channels", "readers of other channels": "others"}
BLOCK = re.compile(r"(<!-- bench:(?P<name>[a-z]+) -->\n).*?(<!-- bench -->)", re.DOTALL)
NOT_YET = "*Not measured yet.*"
OTHERS = {peer.name for peer in PEERS if peer.name not in targets.NATIVE} - {nginx.PEER.name, flask_plain.CONSTANT.name}
"""Python's and node's: what one would use instead."""

Found = Mapping[str, Results]


def main() -> int:
    """Rewrite the page's numbers and the charts."""
    found = {name: results for name in NAMES if (results := Results.load(name, FOLDER)) is not None}
    for page in PAGES:
        page.write_text(fill(page.read_text(), found))
        print(f"bench: {page.relative_to(ROOT)}, from {', '.join(found) or 'nothing'}")
    for name, text in draw(found).items():
        (IMAGES / name).write_text(text)
        print(f"bench: docs/images/{name}")
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
    if name == "short":
        lines = _short(found)
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
    text = _markdown([head, *(line for line in lines if len(line) == len(head))])
    if results.unable:
        text += "\n\nUnable:\n\n" + "\n".join(f"- {line}" for line in _unable(results))
    return text


def _unable(results: Results) -> list[str]:
    """Return who could not do what, and why, a line for each reason."""
    cases: dict[tuple[str, str], list[str]] = {}
    for (peer, case), why in results.unable.items():
        cases.setdefault((peer, why), []).append(case)
    peers: dict[tuple[str, str], list[str]] = {}
    for (peer, why), of in cases.items():
        peers.setdefault((why, " · ".join(of)), []).append(peer)
    return [f"{' · '.join(names)} ({of}): {why}." for (why, of), names in peers.items()]


def _machine(found: Found) -> str:
    """Describe the machine of the newest run."""
    facts = max((results.facts for results in found.values()), key=lambda facts: facts["when"], default=None)
    if facts is None:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["machine"]["versions"].items())
    return f"{machine.sentence(facts['machine'])}. {versions}."


def _short(found: Found) -> list[list[str]]:
    """Return what to read first: ourselves, nchan, and the best of Python's and node's, job by job."""
    lines = [["", "Landline", "nchan", "best Python or node peer"]]
    rows = [("idle polls a second", "polls", polls.CASE, "polls/s", targets.LISTENER)]
    for transport in fanout.TRANSPORTS:
        case = fanout.case(transport, targets.READERS)
        what = f"deliveries a second to {targets.READERS:,} readers, {transport}"
        rows.append((what, "fanout", case, "deliveries/s", targets.LISTENER))
    rows += [
        (f"KB of memory for each reader, {transport}", "memory", transport, "KB", targets.GTHREAD)
        for transport in ("sse", "websocket")
    ]
    for what, job, case, metric, mine in rows:
        if job in found and (cells := _beside(found[job], case, metric, mine)):
            lines.append([what, *cells])
    return lines


def _beside(results: Results, case: str, metric: str, mine: str) -> list[str]:
    """Return a metric's medians: ours, nchan's, and the best of the others with its name; empty if we have none."""
    rows = {row.peer: row for row in results.rows if (row.case, row.metric) == (case, metric)}
    if mine not in rows:
        return []

    def told(row: Row | None) -> str:
        return results.metrics[metric].format(row.median) if row is not None else ""

    others = [row for peer, row in rows.items() if peer in OTHERS]
    best = (min if metric == "KB" else max)(others, key=lambda row: row.median, default=None)
    return [told(rows[mine]), told(rows.get(targets.NCHAN)), f"{told(best)} ({best.peer})" if best is not None else ""]


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---" if number < 2 else "--:" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rest])


if __name__ == "__main__":
    sys.exit(main())
