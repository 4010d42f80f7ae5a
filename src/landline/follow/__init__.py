"""The log, read once for the whole process."""
