"""What a client asked for (WIRE §4–6), read from the URL's query."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from string import punctuation
from typing import Any, NamedTuple
from urllib.parse import quote

from ..cursor import Position, Word, parse_position
from ..errors import Refusal

MAX_CHANNELS = 100
"""Channels in one request (WIRE §4)."""
MAX_QUERY = 32 * 1024
"""Characters of a query: 100 long names, percent-encoded. Servers in front usually allow less."""
_SHOWN = 80
"""Characters of a client's value that a refusal repeats."""
_LIKE = 32
"""Characters of a parameter's name for which one that looks like it is sought. The search takes the square of its
length: 20 ms for a name as long as a query may be."""
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

MAX_NONCE = 64
"""Characters of a nonce: it only has to differ from the client's other ones."""

IGNORED = "_"
"""A parameter without a meaning: a client that has noticed a cache sends another one each time (WIRE §4)."""
_IGNORED_FORMS = (IGNORED, "%5F", "%5f")
LAST_EVENT_ID = "lastEventId"
"""The parameter in which polyfills of `EventSource` send what the standard has them send as a header: they are scripts
of another origin, perhaps, and no browser then lets them set one without asking first."""
POLL_PARAMETERS = ("channel", "cursor", "wait", "grant", IGNORED)
SOCKET_PARAMETERS = ("channel", "cursor", "nonce", "grant", IGNORED)
STREAM_PARAMETERS = (*SOCKET_PARAMETERS, LAST_EVENT_ID)
SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
"""How a time to wait is written."""


class Request(NamedTuple):
    """An HTTP request, whichever host it came through; its body, if any, does not matter here."""

    method: str
    path: str
    """Decoded, without the query."""
    query: str
    """Raw, percent-encoded, without parameters that are ignored."""
    headers: Mapping[str, str]
    """Names in lower case."""
    remote: str
    """The client's address, for the access log."""
    environ: Mapping[str, Any] | None = None
    """The WSGI environment, where there is one."""


class Query(NamedTuple):
    """What a client asks to read."""

    channels: tuple[str, ...]
    position: Position
    wait: float = 0.0
    """Seconds a poll is ready to wait; 0: a short poll."""
    nonce: str | None = None
    """What the hello of a stream must repeat."""
    grant: str | None = None


def encode_query(query: str) -> str:
    """Percent-encode the bytes that a client left as they were, as curl does with what was typed.

    Args:
        query: the query, with its bytes shown as Latin-1, as PEP 3333 has it.
    """
    return query if query.isascii() else quote(query, safe=punctuation, encoding="latin-1", errors="replace")


def without_ignored(query: str) -> str:
    """Return a query without the parameters that have no meaning, so that equal questions are equal texts."""
    if IGNORED not in query and "%5" not in query:
        return query
    return "&".join(pair for pair in query.split("&") if pair.partition("=")[0] not in _IGNORED_FORMS)


def parse_poll(query: str) -> Query:
    """Read the query of a poll.

    Args:
        query: the raw query string, percent-encoded.

    Raises:
        Refusal: `bad-request`, `bad-cursor` or `too-many-channels`, saying what was wrong and what to do.
    """
    channels, single = _parameters(query, POLL_PARAMETERS)
    position = _position(single.get("cursor"))
    return Query(channels, position, _wait(single.get("wait")), None, single.get("grant"))


def parse_stream(query: str, last_event_id: str | None = None) -> Query:
    """Read the query of an event stream.

    Args:
        query: the raw query string, percent-encoded.
        last_event_id: the header of that name, which an `EventSource` sends when it comes back; it wins over the
            parameter `lastEventId`, and that over `cursor`.

    Raises:
        Refusal: as for `parse_poll`.
    """
    return _stream(query, STREAM_PARAMETERS, last_event_id)


def parse_socket(query: str) -> Query:
    """Read the query of a socket.

    Args:
        query: the raw query string, percent-encoded.

    Raises:
        Refusal: as for `parse_poll`.
    """
    return _stream(query, SOCKET_PARAMETERS, None)


def _stream(query: str, known: tuple[str, ...], last_event_id: str | None) -> Query:
    channels, single = _parameters(query, known)
    nonce = single.get("nonce")
    if nonce is not None and (len(nonce) > MAX_NONCE or not nonce.isprintable()):
        raise bad_request(f"nonce={shown(nonce)}: give up to {MAX_NONCE} printable characters.")
    position = _position(last_event_id or single.get(LAST_EVENT_ID) or single.get("cursor"))
    return Query(channels, position, 0.0, nonce, single.get("grant"))


def _parameters(query: str, known: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    # See SECURITY.md: query-length
    if len(query) > MAX_QUERY:
        raise bad_request(f"The query is longer than {MAX_QUERY} characters. Ask for fewer channels at a time.")
    channels: list[str] = []
    single: dict[str, str] = {}
    for name, value in _pairs(query):
        # See SECURITY.md: unknown-parameter
        if name not in known:
            # See SECURITY.md: likeness-is-of-short-names
            near = difflib.get_close_matches(name, known, 1) if len(name) <= _LIKE else []
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(known)}."
            raise bad_request(f"{shown(name)} is no parameter here. {hint}")
        if name == "channel":
            channels.append(value)
        elif name in single and name != IGNORED:
            raise bad_request(f"{name!r} is given twice. Give it once.")
        else:
            single[name] = value
    _check_channels(channels)
    return tuple(channels), single


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return names and values, decoded (https://url.spec.whatwg.org/#urlencoded-parsing)."""
    if query.count("&") >= 2 * MAX_CHANNELS:
        raise too_many_channels(2 * MAX_CHANNELS)
    halves = [pair.partition("=") for pair in query.split("&") if pair]
    try:
        return [(_decode(name), _decode(value)) for name, _, value in halves]
    except UnicodeDecodeError:
        raise bad_request("The query is not UTF-8 when its percent-encoding is undone. Encode it as UTF-8.") from None


def _decode(text: str) -> str:
    """Undo percent-encoding as `urllib.parse.unquote_plus` does, in a fifth of its time where all is encoded.

    That one goes from `%` to `%` in Python, up to 10,000 times in a query, and the loop that serves everybody waits
    meanwhile. Here each escape becomes one of Python's own, which are undone in C.

    Raises:
        UnicodeDecodeError: what it stands for is not UTF-8.
    """
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    escaped = _NO_ESCAPE.sub("%25", text).replace("\\", "%5C").replace("%", "\\x")
    # See SECURITY.md: decoding-is-cheap
    return escaped.encode().decode("unicode_escape").encode("latin-1").decode()


def _check_channels(channels: list[str]) -> None:
    if not channels:
        raise Refusal("too-many-channels", 400, "No channel is asked for. Name one to 100: '?channel=orders'.")
    # See SECURITY.md: channels-per-request
    if len(channels) > MAX_CHANNELS:
        raise too_many_channels(len(channels))
    if len(set(channels)) != len(channels):
        twice = next(name for name in channels if channels.count(name) > 1)
        raise bad_request(f"Channel {shown(twice)} is asked for twice. Ask once.")


def _position(text: str | None) -> Position:
    if text is None:
        return Word.NOW
    try:
        return parse_position(text)
    except ValueError as error:
        raise Refusal("bad-cursor", 400, f"cursor={shown(text)}: {error}.") from None


def _wait(text: str | None) -> float:
    if text is None:
        return 0.0
    # See SECURITY.md: wait-is-a-plain-number
    if not SECONDS.fullmatch(text):
        raise bad_request(f"wait={shown(text)}: give seconds, like 'wait=20' or 'wait=0.5'.")
    return float(text)


def shown(text: str) -> str:
    """Quote a client's text for a message: short, and without what could end a line."""
    # See SECURITY.md: refusals-quote
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def bad_request(detail: str) -> Refusal:
    """Refuse a request that is not of the wire's form."""
    return Refusal("bad-request", 400, detail)


def too_many_channels(count: int) -> Refusal:
    """Refuse a request for more channels than one answer can serve."""
    return Refusal(
        "too-many-channels",
        400,
        f"{count} channels are asked for; {MAX_CHANNELS} fit in one request. Ask in several.",
    )
