"""A claim to an address: which log's processes may listen there.

Several processes of one app share a port (SO_REUSEPORT), and the kernel deals connections out to all of them. Two apps
that were given one address by mistake would share it too, and each request would be answered by one of them, by chance.
So a process listens only while it holds a lock on a file that stands for the address, and the file holds the epoch of
the log whose processes those are.

- The lock is the kernel's (`flock`), and goes with the last descriptor, however the process ends. The file stays.
- The epoch is written only under the exclusive lock, so by a process that found nobody; then the lock becomes a shared
  one. That change is not atomic: another process may come first, and so the epoch is read again afterwards.
- A forked child has a copy of the descriptor. It closes its copy at once (`drop`), and never unlocks, which would
  unlock the parent's.
- A file that was removed from its folder is no claim any more, as others would make a new one: see `holds`.

Known weakness: processes that do not share a temporary folder, though they share the network, do not see each other.
"""

from __future__ import annotations

import hashlib
import os
import tempfile


class Claim:
    """One process's claim to one address. Used by one thread.

    Args:
        path: the file; made if there is none.
        shared: whether several processes may hold it together, all for one log; else one process at a time.
    """

    def __init__(self, path: str, *, shared: bool) -> None:
        self._path = path
        self._shared = shared
        self._file: int | None = None
        self.other = ""
        """The epoch of the log for which it is held, after `take` has failed; empty: a process is just taking it."""

    def take(self, epoch: str) -> bool:
        """Claim the address for a log; False where it is claimed, for another log or by the one process it may have.

        Raises:
            OSError: the file cannot be used.
        """
        self.drop()
        file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if self._is_taken(file, epoch):
                self._file = file
                return True
            self.other = os.pread(file, 64, 0).decode("ascii", "replace")
            return False
        finally:
            if self._file is None:
                os.close(file)

    def holds(self, epoch: str) -> bool:
        """Tell whether the address is claimed here, for this log, by the file that others look at."""
        if self._file is None:
            return False
        try:
            there = os.stat(self._path)
            os.utime(self._file)  # what clears temporary folders leaves alone what is young
        except OSError:
            return False
        here = os.fstat(self._file)
        is_there = (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
        return is_there and os.pread(self._file, 64, 0) == epoch.encode()

    def drop(self) -> None:
        """Give the claim up; in a child, leave it to the parent."""
        if self._file is not None:
            # See SECURITY.md: claim-is-not-unlocked-by-children
            os.close(self._file)
            self._file = None

    def _is_taken(self, file: int, epoch: str) -> bool:
        import fcntl  # Windows has none, nor SO_REUSEPORT

        def lock(how: int) -> bool:
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        if lock(fcntl.LOCK_EX):
            os.ftruncate(file, 0)
            os.pwrite(file, epoch.encode(), 0)
            if not self._shared:
                return True
        # See SECURITY.md: door-is-one-logs
        return self._shared and lock(fcntl.LOCK_SH) and os.pread(file, 64, 0) == epoch.encode()


def path_of(address: str) -> str:
    """Return the file that stands for a port, for this user: only processes of one user can share a port."""
    name = hashlib.sha256(address.encode()).hexdigest()[:16]
    return os.path.join(tempfile.gettempdir(), f"landline-{os.getuid()}-{name}.lock")
