"""What every test gets: a leak check, tools that may be absent, a browser."""

import gc
import logging
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from flask import request

pytest.register_assert_rewrite("landline.testing")  # before anything imports it

from landline.follow.hub import Hub  # noqa: E402
from landline.testing import Clock  # noqa: E402

from tests.apps import App  # noqa: E402
from tests.processes import SLOWER, until  # noqa: E402
from tests.rooms import AGE, Rooms  # noqa: E402
from tests.spy_log import SpyLog  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LEAK_PATIENCE = 5.0
"""Seconds that threads and sockets get to go away after a test. One that needs them all is a leak."""

CI = bool(os.environ.get("CI"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell has what it runs in the background ignore Ctrl-C, and so would each server that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow machine is no failure, and a failing example must be repeatable from its report alone.
hypothesis.settings.register_profile("landline", deadline=None, print_blob=True, derandomize=CI)
hypothesis.settings.load_profile("landline")


class _LostTasks(logging.Handler):
    """Collect what asyncio says, through its logger alone, of tasks and callbacks that were lost."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _threads() -> set[threading.Thread]:
    """Return the threads that must not outlive a test: all that keep a process alive, and all of ours."""
    return {thread for thread in threading.enumerate() if not thread.daemon or thread.name.startswith("landline")}


def _sockets() -> set[str]:
    """Return this process's open sockets by inode. Empty where there is no /proc."""
    found = set()
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            target = os.readlink(entry)
        except OSError:
            continue  # the descriptor of the listing itself, or one closed meanwhile
        if target.startswith("socket:"):
            found.add(target)
    return found


LONGEST = (
    "tests/proving/test_proving.py",
    "tests/held/test_revoked.py",
    "tests/held/test_access.py",
    "tests/examples/test_board.py",
    "tests/held/test_matrix.py",
)
"""The files that take longest begin first: otherwise one worker runs them while the others have nothing left."""


TIMEOUT = 150.0
"""Seconds a test may take, so that none hangs; `pytest.mark.timeout` gives one more."""

LINES = pytest.StashKey[list[str]]()
"""What workers have to say at the end."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give each test a bound."""
    given = item.get_closest_marker("timeout")
    item.add_marker(pytest.mark.timeout((given.args[0] if given else TIMEOUT) * SLOWER), append=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the longest, and leave out what is for the night, unless `-m` speaks of it. Not by `-m` in pytest's
    own options: any other would take its place, and `-m browser` run for many minutes in browsers that are not
    everywhere."""
    if "night" not in config.option.markexpr:
        late = [item for item in items if item.get_closest_marker("night")]
        if late:
            config.hook.pytest_deselected(items=late)
            items[:] = [item for item in items if item not in late]
    # Only where workers share the tests: alone, what is quick had better tell first.
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid.partition("::")[0]))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Keep what a worker wants to be shown: only the process that started it has a terminal."""
    node.config.stash.setdefault(LINES, []).extend(getattr(node, "workeroutput", {}).get("lines", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(LINES, []):
        terminalreporter.line(line)


def _rank(file: str) -> int:
    return LONGEST.index(file) if file in LONGEST else len(LONGEST)


@pytest.fixture(autouse=True)
def leak_check() -> Iterator[None]:
    """Fail a test that leaves a thread or a socket behind, or loses an asyncio task."""
    threads, sockets = _threads(), _sockets()
    lost = _LostTasks()
    logging.getLogger("asyncio").addHandler(lost)
    try:
        yield
    finally:
        logging.getLogger("asyncio").removeHandler(lost)

    for thread in _threads() - threads:
        thread.join(LEAK_PATIENCE)
    left: list[str] = [f"thread {thread.name!r}" for thread in _threads() - threads]
    if _sockets() - sockets:
        gc.collect()  # what only a reference cycle keeps open is reported as a ResourceWarning, not here
        try:
            until(lambda: not _sockets() - sockets, LEAK_PATIENCE, "closed sockets")
        except TimeoutError:
            left += sorted(_sockets() - sockets)
    left += [f"asyncio: {words}" for words in lost.said]
    assert not left, f"the test left behind: {', '.join(left)}"


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Return a function that makes an app with a Landline, given `LANDLINE_*` keys in small letters."""
    apps: list[App] = []

    def make(**config: Any) -> App:
        apps.append(App(tmp_path / "instance", **config))
        return apps[-1]

    yield make
    for app in apps:
        app.runtime.close()


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    """Return an app with a Landline whose log is in memory, and no channels."""
    return make_app()


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def make_rooms(make_app: Callable[..., App], clock: Clock) -> Callable[..., Rooms]:
    def make(key: str | None = "new", fallbacks: list[str] | None = None, age: float = AGE, **config: Any) -> Rooms:
        flask = {"SECRET_KEY_FALLBACKS": fallbacks} if fallbacks else {}
        identity = lambda: request.cookies.get("who")  # noqa: E731
        return Rooms(make_app, clock, key, flask, identity=identity, grant_age=age, **config)

    return make


@pytest.fixture
def rooms(make_rooms: Callable[..., Rooms]) -> Rooms:
    return make_rooms()


@pytest.fixture
def spy_log(clock: Clock) -> SpyLog:
    """Return a log in memory that a test may watch, interrupt and break."""
    return SpyLog(clock)


@pytest.fixture
def make_hub(spy_log: SpyLog, clock: Clock) -> Iterator[Callable[..., Hub]]:
    """Return a function that makes a hub over `spy_log`; all are closed after the test."""
    hubs: list[Hub] = []

    def make(**options: Any) -> Hub:
        hubs.append(Hub(spy_log, clock=clock, **options))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    """Return a hub over `spy_log`."""
    return make_hub()


@pytest.fixture(scope="session")
def require() -> Callable[[str], str]:
    """Return a function that finds a program: skips the test at home where it is absent, fails it in CI."""

    def find(tool: str) -> str:
        # Debian keeps servers where an ordinary user's PATH does not look.
        path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
        found = shutil.which(tool, path=path)
        if found is None:
            absent = pytest.fail if CI else pytest.skip
            absent(f"{tool} is not installed here; 'make debian' installs what the tests need")
        return found

    return find


CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # its sandbox refuses to start as root, and in most containers
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is 64 MB in a container
    "--disable-quic",
    "--no-first-run",
    # It would look for updates and more, which a machine without a network answers with delays.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# Not the session's: playwright's loop runs in this thread as long as it is open, and no other test could
# run a loop of its own.
@pytest.fixture(scope="module")
def browser(require: Callable[[str], str]) -> "Iterator[Browser]":
    """Return Debian's Chromium, driven by Playwright, for the tests of one file."""
    from playwright.sync_api import sync_playwright

    chromium = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "Browser") -> "Iterator[Page]":
    """Return an empty page with a profile of its own; an uncaught error in it fails the test."""
    errors: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(error.stack or error.message))
        yield page
    assert not errors, "uncaught in the page:\n" + "\n".join(errors)
