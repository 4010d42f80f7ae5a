"""Logs, chosen by URL: one file each. Another one is one file here, or a `Log` of your own in `LANDLINE_LOG`.

Behind a question mark a URL has the log's own options: `sqlite:///file.db?synchronous=NORMAL&mode=0660`. Each log says
in `OPTIONS` which it has, and what each may be.
"""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from .base import ChannelInfo, Log, Retention

__all__ = ["ChannelInfo", "Log", "Retention", "open_log"]

DEFAULT_FILE = "landline.db"
"""Name of the SQLite log in the app's instance folder."""
MODE = re.compile("0?[67][0-7][0-7]")
"""A file's mode, in octal, that leaves its owner what SQLite needs, and a proxy of the same user."""


class Option(NamedTuple):
    """What one option of a log's URL may be."""

    values: re.Pattern[str]
    meaning: str
    """For the error that refuses another value."""


OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "sqlite": {
        "synchronous": Option(re.compile("FULL|NORMAL"), "FULL or NORMAL"),
        "mode": Option(MODE, "octal digits, as for chmod, with read and write for the owner, such as 0660"),
    },
    "memory": {},
}
"""The options of each log's URL, by scheme."""


def open_log(
    url: str | Log,
    *,
    folder: Path,
    synchronous: str = "FULL",
    mode: int = 0o600,
    clock: Callable[[], float] = time.time,
) -> Log:
    """Make the log that a URL names; nothing is opened before its first use.

    Args:
        url: `sqlite:` (the default file in `folder`), `sqlite:///relative/to/folder.db`,
            `sqlite:////absolute/path.db`, `memory:`, each with its options; or a `Log`, which is returned as it is.
        folder: where relative paths begin: the app's instance folder.
        synchronous: SQLite's `PRAGMA synchronous`, FULL or NORMAL, where the URL does not say.
        mode: who may read and write the files of a log that is made, where the URL does not say.
        clock: Unix seconds, for a log that is made.

    Raises:
        UsageError: the URL names no log, or a database in memory, which no two connections would share; or it has an
            option that its log does not have, or a value that the option cannot have.
    """
    if isinstance(url, Log):
        return url
    scheme, _, rest = url.partition(":") if isinstance(url, str) else ("", "", "")
    path, has_options, query = rest.partition("?")
    if scheme == "sqlite":
        _require_file(url, path, query)
    if scheme == "memory" and not path:
        from .memory import MemoryLog

        _options(url, scheme, query if has_options else None)
        return MemoryLog(clock=clock)
    if scheme == "sqlite" and (not path or (path.startswith("///") and len(path) > len("///"))):
        from .sqlite.log import SQLiteLog

        options = _options(url, scheme, query if has_options else None)
        return SQLiteLog(
            folder / (path.removeprefix("///") or DEFAULT_FILE),
            synchronous=options.get("synchronous", synchronous),
            mode=int(options["mode"], 8) if "mode" in options else mode,
            clock=clock,
        )
    raise UsageError(
        f"LANDLINE_LOG is {url!r}, which names no log. Use 'sqlite:' (a file in the instance folder), "
        "'sqlite:///file.db', 'sqlite:////absolute/file.db', 'memory:' (one process only), or a Log object."
    )


def _options(url: str, scheme: str, query: str | None) -> dict[str, str]:
    """Return what stands behind a URL's question mark; None: it has none."""
    known, found = OPTIONS[scheme], dict[str, str]()
    for part in [] if query is None else query.split("&"):
        name, equals, value = part.partition("=")
        if name not in known:
            raise UsageError(f"LANDLINE_LOG is {url!r}; {_unknown(scheme, name)}")
        if not equals or not known[name].values.fullmatch(value):
            raise UsageError(f"LANDLINE_LOG is {url!r}; its option {name!r} must be {known[name].meaning}.")
        if name in found:
            raise UsageError(f"LANDLINE_LOG is {url!r}, which has the option {name!r} twice. Leave one out.")
        found[name] = value
    return found


def _unknown(scheme: str, name: str) -> str:
    """Say that a log has no such option, and which it has."""
    known = OPTIONS[scheme]
    if not known:
        return f"a log in memory has no options. Use '{scheme}:'."
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Its options are {' and '.join(map(repr, known))}."
    return f"an SQLite log has no option {name!r}. {hint}"


def _require_file(url: str, path: str, query: str) -> None:
    """Refuse what SQLite or SQLAlchemy takes for a database in memory, or for more than a path.

    As a path each of these would name a file, such as `:memory:` in the instance folder, that outlives the process.
    """
    name = path.rstrip("/").rpartition("/")[2]
    if ":memory:" in name or "mode=memory" in query or path in ("//", "///"):
        raise UsageError(
            f"LANDLINE_LOG is {url!r}, an SQLite database in memory. Use 'memory:', which keeps the log in the memory "
            "of this process, or 'sqlite:', which keeps it in a file."
        )
    if name.startswith("file:"):
        raise UsageError(
            f"LANDLINE_LOG is {url!r}; an SQLite log is named by a path, without 'file:': 'sqlite:///file.db'. "
            "'memory:' is a log in memory."
        )
