"""From a published value to the JSON text that is stored and sent, byte for byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

from .errors import UsageError


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
        # Python's and others' serialisers write NaN and Infinity, which no browser reads; so it is read back.
        decoded = json.loads(text, parse_constant=_refuse_constant)
        if "\n" in text or "\r" in text:
            text = json.dumps(decoded)
        size = len(text.encode())
    except UsageError:
        raise
    except RecursionError:
        raise UsageError(
            f"A {type(value).__name__} nested too deeply, or in itself, was published. Flatten it."
        ) from None
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"A {type(value).__name__} was published that app.json cannot turn into JSON: {error}. "
            "Publish plain values (dict, list, str, numbers, bool, None), or teach app.json the type."
        ) from error
    if max_bytes is not None and size > max_bytes:
        raise UsageError(
            f"An event of {size} bytes was published, and LANDLINE_MAX_EVENT is {max_bytes}. "
            "Publish an id and let readers fetch the rest, or raise the limit."
        )
    return text


def _refuse_constant(name: str) -> NoReturn:
    raise UsageError(
        f"A value with {name} in it was published, which JSON does not have. Publish None or a string instead."
    )
