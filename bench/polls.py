"""Idle polls against the route that people write by hand, on the same server in the same run."""

from __future__ import annotations

import json
import statistics
import tempfile

from bench.servers import free_port, get, gunicorn, requests_per_second

ROUNDS = 7


def main() -> None:
    """Idle polls per second: through gunicorn, through the listener, and a plain Flask route's on the same worker."""
    listener = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        gunicorn(folder, LANDLINE_LISTEN=f"127.0.0.1:{listener}") as (port, _),
    ):
        cursor = json.loads(get(port, "/landline/poll?channel=orders"))["cursor"]
        poll = f"/landline/poll?channel=orders&cursor={cursor}"
        rounds = [
            (
                requests_per_second(port, "/plain"),
                requests_per_second(port, poll),
                requests_per_second(listener, poll),
            )
            for _ in range(ROUNDS)
        ]
    for name, index in (("plain Flask route", 0), ("poll through gunicorn", 1), ("poll through the listener", 2)):
        rates = [each[index] for each in rounds]
        ratios = [each[index] / each[0] for each in rounds]
        print(
            f"  {name:<27}{statistics.median(rates):>9,.0f}/s   × {statistics.median(ratios):.2f}"
            f"   ({min(ratios):.2f} to {max(ratios):.2f})"
        )
