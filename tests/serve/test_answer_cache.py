"""What is remembered of polls is bounded, whoever asks what."""

import gc
import tracemalloc

from landline.cursor import Cursor
from landline.protocol.reply import Reply
from landline.protocol.sse import SSE
from landline.serve import answer_cache as remembered
from landline.serve.answer_cache import AnswerCache, Key
from landline.serve.poll_key import PollKey
from landline.serve.subscription import Subscription

CURSOR = Cursor("k3f9a2zq", 1042)


def key(query: str) -> Key:
    return PollKey(query, ()), ("poll",), True


def reply(size: int = 10) -> Reply:
    return Reply("200 OK", [], b"x" * size)


def test_outcome_comes_back_with_its_mark() -> None:
    found, generation, answer = AnswerCache(), object(), reply()
    found.put(key("a"), (generation, None, None, answer))
    assert found.get(key("a")) == (generation, None, None, answer)
    assert found.get(key("b")) is None
    assert found.get((PollKey("a", ("cookie",)), ("poll",), True)) is None
    assert found.get((PollKey("a", ()), ("poll",), False)) is None


def test_one_too_many_and_all_are_forgotten() -> None:
    found = AnswerCache()
    for number in range(remembered.MOST):
        found.put(key(str(number)), (None, None, None, reply()))
    assert len(found) == remembered.MOST
    found.put(key("more"), (None, None, None, reply()))
    assert len(found) == 1


def test_answers_take_no_more_than_their_bytes() -> None:
    found = AnswerCache()
    size = (remembered.MOST_BYTES // 4 - remembered.OVERHEAD - 1) // 2  # an answer is there twice, once with a head
    for number in range(4):
        found.put(key(str(number)), (None, None, None, reply(size)))
    assert len(found) == 4
    found.put(key("more"), (None, None, None, reply(1)))
    assert len(found) == 1
    found.put(key("large"), (None, None, None, reply(size + 1)))
    assert len(found) == 1


def test_names_and_queries_take_no_more_than_their_bytes() -> None:
    """A stranger asks for many channels at each of many positions; what is kept of that is bounded, not counted."""
    found = AnswerCache()
    query = "&".join(f"channel=room/{number:03}" for number in range(100))
    names = tuple(f"room/{number:03}" for number in range(100))
    held = Subscription(SSE(), (), names, CURSOR, False, None, b"", b"", 0, ("poll",), query)
    tracemalloc.start()
    try:
        for number in range(remembered.MOST - 1):
            # Texts of its own for each, as each request has.
            own = held._replace(query=f"{query}&cursor=aaaaaaaa-{number}", names=tuple(name + "" for name in names))
            found.put(key(own.query), (None, None, None, own))
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < remembered.MOST_BYTES
    assert len(found) < remembered.MOST - 1


def test_long_query_is_not_remembered() -> None:
    found = AnswerCache()
    found.put(key("x" * remembered.LONGEST_KEY), (None, None, None, reply()))
    found.put(key("x" * (remembered.LONGEST_KEY + 1)), (None, None, None, reply()))
    assert len(found) == 1


def test_long_credentials_are_not_remembered() -> None:
    found = AnswerCache()
    found.put((PollKey("query", (None, "y" * remembered.LONGEST_KEY)), ("poll",), True), (None, None, None, reply()))
    assert len(found) == 0


def test_answer_that_takes_anothers_place_takes_no_more_room() -> None:
    found = AnswerCache()
    found.put(key("other"), (None, None, None, reply()))
    for _ in range(20):
        found.put(key("same"), (None, None, None, reply(remembered.MOST_BYTES // 16)))
    assert len(found) == 2
