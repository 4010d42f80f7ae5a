"""The app that the servers of these tests serve. What it does is said by the environment, for each test its own.

HELD_FOLDER   where its log is
HELD_CONFIG   JSON, more configuration
HELD_RETRY    seconds an `EventSource` is told to wait, instead of two
HELD_HEAD_WITHIN  seconds in which a request must have come in whole at the second door, instead of ten
HELD_ECHO     sockets say nothing and repeat everything, for conformance tests
"""

import json
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.validate import validator

from flask import Flask, current_app, render_template_string, request
from flask_landline import Landline
from landline.loop import http as connection
from landline.protocol import sse
from landline.protocol.websocket import Incoming, WebSocket
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, State
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

live = Landline()
news = live.channel("news", keep=100_000)
other = live.channel("other")
room = live.channel("room/<int:room_id>", keep=100_000)
private = live.channel("private/<name>", keep=100_000)


@private.reader
def may_read(name: str) -> bool:
    """Let in everybody with a name whom nobody has shut out since (see `shut_out`)."""
    who = request.cookies.get("who")
    return bool(who) and not Path(current_app.instance_path, f"not-{who}").exists()


class Echo:
    """Repeats whole messages, as they came: text as text, binary as binary."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._text = False

    def __call__(self, protocol: Protocol, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._parts, self._text = [], frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if not frame.fin or protocol.state is not State.OPEN:
            return
        message = b"".join(self._parts)
        if not self._text:
            protocol.send_binary(message)
            return
        try:
            message.decode()
        except UnicodeDecodeError:
            protocol.fail(CloseCode.INVALID_DATA, "not UTF-8")
        else:
            protocol.send_text(message)


def create_app() -> Flask:
    app = Flask(__name__, instance_path=os.environ["HELD_FOLDER"])
    app.config.from_mapping(SECRET_KEY="held", LANDLINE_IDENTITY=lambda: request.cookies.get("who"))
    app.config.from_mapping(json.loads(os.environ.get("HELD_CONFIG", "{}")))
    live.init_app(app)
    logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
    logging.getLogger("flask_landline").setLevel(logging.INFO)
    if "HELD_RETRY" in os.environ:
        sse.RETRY = float(os.environ["HELD_RETRY"])
    if "HELD_HEAD_WITHIN" in os.environ:
        connection.HEAD_WITHIN = float(os.environ["HELD_HEAD_WITHIN"])
    if "HELD_ECHO" in os.environ:
        WebSocket.hello = lambda *_: b""  # type: ignore[method-assign]
        app.wsgi_app.sideloop.incoming = (  # type: ignore[attr-defined]
            lambda: Incoming(on_frame=Echo(), max_message=32 * 1024 * 1024)
        )
    app.add_url_rule("/plain", view_func=poll_key)
    app.add_url_rule("/facts", view_func=facts)
    app.add_url_rule("/publish/<path:channel>", view_func=publish, methods=["POST"])
    app.add_url_rule("/shut-out/<who>", view_func=shut_out, methods=["POST"])
    app.add_url_rule("/fork", view_func=fork, methods=["POST"])
    return app


def create_tracked_app() -> "WSGIApplication":
    """Wrap the app as error trackers do, and as a generator, as some middlewares are."""
    app = create_app()

    def tracked(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterator[bytes]:
        try:
            yield from app(environ, start_response)
        except Exception:
            logging.getLogger("tracker").exception("tracked")
            raise

    return tracked


def create_mounted_app() -> "WSGIApplication":
    """Mount the app under a path, beside nothing; what it is asked by the second door passes a `ProxyFix`."""
    app = create_app()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    app.add_url_rule("/page", view_func=lambda: render_template_string("{{ landline_script() }}"))
    live.channel("mounted").reader(lambda: request.script_root == "/shop")
    return DispatcherMiddleware(NotFound(), {"/shop": app.wsgi_app})


def create_checked_app() -> "WSGIApplication":
    """Wrap the app, and what Flask puts around it, in the checker of PEP 3333."""
    app = create_app()
    inner = app.wsgi_app
    checked = validator(inner)

    def wsgi_app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "POST":  # Werkzeug reads bodies in a way that the checker does not like
            return inner(environ, start_response)
        environ["REMOTE_PORT"] = str(environ.get("REMOTE_PORT"))  # an int, by Werkzeug's server
        return checked(environ, start_response)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]
    return app


def poll_key() -> str:
    return "plain"


def facts() -> dict[str, object]:
    endpoints = current_app.wsgi_app
    held = endpoints.sideloop._admitted + endpoints._threads._held + endpoints._greenlets._held  # type: ignore[attr-defined]
    return {"pid": os.getpid(), "held": held, "threads": [thread.name for thread in threading.enumerate()]}


def publish(channel: str) -> dict[str, object]:
    """Publish each line of the body as one event; answer with their offsets."""
    lines = request.get_data(as_text=True).splitlines()
    return {"offsets": [live.publish(channel, json.loads(line)).offset for line in lines]}


def shut_out(who: str) -> dict[str, object]:
    """Have somebody read nothing private any more; `?revoke=1`: at once."""
    Path(current_app.instance_path, f"not-{who}").touch()
    if "revoke" in request.args:
        live.revoke(who)
    return {}


def fork() -> dict[str, object]:
    """Fork as an app may that starts a helper: the child lives on for some seconds, and does nothing."""
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    return {"child": child}
