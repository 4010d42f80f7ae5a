"""The app whose page reads a feed while its network has troubles: `create_app('/its/folder', {'LANDLINE_…': …})`."""

from pathlib import Path
from typing import Any

from flask import Flask, render_template_string
from flask_landline import Landline

live = Landline()
feed = live.channel("feed/<int:number>", keep=100_000)

_PAGE = Path(__file__).with_name("page.html")


def create_app(folder: str, config: dict[str, Any]) -> Flask:
    app = Flask(__name__, instance_path=folder)
    # Tests are not about the disk, and a sync for each event is what a slow one is slow at.
    app.config.from_mapping(LANDLINE_SYNCHRONOUS="NORMAL", **config)
    live.init_app(app)
    app.add_url_rule("/feed/<int:number>", view_func=page)
    return app


def page(number: int) -> str:
    return render_template_string(_PAGE.read_text(), channel=f"feed/{number}")
