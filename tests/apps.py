"""An app with a Landline, asked as a WSGI server would."""

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from wsgiref.validate import WSGIWarning, validator

from flask import Flask
from flask_landline import Landline
from landline.serve.runtime import Runtime
from landline.times import SYSTEM, Times

PREFIX = "/landline"


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded; as strictly as a browser does it."""
        return json.loads(self.body, parse_constant=_refuse)

    @property
    def data(self) -> list[Any]:
        """The data of the events, in order."""
        return [event["data"] for event in self.json["data"] or []]

    @property
    def cursor(self) -> str:
        cursor: str = self.json["cursor"]
        return cursor


class App:
    """A Flask app, its Landline and what that keeps in the app.

    Args:
        folder: the app's instance folder.
        how: more arguments of `Flask`.
        prepare: called with the Flask app before it gets its Landline.
        times: clocks and randomness.
        config: `LANDLINE_*` keys without the prefix, in small letters.
    """

    def __init__(
        self,
        folder: Path,
        *,
        how: Mapping[str, Any] | None = None,
        prepare: Callable[[Flask], object] = lambda _: None,
        times: Times = SYSTEM,
        **config: Any,
    ) -> None:
        self.flask = Flask(__name__, instance_path=str(folder), **(how or {}))
        self.flask.config.update({"LANDLINE_LOG": "memory:"})
        self.flask.config.update({f"LANDLINE_{key.upper()}": value for key, value in config.items()})
        prepare(self.flask)
        self.live = Landline()
        self.live.times = times
        self.live.init_app(self.flask)
        self.runtime: Runtime = self.flask.extensions["landline"]

    def ask(
        self,
        query: str,
        *,
        method: str = "GET",
        path: str = f"{PREFIX}/poll",
        threads: bool = False,
        remote: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        """Make one request, checked against PEP 3333 in both directions.

        Args:
            query: the query string, as it stands in the request line.
            method: the method.
            path: the decoded path.
            threads: whether the server says that it has several.
            headers: request headers, with `_` for `-`.
        """
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": remote,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": threads,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        begun: list[Answer] = []

        def start_response(status: str, fields: list[tuple[str, str]], exc_info: object = None) -> Any:
            message = Message()
            for name, value in fields:
                message[name] = value
            begun.append(Answer(int(status.split()[0]), message, b""))
            return begun.clear  # nobody here writes the old way

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WSGIWarning)  # it does not know every method that there is
            result: Iterable[bytes] = validator(self.flask.wsgi_app)(environ, start_response)
        try:
            body = b"".join(result)
        finally:
            result.close()  # type: ignore[attr-defined]
        (answer,) = begun
        answer.body = body
        return answer

    def poll(self, *channels: str, cursor: str | None = None, threads: bool = False, **more: str) -> Answer:
        """Poll channels; `wait` and `grant` are parameters, everything else a header."""
        pairs = [("channel", name) for name in channels]
        pairs += [("cursor", cursor)] if cursor is not None else []
        pairs += [(name, more.pop(name)) for name in ("wait", "grant") if name in more]
        return self.ask(urlencode(pairs), threads=threads, **more)
