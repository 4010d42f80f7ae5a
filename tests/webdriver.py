"""WebKit, Safari's engine, by WebDriver and the standard library: today's, and the one that Safari 16.0 has.

Today's is WebKitGTK in a virtual screen. The old one is WPE, which needs no screen, and has one window a session.
"""

import contextlib
import http.client
import json
import tempfile
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import START_TIMEOUT, Process, free_port, until

PATIENCE = 60.0
"""Seconds for one order; the slowest is to open a page."""


@dataclass(frozen=True)
class Engine:
    """A browser, and what drives it."""

    driver: str
    package: str
    """Debian's, which has the browser."""
    browser: str
    """Below /usr/lib, in the folder of whichever architecture this is."""
    options: str
    """The capability that names the browser."""
    arguments: tuple[str, ...]
    screen: bool
    """Whether it needs one. Without one it has a single window, too."""


TODAY = Engine(
    "WebKitWebDriver",
    "libwebkit2gtk-4.1-0",
    "webkit2gtk-4.1/MiniBrowser",
    "webkitgtk:browserOptions",
    ("--automation",),
    screen=True,
)
OLD = Engine(
    "WPEWebDriver",
    "libwpewebkit-1.1-0",
    "wpe-webkit-1.1/MiniBrowser",
    "wpe:browserOptions",
    ("--automation", "--headless"),
    screen=False,
)


class WebDriver:
    """A session, which keeps nothing. Its windows share cookies, locks and channels; orders are for the current one."""

    def __init__(self, port: int, capabilities: dict[str, Any]) -> None:
        self._port = port
        self._session = ""
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{answer['sessionId']}"
        self.version: str = answer["capabilities"]["browserVersion"]

    def get(self, what: str) -> Any:
        return self._ask("GET", what)

    def post(self, what: str, **body: Any) -> Any:
        return self._ask("POST", what, body)

    def open(self, url: str) -> None:
        """Open an address in the current window."""
        self.post("/url", url=url)

    def run(self, script: str) -> Any:
        """Run the body of a function; return what it returns."""
        return self.post("/execute/sync", script=script, args=[])

    def window(self) -> str:
        """Return the current window."""
        handle: str = self.get("/window")
        return handle

    def new_window(self) -> str:
        """Open a window beside the current one, which must not be closed, and make it the current one."""
        handle: str = self.post("/window/new", type="window")["handle"]
        self.switch(handle)
        return handle

    def switch(self, handle: str) -> None:
        self.post("/window", handle=handle)

    def close_window(self) -> None:
        self._ask("DELETE", "/window")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(b64decode(self.get("/screenshot")))

    def quit(self) -> None:
        """End the browser, which would outlive its driver."""
        self._ask("DELETE", "")

    def _ask(self, method: str, what: str, body: dict[str, Any] | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        with contextlib.closing(connection):
            written = json.dumps(body) if body is not None else None
            connection.request(method, self._session + what, written, {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise AssertionError(f"{method} {what} {body}: {value['error']}: {value.get('message')}")
        return value


@contextlib.contextmanager
def webkit(engine: Engine, find: Callable[[str], str]) -> Iterator[WebDriver]:
    """Run a browser of this engine.

    Args:
        engine: which.
        find: finds programs, and raises if there is none.
    """
    driver = find(engine.driver)
    browser = next(Path("/usr/lib").glob(f"*/{engine.browser}"), None)
    assert browser is not None, f"/usr/lib/*/{engine.browser} is not there: Debian's {engine.package} has it"
    with contextlib.ExitStack() as stack:
        env = {"XDG_RUNTIME_DIR": stack.enter_context(tempfile.TemporaryDirectory())}
        if engine.screen:
            env["DISPLAY"] = stack.enter_context(_screen(find))
        port = free_port()
        stack.enter_context(Process([driver, f"--port={port}"], port=port, env=env))
        session = WebDriver(port, {engine.options: {"binary": str(browser), "args": list(engine.arguments)}})
        # If the browser is gone already, the end of the driver's process group is all that is left to do.
        stack.callback(_quit, session)
        yield session


def _quit(session: WebDriver) -> None:
    with contextlib.suppress(OSError, AssertionError, http.client.HTTPException, ValueError):
        session.quit()


@contextlib.contextmanager
def _screen(find: Callable[[str], str]) -> Iterator[str]:
    """Run a screen that nobody sees; return its name. The server itself finds a number that is free."""
    command = [find("Xvfb"), "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    with Process(command) as process:
        until(lambda: process.stdout.endswith("\n") or process.ended(), START_TIMEOUT, "a screen of Xvfb's")
        assert not process.ended(), process.tail()
        yield f":{process.stdout.strip()}"
