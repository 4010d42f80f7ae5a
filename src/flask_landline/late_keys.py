"""Warns of configuration keys that were set or changed too late, and so have no effect."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from landline.config import KEY_PREFIX

logger = logging.getLogger("flask_landline")


class LateKeys:
    """Notices keys that were set or changed after they were read.

    Only names are logged: a value may hold a password.

    Args:
        mapping: the app's config, just read.
    """

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self._mapping = mapping
        self._known = _given(mapping)

    def check(self) -> None:
        """Log a warning if a key is not as it was, once for each change."""
        given = _given(self._mapping)
        if given == self._known:
            return
        changed = sorted(
            key for key in given.keys() | self._known.keys() if given.get(key, self) != self._known.get(key, self)
        )
        self._known = given
        logger.warning(
            "%s: set or changed in app.config after Landline had read it, which has no effect: the value of before, or "
            "the default, counts. Set LANDLINE_* keys before Landline(app) or init_app.",
            ", ".join(changed),
        )


def _given(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Return Landline's keys, with lists as they are now, in case they are changed in place."""
    given = {key: value for key, value in mapping.items() if key.startswith(KEY_PREFIX)}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
