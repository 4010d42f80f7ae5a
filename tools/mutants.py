"""Take out each defence of SECURITY.md in turn, in a copy, and see that its test fails: `make mutants`.

A defence is marked in the code by a comment on the line above its statement, `# See SECURITY.md: name`; several names
stand with commas between them. tests/mutants.toml says by name what takes it out: which expression of that statement,
or the statement itself where none is named, is replaced by which, and which test must notice. Both are compared as
syntax trees, so neither moving nor reformatting code breaks a mutant. In JavaScript, which Python cannot parse, `old`
is a text that stands in the file once.

A mutant that its test lets live is a defence that a change could take out with all tests green.
"""

from __future__ import annotations

import argparse
import ast
import io
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutants.toml"
COPIED = ("src", "tests", "tools", "examples", "pyproject.toml")
PATIENCE = 300
"""Seconds for one test. A mutant that makes it hang is noticed too, but should not take all night."""
INPUTS = "20000"
"""Made-up inputs for the tests that use them: more than each change gets."""
_MARK = re.compile(r"(?:#|//) See SECURITY\.md: ([a-z0-9-]+(?:, [a-z0-9-]+)*)")


class Mutant(NamedTuple):
    """What takes one defence out."""

    name: str
    new: str
    """What stands there instead: an expression, statements, or nothing."""
    test: str
    """Arguments for pytest: the test that must fail."""
    old: str = ""
    """The expression that is replaced, as `ast.unparse` writes it; empty: the whole statement."""


class Place(NamedTuple):
    """Where a defence is marked."""

    path: Path
    line: int
    """The comment's line, from 1."""


def load() -> list[Mutant]:
    """Return the list."""
    return [Mutant(name, **fields) for name, fields in tomllib.loads(LIST.read_text()).items()]


def places(root: Path = ROOT) -> dict[str, Place]:
    """Return where each defence is marked in a checkout's `src`.

    Raises:
        ValueError: a name is marked twice.
    """
    found: dict[str, Place] = {}
    paths = [path for kind in ("*.py", "landline-*.js") for path in (root / "src").rglob(kind)]
    for path in sorted(paths):
        for name, line in _marks(path):
            if name in found:
                raise ValueError(f"Defence {name!r} is marked twice: {found[name]} and {path}:{line}. Rename one.")
            found[name] = Place(path, line)
    return found


def mutated(mutant: Mutant, place: Place) -> str:
    """Return the source of a defence's file without the defence.

    Raises:
        ValueError: what the mutant replaces is not in the marked statement exactly once, or nothing would change.
    """
    source = place.path.read_text()
    if place.path.suffix == ".js":
        if source.count(mutant.old) != 1:
            raise ValueError(
                f"{mutant.name}: {mutant.old!r} is not in {place.path} once. Write down what is there now."
            )
        return source.replace(mutant.old, mutant.new)
    tree = ast.parse(source)
    statement = _statement_below(tree, place.line)
    targets: list[ast.AST] = [statement]
    if mutant.old:
        targets = [node for node in _own_nodes(statement) if ast.unparse(node) == mutant.old]
    if len(targets) != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.old!r} is {len(targets)} times in the statement below {place.path}:{place.line}, "
            f"which is {ast.unparse(statement).splitlines()[0]!r}. Write down what takes the defence out now."
        )
    _Swap(targets[0], mutant.new).visit(tree)
    changed = ast.unparse(tree)
    if changed == ast.unparse(ast.parse(source)):
        raise ValueError(f"{mutant.name} changes nothing in {place.path}.")
    return changed


class _Swap(ast.NodeTransformer):
    """Replaces one node."""

    def __init__(self, target: ast.AST, new: str) -> None:
        self._target = target
        self._new = new

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        if node is not self._target:
            changed: ast.AST = self.generic_visit(node)
            return changed
        if isinstance(node, ast.stmt):
            return ast.parse(self._new or "pass").body
        return ast.parse(self._new, mode="eval").body


def _marks(path: Path) -> Iterator[tuple[str, int]]:
    for line, comment in _comments(path):
        generation = _MARK.fullmatch(comment)
        for name in generation[1].split(", ") if generation else ():
            yield name, line


def _comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the comments that may be marks, with their lines."""
    source = path.read_text()
    if path.suffix == ".js":
        yield from enumerate((line.strip() for line in source.splitlines()), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _statement_below(tree: ast.Module, line: int) -> ast.stmt:
    """Return the first statement that begins below a line; of those on one line the outermost."""
    below = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and node.lineno > line]
    return min(below, key=lambda node: (node.lineno, node.col_offset))


def _own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement, without those of statements inside it."""
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from (node for node in ast.walk(child) if isinstance(node, ast.expr))


def passes(test: str, folder: Path) -> bool:
    """Run a test in a copy of the project."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *shlex.split(test)]
    # Before the installed package, which is the project itself.
    env = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1", "FUZZ_INPUTS": INPUTS}
    try:
        result = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return False
    if result.returncode not in (0, 1):
        raise ValueError(f"pytest could not run {test}\n{result.stdout.decode()[-2000:]}")
    return result.returncode == 0


def survives(mutant: Mutant, folder: Path) -> bool:
    """Tell whether the test passes in spite of the mutation, in a copy of the project."""
    place = places(folder)[mutant.name]
    source = place.path.read_text()
    place.path.write_text(mutated(mutant, place))
    try:
        return passes(mutant.test, folder)
    finally:
        place.path.write_text(source)


def copy(folder: Path) -> None:
    """Copy what the tests need into a folder."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.db*"))
        else:
            shutil.copy(source, folder / name)
    # No defence is taken out of these, and tests of pages need them.
    (folder / "node_modules").symlink_to(ROOT / "node_modules")


def main() -> int:
    """Try the mutants whose names hold a word; 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("word", nargs="?", default="", help="only mutants with this in their names")
    parser.add_argument("--sample", type=int, help="only so many of them, drawn by lot")
    arguments = parser.parse_args()
    survivors = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copy(folder)
        mutants = [mutant for mutant in load() if arguments.word in mutant.name]
        if arguments.sample is not None:
            mutants = random.sample(mutants, min(arguments.sample, len(mutants)))
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
