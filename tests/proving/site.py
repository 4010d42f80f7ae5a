"""The app of a case as it is served, and its publisher, which goes on whatever becomes of the servers."""

import asyncio
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.held.servers import ROOT, Server, ask, gunicorn
from tests.processes import START_TIMEOUT, Process, free_port
from tests.proving.app import create_app, live

WORKERS: dict[str, tuple[str, ...]] = {
    "gthread": ("--worker-class", "gthread", "--threads", "4"),
    "gevent": ("--worker-class", "gevent"),
}


class Site:
    """A log, and the servers that run on it.

    Args:
        folder: where the log is.
        config: what the app is told.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self._folder = folder
        self._config = config
        self._app = create_app(str(folder), config)
        self._running: dict[Server, AbstractContextManager[Process]] = {}

    async def start(self, worker: str = "gthread", port: int | None = None) -> Server:
        """Start a server, on a port that is free unless one is named."""
        port = port or free_port()
        app = f"tests.proving.app:create_app({str(self._folder)!r}, {self._config!r})"
        running = Process(gunicorn(*WORKERS[worker], app=app)(port), port=port, cwd=ROOT)
        process = await asyncio.to_thread(running.__enter__)
        server = Server(process, process.url, process.url, {})
        self._running[server] = running
        # gunicorn listens before there is a worker, and no deployment sends clients there yet.
        await asyncio.to_thread(ask, f"{server.base}/feed/0", timeout=START_TIMEOUT)
        return server

    async def stop(self, server: Server) -> None:
        await asyncio.to_thread(self._running.pop(server).__exit__, None, None, None)

    async def close(self) -> None:
        for server in list(self._running):
            await self.stop(server)
        self._app.extensions["landline"].close()

    def publish(self, channel: str, number: int) -> None:
        """Publish a number, with the time."""
        with self._app.app_context():
            live.publish(channel, {"number": number, "at": time.time()})

    def delete_log(self) -> None:
        """Delete the log under everybody's hands, as somebody does who tidies up."""
        # The file itself last: as long as it is there nobody opens it anew, and finds half of it.
        for name in ("landline.db-wal", "landline.db-shm", "landline.db"):
            (self._folder / name).unlink(missing_ok=True)
