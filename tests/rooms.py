"""Rooms that are open to those whose cookie names them, and whether a grant opens them unasked."""

from collections.abc import Callable
from typing import Any

from flask import request
from landline.testing import Clock

from tests.apps import Answer, App

ANN = {"cookie": "who=ann; rooms=12"}
BOB = {"cookie": "who=bob; rooms=1"}
AGE = 300.0


class Rooms:
    """An app with rooms that are open to those whose cookie names them, and a public channel."""

    def __init__(self, app: App, clock: Clock, key: str | None = "new", **config: Any) -> None:
        self.app = app
        self.asked: list[int] = []
        self.while_asked: Callable[[], object] = lambda: None
        app.flask.config.update(SECRET_KEY=key, **config)
        app.live.channel("news")
        self.room = app.live.channel("room/<int:room_id>")
        self.room.reader(self.may_read)
        self.authorizer = app.runtime.authorizer
        self.authorizer.grants._clock = self.authorizer.revocations._clock = app.runtime.log._clock = clock  # type: ignore[attr-defined]
        app.flask.wsgi_app._endpoints._clock = clock  # type: ignore[attr-defined]
        self.authorizer.grants._rand = lambda: 0.0

    def may_read(self, room_id: int) -> bool:
        self.asked.append(room_id)
        self.while_asked()
        return str(room_id) in request.cookies.get("rooms", "")

    def poll(self, *channels: str, **more: Any) -> Answer:
        return self.app.poll(*(channels or ("room/1",)), **{**ANN, **more})

    def grant(self, *channels: str, **more: str) -> str:
        token: str = self.poll(*channels, **more).json["grant"]["token"]
        self.asked.clear()
        return token

    def is_good(self, grant: str, *channels: str, **more: str) -> bool:
        """Whether a grant opens the channels without the app's being asked; if so, also the second time."""
        cursor = self.app.live.cursor()
        for _ in range(3):
            self.asked.clear()
            answer = self.poll(*channels, cursor=cursor, grant=grant, **more)
            assert ("grant" in answer.json) == (bool(self.asked) and answer.status == 200)
            assert answer.status == (403 if answer.json.get("code") else 200)
            if self.asked:
                return False
        return True
