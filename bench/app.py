"""The app under measurement: channels, routes that publish, and the plain route that people write by hand."""

from __future__ import annotations

import os
import time

from flask import Flask, Response, jsonify, request, session
from flask_landline import Landline

app = Flask(__name__, instance_path=os.environ["BENCH_FOLDER"])
# No grant ends while it is measured, no advice asks the load program, which heeds none, to come less often, and there
# is room for readers who come back before those they were are gone.
app.config.update(SECRET_KEY="bench", LANDLINE_GRANT_AGE=3600.0, LANDLINE_POLL_CAPACITY=None, LANDLINE_MAX_HELD=30_000)
app.config.from_prefixed_env()  # FLASK_LANDLINE_LISTEN='"127.0.0.1:8001"'
live = Landline(app)
orders = live.channel("orders", keep=None, keep_for=None)
others = live.channel("room/<int:number>", keep=None, keep_for=None)
mine = live.channel("mine")


@mine.reader
def may_read() -> bool:
    """Let in who is logged in, as cheaply as can be."""
    return "_user_id" in session or "session" in request.cookies


@app.get("/plain")
def plain() -> Response:
    """Answer as a hand-written poll does when there is nothing new."""
    return jsonify({"data": None})


@app.post("/publish")
def publish() -> str:
    """Publish the request's JSON."""
    return orders.publish(request.get_json()).cursor


@app.post("/publish/now")
def publish_now() -> str:
    """Publish the moment of publishing itself: the request's way here does not count."""
    return orders.publish(moment()).cursor


def moment() -> dict[str, object]:
    """Return an event that says when it was made: by the clock of the load program, and by the browser's."""
    return {"text": f"@T{time.monotonic_ns():020}", "at": time.time()}


@app.get("/page")
def page() -> str:
    """Read in a browser: how long each event took to its handler."""
    return """<!doctype html><script type="module">
      import { Landline } from "/landline/landline.js";
      window.delays = [];
      window.line = new Landline();
      line.on("orders", (data) => delays.push((performance.timeOrigin + performance.now()) / 1000 - data.at));
    </script>"""
