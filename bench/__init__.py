"""Measurements: every number in the documents comes from here. `make bench`, or `make bench ARGS=polls`."""
