"""The engine of Landline: live updates over plain HTTP. It knows no web framework; `flask_landline` is its face."""

from .cursor import Cursor
from .errors import LandlineError, LogError, Refusal, UsageError
from .event import Event
from .logs.base import Log

__all__ = ["Cursor", "Event", "LandlineError", "Log", "LogError", "Refusal", "UsageError"]
