"""Stands before uvloop on the path of a server that is measured with asyncio's own loop."""

raise ImportError("uvloop is left out here, to measure asyncio's own loop")
