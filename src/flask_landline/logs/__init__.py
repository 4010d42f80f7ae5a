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
        UsageError: the URL names no log.
    """
    if isinstance(url, Log):
        return url
    scheme, _, rest = url.partition(":") if isinstance(url, str) else ("", "", "")
    if scheme == "memory" and not rest:
        from .memory import MemoryLog

        return MemoryLog()
    if scheme == "sqlite" and (not rest or (rest.startswith("///") and len(rest) > len("///"))):
        from .sqlite import SQLiteLog

        return SQLiteLog(folder / (rest.removeprefix("///") or DEFAULT_FILE), synchronous=synchronous, mode=mode)
    raise UsageError(
        f"LANDLINE_LOG is {url!r}, which names no log. Use 'sqlite:' (a file in the instance folder), "
        "'sqlite:///file.db', 'sqlite:////absolute/file.db', 'memory:' (one process only), or a Log object."
    )
