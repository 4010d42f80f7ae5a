"""The answer to a poll, short or held (WIRE §4, §7, §8)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..cursor import Cursor
from ..event import Event
from ..reading import Reading
from .advice import Advice
from .reply import INCREMENTAL, Reply

_LONGEST_TAGS = 2048
"""Characters of `If-None-Match` that are looked at: some thirty tags."""


def body(reading: Reading, advice: Advice | None, snapshots: Sequence[Event] = (), extra: bytes = b"") -> bytes:
    """Render the JSON object of a poll's answer, which is also a WebSocket's message.

    Args:
        reading: what was found.
        advice: what the client is asked for; None leaves it out.
        snapshots: states of whole channels, told ahead of the events.
        extra: further members, each with a leading comma.
    """
    events = [*snapshots, *reading.events]
    data = b"[%b]" % b", ".join([event.encoded for event in events]) if events else b"null"
    if advice is not None:
        extra = b', "advice": %b%b' % ((advice.at_once if reading.more else advice).encoded, extra)
    if reading.reset is not None:
        extra += b', "reset": ' + json.dumps(reading.reset._asdict()).encode()
    return b'{"data": %b, "cursor": "%b"%b}' % (data, str(reading.cursor).encode(), extra)


def answer(
    reading: Reading,
    advice: Advice,
    snapshots: Sequence[Event] = (),
    *,
    etag: str | None = None,
    cache_control: str,
    more: Sequence[tuple[str, str]] = (),
    grant: Mapping[str, Any] | None = None,
) -> Reply:
    """Render what a reader is told.

    Args:
        reading: what was found.
        advice: what the client is asked for.
        snapshots: states of whole channels, told ahead of the events.
        etag: the request's `If-None-Match`.
        cache_control: the answer's `Cache-Control`.
        more: more headers.
        grant: a grant that the reader does not have yet.
    """
    tag = f'W/"{reading.cursor}"'
    headers = [("ETag", tag), ("Cache-Control", cache_control), *more]
    has_news = bool(snapshots or grant or reading.has_news)
    if etag is not None and not has_news and _matches(etag, tag):
        headers += [("Landline-Interval", f"{advice.interval:g}"), ("Landline-Hold", f"{advice.hold:g}")]
        return Reply("304 Not Modified", headers, b"")
    content = body(reading, advice, snapshots, grant_member(grant))
    headers += [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
    return Reply("200 OK", headers, content)


def grant_member(grant: Mapping[str, Any] | None) -> bytes:
    """Render a grant as one more member of an answer."""
    return b"" if grant is None else b', "grant": ' + json.dumps(grant).encode()


def cache_control(shared: int | None) -> str:
    """Say how long a shared cache may keep an answer: seconds, or None for not at all."""
    return "no-store" if shared is None else f"public, max-age=0, s-maxage={shared}"


class LongPoll:
    """A held poll: one answer, and the line ends.

    Args:
        etag: the request's `If-None-Match`.
        cache_control: the answer's `Cache-Control`.
        more: more headers.
        grant: a grant that the reader does not have yet.
        close: whether the connection ends with the answer.
    """

    name = "long-poll"
    ends = True

    def __init__(
        self,
        etag: str | None,
        cache_control: str,
        more: tuple[tuple[str, str], ...] = (),
        grant: Mapping[str, Any] | None = None,
        *,
        close: bool = True,
    ) -> None:
        self._etag = etag
        self._cache_control = cache_control
        self._more = more
        self._grant = grant
        self._close = close

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LongPoll) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self._etag, self._cache_control, self._more, self._close))

    def hello(
        self, cursor: Cursor, advice: Advice, at: float, nonce: str | None, grant: Mapping[str, Any] | None
    ) -> bytes:
        """Say nothing: whatever is told first is the answer."""
        return b""

    def reply(self, reading: Reading, snapshots: Sequence[Event], advice: Advice) -> Reply:
        """Return the answer as data."""
        return answer(
            reading,
            advice,
            snapshots,
            etag=self._etag,
            cache_control=self._cache_control,
            more=(INCREMENTAL, *self._more),
            grant=self._grant,
        )

    def render(self, reading: Reading, snapshots: Sequence[Event], advice: Advice, at: float) -> bytes:
        """Render the whole answer."""
        return self.reply(reading, snapshots, advice).encode(at, close=self._close)

    def keepalive(self, cursor: Cursor, advice: Advice, at: float) -> bytes:
        """Render the answer that nothing is new."""
        return self.render(Reading((), cursor, cursor), (), advice, at)

    def goodbye(self, retry: float) -> bytes:
        """Not used: a held poll is always answered in full."""
        return b""


def _matches(header: str, tag: str) -> bool:
    """Compare weakly (RFC 9110 §8.8.3.2). `*` is no position, so it matches nothing here; nor does a long list.

    A client has the tag of one answer, a cache those of some; whoever sends thousands is answered in full.
    """
    # See SECURITY.md: lists-of-tags-are-short
    if len(header) > _LONGEST_TAGS:
        return False
    return any(part.strip().removeprefix("W/") == tag.removeprefix("W/") for part in header.split(","))
