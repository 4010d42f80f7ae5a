"""Check the documents: links lead somewhere, Python parses, config keys and the reference are the code's.

Prints one line for each fault and exits with 1 when there is any.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tools.markdown import Line, anchors, links, split
from tools.reference import DOCUMENT, Reference

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path("src/landline/config.py")
REFERENCE = Path("docs/reference/config.md")
NEEDED = ("README.md", "CONTRIBUTING.md", "CHANGES.md")

ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
# With a folder: `app.py` alone is a reader's own file.
FILE = re.compile(r"`(?P<path>[\w.-]+(?:/[\w.-]+)*/(?:[\w-]+\.py)?)`")
PLACES = ("", "src", "src/landline")
KEY = re.compile(r"\bLANDLINE_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?!_?\*)")


def documents() -> list[Path]:
    """Return the documents, relative to the root."""
    found = [ROOT / name for name in NEEDED if (ROOT / name).is_file()]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [path.relative_to(ROOT) for path in found]


def link_faults(document: Path, prose: list[Line]) -> Iterator[str]:
    for number, to in links(prose):
        if ELSEWHERE.match(to):
            continue
        path, _, fragment = unquote(to).partition("#")
        target = (ROOT / document.parent / path).resolve() if path else ROOT / document
        where = f"{document}:{number}"
        if not target.is_relative_to(ROOT):
            yield f"{where}: {to} leads out of the repository"
        elif not target.exists():
            yield f"{where}: {to} does not exist"
        elif fragment and target.suffix == ".md" and fragment not in anchors(split(target.read_text())[0]):
            yield f"{where}: {to}: no heading of {target.relative_to(ROOT)} makes the anchor #{fragment}"


def code_faults(document: Path, blocks: list[tuple[int, str, str]]) -> Iterator[str]:
    for start, language, code in blocks:
        if language not in ("python", "py"):
            continue
        try:
            ast.parse(textwrap.dedent(code))
        except SyntaxError as error:
            line = start + (error.lineno or 1) - 1
            yield f"{document}:{line}: this Python does not parse: {error.msg}"


def file_faults(document: Path, prose: list[Line]) -> Iterator[str]:
    """Yield each Python file or folder, named in a topic, that is in none of the usual places."""
    if document.parent.name != "topics":
        return
    for number, line in prose:
        for match in FILE.finditer(line):
            if not any((ROOT / place / match["path"]).exists() for place in PLACES):
                yield f"{document}:{number}: there is no `{match['path']}`"


def config_keys(source: str) -> set[str]:
    """Return the keys that `class Config` defines: its fields, in capitals, with the prefix."""
    return {
        f"LANDLINE_{item.target.id.upper()}"
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == "Config"
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def key_faults(texts: dict[Path, str]) -> Iterator[str]:
    if not (ROOT / CONFIG).is_file():
        yield f"{CONFIG} does not exist, so no config key can be checked"
        return
    real = config_keys((ROOT / CONFIG).read_text())
    for document, text in texts.items():
        # What changed may name keys that are gone.
        if document.name != "CHANGES.md":
            for number, line in enumerate(text.splitlines(), 1):
                for key in sorted(set(KEY.findall(line)) - real):
                    yield f"{document}:{number}: {key} is no key of {CONFIG}"
    for key in sorted(real - set(KEY.findall(texts.get(REFERENCE, "")))):
        yield f"{REFERENCE}: {key} is missing; every key of {CONFIG} is documented there"


def reference_faults(texts: dict[Path, str]) -> Iterator[str]:
    text = texts.get(DOCUMENT)
    if text is None:
        yield f"{DOCUMENT} does not exist"
        return
    try:
        is_stale = Reference(ROOT).renew(text) != text
    except ValueError as error:
        yield f"{DOCUMENT}: {error}"
        return
    if is_stale:
        yield f"{DOCUMENT}: it is not what the docstrings say; run 'make reference' and commit what it writes"


def faults() -> Iterator[str]:
    """Yield every fault of every document, as one line each."""
    for name in NEEDED:
        if not (ROOT / name).is_file():
            yield f"{name} does not exist"
    texts = {path: (ROOT / path).read_text() for path in documents()}
    for document, text in texts.items():
        prose, blocks = split(text)
        yield from link_faults(document, prose)
        yield from code_faults(document, blocks)
        yield from file_faults(document, prose)
    yield from key_faults(texts)
    yield from reference_faults(texts)
    for command in ("make demo", "make test"):
        if command not in texts.get(Path("README.md"), command):
            yield f"README.md: it does not say `{command}`"


def main() -> int:
    """Print the faults; 1 when there are any."""
    found = list(faults())
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        print(f"landline: {len(found)} faults in the documents", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
