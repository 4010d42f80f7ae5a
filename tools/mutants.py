"""Take out each defence of SECURITY.md in turn, in a copy, and see that its test fails: `make mutants`.

The list is tests/mutants.toml: which text of which file is replaced by which, and which test must notice. A mutant
that its test lets live is a defence that somebody could take out without anybody knowing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutants.toml"
COPIED = ("src", "tests", "tools", "examples", "pyproject.toml")
PATIENCE = 300
"""Seconds for one test. A mutant that has it hang is noticed too, but should not take all night."""


class Mutant(NamedTuple):
    """One defence taken out."""

    name: str
    file: str
    old: str
    new: str
    test: str


def load() -> list[Mutant]:
    """Return the list."""
    return [Mutant(name, **fields) for name, fields in tomllib.loads(LIST.read_text()).items()]


def passes(test: str, folder: Path) -> bool:
    """Run a test in a copy of the project."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *test.split()]
    # Before the installed package, which is the project itself.
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        result = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return False
    if result.returncode not in (0, 1):
        raise ValueError(f"pytest could not run {test}\n{result.stdout.decode()[-2000:]}")
    return result.returncode == 0


def survives(mutant: Mutant, folder: Path) -> bool:
    """Tell whether the test passes in spite of the mutation, in a copy of the project."""
    path = folder / mutant.file
    text = path.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: {mutant.old!r} is {text.count(mutant.old)} times in {mutant.file}, not once")
    path.write_text(text.replace(mutant.old, mutant.new))
    try:
        return passes(mutant.test, folder)
    finally:
        path.write_text(text)


def main() -> int:
    """Try the mutants whose names hold a word; 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only mutants with this in their names")
    word = parser.parse_args().word
    survivors = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
            else:
                shutil.copy(source, folder / name)
        # No defence is taken out of these, and tests of pages need them.
        (folder / "node_modules").symlink_to(ROOT / "node_modules")
        mutants = [mutant for mutant in load() if word in mutant.name]
        for test in dict.fromkeys(mutant.test for mutant in mutants):
            if not passes(test, folder):  # it would fail whatever was taken out
                raise ValueError(f"{test} fails as it is. Mend it first.")
        for mutant in mutants:
            alive = survives(mutant, folder)
            survivors += alive
            print(f"{'SURVIVES' if alive else 'killed  '}  {mutant.name}  by {mutant.test}", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
