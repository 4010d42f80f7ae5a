"""All configuration keys, in one place: unit, default and reason of each.

Limits that the wire promises to its clients, such as a hundred channels in a request, are no keys: a client must know
them without asking. docs/topics/pressure.md lists them.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import UsageError
from .logs.base import Log
from .logs.registry import MODE
from .protocol.origins import Origins

KEY_PREFIX = "LANDLINE_"
"""How every key of ours begins."""

_HEADER = re.compile(r"[!#$%&'*+.^`|~0-9A-Za-z-]+", re.ASCII)
"""A header's name (RFC 9110 §5.6.2), but for the underscore: WSGI makes it the same as the hyphen, so servers and the
second door drop such headers."""
_NOT_AS_HEADERS = ("content-type", "content-length")
"""Headers that WSGI keeps in a place of their own, and that do not identify a reader."""
_DAY = 86_400.0
"""Seconds that anything here may last: more is a mistake, and at last more than the kernel's counters take."""


def _number(least: float, *, most: float = math.inf, none: bool = False, whole: bool = False) -> dict[str, Any]:
    return {"least": least, "most": most, "none": none, "whole": whole}


@dataclass(frozen=True)
class Config:
    """The values of the `LANDLINE_*` keys of one app, read once, by `init_app`."""

    prefix: str = "/landline"
    """Path under which everything is served."""

    log: str | Log = "sqlite:"
    """Where events are stored, as a URL. The default is a file in the app's instance folder: durable, shared
    by all processes of the machine, and nothing to install. The URL may have options, which count before the keys."""

    log_apps: tuple[str, ...] = ()
    """Names of the apps that may have this log together; an app that is not named is warned. Without names: the first
    app that used it, because two apps mostly share a log by mistake."""

    synchronous: str = "FULL"
    """SQLite's `PRAGMA synchronous`: FULL syncs at each publish; NORMAL may lose the last events in a power
    cut, and publishes many times faster on slow disks."""

    log_mode: str = "0600"
    """Mode of the log's files, in octal, as for chmod; a folder made for them is open to the same users. A user that
    can write the log can publish, so the default is its own user alone."""

    interval: float = field(default=2.0, metadata=_number(0.05, most=_DAY))
    """Seconds between short polls, sent to clients as advice. Two seconds look live to a person and are one
    request in two seconds to the server."""

    hold: float = field(default=20.0, metadata=_number(0, most=_DAY))
    """Seconds a request may be held, at most. Below the 30 s after which common routers give up on a
    silent request."""

    keepalive: float = field(default=15.0, metadata=_number(0.1, most=_DAY))
    """Seconds of silence after which a stream or socket is sent a sign of life. Half of the 30 s and a quarter of the
    60 s after which common proxies cut a silent connection. The hello carries it; the browser client gives up a line
    after twice as long."""

    max_held: int = field(default=10_000, metadata=_number(0, whole=True))
    """Requests that a process holds at most, and never more than 80 % of its file descriptors. 0: it holds none."""

    max_held_per_address: int = field(default=0, metadata=_number(0, whole=True))
    """Requests of one address that a process holds at most; 0: as many as of all. Off, because behind one address
    there may be a whole school."""

    max_polls_per_address: float = field(default=0.0, metadata=_number(0))
    """Requests a second that one address may make of a process, on average over ten seconds; 0: any number. Off, for
    the same reason."""

    trusted_hops: int | None = field(default=None, metadata=_number(0, none=True, whole=True))
    """Proxies before the app whose `X-Forwarded-For` is believed, for a client's address. None: as many as the app's
    `ProxyFix` believes, or none."""

    poll_capacity: float | None = field(default=1000.0, metadata=_number(50, none=True))
    """Polls a second that a process may be asked; where more come, it asks its clients to come less often. A process
    answers several thousand, and this leaves most of its time to the app's own routes. It is less by itself where there
    is no time for so many. None: as many as there is time for."""

    max_pending: int = field(default=1024 * 1024, metadata=_number(1, whole=True))
    """Bytes that may wait for one slow client; beyond, its connection is cut, and it comes back with its cursor."""

    max_pending_total: int = field(default=16 * 1024 * 1024, metadata=_number(1, whole=True))
    """Bytes that may wait for all slow readers of a process together; beyond, the connections with most of them are
    cut, and come back with their cursors. As much as the newest events may have; each reader may have its share of
    that, and ten thousand whole ones would be ten gigabytes."""

    listen: str | None = None
    """A second door for the wire alone, `host:port` or `unix:/path`, for a proxy to route the prefix to: polls then
    pass no WSGI server. None: there is none."""

    listen_mode: str | None = None
    """Mode of a Unix socket in `listen`, in octal, as for chmod. None: by the process's umask, like every other file
    that it makes. A process that connects is taken for the proxy."""

    origins: tuple[str, ...] = ()
    """Origins, such as `https://app.example.org` or `https://*.example.org`, whose pages may read here with their
    readers' cookies; `*`: pages of any origin may read public channels. The server's own always may."""

    grant_age: float = field(default=300.0, metadata=_number(1, most=_DAY))
    """Seconds for which a reader function's yes is good. So long may a reader whose rights were taken read on, unless
    it is revoked; and one call for each reader in some minutes costs the app next to nothing."""

    identity: Callable[[], Any] | None = None
    """Returns a reader's identity, by which `revoke` names it: a str, an int or None; called in the request. None:
    Flask-Login's user id, where the app has it."""

    credentials: tuple[str, ...] = ("Cookie", "Authorization")
    """Request headers by which the app knows its readers: a grant is good only together with the same ones."""

    held_threads: int = field(default=2, metadata=_number(0, whole=True))
    """Threads of a process that may hold long polls, where nothing but the thread can hold one. Keep it below
    the server's number of threads. 0: short polls only."""

    app_threads: int = field(default=4, metadata=_number(1, most=64, whole=True))
    """Threads of a process in which reader, snapshot and source functions run for the second door and for held
    connections. They mostly wait for a database, and four leave one of the five connections that SQLAlchemy's pool has
    to the app's own requests."""

    max_event: int = field(default=64 * 1024, metadata=_number(1, whole=True))
    """Bytes of JSON in one event, at most. Events are copied to every reader: publish an id and let the page
    fetch what is large."""

    window_events: int = field(default=4096, metadata=_number(1, whole=True))
    """Newest events kept in a process's memory: readers at most that far behind never touch the log."""

    window_bytes: int = field(default=16 * 1024 * 1024, metadata=_number(1, whole=True))
    """Bytes of newest events kept in a process's memory, about."""

    shared_cache: int | None = field(default=None, metadata=_number(1, none=True, whole=True))
    """Seconds for which a shared cache may give one answer to equal polls of public channels; None: never."""

    @classmethod
    def read(cls, mapping: Mapping[str, Any]) -> Config:
        """Read the keys from an app's config.

        Raises:
            UsageError: a key is unknown, or has a value it cannot have.
        """
        given = {key: value for key, value in mapping.items() if key.startswith(KEY_PREFIX)}
        known = {KEY_PREFIX + item.name.upper(): item for item in fields(cls)}
        for key, value in given.items():
            if key not in known:
                # Without the prefix, which alone makes any two keys alike.
                near = difflib.get_close_matches(
                    key.removeprefix(KEY_PREFIX), [item.name.upper() for item in known.values()], 1
                )
                hint = f"Did you mean {KEY_PREFIX}{near[0]}?" if near else f"The keys are {', '.join(known)}."
                raise UsageError(f"{key} is no configuration key of Landline. {hint}")
            if known[key].metadata:
                _check_number(key, value, **known[key].metadata)
        _check_kinds(given)
        _check_modes(given)
        config = cls(**{known[key].name: value for key, value in given.items()})
        prefix = config.prefix
        if not isinstance(prefix, str) or not prefix.startswith("/") or prefix.endswith("/") or not prefix.isascii():
            raise UsageError(
                f"LANDLINE_PREFIX is {prefix!r}; it must begin with a slash and not end with one, in ASCII, "
                "like '/landline'."
            )
        return config


def bits(mode: str) -> int:
    """Return a mode's bits.

    Args:
        mode: in octal, as for chmod, such as `0660`.
    """
    return int(mode, 8)


def _check_modes(given: Mapping[str, Any]) -> None:
    """Refuse what is no mode; numbers too, because 660 does not show whether octal was meant."""
    for key in ("LANDLINE_LOG_MODE", "LANDLINE_LISTEN_MODE"):
        value = given.get(key, "0600")
        if value is None and key == "LANDLINE_LISTEN_MODE":
            continue
        if not isinstance(value, str) or not MODE.fullmatch(value):
            raise UsageError(
                f"{key} is {value!r}; it must be text in octal digits, as for chmod, with read and write for the "
                "owner: '0600', or '0660' for all users of a group."
            )


def _check_kinds(given: Mapping[str, Any]) -> None:
    """Refuse what a plausible mistake gives: a port alone, or one origin where several are expected."""
    listen = given.get("LANDLINE_LISTEN")
    if listen is not None and not isinstance(listen, str):
        raise UsageError(f"LANDLINE_LISTEN is {listen!r}; give 'host:port' such as '127.0.0.1:8001', or 'unix:/path'.")
    apps = given.get("LANDLINE_LOG_APPS", ())
    if not isinstance(apps, (tuple, list)) or not all(isinstance(name, str) and name for name in apps):
        raise UsageError(f"LANDLINE_LOG_APPS is {apps!r}; give a list of the apps' names: ['shop', 'admin'].")
    origins = given.get("LANDLINE_ORIGINS", ())
    if not isinstance(origins, (tuple, list)):
        raise UsageError(f"LANDLINE_ORIGINS is {origins!r}; give a list of whole origins: ['https://app.example.org'].")
    Origins(origins)
    identity = given.get("LANDLINE_IDENTITY")
    if identity is not None and not callable(identity):
        raise UsageError(f"LANDLINE_IDENTITY is {identity!r}; give a function that returns the reader's id.")
    _check_credentials(given.get("LANDLINE_CREDENTIALS", ("Cookie",)))


def _check_credentials(names: Any) -> None:
    """Refuse what no request has: a grant would be bound to nothing, and work for each client that finds it."""
    # See SECURITY.md: credentials-are-one-at-least
    if not isinstance(names, (tuple, list)) or not names:
        raise UsageError(
            f"LANDLINE_CREDENTIALS is {names!r}; give the names of one header or more: ['Cookie', 'Authorization']."
        )
    for name in names:
        # See SECURITY.md: credentials-are-names-of-headers
        if not isinstance(name, str) or not _HEADER.fullmatch(name) or name.lower() in _NOT_AS_HEADERS:
            hint = str(name).strip().removeprefix("HTTP_").replace("_", "-").title()
            raise UsageError(
                f"LANDLINE_CREDENTIALS has {name!r}, which is the name of no header that could name a reader. Give it "
                f"as it stands in a request, with hyphens"
                + (f": {hint!r}." if _HEADER.fullmatch(hint) and hint.lower() not in _NOT_AS_HEADERS else ".")
            )


def _check_number(key: str, value: Any, *, least: float, most: float, none: bool, whole: bool) -> None:
    if none and value is None:
        return
    kinds = int if whole else (int, float)
    # `not <=` rather than `>`: NaN must not pass. A bool is an int to Python and a mistake here.
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most or value == math.inf:
        kind = "a whole number" if whole else "a number"
        limit = f" and at most {most:g}" if most < math.inf else ""
        raise UsageError(
            f"{key} is {value!r}; it must be {kind} of at least {least:g}{limit}{' or None' if none else ''}."
        )
