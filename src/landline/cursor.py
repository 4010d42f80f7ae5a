"""A reader's position in the log, as one token (WIRE §2).

Clients keep and echo it; only this file builds it or takes it apart.
"""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

MAX_OFFSET = 2**63 - 1
"""The largest offset: a signed 64-bit integer, the key type of SQLite and PostgreSQL."""

FORM = re.compile(r"([0-9a-z]{8})-(0|[1-9][0-9]{0,18})", re.ASCII)
"""How a cursor is written. Nineteen digits may still be more than `MAX_OFFSET`."""


class Cursor(NamedTuple):
    """A reader's position, "I have everything in my channels up to here", in one life of one log."""

    epoch: str
    """The log's life: 8 characters of `0-9a-z`."""
    offset: int
    """The last offset passed; 0 is before everything."""

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"


class Word(enum.Enum):
    """Positions that a server accepts and never issues."""

    NOW = "now"
    """Only what comes after this request."""
    START = "start"
    """All that is still kept."""
    LOST = ""
    """Like `NOW`, from a reader that had a position and lost it: its page was made while the log could not be read."""


Position = Cursor | Word

NO_LIFE = Cursor("0" * 8, 0)
"""A position in no log's life. A stream names it in its hello to a reader whose position is lost. If the connection
is cut before the reset that follows, the reader comes back with this position, and gets the reset then."""


def parse_position(text: str) -> Position:
    """Read a cursor or one of the words, of which one is empty.

    Raises:
        ValueError: `text` is neither; the message says what was expected.
    """
    form = FORM.fullmatch(text)
    if form is not None:
        offset = int(form[2])
        # See SECURITY.md: cursor-form
        if offset <= MAX_OFFSET:
            return Cursor(form[1], offset)
    elif text in ("now", "start", ""):
        return Word(text)
    raise ValueError("a cursor is what an earlier answer carried (like k3f9a2zq-1042), 'now' or 'start'")
