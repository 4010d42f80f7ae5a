"""The table of results: for the terminal after a run, and for docs/topics/fallback.md on request."""

from collections.abc import Sequence
from pathlib import Path

from tests.proving.course import CONFIG, INTERVAL, PROOF, Row

DOCUMENT = Path(__file__).parents[2] / "docs/topics/fallback.md"
BEGIN = "<!-- results -->"
END = "<!-- /results -->"
ABOUT = f"""\
Each fault stands between a real browser and an app under gunicorn, while events are published all the time: before
it, while it lasts, and after it; the page stays open throughout. The app advises an interval of {INTERVAL:g} s, gives
a sign of life at least every {CONFIG["LANDLINE_KEEPALIVE"]:g} s, and holds polls for {CONFIG["LANDLINE_HOLD"]:g} s.
The page gives a new line {PROOF:g} s to prove itself.

*While it lasts* is the rung on which the client stood longest, `offline` where nothing can get through. *Slowest* is
the time from the publishing to the handler of the slowest event published meanwhile, and how long it may be: an
interval and a proof, and what the fault itself takes; more only by what the machine is late itself, as told below the
table. *Then* is the rung to which it climbed back by itself, *after* so long.

WebKit is Safari's engine: WebKitGTK 2.50 is today's, WPE WebKit 2.38 that of Safari 16.0. The case in which the browser
is told is missing there, as only Chromium can be.

`make test` prints some lines of this table, in Chromium and Firefox, `make test-rest` the others;
`PROVING=write .venv/bin/pytest tests/proving -m "night or not night"` runs all and writes it here. What each fault is
stands in [`cases.py`](../../tests/proving/cases.py)."""
SLACK = 3
"""By so many times what an `EventSource` beside the client is late, a case may be late: all run on the same cores
at the same time, and the slowest event of one page is not the slowest of all."""
NAMES = ("fault", "browser", "while it lasts", "slowest", "events", "lost", "twice", "out of order", "then", "after")


def cells(row: Row) -> tuple[str, ...]:
    resets = f" (reset: {', '.join(row.resets)})" if row.resets else ""
    return (
        row.case.name,
        row.browser,
        row.rung if row.case.rung else f"changing, most {row.rung}",
        f"{row.worst:.1f} s of {row.allowed:.1f}",
        str(row.events),
        f"{len(row.lost)}{resets}",
        str(len(row.twice)),
        str(len(row.disordered)),
        row.after,
        f"{row.climb:.1f} s" if row.climb else "at once",
    )


def lateness(rows: Sequence[Row]) -> str:
    slowest = " and ".join(f"{row.beside:.1f} s in {row.browser}" for row in rows if row.beside)
    return f"Without Landline's client, in an `EventSource` where nothing was wrong, the slowest event took {slowest}."


def plain(rows: Sequence[Row]) -> list[str]:
    """Return the table in columns."""
    lines = [NAMES, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = ["  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [*table, lateness(rows)]


def markdown(rows: Sequence[Row]) -> str:
    lines = [NAMES, ("---",) * len(NAMES), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + f"\n\n{lateness(rows)}"


def write(rows: Sequence[Row], document: Path = DOCUMENT) -> None:
    """Put the table between the two marks of the document."""
    before, _, rest = document.read_text().partition(BEGIN)
    _, generation, after = rest.partition(END)
    assert generation, (
        f"{document} has no line {BEGIN!r} with a line {END!r} after it, so there is no place for the table"
    )
    document.write_text(f"{before}{BEGIN}\n{ABOUT}\n\n{markdown(rows)}\n{END}{after}")
