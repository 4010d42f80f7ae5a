"""The how-to of a log of one's own: its class has the methods of a log, and its test runs."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from landline import Log

from tools.markdown import split

ROOT = Path(__file__).parents[2]
METHODS = sorted(Log.__abstractmethods__)


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """The files that the how-to shows, by the name in their first line."""
    _, blocks = split((ROOT / "docs/how-to/own-log.md").read_text())
    named = ((re.match(r"# (\w+\.py)\n", code), code) for _, _, code in blocks)
    return {match[1]: code for match, code in named if match}


@pytest.fixture(scope="module")
def shown(files: dict[str, str]) -> Any:
    """The class of the how-to, made by running it as it is written."""
    namespace: dict[str, Any] = {}
    exec(files["mylog.py"], namespace)
    return namespace["MyLog"]


def test_class_can_be_made(shown: Any) -> None:
    shown()


@pytest.mark.parametrize("method", METHODS)
def test_method_takes_what_a_log_takes(shown: Any, method: str) -> None:
    parameters = [
        [(each.name, each.default) for each in inspect.signature(getattr(log, method)).parameters.values()]
        for log in (shown, Log)
    ]
    assert parameters[0] == parameters[1]


def test_suite_runs_against_the_class(files: dict[str, str], tmp_path: Path) -> None:
    """With a log that has the name and the arguments of the how-to's, and methods that work."""
    for name in ("test_mylog.py", "conftest.py"):
        (tmp_path / name).write_text(files[name])
    (tmp_path / "mylog.py").write_text("from landline.logs.sqlite.log import SQLiteLog as MyLog\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "append and not process"]
    result = subprocess.run([*command, "."], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout
    assert re.search(r"\d+ passed", result.stdout), result.stdout
