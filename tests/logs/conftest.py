"""Disks of our own, for logs that run out of room."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that mounts a small disk, or mounts it anew with other options."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        cached = place.is_mount()
        command = ["mount", "-t", "tmpfs", "-o", "remount," * cached + options, "tmpfs", str(place)]
        result = subprocess.run(command, capture_output=True, text=True, check=cached)
        if result.returncode != 0:
            pytest.skip(f"cannot mount a disk here: {result.stderr.strip()}")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", place], check=True)
