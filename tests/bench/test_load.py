"""The load programs measure what they say: a server that answers, one that delivers, and one that never does."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import load
from bench.peers import landline
from bench.peers.peer import Server
from bench.processes import Unable


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], str]) -> Iterator[Server]:
    for tool in ("cc", "taskset"):
        require(tool)
    with landline.start(tmp_path_factory.mktemp("app"), listener=True) as running:
        yield running


@pytest.mark.slow
def test_polls_are_counted_and_timed(server: Server) -> None:
    polled = load.poll(server.port, server.poll, seconds=0.3, connections=4)
    assert polled.answers > polled.rate * 0.3
    assert 0 < polled.p50 <= polled.p99


@pytest.mark.slow
def test_refused_polls_are_no_measurement(server: Server) -> None:
    with pytest.raises(Unable, match="requests were refused: GET /landline/poll"):
        load.poll(server.port, load.request("/landline/poll?channel=unknown"), seconds=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["sse", "websocket", "long-poll"])
def test_every_reader_is_told_of_each_event(server: Server, transport: str) -> None:
    with server.readers(transport) as readers:
        readers.open(40)
        readers.ready()
        for _ in range(3):
            told = readers.round()
            assert 0 < told.first <= told.p50 <= told.p99 <= told.last
        readers.open(20)  # more join those that are held
        readers.ready()
        readers.round()


@pytest.mark.slow
def test_readers_that_hear_nothing_are_counted(tmp_path: Path, require: Callable[[str], str]) -> None:
    require("cc")
    silent = load.Reading("sse", load.request("/"))
    publish = load.request("/", method="POST", body=load.BODY)
    with load.target() as (port, _), load.Readers(port, silent, publish, port) as readers:
        readers.open(3)
        with pytest.raises(Unable, match=r"0 of 3 readers were ready within 0\.3 s"):
            readers.ready(0.3)


@pytest.mark.slow
def test_reader_that_is_refused_says_so(server: Server) -> None:
    refused = load.Reading("sse", load.request("/landline/events?channel=unknown"))
    readers = load.Readers(server.port, refused, server.publish, server.publish_port)
    with readers, pytest.raises(Unable, match=r"answered HTTP/1\.1 404"):
        _open_one(readers)


def _open_one(readers: load.Readers) -> None:
    """Open a reader and wait for it; which of the two hears of the refusal depends on who is quicker."""
    readers.open(1)
    readers.ready(5.0)
