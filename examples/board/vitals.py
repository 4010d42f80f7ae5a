"""A machine's vitals, read from Linux's /proc; see proc(5) for each file's fields."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEFAULT_ROUTE = "00000000"


class Vitals:
    """Reads vitals. Rates are means since the reading before; the first reading's, since this was made.

    Args:
        proc: where the kernel tells.
        clock: monotonic seconds.
    """

    def __init__(self, proc: Path = Path("/proc"), clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self.supported = (proc / "stat").exists()
        """Whether this is a machine that has them: Linux."""
        if self.supported:
            self._before = self._counters()

    def read(self) -> dict[str, Any]:
        """Return percent busy of each core, bytes of memory, bytes per second, and load averages.

        Raises:
            OSError: a file of /proc cannot be read.
        """
        (at, cores, network), self._before = self._before, self._counters()
        now, cores_now, network_now = self._before
        seconds = max(now - at, 0.001)
        # A core may be switched on or off in between; a counter may begin anew.
        busy = [_percent(before, cores_now[name]) for name, before in cores.items() if name in cores_now]
        received, sent = (max(0, round((b - a) / seconds)) for a, b in zip(network, network_now, strict=True))
        total, available = self._memory()
        return {
            "at": round(time.time(), 3),
            "cores": busy,
            "memory": {"used": total - available, "total": total},
            "network": {"received": received, "sent": sent},
            "load": self._load(),
        }

    def _counters(self) -> tuple[float, dict[str, tuple[int, int]], tuple[int, int]]:
        return self._clock(), self._cores(), self._network()

    def _cores(self) -> dict[str, tuple[int, int]]:
        """Return ticks (busy, all) of each core since the machine started."""
        found = {}
        for line in self._lines("stat"):
            name, *ticks = line.split()
            if name.startswith("cpu") and name != "cpu":
                # user nice system idle iowait irq softirq steal; the guests' are within the user's.
                user, nice, system, idle, waiting, *rest = map(int, ticks[:8])
                busy = user + nice + system + sum(rest)
                found[name] = (busy, busy + idle + waiting)
        return found

    def _memory(self) -> tuple[int, int]:
        """Return bytes in all, and bytes that programs could still have."""
        fields = dict(line.split(":", 1) for line in self._lines("meminfo"))
        total, available = (int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
        return total, available

    def _network(self) -> tuple[int, int]:
        """Return bytes received and sent since the machine started, through the way out; all but `lo` if none."""
        routes = [line.split() for line in self._lines("net/route")[1:]]
        outward = {fields[0] for fields in routes if fields[1] == DEFAULT_ROUTE}
        received = sent = 0
        for line in self._lines("net/dev")[2:]:
            name, _, numbers = line.partition(":")
            if name.strip() in outward or (not outward and name.strip() != "lo"):
                fields = numbers.split()
                received += int(fields[0])
                sent += int(fields[8])
        return received, sent

    def _load(self) -> list[float]:
        """Return the load averages over 1, 5 and 15 minutes."""
        return [float(number) for number in self._lines("loadavg")[0].split()[:3]]

    def _lines(self, name: str) -> list[str]:
        return (self._proc / name).read_text().splitlines()


def _percent(before: tuple[int, int], now: tuple[int, int]) -> float:
    busy, total = now[0] - before[0], now[1] - before[1]
    return round(min(100.0, max(0.0, 100 * busy / total)), 1) if total > 0 else 0.0
