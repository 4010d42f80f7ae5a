"""From a published value to the JSON text that is stored and sent, byte for byte.

What passes here is the same value to every JSON reader, Python's and a browser's. A value that two of them would read
differently, or that one cannot read, is refused. One exception is documented instead of refused: JavaScript rounds
integers beyond 2^53 (docs/how-to/publish.md).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import UsageError

MAX_DEPTH = 100
"""Objects and arrays inside each other, at most. Readers differ in what they bear (Ruby 100, Rust's serde 128, PHP 512,
Python as much as its stack has left), and a client that cannot read an event can never get past it."""

_TOO_LARGE = re.compile(r"[0-9]{309}")
"""The largest double has 309 digits: an integer with fewer is finite everywhere."""
_OUTSIDE_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


def encode(value: Any, dumps: Callable[[Any], str], *, max_bytes: int | None = None) -> str:
    """Serialise a value, and make sure that every JSON reader will get the same one back.

    Args:
        value: what was published.
        dumps: the app's serialiser, `app.json.dumps`.
        max_bytes: largest size allowed; None: any.

    Returns:
        JSON text on one line (an event stream ends a field at a line break).

    Raises:
        UsageError: the value is not JSON, or too large; says what to do.
    """
    try:
        text = dumps(value)
        # Serialisers write what no browser reads (NaN), or reads as it was not meant (a key twice). So it is read back.
        # See SECURITY.md: payload-is-finite
        decoded = json.loads(
            text, parse_constant=_refuse_number, parse_float=_finite, object_pairs_hook=_without_doubles
        )
        if _TOO_LARGE.search(text):
            json.loads(text, parse_int=_finite)
        # All that Python counts as line breaks, as other people's clients do (U+2028, U+0085), not only SSE's own.
        # See SECURITY.md: payload-is-one-line
        if text.splitlines() != [text]:
            text = json.dumps(decoded)
        size = len(text.encode())
    except UsageError:
        raise
    except RecursionError:
        raise _too_deep(value) from None
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"A {type(value).__name__} was published that app.json cannot turn into JSON: {error}. "
            "Publish plain values (dict, list, str, numbers, bool, None), or teach app.json the type."
        ) from error
    # See SECURITY.md: payload-is-small
    if max_bytes is not None and size > max_bytes:
        raise UsageError(
            f"An event of {size} bytes was published, and LANDLINE_MAX_EVENT is {max_bytes}. "
            "Publish an id and let readers fetch the rest, or raise the limit."
        )
    # See SECURITY.md: payload-is-not-deep
    if _depth(text) > MAX_DEPTH:
        raise _too_deep(value)
    return text


def _depth(text: str) -> int:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return 0  # it cannot be deeper; nearly every value ends here
    depth = deepest = 0
    for found in _OUTSIDE_STRINGS.finditer(text):
        depth += bool(found[1]) - bool(found[2])
        deepest = max(deepest, depth)
    return deepest


def _too_deep(value: Any) -> UsageError:
    return UsageError(
        f"A {type(value).__name__} nested too deeply, or in itself, was published; {MAX_DEPTH} levels can be read "
        "everywhere. Flatten it."
    )


def _finite(text: str) -> float:
    number = float(text)
    # See SECURITY.md: payload-fits-a-double
    if math.isinf(number):
        _refuse_number(text[:20] + "…")
    return number


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    # See SECURITY.md: payload-has-each-key-once
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"An object with the key {twice[:80]!a} twice was published, as 1 and '1' are one key in JSON. Rename one."
        )
    return found


def _refuse_number(name: str) -> NoReturn:
    raise UsageError(
        f"A value with {name} in it was published, which JSON, or a browser, does not have. "
        "Publish None or a string instead."
    )
