"""All that the engine asks of a web framework. `flask_landline.flask_app` is Flask's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .channels.channel import Resolved
from .protocol.request import Request

Cookies = tuple[tuple[str, str], ...]
"""`Set-Cookie` headers of the app's own answer, which the client is to get."""


class Consent(NamedTuple):
    """The app's yes to a reader."""

    identity: str | int | None
    """Of whom it was asked; None: the app does not tell its readers apart."""
    cookies: Cookies = ()


class Believed(NamedTuple):
    """How many proxies' word on each is believed, counted from the app: the numbers of `X-Forwarded-…` values."""

    address: int = 0
    proto: int = 0
    host: int = 0
    port: int = 0


class App(Protocol):
    """One app of a framework, in one process. Safe to use from any thread."""

    @property
    def name(self) -> str:
        """What the app is called, to people."""

    @property
    def folder(self) -> Path:
        """Where relative paths of logs begin."""

    @property
    def config(self) -> Mapping[str, Any]:
        """The app's configuration, of which the engine reads the `LANDLINE_*` keys once."""

    def begin(self) -> None:
        """Take notice that the app has its first request, or publishes for the first time, in this process."""

    def keys(self) -> Sequence[str | bytes]:
        """Return the keys to sign with, the newest first; none: the app has no key."""

    def believed(self) -> Believed:
        """Return whose word on a client is believed; asked when requests come, not earlier."""

    def dumps(self, value: Any) -> str:
        """Return a value as JSON text."""

    def authorize(self, request: Request, channels: list[Resolved]) -> Consent:
        """Ask the reader functions of guarded channels whether a request may read them.

        Raises:
            Refusal: `not-allowed` or `app-failed`, with the cookies that the app has set.
        """

    def context(self, site: str | None = None) -> AbstractContextManager[object]:
        """Return what functions of the app run in where no client's request is being answered.

        Args:
            site: None: no request. Else an empty request to this scheme and host, such as `https://a.example.org`;
                empty text: to a host that is not known.
        """

    def call(self, channel: Resolved, function: Any) -> Any:
        """Call a function of the app with a channel's parts, in the context it is in; an async one to its end."""
