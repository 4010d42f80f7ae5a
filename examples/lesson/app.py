"""The lesson: a page that asks again and again, and changes only when there is something new."""

from itertools import cycle

from flask import Flask, render_template
from flask_landline import Landline

app = Flask(__name__)
app.config.update(LANDLINE_LOG="memory:", LANDLINE_INTERVAL=1.0)
live = Landline(app)
news = live.channel("news")
availability = cycle([True, False, False, True, False])  # stands for a database, a sensor, a queue …


@news.source(every=0.2)  # less than the interval, so each poll asks once
def new_data_available():
    return next(availability) or None  # None: nothing new


@app.get("/")
def page():
    return render_template("page.html")
