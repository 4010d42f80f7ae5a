"""An app with a channel of any name, which publishes whatever it is sent."""

import json
import os

from flask import Flask, request
from flask_landline import Landline

live = Landline()
live.channel("<path:name>")


def create_app() -> Flask:
    app = Flask(__name__, instance_path=os.environ["HELD_FOLDER"])
    app.config.from_mapping(json.loads(os.environ["HELD_CONFIG"]))
    live.init_app(app)
    app.add_url_rule("/page", view_func=lambda: "<!doctype html>")
    app.add_url_rule("/publish", view_func=publish, methods=["POST"])
    return app


def publish() -> dict[str, object]:
    """Publish a list of pairs of channel and value."""
    return {"offsets": [live.publish(name, value).offset for name, value in json.loads(request.get_data())]}
