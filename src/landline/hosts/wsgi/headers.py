"""A WSGI environment's headers, looked up where they are: an idle poll asks for five of a browser's dozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class _Keys(dict[Any, str]):
    """Keys of a WSGI environment by names of headers: those that the code and the configuration name, so a few."""

    def __missing__(self, name: str) -> str:
        key = self[name] = "HTTP_" + name.upper().replace("-", "_")
        return key


_KEYS = _Keys()


class EnvironHeaders(Mapping[str, str]):
    """Headers of a request, names in lower case (PEP 3333).

    Args:
        environ: the WSGI environment.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value: str = self._environ[_KEYS[name]]
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header's value, or the default."""
        return self._environ.get(_KEYS[name], default)

    def __contains__(self, name: object) -> bool:
        return _KEYS[name] in self._environ

    def __iter__(self) -> Iterator[str]:
        return (key[5:].replace("_", "-").lower() for key in self._environ if key.startswith("HTTP_"))

    def __len__(self) -> int:
        return sum(1 for _ in self)
