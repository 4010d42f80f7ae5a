"""Live updates from a Flask app that always get through: push when it can, polling when it can't."""

from landline.channels.channel import Channel
from landline.errors import LandlineError, LogError, Refusal, UsageError
from landline.event import Event

from .extension import Landline

__all__ = ["Channel", "Event", "Landline", "LandlineError", "LogError", "Refusal", "UsageError"]
