"""Ways into the engine: one folder for each interface between a server and an app."""
