"""What was measured on, and with which versions."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = (
    *("Flask", "gunicorn", "gevent", "uvloop", "httptools", "granian", "uvicorn", "Flask-SocketIO", "python-socketio"),
    *("python-engineio", "simple-websocket", "django", "django-eventstream", "Flask-SSE"),
)


def describe() -> dict[str, object]:
    """Return the machine and the versions of everything that is measured."""
    return {
        "processors": os.cpu_count(),
        "model": _first(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()),
        "memory": f"{int(_first(r'MemTotal: *([0-9]+)', Path('/proc/meminfo').read_text()) or 0) >> 20} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Return the version of each thing that is there."""
    found = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found["nginx"] = _said(["nginx", "-v"], r"nginx/(\S+)")
    found["nchan"] = _said(["dpkg-query", "-W", "-f=${Version}", "libnginx-mod-nchan"], r"([0-9.]+[0-9])\+")
    found["Redis"] = _said(["redis-server", "--version"], r"v=(\S+)")
    found["Node.js"] = _said(["node", "--version"], r"v(\S+)")
    lock = HERE / "package-lock.json"
    found["Socket.IO"] = json.loads(lock.read_text())["packages"]["node_modules/socket.io"]["version"]
    return {name: version for name, version in found.items() if version}


def sentence(machine: dict[str, object]) -> str:
    """Say it in a line."""
    return "{processors} processors ({model}), {memory}, {kernel}".format(**machine)


def _said(command: list[str], pattern: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return _first(pattern, done.stdout + done.stderr)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else ""
