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


class Runtime:
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
def make_state(make_app: Callable[..., App], tmp_path: Path) -> Callable[..., Runtime]:
    return lambda **config: Runtime(make_app, tmp_path, **config)


@pytest.fixture
def door(make_state: Callable[..., Runtime]) -> tuple[Runtime, str]:
    """Return the app, and where its second door is."""
    port = free_port()
    runtime = make_state(listen=f"127.0.0.1:{port}", keepalive=PATIENCE)
    runtime.app.poll("state")  # the first request opens it
    base = f"http://127.0.0.1:{port}"

    def is_open() -> bool:
        try:
            return httpx.get(f"{base}/landline/poll?channel=state").status_code == 200
        except httpx.ConnectError:
            return False

    until(is_open, PATIENCE, "the second door")
    return runtime, base


@pytest.mark.parametrize("kind", [Events, Socket])
def test_line_ends_when_its_snapshot_fails(kind: type[Reader], door: tuple[Runtime, str]) -> None:
    runtime, base = door
    with kind(base, runtime.begin, "state") as reader:
        runtime.reset()
        if kind is Events:
            assert "goodbye" in reader.sign()
        else:
            with pytest.raises(ConnectionClosed, match="1001"):
                reader.more()
        assert reader.cursor is not None
        assert runtime.is_refused(reader.cursor)
        runtime.works = True
        assert runtime.app.poll("state", cursor=reader.cursor).data == ["all there is"]


def test_held_poll_ends_when_its_snapshot_fails(door: tuple[Runtime, str]) -> None:
    """It is answered that nothing is new, and stands where it stood."""
    runtime, base = door
    with httpx.Client(timeout=PATIENCE) as client:
        address = f"{base}/landline/poll?channel=state&cursor={runtime.begin}"
        answers: list[httpx.Response] = []
        thread = threading.Thread(target=lambda: answers.append(client.get(f"{address}&wait=20")))
        thread.start()
        until(lambda: runtime.app.flask.wsgi_app.sideloop.taken > 0, PATIENCE, "the poll to be held")  # type: ignore[attr-defined]
        runtime.reset()
        thread.join(PATIENCE)
        assert (answers[0].json()["data"], answers[0].json()["cursor"]) == (None, str(runtime.begin))
        refused = client.get(f"{address}&wait=20")
    assert (refused.status_code, refused.json()["code"]) == (503, "app-failed")


def test_stream_in_a_greenlet_ends_when_its_snapshot_fails(make_state: Callable[..., Runtime]) -> None:
    runtime = make_state(keepalive=PATIENCE)
    greenlets = type("Socket", (), {"__module__": "gevent.socket"})
    answer = runtime.app.flask.test_client().get(
        f"/landline/events?channel=state&cursor={runtime.begin}", environ_overrides={"gunicorn.socket": greenlets()}
    )
    blocks: Iterator[Any] = iter(answer.response)
    assert b"keepalive" in next(blocks)
    runtime.reset()
    (goodbye,) = [line for line in next(blocks).splitlines() if line.startswith(b"data: ")]
    assert "goodbye" in json.loads(goodbye.removeprefix(b"data: "))
    assert next(blocks, None) is None
    answer.close()
    assert runtime.is_refused(str(runtime.begin))
