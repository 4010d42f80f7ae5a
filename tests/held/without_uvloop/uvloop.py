"""Put first on the path, this makes a server do without uvloop, as most will."""

raise ImportError("uvloop is not installed here, for the test's sake")
