"""Rooms that are open to those whose cookie names them, and whether a grant opens them unasked."""

import time
from collections.abc import Callable
from typing import Any

from flask import request
from landline.testing import Clock
from landline.times import Times

from tests.apps import Answer, App

ANN = {"cookie": "who=ann; rooms=12"}
BOB = {"cookie": "who=bob; rooms=1"}
AGE = 300.0


class Rooms:
    """An app with rooms that are open to those whose cookie names them, and a public channel."""

    def __init__(
        self, make_app: Callable[..., App], clock: Clock, key: str | None = "new", flask: Any = (), **config: Any
    ) -> None:
        self.draw = 0.0
        """What chance gives."""
        # Monotonic seconds go on, and with the test's clock: who looks again after some time must do so.
        times = Times(lambda: time.monotonic() + clock() - clock_began, clock, lambda: self.draw)
        clock_began = clock()
        self.app = app = make_app(times=times, **config)
        self.asked: list[int] = []
        self.while_asked: Callable[[], object] = lambda: None
        app.flask.config.update(flask, SECRET_KEY=key)
        app.live.channel("news")
        self.room = app.live.channel("room/<int:room_id>")
        self.room.reader(self.may_read)
        self.authorizer = app.runtime.authorizer

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
