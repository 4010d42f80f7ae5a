"""The wire as an OpenAPI description, made from the tables that the code itself goes by.

Parameters, codes and statuses stand where they are checked; here they are only put into OpenAPI's words
(https://spec.openapis.org/oas/v3.1.1.html), so that the description cannot say what the code does not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from ..cursor import FORM
from ..reading import PAGE_EVENTS
from .endpoints import ENDPOINTS, EVENTS, POLL, SOCKET, Endpoint
from .problem import KINDS
from .request import (
    IGNORED,
    LAST_EVENT_ID,
    MAX_CHANNELS,
    MAX_NONCE,
    SECONDS,
)

_WIRE_VERSION = "1"
_ANY = {"description": "Any JSON value."}
_STRING = {"type": "string"}
_NUMBER = {"type": "number", "minimum": 0}
_POSITION = {"type": "string", "pattern": f"^(now|start|{FORM.pattern})?$", "examples": ["now", "k3f9a2zq-1042"]}
_CURSOR = {"type": "string", "pattern": f"^{FORM.pattern}$", "examples": ["k3f9a2zq-1042"]}
_OFFSET = {"type": "integer", "minimum": 0}
_CHANNELS = {"type": "array", "items": _STRING, "minItems": 1, "maxItems": MAX_CHANNELS}

_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "channel": ("What to read, once for each channel.", {**_CHANNELS, "uniqueItems": True}),
    "cursor": (
        "Where the reader is: the cursor of an earlier answer, or one of two words; empty: it is lost.",
        _POSITION,
    ),
    "wait": (
        "Seconds the request may be held while there is nothing new.",
        {"type": "string", "pattern": f"^{SECONDS.pattern}$", "default": "0"},
    ),
    "nonce": ("Repeated in the hello, which proves that the stream gets through.", {**_STRING, "maxLength": MAX_NONCE}),
    "grant": ("Proof that this reader may read these channels.", _STRING),
    IGNORED: ("Ignored: another one each time gets past a cache that keeps what it should not.", _STRING),
    LAST_EVENT_ID: ("The same as the header `Last-Event-ID`, which wins; empty is the same as none.", _POSITION),
}


def describe(prefix: str, transports: Sequence[str], hold: float) -> dict[str, Any]:
    """Return the description of the wire at a prefix.

    Args:
        prefix: the path under which the wire is served.
        transports: the names of the transports there are.
        hold: seconds a request may be held, at most.
    """
    operations = {endpoint.name: _operation(endpoint) for endpoint in ENDPOINTS}
    operations[POLL.name]["description"] = f"`wait` is granted up to {hold:g} s, and less as the advice says."
    stream = {"description": "The stream; it begins with a hello.", "content": {"text/event-stream": {}}}
    answers = {
        POLL.name: {"200": _answer(), "304": _unchanged()},
        EVENTS.name: {"200": stream},
        SOCKET.name: {"101": {"description": "The socket is open; it begins with a hello."}},
    }
    for name, operation in operations.items():
        operation["responses"] = {**answers[name], **_refusals()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Landline", "version": _WIRE_VERSION, "description": "Live updates over plain HTTP."},
        "paths": {f"{prefix}/{name}": {"get": operation} for name, operation in operations.items()},
        "components": {"schemas": _schemas(transports)},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    described: list[dict[str, Any]] = []
    for parameter in endpoint.parameters:
        description, schema = _PARAMETERS[parameter]
        item = {"name": parameter, "in": "query", "description": description, "schema": schema}
        described.append(item | {"required": True} if parameter == "channel" else item)
    if endpoint.header is not None:
        described.append({"name": endpoint.header, "in": "header", "description": endpoint.meaning, "schema": _STRING})
    return {"operationId": endpoint.name, "summary": endpoint.summary, "parameters": described}


def _answer() -> dict[str, Any]:
    content = {"application/json": {"schema": _reference("Answer")}}
    headers = {name: {"schema": _STRING, "required": True} for name in ("ETag", "Cache-Control")}
    return {"description": "What is new; `data` is null if nothing is.", "content": content, "headers": headers}


def _unchanged() -> dict[str, Any]:
    number = {"schema": {"type": "string", "pattern": "^[0-9.e+-]+$"}, "required": True}
    headers = {"Landline-Interval": number, "Landline-Hold": number}
    return {"description": "Nothing is new; the advice is in the headers.", "headers": headers}


def _refusals() -> dict[str, Any]:
    """Return a response for each status that a request can be refused with."""
    codes: dict[int, list[str]] = {}
    for code, kind in KINDS.items():
        for status in kind.statuses:
            codes.setdefault(status, []).append(code)
    # 405 is not among them: OpenAPI describes the answers to the methods that there are.
    return {str(status): _refusal(status, codes[status]) for status in sorted(codes) if codes[status] != ["method"]}


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    members = {"status": {"const": status}, "code": {"enum": codes}}
    schema = {"allOf": [_reference("Problem"), {"properties": members}]}
    content = {"application/problem+json": {"schema": schema}}
    response = {"description": f"{HTTPStatus(status).phrase}: {' or '.join(codes)}.", "content": content}
    if all(KINDS[code].passes for code in codes):
        after = {
            "description": "Seconds after which to ask again.",
            "schema": {"type": "string", "pattern": "^[0-9]+$"},
        }
        response["headers"] = {"Retry-After": after | {"required": True}}
    return response


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    # Further members are allowed: clients must ignore what they do not know (WIRE §4).
    return {"type": "object", "required": list(required), "properties": properties}


def _schemas(transports: Sequence[str]) -> dict[str, Any]:
    events = {"type": "array", "items": _reference("Event"), "minItems": 1, "maxItems": PAGE_EVENTS + MAX_CHANNELS}
    return {
        "Event": _object(
            ("channel", "offset", "at", "data"),
            channel=_STRING,
            offset=_OFFSET,
            at={**_NUMBER, "description": "When the log took it, Unix seconds."},
            data=_ANY,
            snapshot={"const": True, "description": "It stands for the channel's whole state."},
        ),
        "Answer": _object(
            ("data", "cursor", "advice"),
            data={"anyOf": [events, {"type": "null"}]},
            cursor=_CURSOR,
            advice=_reference("Advice"),
            reset=_reference("Reset"),
            grant=_reference("Grant"),
        ),
        "Advice": _object(
            ("interval", "hold", "transports"),
            interval={**_NUMBER, "description": "Seconds before the next short poll; 0: more is waiting."},
            hold={**_NUMBER, "description": "Seconds of `wait` granted at most."},
            transports={"type": "array", "items": {"enum": list(transports)}, "minItems": 1, "uniqueItems": True},
        ),
        "Reset": _object(
            ("channels", "reason"), channels=_CHANNELS, reason={"enum": ["trimmed", "epoch", "ahead", "unknown"]}
        ),
        "Grant": _object(("token", "expires"), token=_STRING, expires=_NUMBER),
        "Problem": _object(
            ("type", "title", "status", "detail", "code"),
            type={"type": "string", "pattern": "^urn:landline:problem:"},
            title={"enum": [kind.title for kind in KINDS.values()]},
            status={"type": "integer"},
            detail=_STRING,
            code={"enum": list(KINDS)},
            channels=_CHANNELS,
        ),
    }
