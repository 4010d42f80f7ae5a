"""The jobs, one file each: `run(session)` measures and returns its results."""

from bench.jobs import cache, fanout, grants, growth, held, idle, latency, polls, publish, route

JOBS = {
    "polls": polls.run,
    "fanout": fanout.run,
    "held": held.run,
    "idle": idle.run,
    "publish": publish.run,
    "latency": latency.run,
    "growth": growth.run,
    "grants": grants.run,
    "cache": cache.run,
    "route": route.run,
}
