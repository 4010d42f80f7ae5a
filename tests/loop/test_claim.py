"""Which processes may listen at an address: those of one log.

Exhausted are who claims first, and how a claim ends (given up, killed, left behind by a fork, its file removed); the
moments within one `take` are fixed, as the kernel's lock orders them.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from landline.loop import listener as listener_module
from landline.loop.claim import Claim, path_of
from landline.testing import in_child

from tests.apps import App
from tests.processes import free_port, until


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Claim]]:
    made: list[Claim] = []

    def claim(*, shared: bool = True) -> Claim:
        made.append(Claim(str(tmp_path / "lock"), shared=shared))
        return made[-1]

    yield claim
    for one in made:
        one.drop()


def test_processes_of_one_log_share_an_address_and_others_stay_out(make: Callable[..., Claim]) -> None:
    first, second, other = make(), make(), make()
    assert first.take("aaaaaaaa")
    assert second.take("aaaaaaaa")
    assert not other.take("bbbbbbbb")
    assert other.other == "aaaaaaaa"
    first.drop()
    assert not other.take("bbbbbbbb")
    assert second.holds("aaaaaaaa")
    second.drop()
    assert other.take("bbbbbbbb")
    assert not first.take("aaaaaaaa")


def test_unix_socket_has_one_process_at_a_time(make: Callable[..., Claim]) -> None:
    first, second = make(shared=False), make(shared=False)
    assert first.take("aaaaaaaa")
    assert not second.take("aaaaaaaa")
    assert second.other == "aaaaaaaa"
    first.drop()
    assert second.take("aaaaaaaa")


def test_claim_ends_with_a_process_that_is_killed(make: Callable[..., Claim], tmp_path: Path) -> None:
    script = (
        "import sys; from landline.loop.claim import Claim\n"
        "assert Claim(sys.argv[1], shared=True).take('bbbbbbbb'); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        mine = make()
        assert not mine.take("aaaaaaaa")
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert mine.take("aaaaaaaa")


def test_child_neither_keeps_the_parents_claim_nor_ends_it(make: Callable[..., Claim]) -> None:
    parent, other = make(), make()
    assert parent.take("aaaaaaaa")
    in_child(parent.drop)
    assert not other.take("bbbbbbbb")
    assert parent.holds("aaaaaaaa")


def test_claim_is_gone_with_its_file_and_with_the_logs_life(make: Callable[..., Claim], tmp_path: Path) -> None:
    first = make()
    assert first.take("aaaaaaaa")
    assert not first.holds("bbbbbbbb")
    os.unlink(tmp_path / "lock")
    assert not first.holds("aaaaaaaa")
    assert first.take("aaaaaaaa")


def test_workers_agree_on_a_replaced_log_one_after_the_other(make: Callable[..., Claim]) -> None:
    first, second = make(), make()
    assert first.take("aaaaaaaa")
    assert second.take("aaaaaaaa")
    assert not first.take("bbbbbbbb")  # the second one has not noticed yet
    assert second.take("bbbbbbbb")
    assert first.take("bbbbbbbb")


def test_file_that_is_a_link_is_no_claim(make: Callable[..., Claim], tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic link"):
        make().take("aaaaaaaa")
    assert (tmp_path / "target").read_text() == "precious"


def test_each_address_has_a_file_of_its_own() -> None:
    assert path_of("127.0.0.1:8001") == path_of("127.0.0.1:8001") != path_of("127.0.0.1:8002")


@pytest.mark.parametrize("kind", ["port", "unix"])
def test_door_of_two_apps_is_one_apps_until_that_one_ends(
    kind: str,
    make_app: Callable[..., App],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(listener_module, "OPEN_AGAIN", 0.02)
    address = f"127.0.0.1:{free_port()}" if kind == "port" else f"unix:{tmp_path}/door"
    apps = [make_app(log="memory:", listen=address) for _ in range(2)]
    for app, name in zip(apps, "ab", strict=True):
        app.live.channel("news")
        app.live.publish("news", name)

    def listener(app: App) -> listener_module.Listener:
        found = app.flask.wsgi_app.listener  # type: ignore[attr-defined]
        assert isinstance(found, listener_module.Listener)
        return found

    with caplog.at_level(logging.WARNING):
        apps[0].poll("news")
        until(lambda: listener(apps[0])._socket is not None, 10, "the first door")
        apps[1].poll("news")
        until(lambda: listener(apps[1])._said, 10, "the second app's warning")
    assert listener(apps[1])._socket is None
    url = f"http://{address}/landline/poll?channel=news&cursor=start"
    if kind == "port":
        told = {json.load(urlopen(url, timeout=10))["data"][0]["data"] for _ in range(10)}
        assert told == {"a"}
    apps[0].runtime.close()
    until(lambda: listener(apps[1])._socket is not None, 10, "the second door")
    said = [record.getMessage() for record in caplog.records if "LANDLINE_LISTEN" in record.getMessage()]
    assert len(said) == 1
    assert "Give each app an address of its own" in said[0]
    apps[1].runtime.close()
    if kind == "port":
        with pytest.raises(URLError):
            urlopen(url, timeout=10)
