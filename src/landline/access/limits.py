"""What one address may have: requests held at once, and requests a second. Both are off unless configured.

An address is the client's as the app would see it, and of IPv6 the network of 64 bits: that is what one subscriber
is given, and he may use a new address in it for each request.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import math
import re
import threading
from collections.abc import Callable

from .. import forks
from ..config import Config
from ..protocol.problem import slow_down
from ..times import SYSTEM, Times

BURST = 10.0
"""Seconds whose requests an address may make at once: several tabs opened together, or several people behind it."""
LEAST_BURST = 10.0
"""Requests an address may make at once, at least: a page's first ones, with its climbing, are some."""
ADDRESSES = 32_768
"""Addresses after which those that were not seen lately are forgotten: with their elders, some ten megabytes."""
logger = logging.getLogger("flask_landline")
_LONGEST_ADDRESS = 64
"""Characters of an address: IPv6 has up to 45, and brackets, a port and quotes come around it."""
_FORWARDED = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?")
"""An address as a proxy may write it, with or without a port. An IPv6 address without brackets has none."""


class Limits:
    """The limits by address of one app in one process. Safe to use from any thread.

    Args:
        config: the limits, 0 for none.
        hops: returns how many proxies' word is believed, once requests come.
        times: clocks and randomness.
    """

    def __init__(self, config: Config, hops: Callable[[], int], *, times: Times = SYSTEM) -> None:
        self._hops = hops
        self._clock, self._random = times.clock, times.random
        self._most_held = config.max_held_per_address
        self._rate = config.max_polls_per_address
        self._warned = False
        self.after_fork()
        forks.register(self)

    def after_fork(self) -> None:
        """Begin anew: the parent's requests are the parent's."""
        self._lock = threading.Lock()
        self._held: dict[str, int] = {}
        self._seen: dict[str, float] = {}
        self._seen_before: dict[str, float] = {}

    def address(self, peer: str, forwarded: str | None) -> str:
        """Return a client's address.

        Args:
            peer: the other end of the connection: the client itself, or the last proxy.
            forwarded: the request's `X-Forwarded-For`, to which each proxy has added whom it saw.
        """
        peer = _parse(peer) or peer  # with a port where a `ProxyFix` that cannot be seen from here has put one
        if not forwarded:
            return peer
        hops = self._hops()
        if not hops:
            return peer
        # See SECURITY.md: address-is-the-proxys-word
        words = forwarded.rsplit(",", hops)[-hops:]
        # What is no address is not used: it would be written into logs, and a client may have written it.
        # See SECURITY.md: address-is-an-address
        return (_parse(words[0].strip()) or peer) if len(words) == hops else peer

    def allow(self, remote: str) -> bool:
        """Take in one more request of an address; False if it has had too many."""
        # See SECURITY.md: idle-polls-per-address
        return not self._rate or self._wait(remote) <= 0

    def check(self, remote: str, turns: int = 1) -> None:
        """Take in what an address asks for.

        Args:
            remote: the address.
            turns: 1 for a request, and one for each further channel about which the app is asked: a request may name
                a hundred, and each takes the app's time. They never take more than half of what an address may have
                at once, so that a page with many channels can still be opened.

        Raises:
            Refusal: `slow-down`, with a time to come back that is another one for each: many may be behind one address.
        """
        # See SECURITY.md: polls-per-address
        wait = self._wait(remote, turns) if self._rate else 0.0
        if wait > 0:
            # See SECURITY.md: slowed-down-do-not-come-back-together
            raise slow_down(self._rate, math.ceil(wait + BURST * self._random()))

    def hold(self, remote: str) -> bool:
        """Count one more held request of an address; False, and it is not counted, if it has as many as it may."""
        key = self._key(remote, self._most_held)
        if key is None:
            return True
        with self._lock:
            held = self._held.get(key, 0)
            # See SECURITY.md: held-per-address
            if held >= self._most_held:
                return False
            self._held[key] = held + 1
            return True

    def release(self, remote: str) -> None:
        """Count one held request of an address less."""
        key = self._key(remote, self._most_held)
        if key is None:
            return
        with self._lock:
            # See SECURITY.md: what-is-let-go-is-not-counted
            held = self._held.pop(key, 0) - 1
            if held > 0:
                self._held[key] = held

    def _wait(self, remote: str, turns: int = 1) -> float:
        """Take a request's turns; return the seconds until there is one, and take none, if there is none now.

        A token bucket, kept as the one time at which it will be full again (GCRA, ATM Forum, TM 4.0, 1996).
        """
        key = self._key(remote, self._rate)
        if key is None:
            return 0.0
        each, now = 1 / self._rate, self._clock()
        with self._lock:
            # See SECURITY.md: who-keeps-asking-is-not-forgotten
            full_at = max(self._seen.get(key) or self._seen_before.get(key, 0.0), now)
            at_once = max(BURST, LEAST_BURST * each)
            taken = min(turns * each, at_once / 2)
            wait = full_at + taken - now - at_once
            # Also if it is refused: an address that keeps asking must not be forgotten for it.
            self._seen[key] = full_at if wait > 0 else full_at + taken
            # See SECURITY.md: addresses-are-forgotten
            if len(self._seen) >= ADDRESSES:
                self._seen, self._seen_before = {}, self._seen
        return wait

    def _key(self, remote: str, limit: float) -> str | None:
        """Return what is counted as one address; None if there is no limit, or no address."""
        if not limit:
            return None
        # See SECURITY.md: no-address-is-nobodys
        key = _network(remote)
        if key is None and not self._warned:
            self._warned = True  # a Unix socket: with one limit for everybody, the first ones would shut the others out
            logger.warning(
                "Requests come without an address (%r), so limits by address do not hold. Have the proxy set "
                "X-Forwarded-For, and set LANDLINE_TRUSTED_HOPS.",
                remote[:80],
            )
        return key


def descriptors() -> float:
    """Return how many files and sockets this process may have open."""
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _parse(text: str) -> str | None:
    """Return the address in a proxy's word for one, None if there is none."""
    # Before it is remembered: 4,096 of the longest heads would be 128 MiB.
    # See SECURITY.md: addresses-are-short
    return _parse_short(text) if len(text) <= _LONGEST_ADDRESS else None


@functools.lru_cache(4096)
def _parse_short(text: str) -> str | None:
    """Return the address in a proxy's word for one.

    Some proxies add the client's port (Azure's Application Gateway does), and write IPv6 in brackets, perhaps all of
    it in quotes, as `Forwarded` has it (RFC 7239 §6).
    """
    found = _FORWARDED.fullmatch(text[1:-1] if text[:1] == '"' == text[-1:] else text)
    try:
        # A zone is no part of an address that came over a network, and may hold any text (RFC 4007 §11).
        # See SECURITY.md: address-has-no-zone
        return str(ipaddress.ip_address((found[1] or found[2]) if found else text)) if "%" not in text else None
    except ValueError:
        return None


@functools.lru_cache(4096)
def _network(address: str) -> str | None:
    """Return what is counted as one address, None if it is none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    # See SECURITY.md: one-subscriber-is-one-address
    return str(mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64))
