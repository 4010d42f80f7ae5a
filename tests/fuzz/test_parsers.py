"""The pure parsers and writers, given bytes that nobody would send who means well.

`FUZZ_INPUTS` says how many inputs there are over all of `tests/fuzz`: 4,000 unless `make fuzz` says more.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landline.protocol.websocket import Incoming
from websockets.frames import CloseCode

from tests.fuzz.inputs import INPUTS, edit
from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).parents[2]


@st.composite
def hostile(draw: st.DrawFn, name: str) -> bytes:
    """Draw bytes for a target: any, or a seed with a few places changed."""
    edits = st.tuples(st.integers(0, 400), st.integers(0, 8), st.binary(max_size=12))
    begin = st.sampled_from(seeds(name)) | st.binary(max_size=300)
    return edit(draw(begin), draw(st.lists(edits, max_size=4)))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_properties_hold_for_any_bytes(name: str) -> None:
    # A quarter of INPUTS, shared by all: these are few a second, and better at finding the smallest that fails.
    @settings(
        max_examples=max(INPUTS // (4 * len(TARGETS)), 20), suppress_health_check=list(HealthCheck), database=None
    )
    @given(hostile(name))
    def holds(data: bytes) -> None:
        TARGETS[name](data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_properties_hold_for_the_seeds(name: str) -> None:
    assert seeds(name)
    for seed in seeds(name):
        TARGETS[name](seed)


def test_message_longer_than_allowed_is_not_waited_for() -> None:
    """Its head says how long it will be: nobody keeps that much for a client that has nothing to say here."""
    head = b"\x82\xff" + (1 << 17).to_bytes(8, "big") + b"mask"
    out, ends = Incoming().receive(head, 0.0)
    assert ends
    assert out[0] == 0x88
    assert int.from_bytes(out[2:4], "big") == CloseCode.MESSAGE_TOO_BIG


@pytest.mark.slow
def test_properties_hold_for_bytes_that_seek_new_code(tmp_path: Path) -> None:
    """A process of its own: libFuzzer takes over the whole process, and ends it by itself."""
    pytest.importorskip("atheris", reason="atheris has wheels for Linux on x86-64 and Python 3.11 to 3.13 only")
    options = [f"-runs={INPUTS // 2}", "-max_len=2000", "-timeout=20", "-rss_limit_mb=512", "-verbosity=0"]
    command = [sys.executable, "-m", "tests.fuzz.guided", *options, f"-artifact_prefix={tmp_path}/", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
