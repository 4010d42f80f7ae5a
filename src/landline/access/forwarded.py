"""The host that a request is for: as its browser has it, and as the app has it.

A proxy in front may have changed `Host` and said in `X-Forwarded-Host` what it was. Whose word counts is for the app
to say: by `LANDLINE_TRUSTED_HOPS`, or by the `ProxyFix` around it. Where that was wrapped before Landline the request
comes here as the proxy sent it, and where it was wrapped after, with `Host` mended already; the header is still there
then, and says the same again. So both come out alike, through the WSGI server and through the second door.

Two questions, two answers. `site` is what an `Origin` is compared with: the host that the browser knows. `seen` is
what the app's own functions see as `request.host`, which `ProxyFix` alone decides: grants and snapshots go by it,
since the app may answer for each host otherwise, and must have been asked about the one it is answered for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from ..app import Believed
from ..protocol.origins import Site
from ..protocol.request import Request

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""What a proxy may call a request's scheme: Traefik says `wss` of a handshake."""


class Forwarded:
    """What one app believes of the proxies in front of it. Safe to use from any thread.

    Args:
        trusted_hops: `LANDLINE_TRUSTED_HOPS`; None: as many as the app itself believes, of each header.
        believed: returns how many that are, once requests come.
    """

    def __init__(self, trusted_hops: int | None, believed: Callable[[], Believed]) -> None:
        self._trusted_hops = trusted_hops
        self._believed = believed

    @functools.cached_property
    def _seen(self) -> Believed:
        return self._believed()

    @functools.cached_property
    def _hops(self) -> Believed:
        given = self._trusted_hops
        # See SECURITY.md: forwarded-host-is-believed-as-configured
        return self._seen if given is None else Believed(given, given, given)

    @property
    def address_hops(self) -> int:
        """How many proxies' word on a client's address is believed, counted from here."""
        return self._hops.address

    def site(self, request: Request) -> Site:
        """Return scheme and host of a request as its browser has them."""
        return _site(self._hops, request)

    def seen(self, request: Request) -> str:
        """Return a request's scheme and host as the app has them, such as `https://a.example.org`."""
        # See SECURITY.md: snapshots-are-the-apps-hosts
        scheme, host = _site(self._seen, request)
        return f"{scheme}://{_bare(host)}" if host else ""

    def seen_host(self, headers: Mapping[str, str]) -> str:
        """Return a request's host as the app has it."""
        return _bare(_host(self._seen, headers))


def _host(hops: Believed, headers: Mapping[str, str]) -> str:
    """Return a request's host, with its port if it is named."""
    host = headers.get("host") or ""
    if not (hops.host or hops.port):
        return host
    host = _word(hops.host, headers.get("x-forwarded-host")) or host
    port = _word(hops.port, headers.get("x-forwarded-port"))
    if port and host:
        bare = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        host = f"{bare}:{port}"
    return host


def _site(hops: Believed, request: Request) -> Site:
    """Return a request's scheme and host."""
    scheme = "http" if request.environ is None else str(request.environ.get("wsgi.url_scheme", "http"))
    scheme = _word(hops.proto, request.headers.get("x-forwarded-proto")) or scheme
    return Site(_SCHEMES.get(scheme.lower(), "http"), _host(hops, request.headers))


def _word(hops: int, values: str | None) -> str | None:
    """Return what the proxy so many hops away has said, None if it said nothing: the rule of `ProxyFix`."""
    if not hops or not values:
        return None
    parts = values.split(",")
    # See SECURITY.md: forwarded-host-is-the-proxys-word
    return parts[-hops].strip() if len(parts) >= hops else None


def _bare(host: str) -> str:
    """Return a host as a key: in small letters, and without the ports that a browser may leave out."""
    host = host.lower()
    return host.removesuffix(":443") if host.endswith(":443") else host.removesuffix(":80")
