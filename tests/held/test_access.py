"""Who may read, at every kind of server and door, by every transport: refused, ended with the grant, ended at once."""

import itertools
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask_landline.returning import RETURN_LEAST
from websockets.exceptions import ConnectionClosed

from tests.held.readers import READERS, Reader
from tests.held.servers import (
    APP,
    COMMANDS,
    DIRECT,
    ROOT,
    Answer,
    Publisher,
    Server,
    ask,
    gunicorn,
    nginx,
    second_door,
    serve,
)
from tests.processes import until

ANN = {"Cookie": "who=ann"}
BOB = {"Cookie": "who=bob"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
PATHS = {"poll": "poll", "long-poll": "poll", "sse": "events", "websocket": "ws"}
OFFERS = {
    "sync": DIRECT,
    "gthread": DIRECT,
    "gevent": ("sse", "long-poll", "poll"),
    "werkzeug": DIRECT,
    "waitress": ("long-poll", "poll"),
    "listener": DIRECT,
}
NAMES = (f"n{number}" for number in itertools.count())
"""Of channels and readers that no other test knows."""
CELLS = [(column, name) for column, offer in OFFERS.items() for name in offer]
HELD = [(column, name) for column, name in CELLS if name != "poll"]


@pytest.fixture(scope="module")
def columns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, float], Server]]:
    """Return a function that returns a running server by its name and the age of its grants."""
    running: dict[tuple[str, float], Server] = {}
    with ExitStack() as stack:

        def column(name: str, age: float) -> Server:
            if (name, age) not in running:
                config = {"LANDLINE_GRANT_AGE": age, "LANDLINE_HOLD": 3.0, "LANDLINE_KEEPALIVE": 0.5}
                folder = tmp_path_factory.mktemp(name)
                start = second_door(folder, config) if name == "listener" else serve(COMMANDS[name], folder, config)
                running[name, age] = stack.enter_context(start)
            return running[name, age]

        yield column


def cells(which: list[tuple[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("column", "transport"), which, ids=["-".join(cell) for cell in which])


def knock(server: Server, transport: str, channel: str, headers: dict[str, str], query: str = "") -> Answer:
    """Ask once, whatever comes."""
    headers = headers | (HANDSHAKE if transport == "websocket" else {})
    wait = "&wait=2" if transport == "long-poll" else ""
    return ask(f"{server.base}/landline/{PATHS[transport]}?channel={channel}{wait}{query}", headers=headers)


def wait_for_the_end(reader: Reader) -> None:
    """Read on until a line ends as it should; no event may come before that."""
    if reader.name == "sse":
        while "goodbye" not in reader.signs[-1]:
            assert reader.more() == []
    elif reader.name == "websocket":
        with pytest.raises(ConnectionClosed, match="1001"):
            reader.take(1)
    else:
        assert reader.more() == []


@cells(CELLS)
def test_who_may_not_read_is_refused(column: str, transport: str, columns: Callable[[str, float], Server]) -> None:
    server = columns(column, 300)
    channel = f"private/{next(NAMES)}"
    server.publish("secret", channel=channel)
    for headers in ({}, {"Cookie": "who="}, {"Authorization": "who=ann"}):
        for query in ("", "&cursor=start", "&grant=x.y", "&channel=news"):
            answer = knock(server, transport, channel, headers, query)
            assert (answer.status, json.loads(answer.body)["channels"]) == (403, [channel])
            assert b"secret" not in answer.body


@cells(CELLS)
def test_who_may_read_reads_and_is_given_a_grant(
    column: str, transport: str, columns: Callable[[str, float], Server]
) -> None:
    server = columns(column, 300)
    channel = f"private/{next(NAMES)}"
    server.publish("secret", channel=channel)
    with READERS[transport](server.base, "start", channel, headers=ANN) as reader:
        assert [event.data for event in reader.take(1)] == ["secret"]
        assert reader.grant is not None
    # With the grant nobody is asked, so nobody can say no; it takes its reader's cookie to use it.
    who = next(NAMES)
    cookie = {"Cookie": f"who={who}"}
    with READERS[transport](server.base, "start", channel, headers=cookie) as reader:
        reader.take(1)
        grant = reader.grant
    ask(f"{server.inner}/shut-out/{who}", body="")
    with READERS[transport](server.base, "start", channel, headers=cookie, grant=grant) as reader:
        assert [event.data for event in reader.take(1)] == ["secret"]
    assert knock(server, transport, channel, cookie).status == 403
    assert knock(server, transport, channel, {}, f"&grant={grant}").status == 403


@cells(HELD)
def test_held_request_ends_when_it_is_revoked_and_others_go_on(
    column: str, transport: str, columns: Callable[[str, float], Server]
) -> None:
    server = columns(column, 300)
    channel, who = f"private/{next(NAMES)}", next(NAMES)
    until(lambda: server.facts()["held"] == 0, 10, "that nothing is held")
    cursor = server.cursor()
    with (
        READERS[transport](server.base, cursor, channel, headers={"Cookie": f"who={who}"}) as revoked,
        READERS[transport](server.base, cursor, channel, headers=BOB) as other,
    ):
        if transport == "long-poll":
            _hold_and_revoke(server, revoked, who)
        else:
            ask(f"{server.inner}/shut-out/{who}?revoke=1", body="")
            wait_for_the_end(revoked)
        server.publish("secret", channel=channel)
        refused = knock(server, transport, channel, revoked.headers, f"&grant={revoked.grant}")
        assert refused.status == 403
        assert [event.data for event in other.take(1)] == ["secret"]


def _hold_and_revoke(server: Server, reader: Reader, who: str) -> None:
    """Have a long poll held, then revoked; it is answered at once, with nothing."""
    ended: list[object] = []

    def read() -> None:
        ended.append(reader.more())

    thread = threading.Thread(target=read)
    thread.start()
    until(lambda: server.facts()["held"] == 1, 10, "the held request")
    ask(f"{server.inner}/shut-out/{who}?revoke=1", body="")
    thread.join(2.0)  # less than its wait
    assert ended == [[]]


@cells(HELD)
def test_held_request_ends_with_its_grant_and_nothing_is_lost(
    column: str, transport: str, columns: Callable[[str, float], Server]
) -> None:
    """Whoever comes back with the newest grant it has goes on where it was, event after event."""
    server = columns(column, 1.0)
    channel = f"private/{next(NAMES)}"
    grants: set[str | None] = set()
    offsets: list[int] = []
    reader = READERS[transport](server.base, server.cursor(), channel, headers=ANN)
    with Publisher(server, 0.02, channel) as publisher:
        while len(grants) < 4:
            with reader:
                while True:
                    try:
                        told = reader.more()
                    except (StopIteration, ConnectionClosed):
                        break
                    grants.add(reader.grant)
                    offsets += [event.offset for event in told]
                    if transport == "long-poll" and len(grants) == 4:
                        break
            if transport == "sse":
                assert reader.signs[-1]["goodbye"]["retry"] == RETURN_LEAST  # nobody is kept waiting
            reader = READERS[transport](server.base, reader.cursor, channel, headers=ANN, grant=reader.grant)
    assert offsets == publisher.published[: len(offsets)]
    assert len(offsets) > 10


@pytest.mark.parametrize("door", ["--worker-class=gthread", "--worker-class=gevent"])
def test_revocation_reaches_every_process(door: str, tmp_path: Path) -> None:
    """Two workers hold lines and know grants; a third process, a shell's, revokes."""
    with (
        serve(gunicorn(door, "--threads=4", workers=2), tmp_path, {"LANDLINE_KEEPALIVE": 5.0}) as server,
        ExitStack() as stack,
    ):
        channel, cursor = "private/x", server.cursor()
        lines: list[Reader] = []

        def held() -> set[int]:
            facts = [server.facts() for _ in range(10)]
            return {fact["pid"] for fact in facts if fact["held"]}

        while len(held()) < 2:
            lines += [stack.enter_context(READERS["sse"](server.base, cursor, channel, headers=ANN)) for _ in range(4)]
            assert len(lines) < 100
        bob = stack.enter_context(READERS["sse"](server.base, cursor, channel, headers=BOB))
        Path(server.env["HELD_FOLDER"], "not-ann").touch()
        command = [sys.executable, "-m", "flask", "--app", APP, "landline", "revoke", "ann"]
        subprocess.run(command, env={"PATH": "/usr/bin:/bin", **server.env}, cwd=ROOT, check=True, timeout=60)
        for line in lines:
            wait_for_the_end(line)
        grants = {line.grant for line in lines}
        for grant in sorted(map(str, grants))[:10] * 4:  # both processes are asked, most likely
            assert knock(server, "poll", channel, ANN, f"&grant={grant}").status == 403
        server.publish("on", channel=channel)
        assert [event.data for event in bob.take(1)] == ["on"]


def test_grants_are_not_in_nginxs_log_as_the_document_has_it(
    tmp_path: Path, require: Callable[[str], str], columns: Callable[[str, float], Server]
) -> None:
    text = (ROOT / "docs/how-to/access.md").read_text()
    shown = text.partition("```nginx\n")[2].partition("```")[0].replace("/var/log/nginx", str(tmp_path))
    server = columns("gthread", 300)
    with nginx(require("nginx"), server, tmp_path / "nginx", http=shown) as proxy:
        for query in ("channel=news&grant=secret", "grant=secret&channel=news", "channel=news&grant=secret&cursor=now"):
            assert ask(f"{proxy.base}/landline/poll?{query}").status == 200
        log = tmp_path / "access.log"
        until(lambda: log.exists() and log.read_text().count("\n") == 3, 10, "the log")
        lines = log.read_text()
    assert "secret" not in lines
    assert '?channel=news&grant=-&cursor=now HTTP/1.1" 200' in lines
    assert "?grant=-&channel=news " in lines


def test_grants_are_in_no_log_of_ours(tmp_path: Path) -> None:
    with serve(COMMANDS["gthread"], tmp_path) as server:
        cursor = server.cursor()
        grant = knock(server, "poll", "private/x", ANN).json["grant"]["token"]
        for transport in ("long-poll", "sse", "websocket"):
            server.publish(1, channel="private/x")
            with READERS[transport](server.base, cursor, "private/x", headers=ANN, grant=grant) as reader:
                reader.take(1)
        query = f"channel=private/x&%67rant={grant}"
        assert ask(f"{server.base}/landline/poll?{query}&wait=0.01", headers=ANN).status == 200
        lines = "flask_landline.access"
        until(lambda: server.process.stderr.count(lines) >= 3, 10, "the access log")
        printed = server.process.stdout + server.process.stderr
    assert grant not in printed
    assert re.search(r"\?channel=private%2Fx&cursor=\S+&grant=- ", printed)
