"""Channels: their rules and names, what is declared of them, and the functions that feed them."""
