"""An app whose pages the tests write: what is given as `body` is the page's, a template like any other."""

from pathlib import Path

from flask import Flask, render_template_string, request
from flask_landline import Landline
from markupsafe import Markup

HTMX = Path(__file__).parents[2] / "node_modules" / "htmx.org" / "dist"

PAGE = '<!doctype html><title>Test</title><link rel="icon" href="data:,">'
SELF = """<p id="self" landline-channel="orders" landline-cursor="{{ landline_cursor() }}"
    hx-get="{{ url_for('itself') }}" hx-trigger="landline:orders" hx-swap="outerHTML">{{ newest() }}</p>"""

app = Flask(__name__, static_folder=HTMX)
app.config["LANDLINE_LOG"] = "memory:"
live = Landline(app)
live.channel("orders")
live.channel("room/<int:room_id>")
runtime = live.channel("state")


@app.template_global()
def newest() -> str:
    """Return the newest offset: something that a page can show of the log."""
    return live.cursor().partition("-")[2]


@runtime.snapshot
def whole():
    return "<li>whole</li>"


@app.get("/")
def page():
    return render_template_string(PAGE + request.args["body"], itself=Markup(render_template_string(SELF)))


@app.get("/part")
def part():
    return render_template_string(request.args["body"])


@app.get("/itself")
def itself():
    return render_template_string(SELF)


@app.get("/newest")
def show_newest():
    return newest()


@app.post("/publish/<path:channel>")
def publish(channel):
    return str(live.publish(channel, request.get_json()).offset)
