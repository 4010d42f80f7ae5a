"""A log in one SQLite file."""

from .log import SCHEMA_VERSION, SQLiteLog

__all__ = ["SCHEMA_VERSION", "SQLiteLog"]
