"""A reader of a server elsewhere, over HTTP, for the shell: streams when it can, polls when it can't (WIRE §11)."""

from __future__ import annotations

import json
import random
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..errors import LandlineError, UsageError
from ..serve.access_log import without_grant

PROVE_WITHIN = 3.0
"""Seconds in which a stream must say hello with our nonce."""
SILENCE = 30.0
"""Seconds of silence after which a stream is dead: twice the usual keepalive (WIRE §11.4)."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries, at most."""
_FINAL = (400, 401, 403, 404, 405)
_FAILURES = (OSError, HTTPException, ValueError)


class Delivered(NamedTuple):
    """What a server sent: an event of a channel, or a reset."""

    channel: str
    payload: str
    cursor: str
    reset: bool = False


class Remote:
    """Reads channels of a server, for ever: a poll, then a stream from its cursor, then a poll from the stream's.

    One request at a time, each from the last one's cursor, so no event comes twice and none needs to be compared.

    Args:
        url: the server's prefix with the channels, such as `http://host/landline?channel=orders`.
        cursor: where to begin: a cursor, `now` or `start`.
        report: is called with the reason when the server cannot be read, at the first of several failures.
        sleep: waits some seconds.
        rand: draws from 0 to 1.

    Raises:
        UsageError: the URL names no channel.
    """

    def __init__(
        self,
        url: str,
        cursor: str = "now",
        *,
        report: Callable[[str], object] = lambda _: None,
        sleep: Callable[[float], object] = time.sleep,
        rand: Callable[[], float] = random.random,
    ) -> None:
        parts = urlsplit(url)
        self._channels = [value for name, value in parse_qsl(parts.query) if name == "channel"]
        if not self._channels or not parts.netloc:
            raise UsageError(
                f"{url!r} names no channel. Write the prefix and channels: 'http://host/landline?channel=a'."
            )
        path = parts.path.rstrip("/").removesuffix("/poll").removesuffix("/events")
        self._prefix = f"{parts.scheme}://{parts.netloc}{path}"
        self._cursor = cursor
        self._grant: dict[str, str] = {}
        """The newest grant, as a parameter (WIRE §9)."""
        self._inside: dict[str, int] = {}
        """The offsets that snapshots include: older events of their channels are dropped (WIRE §8)."""
        self._report = report
        self._sleep = sleep
        self._rand = rand

    def __iter__(self) -> Iterator[Delivered]:
        """Yield what the server sends, each event once.

        Raises:
            LandlineError: the server refuses this request for good.
        """
        failures = falls = 0
        stream_at = 0.0
        while True:
            try:
                answer = self._poll()
            except _FAILURES as error:
                self._pause(error, failures)
                failures += 1
                continue
            failures = 0
            yield from self._news(answer)
            advice = answer["advice"]
            if "sse" in advice["transports"] and advice["interval"] and time.monotonic() >= stream_at:
                has_worked = False
                try:
                    for item in self._stream():
                        has_worked = True
                        yield item
                except _FAILURES:
                    pass
                # One that has worked is opened again at once; one that never did, later and later.
                falls = 0 if has_worked else falls + 1
                stream_at = time.monotonic() + self._rand() * min(LONGEST_PAUSE, 2.0**falls)
            else:
                self._sleep(advice["interval"])

    def _poll(self) -> dict[str, Any]:
        with self._open("poll", SILENCE) as response:
            answer: dict[str, Any] = json.load(response)
        if not isinstance(answer, dict) or "cursor" not in answer or "advice" not in answer:
            raise ValueError("not an answer of Landline: a login page or a proxy may be in between")
        self._note_grant(answer)
        return answer

    def _note_grant(self, answer: dict[str, Any]) -> None:
        if "grant" in answer:
            self._grant = {"grant": answer["grant"]["token"]}

    def _news(self, answer: dict[str, Any]) -> Iterator[Delivered]:
        epoch = answer["cursor"].partition("-")[0]
        if "reset" in answer:
            yield self._reset(answer["reset"])
        for event in answer["data"] or ():
            if event.get("snapshot"):
                self._inside[event["channel"]] = event["offset"]
            elif event["offset"] <= self._inside.get(event["channel"], 0):
                continue
            yield Delivered(event["channel"], json.dumps(event["data"]), f"{epoch}-{event['offset']}")
        self._cursor = answer["cursor"]

    def _reset(self, reset: dict[str, Any]) -> Delivered:
        for channel in reset["channels"]:
            self._inside.pop(channel, None)
        return Delivered("", json.dumps(reset), self._cursor, reset=True)

    def _stream(self) -> Iterator[Delivered]:
        """Yield what an event stream brings until it ends, says goodbye, or falls silent."""
        nonce = secrets.token_hex(4)
        with self._open("events", PROVE_WITHIN, nonce=nonce) as response:
            block = next(_blocks(response), None)
            hello = {} if block is None else json.loads(block["data"])
            if hello.get("nonce") != nonce:
                raise ValueError("the stream did not prove itself")
            self._note_grant(hello)
            _set_timeout(response, SILENCE)
            for block in _blocks(response):
                self._cursor = block.get("id", self._cursor)
                fields = json.loads(block["data"])  # also of an event: what is no JSON is not of the wire
                if block["event"] != "landline":
                    # A snapshot has no id: what it includes is said in the block before it.
                    offset = int(block["id"].rpartition("-")[2]) if "id" in block else sys.maxsize
                    if offset > self._inside.get(block["event"], 0):
                        yield Delivered(block["event"], block["data"], self._cursor)
                    continue
                if "reset" in fields:
                    yield self._reset(fields["reset"])
                if "snapshot" in fields:
                    self._inside[fields["snapshot"]["channel"]] = fields["snapshot"]["offset"]
                if "goodbye" in fields:
                    self._sleep(fields["goodbye"]["retry"])
                    return

    def _open(self, name: str, timeout: float, **more: str) -> IO[bytes]:
        channels = [("channel", channel) for channel in self._channels]
        query = urlencode([*channels, ("cursor", self._cursor), *more.items(), *self._grant.items()])
        address = f"{self._prefix}/{name}?"
        request = urllib.request.Request(address + query, headers={"User-Agent": "landline-tail"})
        try:
            response: IO[bytes] = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read(4096).decode(errors="replace")
            if error.code in _FINAL:
                raise LandlineError(
                    f"{address}{without_grant(query)} answers {error.code}: {_detail(detail)}"
                ) from None
            raise _Later(f"{error.code} {_detail(detail)}", error.headers.get("Retry-After")) from None
        return response

    def _pause(self, error: Exception, failures: int) -> None:
        """Wait as long as was asked for, or a jittered and growing time."""
        if not failures:
            self._report(f"{self._prefix} cannot be read ({error}); trying again.")
        least = error.seconds if isinstance(error, _Later) else 0.0
        self._sleep(least + self._rand() * min(LONGEST_PAUSE, 2.0**failures))


class _Later(OSError):
    """The server asks to come back later."""

    def __init__(self, message: str, retry_after: str | None) -> None:
        super().__init__(message)
        self.seconds = float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


def _blocks(response: IO[bytes]) -> Iterator[dict[str, str]]:
    """Yield the events of an event stream, as our server writes it: one data line, no comments in between."""
    block: dict[str, str] = {}
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            block[name] = value
        elif "data" in block:
            yield block
            block = {}


def _set_timeout(response: Any, seconds: float) -> None:
    # urllib sets one time limit for everything; the stream's is another than the hello's.
    response.fp.raw._sock.settimeout(seconds)


def _detail(body: str) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return "not in Landline's words. Is the address right? It is the app's with the prefix, such as /landline."
