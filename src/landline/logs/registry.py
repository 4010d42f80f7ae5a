"""Logs, chosen by URL: one file each. Another one is one file here, or a `Log` of your own in `LANDLINE_LOG`."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from .base import ChannelInfo, Log, Retention

__all__ = ["ChannelInfo", "Log", "Retention", "open_log"]

DEFAULT_FILE = "landline.db"
"""Name of the SQLite log in the app's instance folder."""


def open_log(url: str | Log, *, folder: Path, synchronous: str = "FULL", mode: int = 0o600) -> Log:
    """Make the log that a URL names; nothing is opened before its first use.

    Args:
        url: `sqlite:` (the default file in `folder`), `sqlite:///relative/to/folder.db`,
            `sqlite:////absolute/path.db`, `memory:`, or a `Log`, which is returned as it is.
        folder: where relative paths begin: the app's instance folder.
        synchronous: SQLite's `PRAGMA synchronous`, FULL or NORMAL.
        mode: who may read and write the files of a log that is made.

    Raises:
        UsageError: the URL names no log, or a database in memory, which no two connections would share.
    """
    if isinstance(url, Log):
        return url
    scheme, _, rest = url.partition(":") if isinstance(url, str) else ("", "", "")
    if scheme == "sqlite":
        _require_file(url, rest)
    if scheme == "memory" and not rest:
        from .memory import MemoryLog

        return MemoryLog()
    if scheme == "sqlite" and (not rest or (rest.startswith("///") and len(rest) > len("///"))):
        from .sqlite.log import SQLiteLog

        return SQLiteLog(folder / (rest.removeprefix("///") or DEFAULT_FILE), synchronous=synchronous, mode=mode)
    raise UsageError(
        f"LANDLINE_LOG is {url!r}, which names no log. Use 'sqlite:' (a file in the instance folder), "
        "'sqlite:///file.db', 'sqlite:////absolute/file.db', 'memory:' (one process only), or a Log object."
    )


def _require_file(url: str, rest: str) -> None:
    """Refuse what SQLite or SQLAlchemy takes for a database in memory, or for more than a path.

    As a path each of these would name a file, such as `:memory:` in the instance folder, that outlives the process.
    """
    path, generation, parameters = rest.partition("?")
    name = path.rstrip("/").rpartition("/")[2]
    if ":memory:" in name or "mode=memory" in parameters or rest in ("//", "///"):
        raise UsageError(
            f"LANDLINE_LOG is {url!r}, an SQLite database in memory. Use 'memory:', which keeps the log in the memory "
            "of this process, or 'sqlite:', which keeps it in a file."
        )
    if generation or name.startswith("file:"):
        raise UsageError(
            f"LANDLINE_LOG is {url!r}; an SQLite log is named by a path alone, without 'file:' and parameters: "
            "'sqlite:///file.db'. LANDLINE_SYNCHRONOUS is a key of its own; 'memory:' is a log in memory."
        )
