"""Grants and revocations: what opens a channel that has a reader, for whom, and for how long (WIRE §9)."""

import gc
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from flask_landline import LogError, UsageError
from landline.access import grants as access
from landline.access.grants import Grant
from landline.cursor import Cursor
from landline.testing import Clock, in_child

from tests.apps import App
from tests.rooms import AGE, BOB, Rooms


def once(action: Callable[[], object]) -> Callable[[], object]:
    """Return a function that does something the first time it is called."""
    left = [action]
    return lambda: left.pop()() if left else None


# What a grant opens.


def test_grant_spares_the_app_the_question(rooms: Rooms) -> None:
    first = rooms.poll()
    assert rooms.asked == [1]
    assert set(first.json["grant"]) == {"token", "expires"}
    rooms.asked.clear()
    assert rooms.is_good(first.json["grant"]["token"])


def test_reader_without_a_grant_is_asked_about_each_time(rooms: Rooms) -> None:
    for _ in range(3):
        assert rooms.poll().status == 200
    assert rooms.asked == [1, 1, 1]


def test_public_channels_need_no_grant_and_no_key(make_rooms: Callable[..., Rooms]) -> None:
    rooms = make_rooms()
    answer = rooms.poll("news")
    assert (answer.status, "grant" in answer.json, rooms.asked) == (200, False, [])


@pytest.mark.parametrize(
    ("channels", "more"),
    [
        (["room/2"], {}),
        (["room/1", "room/2"], {}),
        (["room/1"], {"cookie": "who=ann; rooms=1"}),
        (["room/1"], BOB),
        (["room/1"], {"cookie": ""}),
        (["room/1"], {"authorization": "Bearer t"}),
    ],
    ids=["another channel", "one more channel", "another session", "another reader", "no cookie", "another header"],
)
def test_grant_opens_nothing_else_and_nobody_else(channels: list[str], more: dict[str, str], rooms: Rooms) -> None:
    grant = rooms.grant("room/1")
    assert rooms.is_good(grant, "room/1")  # remembered now, and that opens nothing either
    assert not rooms.is_good(grant, *channels, **more)


def test_grant_does_not_help_who_may_not_read(rooms: Rooms) -> None:
    answer = rooms.poll("room/2", grant=rooms.grant("room/1"), **BOB)
    assert (answer.status, answer.json["channels"]) == (403, ["room/2"])


def test_grant_is_for_a_set_of_channels_and_public_ones_do_not_count(rooms: Rooms) -> None:
    grant = rooms.grant("room/1", "room/2")
    assert rooms.is_good(grant, "room/2", "room/1")
    assert rooms.is_good(grant, "room/2", "news", "room/1")
    assert not rooms.is_good(grant, "room/2")


def test_header_that_names_the_reader_may_be_another_one(make_rooms: Callable[..., Rooms]) -> None:
    """An authenticating proxy's, for example: nobody else's request has it."""
    rooms = make_rooms(credentials=("Cookie", "X-Forwarded-User"))
    grant = rooms.grant(x_forwarded_user="ann")
    assert rooms.is_good(grant, x_forwarded_user="ann")
    assert not rooms.is_good(grant, x_forwarded_user="bob")
    assert not rooms.is_good(grant)


def test_name_of_the_header_is_signed_with_its_value(make_rooms: Callable[..., Rooms]) -> None:
    """Where another header is configured, its value may be anybody's to write."""
    given = make_rooms(credentials=("Cookie", "X-Forwarded-User"), log="sqlite:")
    grant = given.grant(x_forwarded_user="ann")
    assert given.is_good(grant, x_forwarded_user="ann")
    other = make_rooms(credentials=("Cookie", "X-Real-User"), log="sqlite:")
    assert not other.is_good(grant, x_real_user="ann")


@pytest.mark.parametrize("change", ["", "{}x", "x{}", "{:.30}", "x.y", "é.", "{}.", "\n{}"])
def test_what_is_no_grant_counts_as_none(change: str, rooms: Rooms) -> None:
    assert not rooms.is_good(change.format(rooms.grant()))


def test_what_is_signed_for_another_purpose_is_no_grant(rooms: Rooms, clock: Clock) -> None:
    """Flask signs its sessions with the same key."""
    signer = rooms.authorizer.keys.signer()
    payload = [(), clock() + AGE, *rooms.app.runtime.hub.tail()]
    assert not rooms.is_good(str(signer.dumps(payload)))
    assert not rooms.is_good(str(signer.dumps(payload, salt="cookie-session")))


def test_grants_are_remembered_by_the_thousand(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who logs in again and again gets as many as he likes."""
    monkeypatch.setattr(access, "_KNOWN", 10)
    for number in range(50):
        cookie = f"rooms=1; session={number}"
        assert rooms.is_good(rooms.grant(cookie=cookie), cookie=cookie)
        assert len(rooms.authorizer.grants._known) <= 10


def test_remembered_grant_takes_little_however_long_names_and_cookies_are(rooms: Rooms) -> None:
    """A hundred names and a browser's cookies are 30 KiB; what is kept of them is a hash."""
    grants, cursor = rooms.authorizer.grants, rooms.app.runtime.hub.tail()
    names = tuple(f"{number:03}" + "n" * 197 for number in range(100))
    many = 100

    def come(number: int) -> None:
        credentials = ("h", f"{number:05}" + "c" * 8000)
        token = grants.sign(names, credentials, ("m" * 20,), cursor, fresh=True).token
        # Texts of its own, as each request has.
        own = tuple(name[:3] + "n" * 197 for name in names)
        assert grants.read(token, own, credentials) is not None

    come(-1)
    tracemalloc.start()
    try:
        for number in range(many):
            come(number)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(grants._known) == many + 1
    assert kept / many < 2048


def test_token_names_nobody(rooms: Rooms) -> None:
    """It stands in URLs: neither the reader's id nor a cookie is to be read in it."""
    token = rooms.grant()
    payload = str(rooms.authorizer.keys.signer().load_payload(token.rpartition(".")[0].encode()))
    assert "ann" not in payload
    assert rooms.authorizer.keys.marks("ann")[0] in payload
    assert len(token) < 150


# For how long.


def test_grant_is_renewed_in_its_last_quarter(rooms: Rooms, clock: Clock) -> None:
    """So whoever goes on asking has the next one before the first has ended."""
    begin = clock()
    answer = rooms.poll()
    grant = answer.json["grant"]
    assert grant["expires"] == begin + AGE
    clock.advance(0.74 * AGE)
    assert rooms.is_good(grant["token"])
    clock.advance(0.02 * AGE)
    renewed = rooms.poll(cursor=answer.cursor, grant=grant["token"])
    assert renewed.json["grant"]["expires"] == begin + 0.76 * AGE + AGE
    assert rooms.is_good(renewed.json["grant"]["token"])


def test_grants_end_a_little_early_and_not_together(rooms: Rooms, clock: Clock) -> None:
    rooms.draw = 1.0
    assert rooms.poll().json["grant"]["expires"] == clock() + 0.9 * AGE


# Keys.


def test_no_key_is_an_error_at_the_first_request_that_says_how_to_make_one(make_rooms: Callable[..., Rooms]) -> None:
    """Also at one for a page: in development that is what is looked at first."""
    rooms = make_rooms(key=None)
    for path in ("/", "/landline/poll"):
        with pytest.raises(UsageError, match=r"SECRET_KEY.*secrets\.token_hex"):
            rooms.app.ask("channel=news", path=path)
    rooms.app.flask.secret_key = "now there is one"
    assert rooms.poll().status == 200


def test_app_without_readers_needs_no_key(app: App) -> None:
    app.live.channel("news")
    assert app.poll("news").status == 200


def test_key_may_be_changed(make_rooms: Callable[..., Rooms]) -> None:
    """Old grants are good for as long as the old key is among the fallbacks; new ones are signed with the new."""
    old = make_rooms("old", log="sqlite:").grant()
    between = make_rooms("new", ["older", "old"], log="sqlite:")
    assert between.is_good(old)
    new = between.grant()
    after = make_rooms("new", log="sqlite:")
    assert not after.is_good(old)
    assert after.is_good(new)


# Revocations.


def test_revoked_reader_is_asked_about_anew_and_others_are_not(rooms: Rooms) -> None:
    ann, bob = rooms.grant(), rooms.grant(**BOB)
    assert rooms.is_good(ann)
    rooms.app.live.publish("news", 1)
    rooms.app.flask.extensions["landline"].revoke("ann", None)
    assert not rooms.is_good(ann)
    assert rooms.is_good(bob, **BOB)
    assert rooms.is_good(rooms.grant())


def test_revoked_channel_is_asked_about_anew_and_others_are_not(rooms: Rooms) -> None:
    both, two = rooms.grant("room/1", "room/2"), rooms.grant("room/2")
    rooms.room.revoke(room_id=1)
    assert not rooms.is_good(both, "room/1", "room/2")
    assert rooms.is_good(two, "room/2")
    rooms.app.live.revoke(channel="room/2")
    assert not rooms.is_good(two, "room/2")


def test_revocation_of_who_may_not_read_any_more_closes(rooms: Rooms) -> None:
    may = [True]
    rooms.room.reader(lambda **_: may[0])
    grant = rooms.grant()
    may[0] = False
    assert rooms.is_good(grant)  # until somebody says so
    rooms.app.live.revoke("ann")
    assert rooms.poll(grant=grant).status == 403


def test_number_and_its_text_are_one_reader(rooms: Rooms) -> None:
    """flask-login makes a string of each id, and an app has numbers at hand."""
    marks = rooms.authorizer.keys.marks
    assert marks(7) == marks("7") != marks(8)


def test_what_is_revoked_while_the_app_thinks_is_revoked(rooms: Rooms) -> None:
    """The function may have read the rights before they were taken."""
    rooms.while_asked = once(lambda: rooms.app.live.revoke("ann"))
    answer = rooms.poll()
    assert rooms.asked == [1, 1]
    assert rooms.is_good(answer.json["grant"]["token"])


def test_what_is_revoked_each_time_the_app_thinks_is_told_to_come_back(rooms: Rooms) -> None:
    rooms.while_asked = lambda: rooms.app.live.revoke("ann")
    answer = rooms.poll(cursor="start")
    assert (answer.status, answer.json["code"]) == (503, "busy")
    assert answer.headers["Retry-After"] == "2"
    assert rooms.asked == [1, 1, 1]
    assert "grant" not in answer.json


def test_what_is_revoked_after_the_look_at_its_grant_is_revoked_for_this_very_poll(rooms: Rooms) -> None:
    """It is looked at again when the events are read: one of them may have come after the revocation."""
    grant, cursor = rooms.grant(), rooms.app.live.cursor()
    check, revoke = rooms.authorizer.check, once(lambda: rooms.app.live.revoke("ann"))

    def check_then_revoke(*arguments: Any) -> Grant | None:
        brought = check(*arguments)
        revoke()
        return brought

    rooms.authorizer.check = check_then_revoke  # type: ignore[method-assign, assignment]
    answer = rooms.poll(cursor=cursor, grant=grant)
    assert rooms.asked == [1]
    assert "grant" in answer.json


def test_what_is_revoked_after_the_last_look_is_revoked_for_the_next_poll(rooms: Rooms) -> None:
    """An answer that was let through just before is not remembered for longer."""
    grant, cursor = rooms.grant(), rooms.app.live.cursor()
    is_revoked, revoke = rooms.authorizer.is_revoked, once(lambda: rooms.app.live.revoke("ann"))

    def look_then_revoke(*arguments: Any, **more: Any) -> bool:
        found = is_revoked(*arguments, **more)
        revoke()
        return found

    rooms.authorizer.is_revoked = look_then_revoke  # type: ignore[method-assign]
    assert rooms.poll(cursor=cursor, grant=grant).status == 200
    assert rooms.asked == []
    rooms.poll(cursor=cursor, grant=grant)
    assert rooms.asked == [1]


def test_poll_with_a_grant_that_is_none_is_asked_about_each_time(rooms: Rooms) -> None:
    """Its answer has another one, which is not for whoever repeats the request."""
    cursor = rooms.app.live.cursor()
    tokens: list[str] = []
    for _ in range(3):
        rooms.draw = len(tokens) / 10
        tokens.append(rooms.poll(cursor=cursor, grant="x.y").json["grant"]["token"])
    assert rooms.asked == [1, 1, 1]
    assert len(set(tokens)) == 3


def test_revocation_by_another_process_counts_here(make_rooms: Callable[..., Rooms]) -> None:
    here, other = make_rooms(log="sqlite:"), make_rooms(log="sqlite:")
    ann = here.grant()
    assert here.is_good(ann)
    assert other.is_good(ann)
    other.app.live.revoke("ann")
    here.app.runtime.hub.invalidate()  # the 2 ms for which the log is not asked again
    assert not here.is_good(ann)
    assert not make_rooms(log="sqlite:").is_good(ann)  # a process that began later has read it too


def test_child_has_revocations_of_its_own(make_rooms: Callable[..., Rooms]) -> None:
    rooms = make_rooms(log="sqlite:")
    grant = rooms.grant()
    assert rooms.is_good(grant)
    with rooms.authorizer.revocations._lock:  # another thread's, when the process forked
        assert in_child(lambda: rooms.is_good(grant)) is True


def test_grant_of_another_life_of_the_log_is_none(make_rooms: Callable[..., Rooms], tmp_path) -> None:
    """Nobody knows what was revoked in a log that is gone."""
    rooms = make_rooms(log="sqlite:")
    grant = rooms.grant()
    assert rooms.is_good(grant)
    (tmp_path / "instance" / "landline.db").unlink()
    rooms.app.runtime.hub.invalidate()
    assert not rooms.is_good(grant)


def test_many_revocations_are_read_in_pages(rooms: Rooms) -> None:
    grant = rooms.grant()
    for number in range(250):
        rooms.app.live.revoke(number)
    rooms.app.live.revoke("ann")
    assert not rooms.is_good(grant)


def test_revocation_is_kept_for_as_long_as_a_grant_may_live(rooms: Rooms, clock: Clock) -> None:
    grant = rooms.authorizer
    rooms.app.live.revoke("ann")
    clock.advance(AGE + 1)
    assert rooms.app.runtime.log.trim() == 0
    clock.advance(AGE)
    assert rooms.app.runtime.log.trim() == 1
    assert grant.revocations.cover(_grant(rooms)._replace(given=rooms.app.runtime.log.tail())) is False


def test_no_grant_outlives_its_revocation_when_the_age_is_lowered(
    make_rooms: Callable[..., Rooms], clock: Clock
) -> None:
    """Revocations are kept as long as grants live now; those from before would still be good when they are gone."""
    before, now = make_rooms(log="sqlite:", age=20 * AGE), make_rooms(log="sqlite:")
    grant = before.grant()
    now.app.live.revoke("ann")
    clock.advance(19.5 * AGE)
    assert now.app.runtime.log.trim() == 1
    assert not now.is_good(grant)


def test_old_revocations_are_forgotten(rooms: Rooms, clock: Clock) -> None:
    revocations = rooms.authorizer.revocations
    for number in range(10):
        rooms.app.live.revoke(number)
        clock.advance(AGE / 2)
        revocations.cover(_grant(rooms))
    assert 0 < len(revocations._newest) <= 5


def _grant(rooms: Rooms) -> Grant:
    return Grant(("room/1",), ("nobody",), 0.0, Cursor(rooms.app.runtime.log.epoch, 0), "")


def test_nobody_can_read_or_publish_revocations(rooms: Rooms) -> None:
    rooms.app.live.revoke("ann")
    assert rooms.app.poll("landline", cursor="start").status == 404
    with pytest.raises(UsageError):
        rooms.app.live.publish("landline", {"who": "x"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "identity or channel"),
        ({"identity": 1, "channel": "room/1"}, "one of the two"),
        ({"identity": True}, "a str or an int"),
        ({"identity": 1.5}, "a str or an int"),
        ({"channel": "room/x"}, "No channel 'room/x'"),
        ({"channel": "rom/<int:room_id>"}, "Did you mean 'room/<int:room_id>'"),
        ({"channel": "news"}, "'news' is public"),
    ],
)
def test_revocation_of_nothing_is_an_error_that_says_so(arguments: dict[str, Any], words: str, rooms: Rooms) -> None:
    with pytest.raises(UsageError, match=words):
        rooms.app.live.revoke(**arguments)
    assert rooms.app.runtime.log.tail().offset == 0


# Never open by accident, never shared.


def test_log_that_cannot_tell_what_is_revoked_opens_nothing(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    grant, cursor = rooms.grant(), rooms.app.live.cursor()

    def fail(*_: object) -> Any:
        raise LogError("out of order")

    monkeypatch.setattr(rooms.app.runtime.log, "tail", fail)
    rooms.app.runtime.hub.invalidate()
    answer = rooms.poll(grant=grant, cursor=cursor)
    assert (answer.status, answer.json["code"]) == (503, "log-unavailable")


def test_private_answers_are_for_nobody_elses_cache(make_rooms: Callable[..., Rooms]) -> None:
    rooms = make_rooms(shared_cache=5)
    assert "public" in rooms.poll("news").headers["Cache-Control"]
    grant = rooms.grant()
    for more in ({}, {"grant": grant}):
        assert rooms.poll("news", "room/1", **more).headers["Cache-Control"] == "no-store"
    assert rooms.poll("room/3").headers["Cache-Control"] == "no-store"


def test_new_grant_is_told_though_nothing_else_is_new(rooms: Rooms) -> None:
    first = rooms.poll()
    more = {"cursor": first.cursor, "if_none_match": first.headers["ETag"]}
    assert "grant" in rooms.poll(**more).json
    assert rooms.poll(grant=first.json["grant"]["token"], **more).status == 304


def test_who_may_not_read_sets_nothing_off(rooms: Rooms) -> None:
    """Neither a source nor a snapshot is asked for who gets nothing of it."""
    called: list[str] = []
    rooms.room.snapshot(lambda **_: called.append("snapshot"))
    rooms.room.source(every=1)(lambda **_: called.append("source"))
    assert rooms.poll("room/3").status == 403
    assert called == []
    rooms.poll("room/1")
    assert called == ["source", "snapshot"]


def test_refusal_tells_of_events_nothing(rooms: Rooms) -> None:
    rooms.app.live.publish("room/3", "secret")
    answer = rooms.poll("room/3", cursor="start")
    assert "secret" not in json.dumps(answer.json)
    assert "cursor" not in answer.json
