"""Debian's nginx, haproxy and squid as they stand in front of apps, each started before a server for one case."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tests.held.servers import Find, Server, haproxy, nginx
from tests.processes import Process, free_port

Box = Callable[[Find, Server, Path], AbstractContextManager[Server]]

IGNORES = "proxy_ignore_headers X-Accel-Buffering;"
GZIP = "gzip on; gzip_proxied any; gzip_min_length 1; gzip_types text/event-stream application/json;"
DENY = "http-request deny deny_status 403 if { req.hdr(Upgrade) -m found }"
STRIP = "http-request del-header Upgrade\n    http-request del-header Connection"


def nginx_with(more: str = "") -> Box:
    """nginx with its defaults, which are HTTP/1.0 to the app and answers collected first, and a line more."""
    return lambda find, server, folder: nginx(find("nginx"), server, folder, more)


def haproxy_with(more: str) -> Box:
    return lambda find, server, folder: haproxy(find("haproxy"), server, folder, more)


SQUID = """
http_port 127.0.0.1:{port} accel vhost
cache_peer 127.0.0.1 parent {inner} 0 no-query no-digest originserver
never_direct allow all
http_access allow all
cache deny all
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
netdb_filename none
coredump_dir /
shutdown_lifetime 0 seconds
"""


@contextlib.contextmanager
def squid(find: Find, server: Server, folder: Path) -> Iterator[Server]:
    """Put squid before a server, as networks do that nobody asked: it takes the requests meant for the app."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "squid.conf"
    config.write_text(SQUID.format(port=port, inner=server.port))
    # It keeps its shared memory by name, so that two of them must not have the same.
    command = [find("squid"), "-N", "-n", f"proving{port}", "-f", os.fspath(config)]
    with Process(command, port=port) as process:
        yield Server(process, process.url, server.inner, server.env)
