"""An app under a path of its own: what works through WSGI, and what the proxy must do for the second door."""

import socket
from collections.abc import Iterator

import pytest

from tests.held.servers import ask, gunicorn, serve
from tests.processes import free_port, until

MOUNTED = gunicorn("--worker-class", "gthread", "--threads", "4", app="tests.held.app:create_mounted_app()")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return the addresses of the app through WSGI, and of its second door."""
    port = free_port()
    with serve(MOUNTED, tmp_path_factory.mktemp("mounted"), {"LANDLINE_LISTEN": f"127.0.0.1:{port}"}) as server:
        ask(f"{server.base}/shop/plain")  # the first request opens the door

        def is_open() -> bool:
            with socket.socket() as sock:
                return sock.connect_ex(("127.0.0.1", port)) == 0

        until(is_open, 10, "the second door")
        yield server.base, f"http://127.0.0.1:{port}"


def test_wire_and_script_are_under_the_mount(addresses: tuple[str, str]) -> None:
    base, _ = addresses
    assert ask(f"{base}/shop/landline/poll?channel=news").status == 200
    assert ask(f"{base}/landline/poll?channel=news").status == 404
    page = ask(f"{base}/shop/page")
    assert b'"/shop/landline/landline.js' in page.body, page
    assert ask(f"{base}/shop/landline/landline.js").status == 200


def test_second_door_knows_the_prefix_without_the_mount(addresses: tuple[str, str]) -> None:
    """It has no SCRIPT_NAME: the proxy cuts the mount's path off, as it does for the app's server."""
    _, door = addresses
    assert ask(f"{door}/landline/poll?channel=news").status == 200
    answer = ask(f"{door}/shop/landline/poll?channel=news")
    assert answer.status == 404
    assert b"see whether the prefix is right" in answer.body


def test_reader_function_sees_the_mount_that_the_proxy_names(addresses: tuple[str, str]) -> None:
    base, door = addresses
    named = {"X-Forwarded-Prefix": "/shop"}
    assert ask(f"{base}/shop/landline/poll?channel=mounted").status == 200
    assert ask(f"{door}/landline/poll?channel=mounted", headers=named).status == 200
    assert ask(f"{door}/landline/poll?channel=mounted").status == 403
