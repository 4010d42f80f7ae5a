"""Run the measurements named, or all: `python -m bench [polls] [growth] [held] [wake]`."""

from __future__ import annotations

import sys

from bench import growth, held, polls, wake
from bench.servers import describe_machine

JOBS = {"polls": polls.main, "growth": growth.main, "held": held.main, "wake": wake.main}


def main() -> int:
    """Run jobs by name; return the exit status."""
    names = sys.argv[1:] or list(JOBS)
    unknown = [name for name in names if name not in JOBS]
    if unknown:
        print(f"bench: no job {', '.join(unknown)}; there are {', '.join(JOBS)}", file=sys.stderr)
        return 2
    print(describe_machine())
    for name in names:
        print(f"\n{name}: {(JOBS[name].__doc__ or '').splitlines()[0]}")
        JOBS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
