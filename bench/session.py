"""What every job gets: how often to measure and how long, where to put results, and a line to show progress on."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bench.peers.peer import Peer, Server
from bench.processes import CACHE, Unable
from bench.results import Results

T = TypeVar("T")


@dataclass
class Session:
    """One run of the bench.

    Args:
        quick: whether only to see that everything works: few rounds, few readers, short times.
        rounds: how often everything is measured.
        peers: who takes part.
    """

    quick: bool = False
    rounds: int = 5
    peers: Sequence[Peer] = ()
    begun: float = field(default_factory=time.monotonic)

    def sized(self, full: T, quick: T) -> T:
        """Return a size: the real one, or one for a look whether everything works."""
        return quick if self.quick else full

    def tell(self, text: str) -> None:
        """Show what is being done."""
        seconds = int(time.monotonic() - self.begun)
        print(f"  {seconds // 60:3d}:{seconds % 60:02d}  {text}", file=sys.stderr, flush=True)

    def turns(self, items: Iterable[T], name: Callable[[T], str]) -> Iterator[T]:
        """Yield everything once in each round, A B C A B C …, so that a slow minute slows all alike."""
        items = list(items)
        for number in range(1, self.rounds + 1):
            for item in items:
                self.tell(f"round {number} of {self.rounds}: {name(item)}")
                yield item

    @contextmanager
    def server(self, peer: Peer) -> Iterator[Server]:
        """Run a peer in an empty folder on the disk that is measured."""
        with self.folder() as folder, peer.start(folder) as server:
            yield server

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Make an empty folder on the disk that is measured."""
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as name:
            folder = Path(name)
            folder.chmod(0o755)  # nginx's worker is another user than we
            yield folder


@contextmanager
def noting(results: Results, peer: str, case: str) -> Iterator[None]:
    """Note a peer that cannot do what the block asks of it, and go on."""
    try:
        yield
    except Unable as error:
        results.add_unable(peer, case, str(error))
