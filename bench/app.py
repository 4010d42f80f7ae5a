"""The app under measurement: a channel, a route that publishes, and the plain route that people write by hand."""

from __future__ import annotations

import os

from flask import Flask, Response, jsonify, request
from flask_landline import Landline

app = Flask(__name__, instance_path=os.environ["BENCH_FOLDER"])
app.config.update({key: value for key, value in os.environ.items() if key.startswith("LANDLINE_")})
live = Landline(app)
orders = live.channel("orders", keep=None, keep_for=None)


@app.get("/plain")
def plain() -> Response:
    """Answer as a hand-written poll does when there is nothing new."""
    return jsonify({"data": None})


@app.post("/publish")
def publish() -> str:
    """Publish the request's JSON."""
    return orders.publish(request.get_json(force=True)).cursor
