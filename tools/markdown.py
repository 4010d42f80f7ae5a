"""Take a Markdown document apart: prose and code blocks, headings' anchors, links."""

import re
from collections.abc import Iterator

FENCE = re.compile(r"^(?P<indent> *)(?P<mark>`{3,}|~{3,})(?P<language>[\w+-]*)")
HEADING = re.compile(r"^#{1,6}\s+(?P<text>.*?)\s*#*$")
ANCHOR = re.compile(r"<a\s[^>]*(?:id|name)=[\"'](?P<id>[^\"']+)")
LINK = re.compile(r"\]\(\s*<?(?P<to>[^)\s>]+)>?(?:\s+[\"'][^)]*)?\)")
REFERENCE_LINK = re.compile(r"^\[[^\]]+\]:\s*<?(?P<to>[^\s>]+)")
TAG_LINK = re.compile(r"<(?:a|img|source)\s[^>]*?(?:href|src|srcset)=[\"'](?P<to>[^\"'\s]+)")

Line = tuple[int, str]


def split(text: str) -> tuple[list[Line], list[tuple[int, str, str]]]:
    """Part a document into its prose lines and its code blocks (first line, language, code)."""
    prose: list[Line] = []
    blocks: list[tuple[int, str, str]] = []
    mark, start, language, code = "", 0, "", list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line.lstrip("> "))
        if mark:
            if fence and fence["mark"].startswith(mark) and not fence["language"]:
                blocks.append((start, language, "\n".join(code)))
                mark = ""
            else:
                code.append(line)
        elif fence:
            mark, start, language, code = fence["mark"], number + 1, fence["language"].lower(), []
        else:
            prose.append((number, line))
    if mark:
        blocks.append((start, language, "\n".join(code)))
    return prose, blocks


def headings(prose: list[Line]) -> dict[str, str]:
    """Return the text of each heading by the anchor that GitHub makes of it."""
    found: dict[str, str] = {}
    for _, line in prose:
        heading = HEADING.match(line)
        if heading:
            text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading["text"])
            plain = re.sub(r"<[^>]+>", "", text).replace("`", "")
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            again = 0
            while (name := f"{slug}-{again}" if again else slug) in found:
                again += 1
            found[name] = text
    return found


def anchors(prose: list[Line]) -> set[str]:
    """Return what `#…` may name in a document: its headings' anchors, and its own."""
    return {*headings(prose), *(match["id"] for _, line in prose for match in ANCHOR.finditer(line))}


def links(prose: list[Line]) -> Iterator[Line]:
    """Yield where a document points to, code spans left out."""
    for number, line in prose:
        spoken = re.sub(r"`+[^`]*`+", "", line)
        for pattern in (LINK, REFERENCE_LINK, TAG_LINK):
            for match in pattern.finditer(spoken):
                yield number, match["to"]
