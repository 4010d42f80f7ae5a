"""Write the parts of docs/reference/python.md that come from the docstrings of the public names.

A part stands between `<!-- made from the docstrings: NAME -->` and `<!-- end -->`; what stands around it is written by
hand. `make reference` writes the parts anew, and tools/check_docs.py says when they are stale. In docstrings,
`docs/how-to/access.md#keys` in backticks becomes a link with the heading's words, and `WIRE §8` one to the wire.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import griffe

from tools.markdown import headings, split

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = Path("docs/reference/python.md")

PART = re.compile(r"(<!-- made from the docstrings: (?P<name>[\w ]+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL)
TARGET = re.compile(r"`docs/(?P<path>[\w/-]+\.md)(?:#(?P<anchor>[\w-]+))?`")
WIRE = re.compile(r"WIRE §(?P<number>\d+)")
NAME = re.compile(r"(?<![`\[])`(?P<name>[A-Z]\w+(?:\.\w+)?)`(?!\])")


class Named(NamedTuple):
    """A public name, and how it is shown."""

    path: str
    """Where it is defined: module, then name."""
    leave_out: tuple[str, ...] = ()
    """Members that only the package itself uses."""
    heading: bool = True
    """Whether it has a heading of its own; else the part's serves."""
    short: bool = False
    """Whether it is a paragraph, as an error is, instead of having a heading for each member."""


PARTS: dict[str, tuple[Named, ...]] = {
    "Landline": (Named("flask_landline.extension.Landline"),),
    "Channel": (Named("landline.channels.channel.Channel", leave_out=("reader_function",), heading=False),),
    "Event": (Named("landline.event.Event", leave_out=("size", "encoded", "sse"), heading=False),),
    "Errors": (
        Named("landline.errors.LandlineError", short=True),
        Named("landline.errors.UsageError", short=True),
        Named("landline.errors.LogError", short=True),
        Named("landline.errors.Refusal", short=True),
    ),
    "Logs": (
        Named("landline.logs.base.Log", leave_out=("epoch",)),
        Named("landline.logs.base.Retention", leave_out=("trim_above",)),
        Named("landline.logs.base.ChannelInfo"),
        Named("landline.cursor.Cursor"),
        Named("landline.logs.base.new_epoch"),
    ),
    "Testing": (
        Named("landline.testing.LogContract"),
        Named("landline.testing.PrivateLogContract"),
        Named("landline.testing.tools.Clock"),
        Named("landline.testing.tools.in_threads"),
        Named("landline.testing.tools.in_child"),
    ),
}


class Reference:
    """The generated parts of the reference.

    Args:
        root: the repository.
        parts: what stands in each part; None: `PARTS`.
    """

    def __init__(self, root: Path = ROOT, parts: dict[str, tuple[Named, ...]] | None = None) -> None:
        self._root = root
        self._parts = PARTS if parts is None else parts
        self._loader = griffe.GriffeLoader(search_paths=[root / "src"], docstring_parser=griffe.Parser.google)

    def renew(self, text: str) -> str:
        """Return a document with each of its parts made anew.

        Raises:
            ValueError: it has a part that is not known, or lacks one; or a docstring has a form that is not known.
        """
        found = {match["name"] for match in PART.finditer(text)}
        if found != set(self._parts):
            raise ValueError(f"the parts must be {sorted(self._parts)}, and are {sorted(found)}")
        made = PART.sub(lambda match: f"{match[1]}{self._part(match['name'])}{match[4]}", text)
        return self._link_names(made)

    def _part(self, name: str) -> str:
        blocks = [block for named in self._parts[name] for block in self._object(named)]
        return "\n" + "\n\n".join(self._link(block) for block in blocks) + "\n\n"

    def _object(self, named: Named) -> Iterator[str]:
        thing = self._load(named.path)
        if isinstance(thing, griffe.Function):
            yield f"### `{thing.name}({_signature(thing, bound=False)})`"
            yield from _docstring(thing)
        elif named.short:
            yield from self._entry(thing)
        else:
            yield from self._class(thing, named)

    def _load(self, path: str) -> Any:
        package = path.partition(".")[0]
        if package not in self._loader.modules_collection:
            self._loader.load(package)
        return self._loader.modules_collection[path]

    @staticmethod
    def _entry(thing: Any) -> Iterator[str]:
        """Yield a class in short: what it says, and its attributes."""
        text, *rest = _docstring(thing)
        yield f"**`{thing.name}{_call(thing)}`**: {text}"
        yield from rest
        yield from _attributes(thing, (), table=False)

    @staticmethod
    def _class(thing: Any, named: Named) -> Iterator[str]:
        if named.heading:
            yield f"### `{thing.name}{_call(thing)}`"
        yield from _docstring(thing)
        yield from _attributes(thing, named.leave_out)
        for member in _public(thing, named.leave_out):
            if member.is_function:
                at = "@" if _is_decorator(member) else ""
                call = "" if at and len(list(member.parameters)) == 2 else f"({_signature(member)})"
                yield f"### `{at}{thing.name}.{member.name}{call}`"
                yield from _docstring(member)

    def _link(self, text: str) -> str:
        """Turn what a docstring says of documents into links from the reference."""

        def target(match: re.Match[str]) -> str:
            path, anchor = match["path"], match["anchor"]
            known = headings(split((self._root / "docs" / path).read_text())[0])
            words = known.get(anchor or next(iter(known)), anchor)
            where = "" if path == "reference/python.md" else f"../{path}".replace("../reference/", "")
            return f"[{words}]({where}{'#' + anchor if anchor else ''})"

        def wire(match: re.Match[str]) -> str:
            known = headings(split((self._root / "docs/wire.md").read_text())[0])
            anchor = next((slug for slug in known if slug.startswith(f"{match['number']}-")), None)
            return match[0] if anchor is None else f"[wire §{match['number']}](../wire.md#{anchor})"

        return WIRE.sub(wire, TARGET.sub(target, text))

    @staticmethod
    def _link_names(text: str) -> str:
        """Link each public name in a generated part to its heading."""
        known = headings(split(text)[0])
        slugs = {title.strip("`@").partition("(")[0]: slug for slug, title in known.items() if title.startswith("`")}

        def link(match: re.Match[str]) -> str:
            slug = slugs.get(match["name"])
            return match[0] if slug is None else f"[`{match['name']}`](#{slug})"

        def lines(match: re.Match[str]) -> str:
            done, fenced = [], False
            for line in match["text"].split("\n"):
                fenced ^= line.startswith("```")
                done.append(line if fenced or line.startswith("#") else NAME.sub(link, line))
            return match[1] + "\n".join(done) + match[4]

        return PART.sub(lines, text)


def _call(thing: Any) -> str:
    """Return a class's name as it is called: with the parameters of its own `__init__`, if it has one."""
    init = thing.members.get("__init__")
    return "" if init is None else f"({_signature(init)})"


def _public(thing: Any, leave_out: tuple[str, ...]) -> list[Any]:
    return [
        member
        for name, member in thing.members.items()
        if not name.startswith("_") and name not in leave_out and not member.is_alias and member.docstring
    ]


def _is_decorator(function: Any) -> bool:
    return str(function.docstring.value).startswith("Decorate ")


def _signature(function: Any, *, bound: bool = True) -> str:
    """Return the parameters as they are called: names and defaults, without types."""
    said: list[str] = []
    starred = False
    for parameter in list(function.parameters)[1 if bound else 0 :]:
        kind = parameter.kind
        if kind is griffe.ParameterKind.keyword_only and not starred:
            said.append("*")
            starred = True
        star = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}.get(kind, "")
        starred = starred or star == "*"
        given = "" if parameter.default is None or star else f"={_plain(str(parameter.default))}"
        said.append(f"{star}{parameter.name}{given}")
    return ", ".join(said)


def _plain(default: str) -> str:
    try:
        return repr(ast.literal_eval(default))
    except ValueError:
        return default


def _docstring(thing: Any) -> Iterator[str]:
    """Yield a docstring as Markdown: its text, then arguments, results, errors, an example."""
    for section in thing.docstring.parse("google") if thing.docstring else ():
        value: Any = section.value
        if section.kind is griffe.DocstringSectionKind.parameters:
            _require_parameters(thing, [item.name for item in value])
        match section.kind:
            case griffe.DocstringSectionKind.text:
                yield _flow(value)
            case griffe.DocstringSectionKind.parameters:
                yield "\n".join(f"- `{item.name}`: {_flow(item.description)}" for item in value)
            case griffe.DocstringSectionKind.returns | griffe.DocstringSectionKind.yields:
                yield "Returns: " + " ".join(_flow(item.description) for item in value)
            case griffe.DocstringSectionKind.raises:
                yield "\n".join(f"- raises `{item.annotation}`: {_flow(item.description)}" for item in value)
            case griffe.DocstringSectionKind.admonition if value.kind == "example":
                code = re.sub(r"^(>>>|\.\.\.) ?", "", value.contents, flags=re.MULTILINE)
                yield f"```python\n{code}\n```"
            case kind:
                raise ValueError(f"{thing.path}: a docstring's section {kind.value!r} has no form in the reference")


def _require_parameters(thing: Any, described: list[str]) -> None:
    """Refuse a docstring that describes parameters that are not there, or leaves one out that is."""
    function = thing if isinstance(thing, griffe.Function) else thing.members["__init__"]
    real = [parameter.name for parameter in function.parameters if parameter.name != "self"]
    if described != real:
        raise ValueError(f"{thing.path}: the docstring describes {described}, and the parameters are {real}")


def _attributes(thing: Any, leave_out: tuple[str, ...], *, table: bool = True) -> Iterator[str]:
    rows = [
        f"| `{member.name}` | {_flow(member.docstring.value)} |".replace("\n", " ")
        for member in _public(thing, leave_out)
        if member.is_attribute
    ]
    if rows and table:
        yield "\n".join(["| attribute | |", "|---|---|", *rows])
    elif rows:
        yield "\n".join(re.sub(r"^\| (`\w+`) \| (.*) \|$", r"- \1: \2", row) for row in rows)


def _flow(text: str) -> str:
    """Take the line breaks out of paragraphs: documents are wrapped by what shows them. Lists keep theirs."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(re.sub(r"\s*\n\s*(?!- )", " ", paragraph) for paragraph in paragraphs)


def main() -> None:
    """Write the document anew."""
    path = ROOT / DOCUMENT
    path.write_text(Reference().renew(path.read_text()))


if __name__ == "__main__":
    main()
