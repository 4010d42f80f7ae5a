"""nginx's `return 200`: what one processor answers when nothing has to be found out. The ceiling."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import request
from bench.peers.peer import Peer, Server, holds_nothing
from bench.processes import OPEN_FILES, free_port, running

HEAD = """
daemon off; worker_processes 1; worker_rlimit_nofile {files}; pid {folder}/nginx.pid; error_log {folder}/error.log;
{modules}
events {{ worker_connections {files}; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; keepalive_requests 100000000;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
"""
ANSWER = '{"data": null, "cursor": "k3f9a2zq-1042"}'


@contextmanager
def start(folder: Path) -> Iterator[Server]:
    """Run one worker that answers every request alike."""
    with serving(folder, "location / { default_type application/json; return 200 '%s'; }" % ANSWER) as (port, pid):  # noqa: UP031
        yield Server((pid,), port, poll=request("/"))


@contextmanager
def serving(folder: Path, server: str, *, http: str = "", modules: str = "") -> Iterator[tuple[int, int]]:
    """Run one nginx worker with a server's directives; yields its port and process id."""
    folder.chmod(0o755)
    port = free_port()
    head = HEAD.format(folder=folder, files=OPEN_FILES, modules=modules)
    config = folder / "nginx.conf"
    config.write_text(f"{head}{http}  server {{ listen 127.0.0.1:{port} backlog=4096; {server} }}\n}}\n")
    with running(["nginx", "-c", config, "-p", folder], port) as pid:
        yield port, pid


PEER = Peer("nginx `return 200`", start, holds_nothing("it answers at once"))
