"""Live updates from a Flask app that always get through: push when it can, polling when it can't."""

from .channel import Channel
from .errors import LandlineError, LogError, Refusal, UsageError
from .event import Event
from .extension import Landline

__all__ = ["Channel", "Event", "Landline", "LandlineError", "LogError", "Refusal", "UsageError"]
