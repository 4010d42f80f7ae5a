"""A snapshot that fails while a line is open: the line ends, and the poll that follows is told what the matter is."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from landline.logs.sqlite.log import SQLiteLog
from websockets.exceptions import ConnectionClosed

from tests.apps import App
from tests.held.readers import PATIENCE, Events, Reader, Socket
from tests.processes import free_port, until


class State:
    """An app whose channel has a snapshot that may fail, over a log that may lose its file: a reset for all."""

    def __init__(self, make_app: Callable[..., App], folder: Path, **config: Any) -> None:
        self._path = folder / "log.db"
        self.app = make_app(log=SQLiteLog(self._path), **config)
        self.works = True
        self.app.live.channel("state").snapshot(self._snapshot)
        self.begin = self.app.live.publish("state", "an event").cursor

    def _snapshot(self) -> str:
        if not self.works:
            raise ValueError("broken")
        return "all there is"

    def reset(self) -> None:
        """Begin another life of the log, which only a snapshot can make up for; and that fails."""
        self.works = False
        self._path.unlink()

    def is_refused(self, cursor: str) -> bool:
        answer = self.app.poll("state", cursor=cursor)
        return (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "app-failed", "2")


@pytest.fixture
def make_state(make_app: Callable[..., App], tmp_path: Path) -> Callable[..., State]:
    return lambda **config: State(make_app, tmp_path, **config)


@pytest.fixture
def door(make_state: Callable[..., State]) -> tuple[State, str]:
    """Return the app, and where its second door is."""
    port = free_port()
    state = make_state(listen=f"127.0.0.1:{port}", keepalive=PATIENCE)
    state.app.poll("state")  # the first request opens it
    base = f"http://127.0.0.1:{port}"

    def is_open() -> bool:
        try:
            return httpx.get(f"{base}/landline/poll?channel=state").status_code == 200
        except httpx.ConnectError:
            return False

    until(is_open, PATIENCE, "the second door")
    return state, base


@pytest.mark.parametrize("kind", [Events, Socket])
def test_line_ends_when_its_snapshot_fails(kind: type[Reader], door: tuple[State, str]) -> None:
    state, base = door
    with kind(base, state.begin, "state") as reader:
        state.reset()
        if kind is Events:
            assert "goodbye" in reader.sign()
        else:
            with pytest.raises(ConnectionClosed, match="1001"):
                reader.more()
        assert reader.cursor is not None
        assert state.is_refused(reader.cursor)
        state.works = True
        assert state.app.poll("state", cursor=reader.cursor).data == ["all there is"]


def test_held_poll_ends_when_its_snapshot_fails(door: tuple[State, str]) -> None:
    """It is answered that nothing is new, and stands where it stood."""
    state, base = door
    with httpx.Client(timeout=PATIENCE) as client:
        address = f"{base}/landline/poll?channel=state&cursor={state.begin}"
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(client.get(f"{address}&wait=20")))
        thread.start()
        until(lambda: state.app.flask.wsgi_app.sideloop.taken > 0, PATIENCE, "the poll to be held")  # type: ignore[attr-defined]
        state.reset()
        thread.join(PATIENCE)
        assert (answers[0].json()["data"], answers[0].json()["cursor"]) == (None, str(state.begin))
        refused = client.get(f"{address}&wait=20")
    assert (refused.status_code, refused.json()["code"]) == (503, "app-failed")


def test_stream_in_a_greenlet_ends_when_its_snapshot_fails(make_state: Callable[..., State]) -> None:
    state = make_state(keepalive=PATIENCE)
    greenlets = type("Socket", (), {"__module__": "gevent.socket"})
    answer = state.app.flask.test_client().get(
        f"/landline/events?channel=state&cursor={state.begin}", environ_overrides={"gunicorn.socket": greenlets()}
    )
    blocks: Iterator[Any] = iter(answer.response)
    assert b"keepalive" in next(blocks)
    state.reset()
    (goodbye,) = [line for line in next(blocks).splitlines() if line.startswith(b"data: ")]
    assert "goodbye" in json.loads(goodbye.removeprefix(b"data: "))
    assert next(blocks, None) is None
    answer.close()
    assert state.is_refused(str(state.begin))
