"""The wire, sans I/O: requests in, bytes out.

Nothing here imports a socket, a thread, an event loop or Flask; clock and log readings are passed in. The WSGI
threads and every other way out of the process share it.
"""
