"""How many inputs, and where the made-up ones come from."""

import os
import random
from collections.abc import Iterable, Iterator, Sequence

INPUTS = int(os.environ.get("FUZZ_INPUTS", "4000"))
"""Inputs over all tests of this folder, about."""
_NASTY = [
    b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"%", b"%0d%0a", b"%00", b"&", b"=", b";", b"+", b"'", b'"', b"<", b"\\",
    b"\xc2\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[31m", b"{", b"[" * 50, b"9" * 30, b"-",
    b"../", b"%s%n", b"${jndi:x}", b"__proto__", b"channel=", b"cursor=", b"event: x\n", b"id: 1-1\n", b"\n\n",
]  # fmt: skip
"""What parsers, loggers and interpreters have tripped over."""

Edit = tuple[int, int, bytes]
"""Where, how many bytes are taken out, and what comes in their place."""


def edit(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Change some places of some bytes."""
    for at, out, into in edits:
        at %= len(data) + 1
        data = data[:at] + into + data[at + out :]
    return data


def mutated(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` changed seeds, the same ones for the same `seed`."""
    rand = random.Random(seed)
    for _ in range(count):
        data = rand.choice(seeds)
        for _ in range(rand.randrange(5)):
            into = rand.choice([*_NASTY, rand.randbytes(rand.randrange(6)), rand.choice(seeds)[: rand.randrange(40)]])
            data = edit(data, [(rand.randrange(len(data) + 1), rand.choice([0, 0, 1, 4]), into)])
        yield data
