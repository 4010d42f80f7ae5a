"""Put what was measured into docs/topics/performance.md, and the short of it into README.md: `python -m bench.report`.

The prose there is written by hand. Between `<!-- bench:NAME -->` and `<!-- bench -->` stands what this file makes of
`bench/results/*.json`: a job's table, `targets`, `machine`, or `short`.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Mapping

from bench import charts, machine, targets
from bench.jobs import fanout, growth, held, latency, polls
from bench.peers import PEERS, flask_plain, nginx
from bench.processes import ROOT
from bench.results import FOLDER, Results, Row

PAGES = (ROOT / "docs" / "topics" / "performance.md", ROOT / "README.md")
IMAGES = ROOT / "docs" / "images"
NAMES = ("polls", "fanout", "memory", "held", "idle", "publish", "latency", "growth", "cache", "route", "grants")
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
        return "\n\n".join([_markdown(lines), *_slower(found), *_by_number(found)]) if len(lines) > 1 else NOT_YET
    if name == "slower":
        return "\n".join(f"- {words}" for words in _slower(found)) or NOT_YET
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
    """Describe the machine of the newest run with all peers: Landline alone may be measured where there are none."""
    every = [results.facts for results in found.values()]
    facts = max(every, key=lambda facts: (len(facts["machine"]["versions"]), facts["when"]), default=None)
    if facts is None:
        return ""
    versions = ", ".join(f"{name} {version}" for name, version in facts["machine"]["versions"].items())
    return f"{machine.sentence(facts['machine'])}. {versions}."


SHORT = [
    ("idle polls a second", "polls", polls.CASE, "polls/s"),
    *(
        (f"deliveries a second to {targets.READERS:,} readers, {name}", "fanout", case, "deliveries/s")
        for name in fanout.TRANSPORTS
        for case in [fanout.case(name, targets.READERS)]
    ),
    *(
        (f"KB of memory for each of {targets.READERS:,} readers, {name}", "memory", name, "KB")
        for name in fanout.TRANSPORTS
    ),
    ("ms from publishing by HTTP to a stream", "latency", latency.HTTP, "p50 ms"),
]
"""What is read first: in words, and its job, case and metric."""
LESS_IS_BETTER = {"KB", "p50 ms"}


def _short(found: Found) -> list[list[str]]:
    """Return what to read first: ourselves by each door, nchan, and the best of Python's and node's, job by job."""
    head = [
        "",
        "Landline, listener",
        "Landline, plain gunicorn",
        "nchan",
        "best of the Python and node packages measured",
    ]
    lines = [head]
    for what, job, case, metric in SHORT:
        if job in found and (cells := _beside(found[job], case, metric)):
            lines.append([what, *cells])
    return lines


def _beside(results: Results, case: str, metric: str) -> list[str]:
    """Return a metric's medians: ours by each door, nchan's, and the best of the others by name; empty without ours."""
    rows = {row.peer: row for row in results.rows if (row.case, row.metric) == (case, metric)}
    if targets.LISTENER not in rows and targets.GTHREAD not in rows:
        return []

    def told(row: Row | None) -> str:
        return results.metrics[metric].format(row.median) if row is not None else "not measured"

    others = [row for peer, row in rows.items() if peer in OTHERS]
    best = (min if metric in LESS_IS_BETTER else max)(others, key=lambda row: row.median, default=None)
    own = [told(rows.get(name)) for name in targets.NATIVE]
    return [*own, f"{told(best)} ({best.peer})" if best is not None else "none does it"]


def _slower(found: Found) -> list[str]:
    """Say by how much others are told sooner; empty if they are not, or it was not measured."""
    if "latency" not in found:
        return []
    metric = "p50 ms"
    rows = {row.peer: row.median for row in found["latency"].rows if (row.case, row.metric) == (latency.HTTP, metric)}
    mine = rows.pop(targets.GTHREAD, None)
    sooner = [f"{name} after {value:.2f} ms" for name, value in rows.items() if mine is not None and value < mine]
    if not sooner:
        return []
    words = f"what is published by an HTTP request reaches a stream after {mine:.2f} ms (plain gunicorn)"
    why = "An event of Landline's is on disk by then, theirs is not."
    return [f"**Latency**: {words}, from {' and from '.join(sooner)}. {why}"]


def _by_number(found: Found) -> list[str]:
    """Say what an event stream takes by their number, at each door and by each loop; empty if it was not measured."""
    if "held" not in found:
        return []
    results, (each, further) = found["held"], held.METRICS
    sizes = list(dict.fromkeys(case.partition(" readers, ")[0] for case in results.cases()))
    lines = []
    for door in held.DOORS:
        told = []
        for loop in held.LOOPS:
            values = [statistics.median(results.values(door, f"{size} readers, {loop}", each)) for size in sizes]
            last = statistics.median(results.values(door, f"{sizes[-1]} readers, {loop}", further))
            among = ", ".join(f"{value:.1f} among {size}" for value, size in zip(values, sizes, strict=True))
            told.append(f"{among}, and {last:.1f} for each further one ({loop})")
        lines.append(f"KB of memory for each event stream, {door}: {'; '.join(told)}.")
    return lines


def _markdown(lines: list[list[str]]) -> str:
    head, *rest = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---" if number < 2 else "--:" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rest])


if __name__ == "__main__":
    sys.exit(main())
