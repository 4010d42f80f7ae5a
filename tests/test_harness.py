"""The tests' own tools do what they promise: a check that cannot fail checks nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import Process, ProcessFailed, free_port

ROOT = Path(__file__).parent.parent

LEAKS = """
import asyncio, socket, threading, time

kept = []

def test_leaves_a_thread():
    release = threading.Event()
    kept.append(release)
    threading.Thread(target=release.wait, daemon=True, name="landline-test").start()

def test_leaves_a_socket():
    kept.append(socket.socket())

def test_loses_a_task():
    loop = asyncio.new_event_loop()
    task = loop.create_task(asyncio.sleep(60))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    del task, loop
    import gc; gc.collect()

def test_leaves_nothing():
    with socket.socket():
        thread = threading.Thread(target=time.monotonic)
        thread.start()
        thread.join()
"""


def run_tests(code: str, settings: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run tests in a process of their own with our conftest, of which settings are changed."""
    file = folder / "test_inner.py"
    file.write_text(code)
    run = f"import tests.conftest as c; {settings}; import pytest, sys; sys.exit(pytest.main())"
    command = [sys.executable, "-c", run, "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", str(file)]
    env = {**os.environ, "PYTEST_ADDOPTS": f"--rootdir={folder} -c /dev/null -W default"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def test_test_that_hangs_is_ended_and_says_where_it_was(tmp_path: Path) -> None:
    code = "import threading\n\ndef test_hangs():\n    threading.Event().wait()\n\ndef test_next():\n    pass\n"
    result = run_tests(code, "c.TIMEOUT = 0.3", tmp_path)
    assert "1 failed, 1 passed" in result.stdout, result.stdout + result.stderr
    assert "threading.Event().wait()" in result.stdout


def test_leak_check_names_what_was_left(tmp_path: Path) -> None:
    result = run_tests(LEAKS, "c.LEAK_PATIENCE = 0.1", tmp_path)
    assert "4 passed" in result.stdout, result.stdout + result.stderr
    assert "3 errors" in result.stdout, result.stdout
    for words in ("thread 'landline-test'", "left behind: socket:[", "asyncio: Task was destroyed"):
        assert words in result.stdout


def test_process_serves_and_leaves_no_child() -> None:
    port = free_port()
    with Process([sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], port=port) as server:
        pid = server.pid
        assert server.url == f"http://127.0.0.1:{port}"
        assert not server.ended()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_process_ends_a_child_that_ignores_sigterm(tmp_path: Path) -> None:
    """The leader ends at once; its child, in the same group, would stay for ever."""
    ready = tmp_path / "ready"
    child = f"(trap '' TERM; echo $BASHPID > {ready}; exec sleep 1000) &"
    with Process(["bash", "-c", f"{child} until [ -s {ready} ]; do :; done; exit 3"]) as process:
        assert process.wait() == 3
        pid = int(ready.read_text())
        os.kill(pid, 0)
    status = Path(f"/proc/{pid}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_process_that_ends_early_shows_what_it_said() -> None:
    process = Process([sys.executable, "-c", "import sys; sys.exit('no such thing')"], port=free_port())
    with pytest.raises(ProcessFailed, match=r"(?s)ended with 1 .*no such thing"), process:
        pass


def test_process_killed_reports_the_signal() -> None:
    with Process([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_free_ports_differ() -> None:
    assert len({free_port() for _ in range(200)}) == 200


def test_ports_of_another_process_are_not_given_out() -> None:
    code = "from tests.processes import free_port; print(*(free_port() for _ in range(50))); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = {free_port() for _ in range(300)}
        other.communicate("\n")
    assert len(theirs) == 50
    assert not theirs & ours


@pytest.mark.browser
class TestBrowser:
    def test_page_runs_a_script(self, page) -> None:
        page.set_content("<p id=a>one</p><script>a.textContent = 'two'</script>")
        assert page.inner_text("#a") == "two"
