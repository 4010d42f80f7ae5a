"""Channels: declared by rule like routes, found by name, exactly."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from flask_landline import Landline, UsageError
from hypothesis import given
from hypothesis import strategies as st
from landline.channels.names import MAX_NAME

from tests.apps import App


def declare(*rules: str) -> Landline:
    live = Landline()
    for rule in rules:
        live.channel(rule)
    return live


@pytest.mark.parametrize(
    ("rule", "name", "parts"),
    [
        ("orders", "orders", {}),
        ("Orders", "Orders", {}),
        ("a/b", "a/b", {}),
        ("grüße", "grüße", {}),
        ("a b", "a b", {}),
        ("100%", "100%", {}),
        ("%41", "%41", {}),
        ("a+b", "a+b", {}),
        ("what?", "what?", {}),
        ("#1", "#1", {}),
        ("a|b", "a|b", {}),
        ("room/<int:room_id>", "room/3", {"room_id": 3}),
        ("room/<int:room_id>", "room/0", {"room_id": 0}),
        ("t/<int(signed=True):t>", "t/-3", {"t": -3}),
        ("user/<name>", "user/José María", {"name": "José María"}),
        ("user/<name>", "user/%2F", {"name": "%2F"}),
        ("user/<name>", "user/a?b#c", {"name": "a?b#c"}),
        ("file/<path:path>", "file/a/b/c", {"path": "a/b/c"}),
        ("<a>/<b>", "x/y", {"a": "x", "b": "y"}),
        ("x/<any(red, green):colour>", "x/red", {"colour": "red"}),
        ("u/<uuid:id>", f"u/{uuid.UUID(int=7)}", {"id": uuid.UUID(int=7)}),
        ("f/<float:x>", "f/1.5", {"x": 1.5}),
    ],
)
def test_name_is_found_and_built_again(rule: str, name: str, parts: dict[str, object]) -> None:
    live = declare(rule)
    resolved = live.channels.resolve(name)
    assert resolved is not None
    assert (resolved.name, resolved.channel.rule, dict(resolved.parts)) == (name, rule, parts)
    assert live.channels.build(resolved.channel, parts) == name


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("orders", "Orders"),
        ("orders", "orders/"),
        ("orders", "/orders"),
        ("orders", "order"),
        ("orders", "ordersx"),
        ("orders", ""),
        ("orders", " orders"),
        ("orders", "orders\n"),
        ("orders", "orders\x00"),
        ("orders", "orders?"),
        ("a/b", "a//b"),
        ("a/b", "a/./b"),
        ("a/b", "a/x/../b"),
        ("a/b", "a%2Fb"),
        ("room/<int:room_id>", "room/"),
        ("room/<int:room_id>", "room/007"),
        ("room/<int:room_id>", "room/-1"),
        ("room/<int:room_id>", "room/+1"),
        ("room/<int:room_id>", "room/1.0"),
        ("room/<int:room_id>", "room/٣"),
        ("room/<int:room_id>", "room/1/2"),
        ("f/<float:x>", "f/1.50"),
        ("u/<uuid:id>", f"u/{str(uuid.UUID(int=0xABC)).upper()}"),
        ("<name>", "landline"),
        ("<name>", "a\rb"),
        ("<name>", "a\u2028b"),
        ("<name>", "\ud800"),
        ("<name>", "x" * (MAX_NAME + 1)),
        ("<name>", "a/b"),
        ("file/<path:path>", "file//a"),
        ("file/<path:path>", "file/"),
    ],
    ids=ascii,
)
def test_other_name_is_not_found(rule: str, name: str) -> None:
    """A name belongs to a rule only if the rule builds that very name: one channel has one name."""
    assert declare(rule).channels.resolve(name) is None


def test_longest_name_is_found() -> None:
    assert declare("<name>").channels.resolve("x" * MAX_NAME) is not None


def test_fixed_rule_wins_over_a_variable_one() -> None:
    live = declare("<name>", "orders")
    resolved = live.channels.resolve("orders")
    assert resolved is not None
    assert resolved.channel.rule == "orders"


@given(st.text(min_size=1, max_size=30))
def test_found_name_is_the_one_asked_for(name: str) -> None:
    live = declare("<a>", "p/<path:p>", "i/<int:i>")
    resolved = live.channels.resolve(name)
    if resolved is not None:
        assert resolved.name == name
        assert live.channels.build(resolved.channel, resolved.parts) == name
        assert name.isprintable()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "no slash at its ends"),
        ("/orders", "no slash at its ends"),
        ("orders/", "no slash at its ends"),
        (7, "a rule is a name like"),
        (None, "a rule is a name like"),
        ("landline", "the wire's own"),
        ("room/<int:>", "Werkzeug"),
        ("room/<int:x", "Werkzeug"),
        ("room/<colour:x>", "Werkzeug"),
        ("<a>/<a>", "Werkzeug"),
        ("a\nb", "printable"),
        ("x" * (MAX_NAME + 1), "up to 200 characters"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_rule_that_cannot_be_used_is_refused_with_the_rule(rule: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        declare(rule)
    assert words in str(caught.value)
    assert repr(rule) in str(caught.value)


def test_rule_is_declared_once() -> None:
    live = declare("orders")
    with pytest.raises(UsageError, match=r"'orders'.* is declared already"):
        live.channel("orders")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("room/<int:a>", "room/<int:b>"),
        ("room/<a>", "room/<string:b>"),
        ("room/<a>", "room/<default:b>"),
        ("room/<int:a>", "room/<int(min=3):a>"),
        ("room/<int(min=3, max=5):a>", "room/<int(max=7):b>"),
        ("<a>/<b>", "<b>/<a>"),
        ("x<a>y/z", "x<b>y/z"),
        ("files/<path:a>", "files/<path:b>"),
        ("<any(x, y):a>", "<any(y,x):b>"),
    ],
)
def test_rule_with_other_names_for_its_parts_is_the_same_rule(first: str, second: str) -> None:
    """It would never be found: a reader function that closes it would never be asked."""
    live = declare(first)
    found = live.channels.resolve("room/3")
    with pytest.raises(UsageError, match="matches the same names") as caught:
        live.channel(second)
    assert repr(first) in str(caught.value)
    assert repr(second) in str(caught.value)
    assert [channel.rule for channel in live.channels] == [first]
    assert live.channels.resolve("room/3") == found


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("room/<a>", "room/<int:b>", "room/3"),
        ("room/<string(length=2):a>", "room/<b>", "room/abc"),
        ("room/<int:a>", "room/<int(signed=True):b>", "room/-3"),
        ("room/<a>", "room/<a>/x", "room/1/x"),
        ("room/<a>", "rooms/<a>", "rooms/1"),
        ("room/<path:a>", "room/<b>", "room/b"),
    ],
)
def test_rule_that_matches_otherwise_is_another_rule(first: str, second: str, name: str) -> None:
    """Which of two is found is Werkzeug's to say; both are found by something."""
    live = declare(first)
    live.channel(second)
    resolved = live.channels.resolve(name)
    assert resolved is not None
    assert resolved.channel.rule == second


@pytest.mark.parametrize("part", ["data", "self", "name", "channel", "environ", "rule", "values", "method"])
def test_part_may_have_any_name_that_is_no_keyword_of_ours(part: str, app: App) -> None:
    room = app.live.channel(f"room/<{part}>")
    room.publish("hello", **{part: "7"})
    calls: list[dict[str, str]] = []

    @room.snapshot
    def runtime(**parts: str) -> dict[str, str]:
        calls.append(parts)
        return parts

    @room.reader
    def may_read(**parts: str) -> bool:
        calls.append(parts)
        return True

    app.flask.secret_key = "key"
    assert app.poll("room/7", cursor="now").json["data"][0]["data"] == {part: "7"}
    assert app.poll("room/7", cursor="start").json["data"][-1]["data"] == "hello"
    room.revoke(**{part: "7"})
    assert calls == [{part: "7"}] * 3


def test_async_function_may_have_a_part_named_self(app: App) -> None:
    room = app.live.channel("room/<self>")
    app.flask.secret_key = "key"

    class Sync:
        """What asgiref makes of an async function: it has a `self` of its own."""

        def __init__(self, function: Callable[..., Any]) -> None:
            self.function = function

        def __call__(self, *arguments: Any, **more: Any) -> Any:
            return asyncio.run(self.function(*arguments, **more))

    app.flask.async_to_sync = Sync  # type: ignore[method-assign, assignment]

    @room.reader
    async def may_read(**parts: str) -> bool:
        return parts == {"self": "7"}

    @room.snapshot
    async def runtime(**parts: str) -> dict[str, str]:
        return parts

    assert app.poll("room/7", cursor="now").json["data"][0]["data"] == {"self": "7"}
    assert app.poll("room/8").status == 403


@pytest.mark.parametrize("part", ["key", "within", "after", "limit", "cursor", "total", "every"])
def test_part_named_like_a_keyword_is_refused_with_the_list(part: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be named {part!r}.* after, cursor, every, key, limit, total, within"):
        declare(f"room/<int:{part}>")


def test_refused_rule_leaves_nothing_behind() -> None:
    live = declare("orders")
    for rule in ("room/<colour:x>", "a\nb", "room/<key>"):
        with pytest.raises(UsageError):
            live.channel(rule)
    assert [channel.rule for channel in live.channels] == ["orders"]
    assert live.channels.resolve("orders") is not None
    live.channel("room/<int:x>")


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, "10", float("inf")])
def test_wrong_keep_is_refused(keep: object) -> None:
    with pytest.raises(UsageError, match=r"^channel\(keep="):
        Landline().channel("orders", keep=keep)  # type: ignore[arg-type]


@pytest.mark.parametrize("keep_for", [0, -1.0, float("inf"), float("nan"), True, "1h"])
def test_wrong_keep_for_is_refused(keep_for: object) -> None:
    with pytest.raises(UsageError, match=r"^channel\(keep_for="):
        Landline().channel("orders", keep_for=keep_for)  # type: ignore[arg-type]


def test_limits_may_be_switched_off() -> None:
    channel = Landline().channel("orders", keep=None, keep_for=None)
    assert channel.retention == (None, None)


@pytest.mark.parametrize("every", [0, -1.0, float("inf"), float("nan"), True, "2s", None])
def test_wrong_every_is_refused(every: object) -> None:
    with pytest.raises(UsageError, match=r"^source\(every="):
        Landline().channel("orders").source(every)  # type: ignore[arg-type]


def test_decorators_return_the_function() -> None:
    channel = Landline().channel("orders")

    def function() -> None:
        """Do nothing."""

    assert channel.snapshot(function) is function
    assert channel.source(every=1.0)(function) is function
    assert channel.source_function is not None
    assert (channel.snapshot_function, channel.source_function.function) == (function, function)


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        ("room/<int:room_id>", {}),
        ("room/<int:room_id>", {"room_id": "x"}),
        ("room/<int:room_id>", {"room_id": -1}),
        ("room/<int:room_id>", {"room_id": 1.5}),
        ("room/<int:room_id>", {"room_id": None}),
        ("room/<int:room_id>", {"room_id": 3, "other": 1}),
        ("room/<int:room_id>", {"room": 3}),
        ("orders", {"id": 1}),
        ("user/<name>", {"name": ""}),
        ("user/<name>", {"name": "a/b"}),
        ("user/<name>", {"name": "a\nb"}),
        ("user/<name>", {"name": "x" * MAX_NAME}),
        ("x/<any(red, green):colour>", {"colour": "blue"}),
    ],
    ids=ascii,
)
def test_parts_that_do_not_fit_are_refused_with_the_rule(rule: str, parts: dict[str, object]) -> None:
    live = declare(rule)
    (channel,) = live.channels
    with pytest.raises(UsageError) as caught:
        live.channels.build(channel, parts)
    assert f"Channel {rule!r} cannot be named" in str(caught.value)


def test_undeclared_name_is_refused_with_the_nearest() -> None:
    live = declare("orders", "weather", "room/<int:room_id>")
    with pytest.raises(UsageError, match=r"No channel 'order' is declared\. Did you mean 'orders'\?"):
        live.channels.require("order")
    with pytest.raises(UsageError, match=r"No channel 'xyzzy' is declared\. Declare it with live\.channel"):
        live.channels.require("xyzzy")
    with pytest.raises(UsageError, match="No channel 7 is declared"):
        live.channels.require(7)  # type: ignore[arg-type]


def test_channel_declared_later_is_found_though_its_name_was_asked_for_before() -> None:
    live = declare("orders")
    assert live.channels.resolve("weather") is None
    live.channel("weather")
    assert live.channels.resolve("weather") is not None
