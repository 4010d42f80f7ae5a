"""The smoke test: nothing may cost more because there is more of something else. `make bench ONLY=smoke`.

Counts instructions, under valgrind's callgrind, not seconds: a busy machine changes nothing. What is compared is the
same work with little and with much around it: a cost linear in any of that shows as a factor, not as a few per cent.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench import counted
from bench.load import SOURCES
from bench.processes import ROOT

HEADER = Path("/usr/include/valgrind/callgrind.h")
WITHIN = 300.0
"""Seconds after which it will not end any more; it takes some fifteen of a processor."""
ALLOWED = 1.2
"""How much more a thing may cost. Two runs differ by some per cent: threads take turns by the clock, a B-tree has
a level more. A cost linear in what there is ten thousand times more of is no such difference."""


class Growth(NamedTuple):
    """One thing, with little and with much around it, in instructions."""

    what: str
    little: str
    much: str
    before: int
    after: int

    @property
    def ratio(self) -> float:
        """How much more it costs."""
        return self.after / self.before

    def __str__(self) -> str:
        return (
            f"{self.what:<22} {self.little:>16}: {self.before:>11,}   {self.much:>20}: {self.after:>11,}"
            f"   × {self.ratio:.3f}"
        )


PAIRS = (
    *(
        (what, f"{counted.FEW_EVENTS:,} events", f"{counted.MANY_EVENTS:,} events")
        for what in ("poll, the same again", "poll, worked out anew", "publish")
    ),
    *(
        (what, "1 channels", f"{counted.MANY_CHANNELS:,} channels")
        for what in ("poll, the same again", "poll, worked out anew", "publish")
    ),
    ("delivery", "0 other readers", f"{counted.MANY_OTHERS:,} other readers"),
    ("delivery", f"{counted.FEW_EVENTS:,} events", f"{counted.MANY_EVENTS // 10:,} events"),
)


def missing() -> list[str]:
    """Return what the smoke test needs and this machine lacks."""
    tools = [tool for tool in ("valgrind", "cc") if shutil.which(tool) is None]
    return tools if HEADER.exists() else [*tools, str(HEADER)]


def measure() -> list[Growth]:
    """Count, and return each pair."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Made here and not by the program that is counted: bulk writing is slow under valgrind.
        _make_logs(folder)
        return compare(_count(folder))


def compare(counts: Mapping[str, int]) -> list[Growth]:
    """Put together what belongs together."""
    return [
        Growth(what, little, much, counts[f"{what}|{little}"], counts[f"{what}|{much}"]) for what, little, much in PAIRS
    ]


def main() -> int:
    """Count and say; 1 when anything grows."""
    lacking = missing()
    if lacking:
        print(
            f"bench: missing here: {', '.join(lacking)}. Debian has them in valgrind, gcc and libc6-dev.",
            file=sys.stderr,
        )
        return 2
    found = measure()
    for growth in found:
        print(f"  {growth}{'' if growth.ratio <= ALLOWED else '   GROWS'}")
    growing = [growth for growth in found if growth.ratio > ALLOWED]
    print(f"bench: {len(growing)} of {len(found)} grow by more than {ALLOWED - 1:.0%}")
    return 1 if growing else 0


def _make_logs(folder: Path) -> None:
    from bench.logs import long_log

    for length in (counted.FEW_EVENTS, counted.MANY_EVENTS):
        long_log(length, folder=folder)
    for channels in (1, counted.MANY_CHANNELS):
        long_log(counted.MANY_CHANNELS, channels, folder=folder)


def _count(folder: Path) -> dict[str, int]:
    library = folder / "counting.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, SOURCES / "counting.c"], check=True)
    out = folder / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "bench.counted", library, folder],
        cwd=ROOT,
        # Hashes decide the order in sets and so the number of collisions.
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN,
    )
    if done.returncode:
        raise RuntimeError(f"The counted program ended with {done.returncode}: {done.stderr[-2000:]}")
    counts = {}
    for dump in folder.glob("callgrind.out.*"):
        text = dump.read_text()
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^totals: (\d+)$", text, re.MULTILINE)
        if name and total:
            counts[name[1]] = int(total[1])
    return counts


if __name__ == "__main__":
    sys.exit(main())
