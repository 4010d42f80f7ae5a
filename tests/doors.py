"""Both doors of one app: through WSGI, and over HTTP through the second one, with one face."""

import http.client
from collections.abc import Callable
from contextlib import closing
from typing import Any

from tests.apps import PREFIX, Answer, App
from tests.processes import free_port, until

Ask = Callable[..., Answer]
"""Asks for a path under the prefix with a query; everything else is `method` or a header, with `_` for `-`."""

DOORS = ("wsgi", "listener")


def listening(make_app: Callable[..., App], **config: Any) -> App:
    """Return an app that has both doors."""
    return make_app(listen=f"127.0.0.1:{free_port()}", **config)


def through(door: str, app: App) -> Ask:
    """Return what asks an app through one of `DOORS`; the app has both."""
    return _through_wsgi(app) if door == "wsgi" else _through_the_second(app)


def _through_wsgi(app: App) -> Ask:
    def ask(path: str, query: str = "channel=news", **more: Any) -> Answer:
        return app.ask(query, path=f"{PREFIX}/{path}", **more)

    return ask


def _through_the_second(app: App) -> Ask:
    port = second_door(app)

    def ask(path: str, query: str = "channel=news", *, method: str = "GET", threads: bool = True, **headers: str):
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request(method, f"{PREFIX}/{path}?{query}", headers=named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    return ask


def second_door(app: App) -> int:
    """Open an app's second door and return its port."""
    app.ask("channel=-")  # the first request opens it
    port = int(str(app.runtime.config.listen).rpartition(":")[2])

    def is_open() -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return False
            return True

    until(is_open, 10, "the second door")
    return port
