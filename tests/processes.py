"""Start real server processes for a test, and leave none behind."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

START_TIMEOUT = 30.0
"""Seconds a process may take until its address accepts: a cold interpreter on a busy two-core machine."""

STOP_TIMEOUT = 10.0
"""Seconds a process may take to end by itself after SIGTERM, before its group is killed."""

TICK = 0.01
"""Seconds between two looks at something that cannot be waited for."""

SLOWER = float(os.environ.get("SLOWER") or 1)
"""Factor on the bounds of all waits: `make test SLOWER=3` on a machine that has much else to do."""

PORTS = range(16384, 32512)
"""The ports that tests serve on: below those that Linux gives to outgoing connections, which could else take one
between its finding and its use (`net.ipv4.ip_local_port_range` begins at 32768)."""

BLOCK = 128
"""Ports that a process reserves at once."""

_reserved: Iterator[int] = iter(())
_reserving = threading.Lock()


def _reserve() -> Iterator[int]:
    """Yield the ports of blocks that no other test process of this machine has, for as long as this one lives.

    A block is a file's lock: it ends with its process, however that ends.
    """
    folder = Path(tempfile.gettempdir()) / f"landline-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for first in PORTS[::BLOCK]:
        descriptor = os.open(folder / str(first), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            yield from range(first, first + BLOCK)
    raise RuntimeError(f"no port is left of {PORTS}: each process keeps what it took until it ends")


def free_port() -> int:
    """Find a port of 127.0.0.1 that no process listens on, and that no test process of this machine was given."""
    global _reserved
    while True:
        with _reserving:
            port = next(_reserved, None)
            if port is None:
                _reserved = _reserve()
                continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    """Tell whether a process listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], object], timeout: float, what: str) -> None:
    """Wait until the condition holds; raise TimeoutError naming what was waited for when it never does."""
    bound = timeout * SLOWER
    deadline = time.monotonic() + bound
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {bound:g} s")
        time.sleep(TICK)


def _running(group: int) -> list[int]:
    """Return the processes of a group that have not ended. What only waits to be collected has."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may hold anything; what follows it is fixed: state, parent, group.
            runtime, _, of = status.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and runtime not in "ZX":
                found.append(int(status.parent.name))
    return found


class ProcessFailed(AssertionError):
    """A process ended too early or never came up; the message holds what it printed last."""


class Process:
    """Run a command in a process group of its own for as long as a `with` block lasts.

    Entering waits until the address accepts connections; leaving ends the whole group, workers included,
    and no other process. What the command prints goes to files, so it can neither block nor be lost.

    Args:
        command: The program and its arguments.
        port: A port of 127.0.0.1 to wait for.
        path: A unix socket to wait for, instead of a port.
        env: Variables to add to this process's environment.
        cwd: The folder to run in.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        port: int | None = None,
        path: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = [os.fspath(part) for part in command]
        self.port = port
        self.path = path
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._cwd = cwd
        self._popen: subprocess.Popen[bytes] | None = None
        self._files: tuple[IO[bytes], IO[bytes]] | None = None

    @property
    def url(self) -> str:
        """The address to ask, without a slash at the end."""
        assert self.port is not None, "this process was given no port"
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process's id, which is its group's id too."""
        assert self._popen is not None, "not started"
        return self._popen.pid

    @property
    def stdout(self) -> str:
        """Everything printed so far."""
        return self._printed(0)

    @property
    def stderr(self) -> str:
        """Everything printed to standard error so far."""
        return self._printed(1)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            stdout = undo.enter_context(tempfile.TemporaryFile())
            stderr = undo.enter_context(tempfile.TemporaryFile())
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
            self._files = (stdout, stderr)
            undo.callback(self._end)
            self._await_address()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        if error is not None:
            error.add_note(self.tail())
        assert self._files is not None
        for file in self._files:
            file.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its group."""
        if not self.ended():
            os.kill(self.pid, number)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait until the process ends by itself, and return its exit status as `subprocess` gives it."""
        until(self.ended, timeout, f"the end of {self.command[0]}")
        # The id is given back only by `_end`: until then no stranger can get it, and the group can be ended.
        status = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        assert status is not None
        return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status

    def ended(self) -> bool:
        """Tell whether the process has ended, whatever its children do."""
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def tail(self, lines: int = 40) -> str:
        """Return the last lines of both outputs, for a failure's message."""
        parts = [f"$ {' '.join(self.command)}"]
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            parts += [f"--- {name}", *text.splitlines()[-lines:]]
        return "\n".join(parts)

    def _await_address(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT * SLOWER
        while not self._accepts():
            if self.ended():
                raise ProcessFailed(f"ended with {self.wait()} before it served\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"did not serve within {START_TIMEOUT * SLOWER:g} s\n{self.tail()}")
            time.sleep(TICK)

    def _accepts(self) -> bool:
        if self.port is None and self.path is None:
            return True
        family = socket.AF_INET if self.path is None else socket.AF_UNIX
        with socket.socket(family) as probe:
            probe.settimeout(1.0)
            address = ("127.0.0.1", self.port) if self.path is None else os.fspath(self.path)
            return probe.connect_ex(address) == 0

    def _end(self) -> None:
        assert self._popen is not None
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            until(self.ended, STOP_TIMEOUT, "the end")
        # The leader, ended or not, still holds the group's id, so this reaches only what it started.
        os.killpg(self.pid, signal.SIGKILL)
        until(lambda: not _running(self.pid), STOP_TIMEOUT, "the end of the group")
        self._popen.wait()

    def _printed(self, which: int) -> str:
        assert self._files is not None, "not started"
        descriptor = self._files[which].fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode(errors="replace")
