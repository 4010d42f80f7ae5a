"""A client of the wire in Python, for the command line."""
