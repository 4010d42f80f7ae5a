"""What the head of a request at the second door must be like before it is answered (RFC 9112).

`httptools` parses heads and refuses most of what two readers of the same bytes could read differently. What it lets
pass is refused here: requests with a body, for which the wire has no use, and requests whose host is not one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from .request import bad_request, shown

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]*)?")
"""A host with or without a port, perhaps empty (RFC 9110 §7.2). No blank: two hosts joined to a list are no host."""


class Target(NamedTuple):
    """What a request line asks for."""

    host: str | None
    """The host that an absolute form names; None: the form names none."""
    path: str
    """Without percent-encoding, its bytes shown as Latin-1, as PEP 3333 has it."""
    query: str
    """As it came."""


def split_target(text: str) -> Target:
    """Read a request target in any of its forms (RFC 9112 §3.2), as WSGI servers do.

    Raises:
        Refusal: it is a URL without a host, or with more than that before its path.
    """
    host = None
    if not text.startswith("/") and "://" in text:
        try:
            parts = urlsplit(text)
        except ValueError as error:
            raise bad_request(f"The target {shown(text)} is no URL: {error}.") from None
        host, text = parts.netloc, f"{parts.path}?{parts.query}"
        if not host or not _HOST.fullmatch(host):
            raise bad_request(f"The target {shown(text)} is on {shown(host)}, which is no host.")
    path, _, query = text.partition("#")[0].partition("?")
    return Target(host, unquote(path, "latin-1") if "%" in path else path, query)


def check_head(version: str, headers: Mapping[str, str]) -> None:
    """Refuse a head whose request would end elsewhere for another reader, or that names no host, or several.

    Args:
        version: the request's, such as `1.1`.
        headers: names in lower case; several of one name are one list.

    Raises:
        Refusal: after it the connection must end, for where the request ends is in doubt.
    """
    # A proxy that passes a chunked body on may pass on the fields behind it too, which it did not look at: they must
    # never become headers (RFC 9110 §6.5.1). In HTTP/1.0 the header is faulty framing (RFC 9112 §6.1).
    # See SECURITY.md: requests-have-no-body, trailers-are-no-headers
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        raise bad_request("Requests have no body here. Leave Transfer-Encoding and Content-Length out.")
    host = headers.get("host")
    # See SECURITY.md: host-is-there
    if host is None and version != "1.0":
        raise bad_request("The request has no Host (RFC 9112 §3.2). Have it sent once, as host or host:port.")
    # See SECURITY.md: one-host
    if host is not None and not _HOST.fullmatch(host):
        raise bad_request(f"Host is {shown(host)}, not one host. Have it sent once, as host or host:port.")
