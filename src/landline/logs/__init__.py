"""Logs, chosen by URL: one file or folder each. Another one is one here, or a `Log` of your own in `LANDLINE_LOG`."""

from .base import ChannelInfo, Log, Retention, new_epoch

__all__ = ["ChannelInfo", "Log", "Retention", "new_epoch"]
