"""`flask landline …`: publish, follow, list and revoke from a shell."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import click
from flask import current_app
from flask.cli import ScriptInfo, with_appcontext
from landline.channels.channel import Resolved
from landline.channels.names import RESERVED
from landline.client.remote import Delivered, Remote
from landline.cursor import Position, parse_position
from landline.errors import LandlineError
from landline.protocol.request import shown
from landline.reading import Reading
from landline.serve.runtime import Runtime
from landline.serve.subscription import Pause, Send, Services, Terms, progress
from landline.serve.waiting import drive


@click.group()
def landline() -> None:
    """Publish events, follow channels, list channels, revoke what was granted."""


@landline.command()
@click.argument("channel")
@click.argument("value", metavar="JSON")
@with_appcontext
def publish(channel: str, value: str) -> None:
    """Publish JSON to CHANNEL and print the event's cursor."""
    runtime = _runtime()
    try:
        data = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise click.ClickException(
            f"{shown(value)} is not JSON ({error}). Quote it for the shell, text twice: '{{\"id\": 7}}', '\"hello\"'."
        ) from None
    event = _explained(lambda: runtime.publish(channel, data))
    click.echo(event.cursor)


@landline.command()
@click.argument("names", metavar="CHANNEL...|URL", nargs=-1, required=True)
@click.option("--from", "position", default="now", metavar="start|now|CURSOR", help="Where to begin; default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a JSON object, one a line.")
@click.pass_context
def tail(context: click.Context, names: tuple[str, ...], position: str, as_json: bool) -> None:
    """Print events as they come, until interrupted.

    Of the CHANNELs of this app, from its log; or of a server elsewhere: http://host/landline?channel=orders
    """
    try:
        begin = parse_position(position)
    except ValueError as error:
        raise click.BadParameter(f"{position!r}: {error}.", param_hint="--from") from None
    if "://" in names[0]:
        if len(names) > 1:
            raise click.UsageError("Give one URL; it may name several channels: '?channel=a&channel=b'.")
        _print(
            _explained(
                lambda: iter(Remote(names[0], position, report=lambda text: click.echo(printable(text), err=True)))
            ),
            as_json,
        )
    else:
        with context.ensure_object(ScriptInfo).load_app().app_context():
            runtime = _runtime()
            for name in names:
                _explained(lambda name=name: runtime.channels.require(name))
            _print(_follow(runtime, tuple(dict.fromkeys(names)), begin), as_json)


@landline.command()
@with_appcontext
def channels() -> None:
    """List the channels that were published to: name, newest offset, events kept, oldest offset kept."""
    runtime = _runtime()
    rows = [("channel", "newest", "kept", "oldest")]
    rows += [
        (name, str(newest or "-"), str(kept), str(oldest or "-"))
        for name, kept, oldest, newest in _explained(runtime.log.channels)
        if name != RESERVED  # revocations, and what apps say of themselves
    ]
    width = max(len(row[0]) for row in rows)
    for name, *numbers in rows:
        click.echo(printable(name).ljust(width) + "".join(number.rjust(12) for number in numbers))


@landline.command()
@click.argument("identity", required=False)
@click.option("--channel", metavar="NAME", help="Of all readers of this channel, instead of one reader.")
@with_appcontext
def revoke(identity: str | None, channel: str | None) -> None:
    """Void what was granted to the reader IDENTITY: held connections end, and the app decides anew."""
    _explained(lambda: _runtime().revoke(identity, channel))


def printable(text: str) -> str:
    """Return text that a terminal only shows and does not obey: a server elsewhere may send control sequences.

    Control characters, those that turn the direction of writing, and others that cannot be seen are written as JSON
    does it, so that a payload stays the same JSON.
    """
    if text.isprintable():
        return text
    # See SECURITY.md: tail-shows-and-obeys-nothing
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)


class _Tail(NamedTuple):
    """What `landline tail` follows: channels as the log has them, also those that have a reader function."""

    names: tuple[str, ...]
    items: tuple[Resolved, ...] = ()
    site: str = ""
    ends: bool = False


def _follow(runtime: Runtime, names: tuple[str, ...], position: Position) -> Iterator[Delivered]:
    """Yield what the channels bring, for ever.

    Raises:
        LogError: the log cannot be read.
    """
    hint = threading.Event()
    services = Services(runtime.hub.read, lambda *_: (), lambda _: math.inf)

    def wait(_until: float) -> None:
        hint.wait()
        hint.clear()

    with runtime.hub.listening(hint.set):
        steps = progress(_Tail(names), services, Terms(sources=False), position)
        for step in drive(steps, check=lambda _: True, wait=wait):
            if isinstance(step, Pause):
                raise step.error
            if isinstance(step, Send):
                yield from _shown(step.reading)


def _shown(reading: Reading) -> Iterator[Delivered]:
    if reading.reset is not None:
        yield Delivered("", json.dumps(reading.reset._asdict()), str(reading.cursor), reset=True)
    for event in reading.events:
        yield Delivered(event.channel, event.payload, event.cursor)


def _print(items: Iterator[Delivered], as_json: bool) -> None:
    while True:
        item = _explained(lambda: next(items))
        if as_json:
            payload = json.loads(item.payload)
            shape = {"reset": payload} if item.reset else {"channel": item.channel, "data": payload}
            click.echo(json.dumps(shape | {"cursor": item.cursor}))
        elif item.reset:
            click.echo(f"reset: {printable(item.payload)}", err=True)
        else:
            click.echo("\t".join(map(printable, (item.cursor, item.channel, item.payload))))


def _runtime() -> Runtime:
    runtime = current_app.extensions.get("landline")
    if not isinstance(runtime, Runtime):
        raise click.ClickException(f"App {current_app.name!r} has no Landline. Add: live = Landline(app).")
    return runtime


def _explained(action: Any) -> Any:
    """Run an action, and turn its errors into messages for the person at the shell."""
    try:
        return action()
    except LandlineError as error:
        # See SECURITY.md: errors-show-and-obey-nothing
        raise click.ClickException(printable(str(error))) from None
