"""What stands for a reader while keys are changed and clocks are wrong: marks, rotation, grants from the future."""

import hashlib
import hmac
import itertools
from collections.abc import Callable

import pytest
from flask_landline import UsageError
from flask_landline.flask_app import FlaskApp
from landline.access import keys
from landline.access.authorizer import Authorizer
from landline.access.grants import Grant
from landline.app import Consent
from landline.cursor import Cursor
from landline.protocol.request import Request
from landline.testing import Clock
from landline.times import Times

from tests.rooms import AGE, BOB, Rooms


def guesses() -> list[str]:
    """Return what a dictionary makes of a reader's id without the app's key: hashes, cut or not, of what is known."""
    texts = [f"{prefix}ann" for prefix in ("", *(f"{name}:" for name in ("flask-landline.grant.1", keys._MARK)))]
    found = []
    for name, text in itertools.product(("md5", "sha1", "sha256", "sha512", "blake2b"), texts):
        found += [hashlib.new(name, text.encode()).hexdigest(), hmac.new(b"", text.encode(), name).hexdigest()]
    return [guess[:20] for guess in found]


def test_what_stands_for_a_reader_is_found_by_no_dictionary(make_rooms: Callable[..., Rooms]) -> None:
    """Neither in a token nor in the log: without the key nothing says whose it is."""
    rooms, other = make_rooms("key"), make_rooms("another key")
    told = []
    for each in (rooms, other):
        token = each.grant()
        each.app.live.revoke("ann")
        payload = str(each.authorizer.keys.signer().load_payload(token.rpartition(".")[0].encode()))
        (event,) = each.app.runtime.log.read(0, 10)
        told.append((payload, event.payload))
        assert not any(guess in text or "ann" in text for guess in guesses() for text in (payload, event.payload))
        assert each.authorizer.keys.marks("ann")[0] in payload
        assert each.authorizer.keys.marks("ann")[0] in event.payload
    assert set(rooms.authorizer.keys.marks("ann")).isdisjoint(other.authorizer.keys.marks("ann"))


# Clocks.


def test_grant_from_a_clock_that_was_ahead_has_ended(rooms: Rooms, clock: Clock) -> None:
    """The clock is set right: nobody knows any more how long ago it was given."""
    clock.advance(3600.0)
    grant = rooms.grant()
    assert rooms.is_good(grant)
    clock.advance(-3600.0)
    assert not rooms.is_good(grant)
    clock.advance(50 * 60.0)
    assert not rooms.is_good(grant)


def test_clock_that_was_ahead_by_little_harms_nobody(rooms: Rooms, clock: Clock) -> None:
    rooms.draw = 0.5
    grant = rooms.grant()
    clock.advance(-0.04 * AGE)
    assert rooms.is_good(grant)


def test_answer_remembered_for_a_grant_ends_when_the_clock_is_set_right(rooms: Rooms, clock: Clock) -> None:
    clock.advance(3600.0)
    grant, cursor = rooms.grant(), rooms.app.live.cursor()
    for _ in range(3):
        rooms.poll(cursor=cursor, grant=grant)
    assert rooms.asked == []
    clock.advance(-3600.0)
    rooms.poll(cursor=cursor, grant=grant)
    assert rooms.asked == [1]


def test_line_that_a_grant_opened_is_never_held_for_longer_than_a_grant_lives(rooms: Rooms, clock: Clock) -> None:
    grant = Grant(("room/1",), (), clock() + 12 * AGE, Cursor(rooms.app.runtime.log.epoch, 0), "")
    assert rooms.authorizer.seconds_left(grant) == AGE


class Ann(FlaskApp):
    """An app that takes every reader for Ann."""

    def authorize(self, request: Request, channels: object) -> Consent:
        return Consent("ann")


def test_revocation_is_not_forgotten_while_a_clock_is_ahead(rooms: Rooms, clock: Clock) -> None:
    """Else what it voids is good again when the clock is set right."""
    runtime = rooms.app.runtime
    authorizer = Authorizer(
        Ann(rooms.app.flask),
        runtime.hub,
        runtime.config,
        forwarded=runtime.forwarded,
        times=Times(wall=clock, random=lambda: 0.0),
    )
    request, items = Request("GET", "/landline/poll", "", {}, "127.0.0.1"), [runtime.channels.require("room/1")]
    grant = authorizer.ask(request, items).grant
    assert grant is not None
    assert authorizer.check(request, items, grant.token) is not None
    rooms.app.live.revoke("ann")
    for ahead in (3600.0, -3600.0):
        assert authorizer.check(request, items, grant.token) is None
        clock.advance(ahead)
        rooms.app.live.publish("news", 1)  # so that revocations are looked at, and old ones forgotten
        authorizer.revocations.cover(grant)
    assert authorizer.check(request, items, grant.token) is None


def test_grant_from_before_trimmed_revocations_is_none(make_rooms: Callable[..., Rooms], clock: Clock) -> None:
    """A clock that was ahead had them trimmed, and a process that begins later cannot know what they were."""
    rooms = make_rooms(log="sqlite:")
    grant = rooms.grant()
    rooms.app.live.revoke("ann")
    clock.advance(3600.0)
    assert rooms.app.runtime.log.trim() == 1
    clock.advance(-3600.0)
    later = make_rooms(log="sqlite:")
    assert not later.is_good(grant)
    assert later.is_good(later.grant())


# Keys that are changed.


@pytest.mark.parametrize("here", ["old", "between"])
@pytest.mark.parametrize("given_by", ["old", "between"])
def test_reader_is_revoked_by_each_key_while_it_is_changed(
    given_by: str, here: str, make_rooms: Callable[..., Rooms]
) -> None:
    """Processes are restarted one after the other: grants and revocations are made by the old key and by the new."""
    processes = {
        "old": make_rooms("old", log="sqlite:"),
        "between": make_rooms("new", ["older", "old"], log="sqlite:"),
    }
    grant = processes[given_by].grant()
    bob = processes[given_by].grant(**BOB)
    assert processes[given_by].is_good(grant)
    processes[here].app.live.revoke("ann")
    for process in processes.values():
        process.app.runtime.hub.invalidate()
    assert not processes[given_by].is_good(grant)
    assert not processes["between"].is_good(grant)
    assert processes[given_by].is_good(bob, **BOB)


def test_revoking_needs_a_key(make_rooms: Callable[..., Rooms]) -> None:
    rooms = make_rooms(key=None)
    with pytest.raises(UsageError, match=r"SECRET_KEY.*secrets\.token_hex"):
        rooms.app.live.revoke("ann")
    assert rooms.app.runtime.log.tail().offset == 0
