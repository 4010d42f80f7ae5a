"""Rules and names: channels are declared by rule, like routes, and found by name.

A rule is a Werkzeug routing rule without its leading slash, so `room/<int:room_id>` knows the converters
that a Flask route knows. A name belongs to a rule only if the rule builds that very name again: `room/7` is a
channel and `room/007` is not. This is the engine's one file that uses Werkzeug.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from werkzeug.exceptions import HTTPException
from werkzeug.routing import AnyConverter, BaseConverter, BuildError, Map, Rule
from werkzeug.routing.rules import parse_converter_args

from ..errors import UsageError
from .channel import Channel, Resolved

MAX_NAME = 200
"""Characters in a channel's name: a hundred of them still fit into the URLs that servers take."""
RESERVED = "landline"
"""The wire's own event name in SSE (WIRE §5), and the channel of revocations, which nobody can ask for."""
RESERVED_PARTS = frozenset({"key", "within", "after", "limit", "cursor", "total", "every"})
"""Names that a rule's parts cannot have: keywords that stand, or will stand, beside the parts in calls."""
_PART = re.compile(r"<(?:(?P<converter>[a-zA-Z_]\w*)(?:\((?P<arguments>.*?)\))?:)?(?P<name>[a-zA-Z_]\w*)>", re.ASCII)
"""A variable part, as Werkzeug's routing reads rules."""
_RESOLVED = 4096
"""Resolved names remembered: polls ask for the same few again and again."""


class Channels:
    """The channels an app has declared."""

    def __init__(self) -> None:
        self._map = Map(merge_slashes=False, strict_slashes=False, redirect_defaults=False)
        self._urls = self._map.bind("")
        self._declared: dict[str, Channel] = {}
        self._shapes: dict[tuple[object, ...], str] = {}
        """What each rule matches by, and the rule."""
        self.serving: set[object] = set()
        """A token for each open app that has had its first request; while there is one, nothing here may change."""
        self.guarded = False
        """Whether one of them has a reader function."""
        self.guards = 0
        """Reader functions given so far: a change here is a change of what is guarded."""
        self.resolve = functools.lru_cache(_RESOLVED)(self._resolve)

    def __iter__(self) -> Any:
        return iter(self._declared.values())

    def __len__(self) -> int:
        return len(self._declared)

    def require_setup(self, what: str) -> None:
        """Refuse a change once requests are served, as Flask refuses a late route.

        Only this process would know of it: whether a poll finds a channel, or a reader function, would depend on which
        process it comes to.

        Args:
            what: the call that would change something, for the message.

        Raises:
            UsageError: an open app has had its first request.
        """
        if self.serving:
            raise UsageError(
                f"{what} comes too late: the app has had its first request, and its other processes would not know. "
                "Declare channels with their functions where the module is loaded, or in the app factory; what is made "
                "at run time is a part of a rule: live.channel('job/<job_id>'), then publish(data, job_id=7)."
            )

    def declare(self, channel: Channel) -> None:
        """Add a channel.

        Raises:
            UsageError: the rule is malformed or reserved, one of its parts has a name that is, or it is declared
                already, be it with other names for its parts; or it comes too late.
        """
        rule = channel.rule
        self.require_setup(f"channel({rule!r})")
        if not isinstance(rule, str) or not rule or rule.startswith("/") or rule.endswith("/"):
            raise UsageError(
                f"channel({rule!r}): a rule is a name like 'orders' or 'room/<int:room_id>', no slash at its ends."
            )
        if rule == RESERVED:
            raise UsageError(f"channel({rule!r}): that name is the wire's own. Choose another.")
        if not rule.isprintable() or (len(rule) > MAX_NAME and "<" not in rule):
            raise UsageError(f"channel({rule!r}): a name has up to {MAX_NAME} characters, all of them printable.")
        if rule in self._declared:
            raise UsageError(f"channel({rule!r}) is declared already. Keep what the first call returned and use that.")
        shape = _shape(rule, self._map.converters)
        other = self._shapes.get(shape)
        # See SECURITY.md: same-rule-is-refused
        if other is not None:
            raise UsageError(
                f"channel({rule!r}) matches the same names as {other!r}, which is declared already, so it would never "
                "be found, nor would its reader function be asked. Keep what the first call returned and use that."
            )
        self._map.add(Rule("/" + rule, endpoint=channel))
        self._map.update()
        self._shapes[shape] = rule
        self._declared[rule] = channel
        self.resolve.cache_clear()

    def build(self, channel: Channel, parts: Mapping[str, Any]) -> str:
        """Return the name that a channel has with these parts.

        Raises:
            UsageError: a part is missing, unknown, or not of its converter's kind.
        """
        try:
            name = unquote(self._urls.build(channel, dict(parts), append_unknown=False))[1:]
        except (BuildError, ValueError, TypeError):
            name = ""
        resolved = self.resolve(name)
        if resolved is None or resolved.channel is not channel or not _fits(parts, resolved.parts):
            given = ", ".join(f"{key}={value!r}" for key, value in parts.items()) or "no parts"
            raise UsageError(
                f"Channel {channel.rule!r} cannot be named with {given}. Give exactly its parts, of their kinds."
            )
        return name

    def require(self, name: str) -> Resolved:
        """Return a declared channel.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        resolved = self.resolve(name) if isinstance(name, str) else None
        if resolved is None:
            near = difflib.get_close_matches(str(name), self._declared, 1, 0.5)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"No channel {name!r} is declared. {hint}Declare it with live.channel({name!r}).")
        return resolved

    def _resolve(self, name: str) -> Resolved | None:
        """Find the channel of a name, None if no rule builds exactly this name."""
        # isprintable: a line break in a name could end a line of a log or of an event stream.
        # See SECURITY.md: names-are-printable, names-are-not-the-wires-own
        if not name or len(name) > MAX_NAME or name == RESERVED or not name.isprintable():
            return None
        try:
            channel, parts = self._urls.match("/" + name)
            built = unquote(self._urls.build(channel, parts))
        except (HTTPException, BuildError, ValueError):
            return None
        return Resolved(name, channel, parts) if built == "/" + name else None


def form(rule: str) -> str:
    """Return a rule without the names and converters of its parts: `room/<>` for `room/<int:room_id>`."""
    return _PART.sub("<>", rule)


def _shape(rule: str, converters: Mapping[str, type[BaseConverter]]) -> tuple[object, ...]:
    """Return what Werkzeug's routing matches by: two rules that are equal in it match the same, and the first is found.

    A converter counts by its pattern and its weight. What it checks beyond, such as `min` of `int`, comes after a rule
    was found, and does not lead to another one.

    Raises:
        UsageError: the rule is malformed, or a part's name is reserved.
    """
    trial = Rule("/" + rule, endpoint="")
    try:
        Map([trial], converters=converters)
        shape: list[object] = []
        end = 0
        for part in _PART.finditer(rule):
            arguments, options = parse_converter_args(part["arguments"] or "")
            converter = trial.get_converter(part["name"], part["converter"] or "default", arguments, options)
            pattern = tuple(sorted(converter.items)) if isinstance(converter, AnyConverter) else converter.regex
            shape += [rule[end : part.start()], (pattern, converter.weight, converter.part_isolating)]
            end = part.end()
    except (ValueError, LookupError, SyntaxError) as error:  # SyntaxError: the same part twice
        raise UsageError(f"channel({rule!r}): not a rule that Werkzeug's routing understands: {error}.") from error
    reserved = sorted(trial.arguments & RESERVED_PARTS)
    if reserved:
        raise UsageError(
            f"channel({rule!r}): a part cannot be named {reserved[0]!r}, which stands for something else where a "
            f"channel is published to or read. Choose another name than {', '.join(sorted(RESERVED_PARTS))}."
        )
    return (*shape, rule[end:])


def _fits(given: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a name's parts are those it was built from: `int` makes 1 of 1.5 without a word."""
    if given.keys() != found.keys():
        return False
    numbers = (int, float)
    both = ((given[key], found[key]) for key in given)
    return all(one == other for one, other in both if isinstance(one, numbers) and isinstance(other, numbers))
