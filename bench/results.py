"""What was measured, by peer, case and metric: every round's value, kept as JSON, told as median and spread."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).with_name("results")


class Row(NamedTuple):
    """One metric of one peer in one case, a value for each round."""

    peer: str
    case: str
    metric: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)


class Results:
    """The results of one job.

    Args:
        job: its name.
        title: what it measures, in a line.
        metrics: how each metric is told, best known first: a unit and the format of a number.
    """

    def __init__(self, job: str, title: str, metrics: dict[str, str]) -> None:
        self.job = job
        self.title = title
        self.metrics = metrics
        self.facts: dict[str, Any] = {}
        """The machine, the number of rounds, when."""
        self._values: dict[tuple[str, str, str], list[float]] = {}
        self.unable: dict[tuple[str, str], str] = {}
        """Who could not do what, and why."""

    def add(self, peer: str, case: str, **metrics: float) -> None:
        """Take one round's values."""
        for metric, value in metrics.items():
            self._values.setdefault((peer, case, metric), []).append(value)

    def add_unable(self, peer: str, case: str, why: str) -> None:
        """Note that a peer cannot do a case; what it may have done of it is no result."""
        self.unable[peer, case] = why
        for key in [key for key in self._values if key[:2] == (peer, case)]:
            del self._values[key]

    @property
    def rows(self) -> list[Row]:
        """All values, in the order in which they first came."""
        return [Row(*key, tuple(values)) for key, values in self._values.items()]

    def values(self, peer: str, case: str, metric: str) -> tuple[float, ...]:
        """Return a metric's values by round; empty if it was not measured."""
        return tuple(self._values.get((peer, case, metric), ()))

    def cases(self) -> list[str]:
        """Return the cases in the order in which they first came."""
        return list(dict.fromkeys([*(row.case for row in self.rows), *(case for _, case in self.unable)]))

    def table(self) -> list[list[str]]:
        """Return a head and lines: case, who, and each metric's median with its least and most."""
        lines = [["", "", *self.metrics]]
        for case in self.cases():
            entries: dict[str, list[str]] = {}
            for row in self.rows:
                if row.case == case:
                    cells = entries.setdefault(row.peer, [""] * len(self.metrics))
                    cells[list(self.metrics).index(row.metric)] = self.tell(row)
            entries |= {peer: [f"unable: {why}"] for (peer, of), why in self.unable.items() if of == case}
            lines += [[case, peer, *cells] for peer, cells in entries.items()]
        return lines

    def tell(self, row: Row) -> str:
        """Return a row's numbers as they are read."""
        form = self.metrics[row.metric]
        text = form.format(row.median)
        if len(row.values) > 1:
            text += f" ({form.format(min(row.values))} to {form.format(max(row.values))})"
        return text

    def save(self, folder: Path = FOLDER) -> Path:
        """Write it as JSON; return the file."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.job}.json"
        fields = {
            "job": self.job,
            "title": self.title,
            **self.facts,
            "metrics": self.metrics,
            "rows": [
                {**row._asdict(), "median": row.median, "least": min(row.values), "most": max(row.values)}
                for row in self.rows
            ],
            "unable": [{"peer": peer, "case": case, "why": why} for (peer, case), why in self.unable.items()],
        }
        path.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n")
        return path

    @classmethod
    def load(cls, job: str, folder: Path = FOLDER) -> Results | None:
        """Read what `save` wrote; None if there is nothing."""
        path = folder / f"{job}.json"
        if not path.exists():
            return None
        fields = json.loads(path.read_text())
        found = cls(job, fields["title"], fields["metrics"])
        found.facts = {key: fields[key] for key in ("machine", "rounds", "quick", "when") if key in fields}
        for row in fields["rows"]:
            found._values[row["peer"], row["case"], row["metric"]] = row["values"]
        found.unable = {(item["peer"], item["case"]): item["why"] for item in fields["unable"]}
        return found


def ratio(one: Iterable[float], other: Iterable[float]) -> float | None:
    """Return the median of what two were to each other, round by round: a slow moment slows both."""
    pairs = list(zip(one, other, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs and all(b for _, b in pairs) else None


def plain(lines: list[list[str]], tell: Callable[[str], object] = print) -> None:
    """Print a table with aligned columns."""
    columns = max(map(len, lines))
    # A line cut short says in words why there are no numbers: its last cell is as wide as it likes.
    full = [line for line in lines if len(line) == columns]
    widths = [max(len(line[column]) for line in full) for column in range(columns)]
    for column in (0, 1):
        widths[column] = max(len(line[column]) for line in lines)
    for line in lines:
        tell("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip())


def now() -> str:
    """Return today's date."""
    return time.strftime("%Y-%m-%d", time.gmtime())
