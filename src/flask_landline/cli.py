"""`flask landline …`: publish, follow and list from a shell."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from .cursor import Position, parse_position
from .errors import LandlineError
from .event import Event
from .reading import Reading
from .state import State


@click.group()
def landline() -> None:
    """Publish events, follow channels, list channels."""


@landline.command()
@click.argument("channel")
@click.argument("value", metavar="JSON")
@with_appcontext
def publish(channel: str, value: str) -> None:
    """Publish JSON to CHANNEL and print the event's cursor."""
    state = _state()
    try:
        data = json.loads(value)
    except ValueError as error:
        raise click.ClickException(
            f"{value!r} is not JSON ({error}). Quote it for the shell: '{{\"id\": 7}}'."
        ) from None
    event = _tell(lambda: state.publish(channel, data))
    click.echo(f"{state.log.epoch}-{event.offset}")


@landline.command()
@click.argument("names", metavar="CHANNEL...", nargs=-1, required=True)
@click.option("--from", "position", default="now", metavar="start|now|CURSOR", help="Where to begin; default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as the wire has it, one a line.")
@with_appcontext
def tail(names: tuple[str, ...], position: str, as_json: bool) -> None:
    """Print the events of the CHANNELs as they come, until interrupted."""
    state = _state()
    for name in names:
        _tell(lambda name=name: state.channels.require(name))
    try:
        begin = parse_position(position)
    except ValueError as error:
        raise click.BadParameter(f"{position!r}: {error}.", param_hint="--from") from None
    readings = _follow(state, names, begin)
    while True:
        reading = _tell(lambda: next(readings))
        if reading.reset is not None:
            click.echo(f"reset: {reading.reset.reason} ({', '.join(reading.reset.channels)})", err=True)
        for event in reading.events:
            click.echo(event.encoded if as_json else _line(event))


@landline.command()
@with_appcontext
def channels() -> None:
    """List the channels that were published to: name, newest offset, events kept, oldest offset kept."""
    state = _state()
    rows = [("channel", "newest", "kept", "oldest")]
    rows += [
        (name, str(newest or "-"), str(kept), str(oldest or "-"))
        for name, kept, oldest, newest in _tell(state.log.channels)
    ]
    width = max(len(row[0]) for row in rows)
    for name, *numbers in rows:
        click.echo(name.ljust(width) + "".join(number.rjust(12) for number in numbers))


def _follow(state: State, names: tuple[str, ...], position: Position) -> Iterator[Reading]:
    """Yield what there is to tell, for ever: register, read, wait."""
    hint = threading.Event()
    with state.hub.listening(hint.set):
        while True:
            hint.clear()
            reading = state.hub.read(names, position)
            position = reading.cursor
            if reading.has_news:
                yield reading
            if not reading.more:
                hint.wait()


def _line(event: Event) -> str:
    return f"{event.offset}\t{event.channel}\t{event.payload}"


def _state() -> State:
    state = current_app.extensions.get("landline")
    if not isinstance(state, State):
        raise click.ClickException(f"App {current_app.name!r} has no Landline. Add: live = Landline(app).")
    return state


def _tell(action: Any) -> Any:
    """Run something whose errors are for the person at the shell."""
    try:
        return action()
    except LandlineError as error:
        raise click.ClickException(str(error)) from None
