"""The ledger's app: three channels that keep everything, on one SQLite log.

Started with `--preload`, it has used the log before its workers are forked, as an app that publishes at its start has.
"""

import os
import random
import sys
import time

from flask import Flask
from flask_landline import Landline

CHANNELS = ("orders", "weather", "room/7")


def make() -> tuple[Flask, Landline]:
    app = Flask(__name__)
    app.config["LANDLINE_LOG"] = f"sqlite:///{os.environ['LEDGER_LOG']}"
    live = Landline(app)
    for rule in ("orders", "weather", "room/<int:room_id>"):
        live.channel(rule, keep=None, keep_for=None)
    return app, live


def serve() -> Flask:
    """Make the app, as gunicorn's master does before it forks."""
    app, live = make()
    live.cursor()
    return app


def publish(who: int, count: int, seed: int) -> None:
    """Publish numbered entries, with pauses, and print what was acknowledged."""
    draw = random.Random(f"{seed} {who}")
    app, live = make()
    for number in range(count):
        event = live.publish(draw.choice(CHANNELS), [who, number])
        print(event.offset, event.channel, who, number, flush=True)  # noqa: T201
        time.sleep(draw.expovariate(250))
    app.extensions["landline"].close()


if __name__ == "__main__":
    who, count, seed = map(int, sys.argv[1:])
    publish(who, count, seed)
