"""Measure: `python -m bench [--only polls,fanout] [--rounds 5] [--peers nchan,landline] [--quick]`.

Prints tables and what the targets say of them, and writes `bench/results/*.json`, of which `python -m bench.report`
makes the numbers and charts of docs/topics/performance.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from bench import machine, targets
from bench.jobs import JOBS
from bench.peers import PEERS
from bench.processes import CACHE, CLIENT_CPU, raise_limits
from bench.results import FOLDER, Results, now, plain
from bench.session import Session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run jobs by name; return the exit status."""
    options = _parse(arguments)
    names = [name for name in options.only.split(",") if name] or list(JOBS)
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        print(f"bench: no job {', '.join(unknown)}; there are smoke, {', '.join(JOBS)}", file=sys.stderr)
        return 2
    raise_limits()
    # Ended from outside, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = options.peers.lower().split(",")
    peers = [peer for peer in PEERS if any(word in peer.name.lower() for word in wanted)]
    session = Session(options.quick, options.rounds or (2 if options.quick else 5), peers)
    about = machine.describe()
    # Ourselves beside the load program: what we do between two rounds is not the server's.
    os.sched_setaffinity(0, {CLIENT_CPU % (os.cpu_count() or 1)})
    print(machine.sentence(about))
    print(", ".join(f"{name} {version}" for name, version in machine.versions().items()))
    # A quick run only shows that everything works: its numbers are kept from the real ones.
    folder = CACHE / "results" if options.quick else FOLDER
    found: list[Results] = []
    for name in names:
        session.tell(name)
        for results in JOBS[name](session):
            results.facts = {"machine": about, "rounds": session.rounds, "quick": session.quick, "when": now()}
            found.append(results)
            print(f"\n{results.job}: {results.title}; median of {session.rounds} (least to most)")
            plain(results.table())
            print(f"  → {results.save(folder)}")
    print("\ntargets")
    plain(targets.table({results.job: results for results in found}))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="jobs, with commas between them")
    parser.add_argument("--rounds", type=int, default=0, help="how often everything is measured: 5")
    parser.add_argument("--peers", default="", help="parts of peers' names: only these take part")
    parser.add_argument("--quick", action="store_true", help="only see that everything works")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
