"""The board's app: two channels, one page, one form.

State reaches the page in one way only: a newcomer's first answer brings both snapshots, later answers bring
what came since. So there is no second, hand-written way that could leave a gap between the two.
"""

from pathlib import Path

from flask import Flask, current_app, render_template, request
from flask_landline import Landline

from .store import Store
from .vitals import Vitals
from .wires import TRANSPORTS, Wires

NOTES_SHOWN = 50
NOTE_LENGTH = 280
SAMPLES_SHOWN = 90
"""Three minutes of vitals."""

live = Landline()
vitals = live.channel("vitals", keep=SAMPLES_SHOWN)
notes = live.channel("notes", keep=500)


# Polls come twice as often, so that "nothing new" can be seen too.
@vitals.source(every=2.0)
def new_vitals():
    if not here().vitals.supported:
        return None
    sample = here().vitals.read()
    here().store.add_sample(sample)
    return sample


@vitals.snapshot
def recent_vitals():
    return here().store.samples()


@notes.snapshot
def newest_notes():
    return here().store.notes(NOTES_SHOWN)


class Board:
    """What one app has of its own: where notes are kept, where vitals are read, and what cuts wires."""

    def __init__(self, app: Flask) -> None:
        folder = Path(app.instance_path)
        folder.mkdir(parents=True, exist_ok=True)
        self.store = Store(folder / "board.db", samples_kept=SAMPLES_SHOWN)
        self.vitals = Vitals()
        self.wires = Wires(app.wsgi_app, app.config.get("LANDLINE_PREFIX", "/landline"), self.store.cuts)


def here() -> Board:
    return current_app.extensions["board"]


def create_app(instance_path: str | None = None) -> Flask:
    """Make the app; what it keeps is in `instance_path`, by default the folder `instance` beside this file."""
    app = Flask(__name__, instance_path=instance_path or str(Path(__file__).parent / "instance"))
    app.config.update(LANDLINE_INTERVAL=0.5)  # as often as the page's slider goes
    app.config.from_prefixed_env()
    live.init_app(app)
    own = app.extensions["board"] = Board(app)
    app.wsgi_app = own.wires  # type: ignore[method-assign]
    app.add_url_rule("/", view_func=board)
    app.add_url_rule("/notes", view_func=post_note, methods=["POST"])
    app.add_url_rule("/wires/<page>/cut", view_func=cut_wires, methods=["POST"])
    return app


def board():
    return render_template(
        "board.html",
        supported=here().vitals.supported,
        note_length=NOTE_LENGTH,
        fastest_ms=int(current_app.config["LANDLINE_INTERVAL"] * 1000),
        transports=list(TRANSPORTS),
    )


def post_note():
    text = request.form.get("text", "").strip()
    if not text:
        return {"error": "The note is empty. Write something first."}, 400
    if len(text) > NOTE_LENGTH:
        return {"error": f"The note has {len(text)} characters; {NOTE_LENGTH} fit. Shorten it."}, 400
    # Stored first, then published: whoever reads the snapshot from here on has it, and whoever read it before
    # gets the event. The other way round, a newcomer in between would have neither.
    note = here().store.add_note(text)
    notes.publish(note)
    return note, 201


def cut_wires(page: str):
    """Cut these transports for a page, and mend all others."""
    cut = [transport for transport in TRANSPORTS if transport in request.form.getlist("cut")]
    here().store.set_cuts(page, cut)
    here().wires.end(page, cut)
    return {"cut": cut}
