"""Check the documents: links and anchors lead somewhere, Python parses, config keys are the code's.

Prints one line for each fault and exits with 1 when there is any.
"""

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
CONFIG = Path("src/landline/config.py")
REFERENCE = Path("docs/reference/config.md")
NEEDED = ("README.md", "CONTRIBUTING.md", "CHANGES.md")

FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}|~{3,})(?P<language>[\w+-]*)")
HEADING = re.compile(r"^#{1,6}\s+(?P<text>.*?)\s*#*$")
ANCHOR = re.compile(r"<a\s[^>]*(?:id|name)=[\"'](?P<id>[^\"']+)")
LINK = re.compile(r"\]\(\s*<?(?P<to>[^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
REFERENCE_LINK = re.compile(r"^\[[^\]]+\]:\s*<?(?P<to>[^\s>]+)")
TAG_LINK = re.compile(r"<(?:a|img|source)\s[^>]*?(?:href|src|srcset)=[\"'](?P<to>[^\"'\s]+)")
ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
KEY = re.compile(r"\bLANDLINE_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?!_?\*)")

Line = tuple[int, str]


def documents() -> list[Path]:
    """Return the documents, relative to the root."""
    found = [ROOT / name for name in NEEDED if (ROOT / name).is_file()]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [path.relative_to(ROOT) for path in found]


def split(text: str) -> tuple[list[Line], list[tuple[int, str, str]]]:
    """Part a document into its prose lines and its code blocks (first line, language, code)."""
    prose: list[Line] = []
    blocks: list[tuple[int, str, str]] = []
    generation, start, language, code = "", 0, "", list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line.lstrip("> "))
        if generation:
            if fence and fence["mark"].startswith(generation) and not fence["language"]:
                blocks.append((start, language, "\n".join(code)))
                generation = ""
            else:
                code.append(line)
        elif fence:
            generation, start, language, code = fence["mark"], number + 1, fence["language"].lower(), []
        else:
            prose.append((number, line))
    if generation:
        blocks.append((start, language, "\n".join(code)))
    return prose, blocks


def anchors(prose: list[Line]) -> set[str]:
    """Return what `#…` may name in a document: its headings, as GitHub spells them, and its own anchors."""
    found: set[str] = set()
    for _, line in prose:
        found |= {match["id"] for match in ANCHOR.finditer(line)}
        heading = HEADING.match(line)
        if heading:
            text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"])
            text = re.sub(r"<[^>]+>", "", text).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            cached = 0
            while (name := f"{slug}-{cached}" if cached else slug) in found:
                cached += 1
            found.add(name)
    return found


def links(prose: list[Line]) -> Iterator[Line]:
    """Yield where a document points to, code spans left out."""
    for number, line in prose:
        spoken = re.sub(r"`+[^`]*`+", "", line)
        for pattern in (LINK, REFERENCE_LINK, TAG_LINK):
            for match in pattern.finditer(spoken):
                yield number, match["to"]


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
    yield from key_faults(texts)
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
