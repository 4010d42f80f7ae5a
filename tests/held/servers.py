"""The servers that Landline runs under, each started as its own process for a test."""

import contextlib
import http.client
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.processes import Process, free_port, until

ROOT = Path(__file__).parents[2]
APP = "tests.held.app:create_app()"

DIRECT = ("websocket", "sse", "long-poll", "poll")
Find = Callable[[str], str]


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        assert self.status == 200, self
        return json.loads(self.body)


def ask(
    url: str, *, body: str | None = None, headers: Mapping[str, str] | None = None, timeout: float = 10.0
) -> Answer:
    """Ask once, on a connection of its own; with a body it is a POST. Cheap enough to be called in a loop."""
    host, _, path = url.removeprefix("http://").partition("/")
    with contextlib.closing(http.client.HTTPConnection(host, timeout=timeout)) as connection:
        connection.request("GET" if body is None else "POST", f"/{path}", body and body.encode(), dict(headers or {}))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


class Server:
    """A server under test: where its clients go, and how to look into it."""

    def __init__(self, process: Process, base: str, inner: str, env: Mapping[str, str]) -> None:
        self.process = process
        self.base = base
        """Where clients go, without a slash at the end."""
        self.inner = inner
        """The WSGI server itself, where something else stands before it."""
        self.env = env

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def publish(self, *values: Any, channel: str = "news") -> list[int]:
        body = "\n".join(json.dumps(value) for value in values)
        return ask(f"{self.inner}/publish/{channel}", body=body).json["offsets"]

    def facts(self) -> dict[str, Any]:
        return ask(f"{self.inner}/facts").json

    def worker(self) -> int:
        """Return the id of the process that answers."""
        return self.facts()["pid"]

    def cursor(self, channel: str = "news") -> str:
        return ask(f"{self.inner}/landline/poll?channel={channel}").json["cursor"]


def sockets(pid: int) -> set[str]:
    """Return the sockets that a process has open, by inode."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("socket:"):
                found.add(target)
    return found


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def gunicorn(*arguments: str, workers: int = 1, app: str = APP) -> Callable[[int], list[str]]:
    def command(port: int) -> list[str]:
        base = [sys.executable, "-m", "gunicorn", app, "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
        return [*base, "--config", str(Path(__file__).with_name("gunicorn.conf.py")), *arguments]

    return command


def flask_run(*arguments: str, app: str = APP) -> Callable[[int], list[str]]:
    return lambda port: [sys.executable, "-m", "flask", "--app", app, "run", "--port", str(port), *arguments]


def waitress(port: int) -> list[str]:
    return [sys.executable, "-m", "waitress", "--listen", f"127.0.0.1:{port}", "--threads", "4", "--call", APP[:-2]]


GTHREAD = gunicorn("--worker-class", "gthread", "--threads", "4")

OLDER = {f"gunicorn-{version}": ROOT / f".venv/older/gunicorn-{version}" for version in ("21.2.0", "23.0.0")}
"""Versions of gunicorn that are still about, each in a folder to be put on the path (tools/venv.sh)."""
WITHOUT_UVLOOP = Path(__file__).with_name("without_uvloop")

COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "sync": gunicorn("--worker-class", "sync"),
    "gthread": GTHREAD,
    "preload": gunicorn("--worker-class", "gthread", "--threads", "4", "--preload"),
    "gevent": gunicorn("--worker-class", "gevent"),
    "werkzeug": flask_run(),
    "waitress": waitress,
}


def environment(folder: Path, config: Mapping[str, Any] | None = None, **more: str) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    # Tests are not about the disk, and a sync for each event is what a slow one is slow at.
    config = {"LANDLINE_SYNCHRONOUS": "NORMAL", **(config or {})}
    return {"HELD_FOLDER": str(folder), "HELD_CONFIG": json.dumps(config), **more}


@contextlib.contextmanager
def serve(
    command: Callable[[int], list[str]],
    folder: Path,
    config: Mapping[str, Any] | None = None,
    **env: str,
) -> Iterator[Server]:
    """Run the app of these tests under a server."""
    port = free_port()
    env = environment(folder, config, **env)
    with Process(command(port), port=port, env=env, cwd=ROOT) as process:
        yield Server(process, process.url, process.url, env)


@contextlib.contextmanager
def second_door(folder: Path, config: Mapping[str, Any]) -> Iterator[Server]:
    """Run the app of these tests under gunicorn, and have clients go to its listener."""
    port = free_port()
    with serve(GTHREAD, folder, {**config, "LANDLINE_LISTEN": f"127.0.0.1:{port}"}) as server:
        server.facts()  # the first request opens the door
        door = Server(server.process, f"http://127.0.0.1:{port}", server.inner, server.env)

        def is_open() -> bool:
            try:
                return ask(f"{door.base}/landline/poll?channel=news").status == 200
            except OSError:
                return False

        until(is_open, 10, "the listener")
        yield door


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    {http}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{inner};
            proxy_set_header Host $http_host;
            {more}
        }}
    }}
}}
"""
UPGRADE = """
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
"""
HAPROXY = """
global
    maxconn 500
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend front
    bind 127.0.0.1:{port}
    {more}
    default_backend back
backend back
    server app 127.0.0.1:{inner}
"""


@contextlib.contextmanager
def nginx(
    program: str, server: Server, folder: Path, more: str = "", http: str = "access_log off;"
) -> Iterator[Server]:
    """Put nginx with its defaults, and what `more` and `http` add, before a server."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    # Started by root its workers are `nobody`, who cannot get into the folder.
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(user + NGINX.format(folder=folder, port=port, inner=server.port, more=more, http=http))
    command = [program, "-p", str(folder), "-e", "stderr", "-c", str(config)]
    with Process(command, port=port) as process:
        yield Server(process, process.url, server.inner, server.env)


@contextlib.contextmanager
def haproxy(program: str, server: Server, folder: Path, more: str = "") -> Iterator[Server]:
    """Put haproxy with its defaults before a server, and what `more` adds to its frontend."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, inner=server.port, more=more))
    with Process([program, "-db", "-f", str(config)], port=port) as process:
        yield Server(process, process.url, server.inner, server.env)


class Publisher:
    """Publishes numbers for as long as a `with` block lasts, one after the other, through a server."""

    def __init__(self, server: Server, pause: float, channel: str = "news") -> None:
        self._server = server
        self._pause = pause
        self._channel = channel
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="publisher")
        self.published: list[int] = []
        """Offsets, in the order of their publishing."""

    def __enter__(self) -> "Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _publish(self) -> None:
        while not self._stop.wait(self._pause):
            self.published += self._server.publish(len(self.published) + 1, channel=self._channel)


def wait_for_text(read: Callable[[], str], text: str, timeout: float = 10.0) -> None:
    until(lambda: text in read(), timeout, f"{text!r} in the output")
