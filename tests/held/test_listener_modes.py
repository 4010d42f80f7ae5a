"""Who may connect to the second door where it is a Unix socket: whoever may is taken for the proxy."""

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.apps import App
from tests.processes import until


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    """Return a function that sets this process's umask, which is as before after the test."""
    before = os.umask(0o022)
    os.umask(before)
    yield os.umask
    os.umask(before)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(make_app: Callable[..., App], path: Path, **config: str) -> Path:
    """Make an app, and open its door as a server does: with a first request through it."""
    app = make_app(listen=f"unix:{path}", **config)
    app.flask.test_client().get("/")
    until(lambda: connects(path), 10, "the Unix socket")
    return path


@pytest.mark.parametrize("mask", [0o000, 0o007, 0o022, 0o077])
def test_socket_is_as_open_as_the_umask_leaves_it(
    mask: int, make_app: Callable[..., App], umask: Callable[[int], int], tmp_path: Path
) -> None:
    umask(mask)
    assert mode(opened(make_app, tmp_path / "door.sock")) == 0o777 & ~mask


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("wanted", ["0600", "660", "0666", "0777"])
def test_socket_has_the_mode_that_is_configured(
    wanted: str, mask: int, make_app: Callable[..., App], umask: Callable[[int], int], tmp_path: Path
) -> None:
    umask(mask)
    assert mode(opened(make_app, tmp_path / "door.sock", listen_mode=wanted)) == int(wanted, 8)


def test_nobody_connects_before_the_mode_is_right(
    make_app: Callable[..., App], umask: Callable[[int], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at where the mode is set, the one moment between binding and listening."""
    umask(0)
    path, seen = tmp_path / "door.sock", list[tuple[int, bool]]()
    chmod = os.chmod

    def set_mode(where: str, bits: int) -> None:
        seen.append((mode(path), connects(path)))
        chmod(where, bits)

    monkeypatch.setattr(os, "chmod", set_mode)
    opened(make_app, path, listen_mode="0600")
    assert seen == [(0o600, False)]
