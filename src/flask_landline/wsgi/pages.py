"""What a page needs: the client's script, and two template globals."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, Response, has_request_context, request, send_from_directory, url_for
from markupsafe import Markup

from ..state import State
from .middleware import POSITION

_STATIC = Path(__file__).parent.parent / "static"


def add_pages(app: Flask, state: State) -> None:
    """Add the blueprint that serves the client, and `landline_script` and `landline_cursor` for templates."""
    blueprint = Blueprint("landline", "flask_landline", url_prefix=state.config.prefix)
    for endpoint, name in (("script", "landline.js"), ("types", "landline.d.ts")):
        blueprint.add_url_rule(f"/{name}", endpoint, _serve, defaults={"name": name})
    app.register_blueprint(blueprint)
    app.add_template_global(landline_script)

    def landline_cursor() -> str:
        """Return a position before anything that the page shows was read (rails #52420)."""
        began = request.environ.get(POSITION) if has_request_context() else None
        return str(began or state.hub.tail())

    app.add_template_global(landline_cursor)


def landline_script() -> Markup:
    """Return the tag that loads the client; a page's own module may then import it from the same address."""
    return Markup('<script type="module" src="{}"></script>').format(url_for("landline.script"))


def _serve(name: str) -> Response:
    # Zero seconds, revalidated by ETag: a page and its server are never two versions apart.
    return send_from_directory(_STATIC, name, max_age=0)
