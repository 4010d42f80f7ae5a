"""Held connections on one event loop, in a thread beside the server's own."""
