"""What is remembered of polls is bounded, whoever asks what."""

from landline.protocol.reply import Reply
from landline.serve import answer_cache as remembered
from landline.serve.answer_cache import AnswerCache, Key


def key(query: str) -> Key:
    return query, ("poll",), (), True


def reply(size: int = 10) -> Reply:
    return Reply("200 OK", [], b"x" * size)


def test_outcome_comes_back_with_its_mark() -> None:
    found, generation, answer = AnswerCache(), object(), reply()
    found.put(key("a"), (generation, None, None, answer))
    assert found.get(key("a")) == (generation, None, None, answer)
    assert found.get(key("b")) is None
    assert found.get(("a", ("poll",), ("cookie",), True)) is None
    assert found.get(("a", ("poll",), (), False)) is None


def test_one_too_many_and_all_are_forgotten() -> None:
    found = AnswerCache()
    for number in range(remembered.MOST):
        found.put(key(str(number)), (None, None, None, reply()))
    assert len(found) == remembered.MOST
    found.put(key("more"), (None, None, None, reply()))
    assert len(found) == 1


def test_answers_take_no_more_than_their_bytes() -> None:
    found = AnswerCache()
    size = remembered.MOST_BYTES // 4
    for number in range(4):
        found.put(key(str(number)), (None, None, None, reply(size)))
    assert len(found) == 4
    found.put(key("more"), (None, None, None, reply(1)))
    assert len(found) == 1
    found.put(key("large"), (None, None, None, reply(size + 1)))
    assert len(found) == 1


def test_long_query_is_not_remembered() -> None:
    found = AnswerCache()
    found.put(key("x" * remembered.LONGEST_KEY), (None, None, None, reply()))
    found.put(key("x" * (remembered.LONGEST_KEY + 1)), (None, None, None, reply()))
    assert len(found) == 1


def test_long_credentials_are_not_remembered() -> None:
    found = AnswerCache()
    found.put(("query", ("poll",), (None, "y" * remembered.LONGEST_KEY), True), (None, None, None, reply()))
    assert len(found) == 0


def test_answer_that_takes_anothers_place_takes_no_more_room() -> None:
    found = AnswerCache()
    found.put(key("other"), (None, None, None, reply()))
    for _ in range(20):
        found.put(key("same"), (None, None, None, reply(remembered.MOST_BYTES // 8)))
    assert len(found) == 2
