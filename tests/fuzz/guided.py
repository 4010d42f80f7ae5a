"""Fuzz the parsers with atheris, which keeps the inputs that reach code no input has reached before.

Run as `python -m tests.fuzz.guided -runs=20000 FOLDER`; all options are libFuzzer's. The first byte of an input says
which target it is for. It ends with 0, or with a traceback and the input in a file named crash-….
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["flask_landline"]):  # all else is somebody else's, and takes its time
    from tests.fuzz.targets import TARGETS, seeds

_TARGETS = list(TARGETS.values())


def one(data: bytes) -> None:
    if data:
        _TARGETS[data[0] % len(_TARGETS)](data[1:])


def plant(folder: Path) -> None:
    """Write the seeds as a corpus to begin with."""
    folder.mkdir(exist_ok=True)
    for index, name in enumerate(TARGETS):
        for number, seed in enumerate(seeds(name)):
            (folder / f"{name}-{number}").write_bytes(bytes([index]) + seed)


def main() -> None:
    plant(Path(sys.argv[-1]))
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
