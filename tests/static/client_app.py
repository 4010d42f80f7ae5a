"""An app for pages of its own origin and of others, with a channel for those who logged in."""

import os

from flask import Flask, request, session
from flask_landline import Landline

app = Flask(__name__)
app.config.update(SECRET_KEY="k", LANDLINE_LOG="memory:", LANDLINE_ORIGINS=os.environ["ORIGINS"].split())
live = Landline(app)
live.channel("news")
closed = live.channel("closed")


@closed.reader
def may_read():
    return session.get("user") == 1


@app.get("/")
def page():
    return '<!doctype html><link rel="icon" href="data:,">'


@app.get("/login")
def login():
    session["user"] = 1
    return "in"


@app.post("/publish/<channel>")
def publish(channel):
    return live.publish(channel, request.get_json()).cursor
