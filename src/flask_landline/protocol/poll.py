"""The answer to a poll (WIRE §4, §7, §8)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..event import Event
from ..reading import Reading
from .reply import Reply


@dataclass(frozen=True)
class Advice:
    """What the server asks of a client."""

    interval: float
    """Seconds before the next short poll; 0: more is waiting."""
    hold: float
    """Seconds of `wait` granted at most; 0: none."""
    transports: tuple[str, ...]
    """What can be served to this client now, best first, `poll` last."""

    @cached_property
    def encoded(self) -> bytes:
        """The advice as a JSON object."""
        fields = {"interval": self.interval, "hold": self.hold, "transports": self.transports}
        return json.dumps(fields).encode()

    @cached_property
    def at_once(self) -> Advice:
        """The same advice for a client for whom more is waiting."""
        return Advice(0, self.hold, self.transports)


def answer(
    reading: Reading,
    advice: Advice,
    snapshots: Sequence[Event] = (),
    *,
    etag: str | None = None,
    cache_control: str,
) -> Reply:
    """Render what a reader is told.

    Args:
        reading: what was found.
        advice: what the client is asked for.
        snapshots: states of whole channels, told ahead of the events.
        etag: the request's `If-None-Match`.
        cache_control: the answer's `Cache-Control`.
    """
    cursor = str(reading.cursor)
    tag = f'W/"{cursor}"'
    headers = [("ETag", tag), ("Cache-Control", cache_control)]
    events = [*snapshots, *reading.events]
    if etag is not None and not events and reading.reset is None and _matches(etag, tag):
        headers += [("Landline-Interval", f"{advice.interval:g}"), ("Landline-Hold", f"{advice.hold:g}")]
        return Reply("304 Not Modified", headers, b"")
    if reading.more:
        advice = advice.at_once
    data = b"[%b]" % b", ".join([event.encoded for event in events]) if events else b"null"
    body = b'{"data": %b, "cursor": "%b", "advice": %b%b}' % (
        data,
        cursor.encode(),
        advice.encoded,
        _reset(reading),
    )
    headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Reply("200 OK", headers, body)


def cache_control(shared: int | None) -> str:
    """Say how long a shared cache may keep an answer: seconds, or None for not at all."""
    return "no-store" if shared is None else f"public, max-age=0, s-maxage={shared}"


def _reset(reading: Reading) -> bytes:
    if reading.reset is None:
        return b""
    return b', "reset": ' + json.dumps(reading.reset._asdict()).encode()


def _matches(header: str, tag: str) -> bool:
    """Compare weakly (RFC 9110 §8.8.3.2). `*` is no position, so it matches nothing here."""
    return any(part.strip().removeprefix("W/") == tag.removeprefix("W/") for part in header.split(","))
