"""The app's keys: what grants are signed with, and what stands for a reader where others may look.

A reader's mark is keyed (HMAC, RFC 2104). Ids are few and easily guessed: behind a plain hash a list of all names, or
the numbers up to a million, would find each one in a moment.

Keys are rotated as Flask's are (`SECRET_KEY_FALLBACKS`). While there are several, a reader has a mark by each: a grant
may be older than the newest key, and a process that revokes may be one that does not have it yet.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from itsdangerous import URLSafeSerializer

from ..errors import UsageError

_MARK = "flask-landline.reader.1"
"""Keeps marks apart from everything else that is made with the app's key."""
_LENGTH = 20
"""Hexadecimal digits of a mark. 80 bits: two readers of one app do not meet by chance, and tokens stay short."""


class Keys:
    """The keys of one app, looked up at each use: tests and apps set them late.

    Args:
        find: returns them, the newest first.
    """

    def __init__(self, find: Callable[[], Sequence[str | bytes]]) -> None:
        self._find = find

    def newest_first(self) -> list[bytes]:
        """Return the key that signs, and then those that are still good.

        Raises:
            UsageError: there is no key.
        """
        # See SECURITY.md: grant-has-a-key
        keys = self._find()
        if not keys:
            raise UsageError(
                "A channel has a reader function, and the app has no SECRET_KEY to sign grants with. Set "
                "app.config['SECRET_KEY'], the same in all processes; this makes one: "
                "python -c 'import secrets; print(secrets.token_hex())'"
            )
        return [item.encode() if isinstance(item, str) else item for item in keys]

    def signer(self) -> URLSafeSerializer:
        """Return what signs with the newest key, and believes all.

        Raises:
            UsageError: there is no key.
        """
        keys = self.newest_first()[::-1]  # itsdangerous signs with the last one
        return URLSafeSerializer(keys, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256})

    def marks(self, identity: str | int) -> tuple[str, ...]:
        """Return what stands for a reader in tokens and revocations: one mark by each key, the newest key's first.

        `7` and `"7"` are one reader: flask-login turns every id into a string.

        Raises:
            UsageError: there is no key.
        """
        # See SECURITY.md: token-names-nobody, readers-have-a-mark-by-each-key
        return tuple(_mark(key, identity) for key in self.newest_first())


def _mark(key: bytes, identity: str | int) -> str:
    # See SECURITY.md: marks-of-readers-are-keyed
    return hmac.new(key, f"{_MARK}:{identity}".encode(), hashlib.sha256).hexdigest()[:_LENGTH]
