"""`flask landline …` as a shell sees it."""

import json
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import Result
from flask import Flask
from flask_landline import LogError
from flask_landline.cli import landline

from tests.apps import App
from tests.processes import Process, until


@pytest.fixture
def shop(make_app) -> App:
    app: App = make_app(log="sqlite:")
    app.live.channel("orders", keep=2)
    app.live.channel("weather")
    app.live.channel("room/<int:room_id>")
    return app


def run(app: App, *arguments: str) -> Result:
    return app.flask.test_cli_runner().invoke(landline, arguments)


# publish


@pytest.mark.parametrize("value", ['{"id": 7}', "null", "1.5", '"ü"', "[]", " true "])
def test_publish_stores_the_value_and_prints_the_cursor(value: str, shop: App) -> None:
    result = run(shop, "publish", "orders", value)
    assert (result.exit_code, result.output.strip()) == (0, shop.live.cursor())
    assert [event.data for event in shop.runtime.log.read(0, 10, ["orders"])] == [json.loads(value)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["orders", "{id: 7}"], "is not JSON"),
        (["orders", ""], "is not JSON"),
        (["orders", "{id: 7}"], "Quote it for the shell"),
        (["orders", "[" * 100_000], "is not JSON"),
        (["orders", "NaN"], "which JSON, or a browser, does not have"),
        (["orders", json.dumps("x" * 70_000)], "LANDLINE_MAX_EVENT"),
        (["order", "1"], "Did you mean 'orders'?"),
        (["room/x", "1"], "No channel 'room/x' is declared"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_publish_that_fails_says_why_and_stores_nothing(arguments: list[str], words: str, shop: App) -> None:
    result = run(shop, "publish", *arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert words in result.output
    assert len(result.output) < 500
    assert shop.runtime.log.tail().offset == 0


def test_broken_log_is_told_with_its_remedy(shop: App, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise LogError("The log x is read-only. Give its user the right to write.")

    monkeypatch.setattr(shop.runtime.log, "append", fail)
    monkeypatch.setattr(shop.runtime.log, "channels", fail)
    for arguments in (["publish", "orders", "1"], ["channels"]):
        result = run(shop, *arguments)
        assert (result.exit_code, result.output) == (
            1,
            "Error: The log x is read-only. Give its user the right to write.\n",
        )


def test_app_without_landline_is_told_what_to_add() -> None:
    result = Flask("plain").test_cli_runner().invoke(landline, ["channels"])
    assert result.exit_code == 1
    assert "App 'plain' has no Landline. Add: live = Landline(app)." in result.output


# channels


def test_channels_lists_what_is_kept(shop: App) -> None:
    for number in range(5):
        shop.live.publish("orders", number)
    shop.live.publish("room/3", 1)
    lines = [line.split() for line in run(shop, "channels").output.splitlines()]
    assert lines == [["channel", "newest", "kept", "oldest"], ["orders", "6", "2", "5"], ["room/3", "7", "1", "7"]]


def test_channels_of_an_empty_log_is_a_head(shop: App) -> None:
    assert run(shop, "channels").output.split() == ["channel", "newest", "kept", "oldest"]


# revoke


def test_revoke_voids_what_was_granted(shop: App) -> None:
    shop.flask.secret_key = "key"
    shop.live.channel("private").reader(lambda: True)
    grant = shop.poll("private").json["grant"]["token"]
    assert "grant" not in shop.poll("private", grant=grant).json
    assert run(shop, "revoke", "--channel", "private").exit_code == 0
    assert "grant" in shop.poll("private", grant=grant).json
    assert run(shop, "revoke", "7").exit_code == 0
    kinds = [next(iter(event.data)) for event in shop.runtime.log.read(0, 10, ["landline"])]
    assert kinds == ["app", "channel", "who"]


@pytest.mark.parametrize("arguments", [[], ["7", "--channel", "orders"], ["--channel", "ordres"]])
def test_revoke_of_nothing_says_why(arguments: list[str], shop: App) -> None:
    result = run(shop, "revoke", *arguments)
    assert (result.exit_code, result.output[:7]) == (1, "Error: ")


# tail


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["orders", "--from", "5"], "a cursor is what an earlier answer carried"),
        (["order"], "Did you mean 'orders'?"),
        (["orders", "nothing"], "No channel 'nothing' is declared"),
        ([], "Missing argument"),
    ],
)
def test_tail_that_cannot_begin_says_why(arguments: list[str], words: str, shop: App) -> None:
    result = run(shop, "tail", *arguments)
    assert result.exit_code in (1, 2)
    assert words in result.output


APP = """
import sys
from flask import Flask
from flask_landline import Landline

app = Flask(__name__, instance_path={folder!r})
live = Landline(app)
live.channel("orders", keep=2)
live.channel("weather")
"""


@pytest.fixture
def flask(tmp_path: Path) -> list[str]:
    """Return the command that runs `flask` on an app in a file."""
    (tmp_path / "shop.py").write_text(APP.format(folder=str(tmp_path / "instance")))
    return [sys.executable, "-m", "flask", "--app", str(tmp_path / "shop.py"), "landline"]


def publish(flask: list[str], channel: str, value: str) -> str:
    command = [*flask, "publish", channel, value]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_tail_prints_events_as_other_processes_publish_them(flask: list[str]) -> None:
    """From the start, then as they come, each once; interrupted, it ends without a traceback."""
    publish(flask, "orders", "1")
    publish(flask, "weather", "2")
    with Process([*flask, "tail", "orders", "--from", "start", "--json"]) as tail:
        until(lambda: len(tail.stdout.splitlines()) == 1, 30.0, "the first event")
        cursor = publish(flask, "orders", '{"id": 7}')
        until(lambda: len(tail.stdout.splitlines()) == 2, 30.0, "the second event")
        events = [json.loads(line) for line in tail.stdout.splitlines()]
        assert [(event["channel"], event["data"]) for event in events] == [("orders", 1), ("orders", {"id": 7})]
        assert events[1]["cursor"] == cursor
        tail.signal(signal.SIGINT)
        assert tail.wait() in (1, 130)
        assert "Traceback" not in tail.stderr


def test_tail_goes_on_from_a_cursor_and_tells_a_reset(flask: list[str]) -> None:
    first = publish(flask, "orders", "1")
    for number in range(2, 6):
        publish(flask, "orders", str(number))
    with Process([*flask, "tail", "orders", "--from", first]) as tail:
        until(lambda: len(tail.stdout.splitlines()) == 2, 30.0, "what is kept")
        assert [line.split("\t")[1:] for line in tail.stdout.splitlines()] == [["orders", "4"], ["orders", "5"]]
        assert "reset" in tail.stderr
        assert "trimmed" in tail.stderr
        assert "orders" in tail.stderr


def test_channel_named_twice_is_told_once(flask: list[str]) -> None:
    publish(flask, "orders", "1")
    publish(flask, "weather", "2")
    with Process([*flask, "tail", "orders", "weather", "orders", "--from", "start"]) as tail:
        until(lambda: "weather" in tail.stdout, 30.0, "the last event")
        assert [line.split("\t")[1:] for line in tail.stdout.splitlines()] == [["orders", "1"], ["weather", "2"]]


EVIL = "\x1b]0;owned\x07\x9b2J\u202egnp\u2028\r\n"
"""Sets a title, clears the screen, turns the direction of writing, and begins new lines."""


class Evil(BaseHTTPRequestHandler):
    """A server that puts the same everywhere: not for now, then an answer, then a stream, then a refusal for good."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        cursor, advice = f"eeeeeeee-1{EVIL}", {"interval": 1, "hold": 0, "transports": ["sse", "poll"]}
        event = {"channel": EVIL, "offset": 2, "at": 1, "data": {EVIL: EVIL}}
        detail = json.dumps({"detail": EVIL}, ensure_ascii=False).encode()
        if len(self.asked) == 1:
            self.answer(503, detail)
        elif len(self.asked) == 2:
            reset = {"channels": [EVIL], "reason": EVIL}
            answer = {"data": [event], "cursor": cursor, "advice": advice, "reset": reset}
            self.answer(200, json.dumps(answer, ensure_ascii=False).encode())
        elif len(self.asked) == 3:
            nonce = parse_qs(urlsplit(self.path).query)["nonce"][0]
            hello = json.dumps({"cursor": "eeeeeeee-1", "nonce": nonce, "advice": advice})
            name, end = EVIL[:-3], json.dumps({"goodbye": {"retry": 0}})
            text = f'event: landline\ndata: {hello}\n\nevent: {name}\ndata: "{name[10:]}"\nid: {name}-3\n\n'
            self.answer(200, f"{text}event: landline\ndata: {end}\n\n".encode())
        else:
            self.answer(403, detail)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status, EVIL[:8])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_server_elsewhere_cannot_command_the_terminal(options: list[str], shop: App) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        Evil.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            result = run(shop, "tail", f"http://127.0.0.1:{server.server_port}/landline?channel=a", *options)
        finally:
            server.shutdown()
            thread.join()
    assert len(Evil.asked) == 4
    assert result.exit_code == 1
    assert [line for line in result.output.split("\n") if not line.replace("\t", "").isprintable()] == []
    assert result.output.count("]0;owned") >= 5
    assert "\\u001b" in result.output


def test_payload_written_so_that_it_can_be_seen_is_the_same_json(flask: list[str]) -> None:
    publish(flask, "orders", json.dumps(["\u202eabc\x7f\x1b", "a b \u00e9 \U000e0001"]))
    with Process([*flask, "tail", "orders", "--from", "start"]) as tail:
        until(lambda: "orders" in tail.stdout, 30.0, "the event")
        payload = tail.stdout.rstrip("\n").split("\t")[2]
    assert payload.isprintable()
    assert json.loads(payload) == ["\u202eabc\x7f\x1b", "a b \u00e9 \U000e0001"]
