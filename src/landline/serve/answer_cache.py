"""What became of polls: given again to clients that ask the same while nothing is new.

Reading consumes nothing, so equal questions have equal answers until the log's end moves, or one of the events given is
past its `keep_for`; that a channel is cut back to `keep` meanwhile makes none of them untrue. Between two events all
readers that are up to date ask the same; right after one, all of them ask for the same news. So the first of ten
thousand is answered by the log or the window, and the others by this.

Invariants:

- Entries do not change; looking one up takes no lock. A thread that puts one in has `_lock`, so that `_bytes` is the
  sum of what is here.
- Questions are counted with their outcomes: a stranger's long queries take no more room than `MOST_BYTES`.
- A forked child has another cache (see `Endpoints`).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ..protocol.reply import Reply
from .poll_key import PollKey

if TYPE_CHECKING:
    from .subscription import Subscription

MOST = 1024
"""Outcomes remembered: one for each set of channels and cursor that equal readers ask with."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of all outcomes and the questions they belong to: some news for many, or a long page for those who come back
together."""
OVERHEAD = 1024
"""Bytes of an outcome beside what is counted: entry, key, headers, cursor, a `Reply` or a `Subscription`."""
LONGEST_KEY = 4096
"""Characters of a query and its credentials whose outcome is remembered: one client's long ones would drive the others'
out, and few are asked twice."""

Key = tuple[PollKey, tuple[str, ...], bool]
"""Question, what can be offered, whether the connection closes."""
Entry = tuple[object, float | None, float | None, "Reply | Subscription"]
"""The hub's mark at which it was true, until when its grant is good, until when its events may be given (both Unix
seconds; None: for good), and the outcome."""


class AnswerCache:
    """Outcomes of polls, by what was asked. All are forgotten when there are too many: the next ones are soon here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[Key, Entry] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """Return what became of a question."""
        return self._entries.get(key)

    def put(self, key: Key, entry: Entry) -> None:
        """Remember what became of a question, unless that would take too much room."""
        size = _size(key, entry)
        # See SECURITY.md: long-queries-are-not-remembered
        if _length(key) > LONGEST_KEY or size > MOST_BYTES // 4:
            return
        with self._lock:
            before = self._entries.pop(key, None)
            self._bytes += size - (_size(key, before) if before is not None else 0)
            # See SECURITY.md: remembered-answers-are-bounded
            if len(self._entries) >= MOST or self._bytes > MOST_BYTES:
                self._entries.clear()
                self._bytes = size
            self._entries[key] = entry


def _length(key: Key) -> int:
    return len(key[0].query) + sum(len(text or "") for text in key[0].credentials)


def _size(key: Key, entry: Entry) -> int:
    """Return the bytes of an entry, about."""
    outcome = entry[3]
    if isinstance(outcome, Reply):
        kept = 2 * len(outcome.body)  # the second time with a head (see `Reply.encode`)
    else:
        # Names and parts of channels, which are parts of the query, and the grant's token, which is in it too.
        kept = 2 * len(outcome.query) + 200 * len(outcome.names)
    return OVERHEAD + _length(key) + kept
