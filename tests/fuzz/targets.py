"""What must hold for any bytes, one function for each parser.

Each takes bytes and raises if something does not hold; hypothesis, atheris and a plain mutator all call them. "It
does not crash" is the least of it: what is understood must read back as itself, what is not must be refused in the
way promised, and what comes out must be bounded and in one piece.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from flask_landline import Event, Landline, Refusal, UsageError
from flask_landline.flask_app import FlaskApp
from landline.access.authorizer import Authorizer
from landline.app import Consent
from landline.channels.names import MAX_NAME
from landline.cursor import MAX_OFFSET, Cursor, Position, Word, parse_position
from landline.payload import MAX_DEPTH, encode
from landline.protocol.advice import Advice
from landline.protocol.poll import body
from landline.protocol.problem import KINDS, problem
from landline.protocol.request import (
    MAX_CHANNELS,
    MAX_NONCE,
    Query,
    Request,
    encode_query,
    parse_poll,
    parse_stream,
)
from landline.protocol.sse import SSE
from landline.protocol.websocket import Incoming
from landline.reading import Reading
from landline.serve import access_log
from landline.times import Times

from tests.fuzz.door import Door

MOST_DETAIL = 1000
"""Characters of a refusal's words: it repeats eighty of what was sent, and `\\U0001f600` is one of them."""
HEADS = ("not HTTP/1.1", "no body here", "Have it sent once", "no host", "no URL")
"""Words of refusals of a head: nobody knows where the next request would begin, so the connection ends."""
MOST_FRAMES = 256
"""Bytes that are answered to a socket's bytes beyond as many as came: a close frame, and the heads of pongs."""


def cursor(data: bytes) -> None:
    """A cursor reads back as itself; anything else is a ValueError that repeats nothing."""
    text = data.decode("latin-1")
    position: Position | ValueError
    try:
        position = parse_position(text)
    except ValueError as error:
        position = error
    if isinstance(position, ValueError):
        assert str(position).isascii()
    elif isinstance(position, Word):
        assert position.value == text
    else:
        assert str(position) == text
        assert 0 <= position.offset <= MAX_OFFSET


def poll(data: bytes) -> None:
    """A query is understood, and then reads the same when written anew; or it is refused on one short line."""
    _check_ask(lambda: parse_poll(encode_query(data.decode("latin-1"))), parse_poll)


def stream(data: bytes) -> None:
    """The same of a stream's, with a `Last-Event-ID` before the first line break."""
    header, _, query = data.decode("latin-1").partition("\n")
    _check_ask(lambda: parse_stream(encode_query(query), header), parse_stream)


def _check_ask(understand: Callable[[], Query], parse: Callable[[str], Query]) -> None:
    try:
        ask = understand()
    except Refusal as refusal:
        check_refusal(refusal)
        return
    assert 1 <= len(ask.channels) <= MAX_CHANNELS
    assert len(set(ask.channels)) == len(ask.channels)
    assert 0 <= ask.wait < 1e6
    assert ask.nonce is None or (len(ask.nonce) <= MAX_NONCE and ask.nonce.isprintable())
    position = ask.position.value if isinstance(ask.position, Word) else str(ask.position)
    pairs = [*(("channel", name) for name in ask.channels), ("cursor", position)]
    pairs += [(name, value) for name in ("nonce", "grant") if (value := getattr(ask, name)) is not None]
    pairs += [("wait", f"{ask.wait:f}")] if parse is parse_poll else []
    assert parse(urlencode(pairs)) == ask


def check_refusal(refusal: Refusal) -> None:
    """Hold a refusal, and the answer it becomes, against WIRE §10."""
    kind = KINDS[refusal.code]
    assert refusal.status in kind.statuses
    assert (refusal.retry_after is not None) is kind.passes
    assert refusal.detail.isascii()
    assert refusal.detail.isprintable()
    assert len(refusal.detail) < MOST_DETAIL
    for _, value in problem(refusal).headers:
        assert value.isascii()
        assert value.isprintable()


def frames(data: bytes) -> None:
    """A socket is answered with pongs and one close, as much as came at most, however its bytes were cut.

    Of two things wrong the close may name either, and come before later pongs: one piece is looked at as a whole.
    """
    whole, ends = _receive([data])
    cut = data[0] % 7 + 1 if data else 1
    pieces, also_ends = _receive([data[at : at + cut] for at in range(0, len(data), cut)])
    assert also_ends is ends
    early, late = _pongs(pieces, ends), _pongs(whole, ends)
    assert early == (late[: len(early)] if ends else late)
    assert len(whole) <= len(data) + MOST_FRAMES


def _pongs(out: bytes, ends: bool) -> list[bytes]:
    """Part what a socket was answered: pongs, and behind them a close if that is the end."""
    found = []
    closed = False
    while out:
        assert not closed, "nothing follows a close"
        head, length = out[0], out[1]
        assert head in (0x88, 0x8A), "FIN, and a close or a pong"
        assert length <= 125, "a control frame, without a mask"
        closed = head == 0x88
        found += [] if closed else [out[2 : 2 + length]]
        out = out[2 + length :]
    assert closed is ends
    return found


def _receive(pieces: list[bytes]) -> tuple[bytes, bool]:
    incoming, out = Incoming(), b""
    for piece in pieces:
        if piece:
            said, ends = incoming.receive(piece, 0.0)
            out += said
            if ends:
                return out, True
    return out, False


_app = Flask(__name__, instance_path=gettempdir())
_app.config["LANDLINE_LOG"] = "memory:"
_app.config["LANDLINE_POLL_CAPACITY"] = None  # so many inputs a second are no pressure that advice must follow
_live = Landline(_app)
_any = _live.channel("<path:name>")


def channel(data: bytes) -> None:
    """A name belongs to a rule only if the rule builds it again; and it fits on one line of anything."""
    name = data.decode(errors="surrogateescape")
    resolved = _live.channels.resolve(name)
    if resolved is None:
        return
    assert resolved.name == name == _live.channels.build(_any, resolved.parts)
    assert 0 < len(name) <= MAX_NAME
    assert name.isprintable()
    assert name != "landline"


_app.secret_key = "for tests"
_closed = _live.channel("closed/<path:name>")
_closed.reader(lambda name: bool(name))
_runtime = _app.extensions["landline"]


class _Yes(FlaskApp):
    """An app that lets everybody read."""

    def authorize(self, request: Request, channels: object) -> Consent:
        return Consent("7")


_authorizer = Authorizer(
    _Yes(_app),
    _runtime.hub,
    _runtime.config,
    forwarded=_runtime.forwarded,
    times=Times(wall=lambda: 1_700_000_000.0, random=lambda: 0.5),
)
_items = [_live.channels.require("closed/a")]
_reader = Request("GET", "/landline/poll", "", {"cookie": "session=1"}, "127.0.0.1")
_stranger = _reader._replace(headers={"cookie": "session=2"})
_given = _authorizer.ask(_reader, _items).grant


def grant(data: bytes) -> None:
    """No token is good but one that was given, and that only for its reader and its channels.

    The first byte is where the given token is changed, if at all, the rest is what comes there.
    """
    assert _given is not None
    at = data[0] if data else 255
    token = _given.token[:at] + data[1:].decode(errors="replace") + _given.token[at + len(data) - 1 :]
    found = _authorizer.check(_reader, _items, token)
    if found is None:
        assert token != _given.token
    else:  # base64 has some letters that mean the same at an end
        assert found[:4] == _given[:4]
    assert _authorizer.check(_stranger, _items, token) is None
    assert _authorizer.check(_reader, [_live.channels.require("closed/b")], token) is None


def payload(data: bytes) -> None:
    """What a serialiser of the app's writes is stored on one line that is strictly JSON, or refused."""
    if data.startswith(b"\xff\xfe"):
        # Two bytes for each character, so that halves of surrogate pairs come up, which UTF-8 has not.
        text = data[: len(data) // 2 * 2].decode("utf-16", errors="surrogatepass")
    else:
        text = data.decode(errors="replace")
    refused = ""
    stored = "null"
    try:
        stored = encode(None, lambda _: text)
    except UsageError as error:
        refused = str(error)
    if refused:
        assert "published" in refused
        return
    assert stored.splitlines() == [stored]
    assert json.loads(stored, parse_constant=_refuse) == json.loads(text)
    assert _depth(json.loads(stored)) <= MAX_DEPTH


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def events(data: bytes) -> None:
    """What is told of an event, on any transport, is that event and nothing else: no field, no block, no member."""
    name, _, text = data.partition(b"\n")
    resolved = _live.channels.resolve(name.decode(errors="surrogateescape"))
    try:
        value = encode(None, lambda _: text.decode(errors="replace"))
    except UsageError:
        return
    if resolved is None:
        return
    event = Event(resolved.name, 7, 1.5, value, "k3f9a2zq")
    here = Cursor("k3f9a2zq", 7)
    advice = Advice(2.0, 20.0, ("poll",))
    told = SSE().render(Reading((event,), here, here), (), advice, 2.5)
    assert parse_event_stream(told.decode()) == [(resolved.name, value, "k3f9a2zq-7")]
    answer = json.loads(body(Reading((event,), here, here), advice))
    (read,) = answer["data"]
    assert read == {"channel": resolved.name, "offset": 7, "at": 1.5, "data": json.loads(value)}
    assert set(answer) == {"data", "cursor", "advice"}


def parse_event_stream(text: str) -> list[tuple[str, str, str]]:
    """Read an event stream as the standard has it (HTML, §9.2.6): type, data and last id of each event."""
    found, kind, lines, last = [], "", list[str](), ""
    for line in re.split("\r\n|\n|\r", text):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if lines:
                found.append((kind or "message", "\n".join(lines), last))
            kind, lines = "", []
        elif name == "event":
            kind = value
        elif name == "data":
            lines.append(value)
        elif name == "id" and "\0" not in value:
            last = value
    return found


class _Lines:
    """Takes the place of a logger's output."""

    def __init__(self) -> None:
        self.text = ""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  logging's name
        return True

    def info(self, form: str, *values: object) -> None:
        self.text = form % values


def access(data: bytes) -> None:
    """A request has one line in the access log, of a shape that it does not control."""
    lines, logger = _Lines(), access_log.logger
    access_log.logger = lines  # type: ignore[assignment]
    try:
        access_log.log("127.0.0.1", "sse", data.decode("latin-1"), 1.5, 3, "gone")
    finally:
        access_log.logger = logger
    assert lines.text.isascii()
    assert lines.text.isprintable()
    assert re.fullmatch(r"127\.0\.0\.1 sse \?[!-~ ]* 1\.5s 3 events, gone", lines.text)


def head(data: bytes) -> None:
    """Whatever comes at the second door is answered in whole answers, none of them its fault, however it was cut.

    The first byte says how small the pieces are that the rest comes in.
    """
    size, data = (data[0] % 50 + 1, data[1:]) if data else (1, b"")
    with Door(_app) as door:
        whole = door.exchange([data])
    with Door(_app) as door:
        pieces = door.exchange([data[at : at + size] for at in range(0, len(data), size)])
    for answers in (whole, pieces):
        for answer in answers:
            check_answer(answer.status, answer.headers, answer.body)
        # After a refusal of what is no HTTP at all, nobody knows where the next request would begin.
        assert not [answer for answer in answers[:-1] if any(words in answer.detail for words in HEADS)]
    # What comes in pieces is answered as far as it can be; how much comes at once is limited.
    ends = [answers[-1].detail for answers in (whole, pieces) if answers]
    if not any(words in detail for words in (*HEADS, "at once") for detail in ends):
        # Not the advice, which follows the machine's load.
        bodies = [[(answer.status, answer.status == 200 or answer.body) for answer in each] for each in (whole, pieces)]
        assert bodies[0] == bodies[1]


def check_answer(status: int, headers: Mapping[str, str], content: bytes) -> None:
    """Hold any answer against what WIRE promises whoever asks what."""
    assert status in (101, 200, 204, 304, 400, 401, 403, 404, 405, 503), status
    assert len(content) < 300_000
    if status == 503:  # a line that cannot be had here, and when to ask again; no other 5xx is a client's doing
        assert headers["Retry-After"].isdecimal()
        assert not content or json.loads(content)["code"] == "busy"
    if status >= 400 and content:
        assert headers["Content-Type"] == "application/problem+json"
        fields = json.loads(content)
        assert fields["status"] == status
        assert fields["detail"].isprintable()
        assert fields["title"]
        assert status == 404 or fields["code"] in KINDS


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (cursor, poll, stream, frames, channel, grant, payload, events, access, head)
}
SEEDS = Path(__file__).with_name("seeds.json")
"""For each target some bytes, as Latin-1, from which a fuzzer may begin."""


def seeds(name: str) -> list[bytes]:
    """Return what to begin with."""
    found: dict[str, list[str]] = json.loads(SEEDS.read_text())
    return [text.encode("latin-1") for text in found[name]]
