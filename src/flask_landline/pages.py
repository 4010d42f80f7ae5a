"""What a page needs, a script and two template globals; and the answer to other addresses below the prefix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flask import Blueprint, Flask, Response, has_request_context, jsonify, request, send_from_directory, url_for
from landline.hosts.wsgi.middleware import POSITION
from landline.protocol.openapi import describe
from landline.protocol.origins import Origins
from landline.protocol.problem import method_refused, not_here, problem
from landline.serve.offers import ALL
from landline.serve.runtime import Runtime
from markupsafe import Markup

from .reader_view import add_view
from .routes import OwnRoutes, on_every_host

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "script": "landline.js",
    "types": "landline.d.ts",
    "htmx": "landline-htmx.js",
    "htmx_types": "landline-htmx.d.ts",
    "status": "landline-status.js",
    "status_types": "landline-status.d.ts",
}
_DESCRIPTION = "openapi.json"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def add_pages(app: Flask, runtime: Runtime) -> OwnRoutes:
    """Add the blueprint that serves the client, and `landline_script` and `landline_cursor` for templates.

    Returns:
        What must be kept for as long as the app.
    """
    prefix = runtime.config.prefix
    blueprint = Blueprint("landline", "flask_landline", url_prefix=prefix)
    place = on_every_host(app, blueprint)
    origins = Origins(runtime.config.origins)
    for endpoint, name in _FILES.items():
        blueprint.add_url_rule(f"/{name}", endpoint, _server(origins), defaults={"name": name}, **place)
    describing = lambda: jsonify(describe(prefix, ALL, runtime.config.hold))  # noqa: E731
    blueprint.add_url_rule(f"/{_DESCRIPTION}", "openapi", describing, **place)
    names = (*_FILES.values(), _DESCRIPTION, "poll", "events", "ws")

    def refuse(name: str) -> Response:
        """Answer any other address as the wire does: a client that mistypes one expects JSON, not a page."""
        if name in names:
            reply = problem(method_refused(request.method))
        else:
            reply = not_here(request.path, [f"{prefix}/{name}" for name in names])
        return Response(reply.body, reply.status, reply.headers)

    # The app's own routes under the prefix are more specific, and go first; so the prefix itself is left to the app.
    # See SECURITY.md: no-html-under-the-prefix
    blueprint.add_url_rule("/<path:name>", "elsewhere", refuse, methods=_METHODS, **place)
    add_view(blueprint)
    app.register_blueprint(blueprint)
    routes = OwnRoutes(app, {f"landline.{endpoint}" for endpoint in (*_FILES, "openapi", "read")})
    app.add_template_global(landline_script)

    def landline_cursor() -> str:
        """Return a position before anything that the page shows was read (rails #52420); never raise."""
        if has_request_context() and POSITION in request.environ:
            return runtime.position.text(request.environ[POSITION])
        return runtime.position.text(runtime.position.now())

    app.add_template_global(landline_cursor)
    return routes


def landline_script() -> Markup:
    """Return the tag that loads the client; a page's own module may then import it from the same address."""
    return Markup('<script type="module" src="{}"></script>').format(url_for("landline.script"))


def _server(origins: Origins) -> Callable[[str], Response]:
    """Return the view that serves the files, with CORS headers for pages of the listed origins.

    A browser fetches a module with CORS, and without cookies unless the page says otherwise. The headers let a page of
    a listed origin (`*`: of any) import the script from here; whether it may read is decided when it asks.
    """

    def serve(name: str) -> Response:
        # Zero seconds, revalidated by ETag: a page and its server are never two versions apart.
        response = send_from_directory(_STATIC, name, max_age=0)
        for header, value in origins.share(request.headers.get("Origin")):
            if header == "Vary":
                response.vary.update(value.split(", "))
            else:
                response.headers[header] = value
        return response

    return serve
