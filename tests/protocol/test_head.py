"""Heads of requests at the second door: what is read of them, and what is refused."""

import pytest
from landline.errors import Refusal
from landline.protocol.head import Target, check_head, split_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/poll", Target(None, "/poll", "")),
        ("/poll?a=1?b", Target(None, "/poll", "a=1?b")),
        ("/p%C3%BC?x=%20#part", Target(None, "/p\xc3\xbc", "x=%20")),
        ("*", Target(None, "*", "")),
        ("http://here:80/poll?a=1", Target("here:80", "/poll", "a=1")),
        ("http://[::1]/poll", Target("[::1]", "/poll", "")),
        ("/http://here/poll", Target(None, "/http://here/poll", "")),
    ],
)
def test_target_is_read_in_any_of_its_forms(text: str, target: Target) -> None:
    assert split_target(text) == target


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://[::1/poll", "is no URL"),
        ("http:///poll", "which is no host"),
        ("http://user@here/poll", "which is no host"),
        ("http://here, there/poll", "which is no host"),
    ],
)
def test_target_on_no_host_is_refused(text: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        split_target(text)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", {"host": "here"}),
        ("1.1", {"host": "here:80", "content-length": "0"}),
        ("1.1", {"host": ""}),
        ("1.0", {}),
        ("1.0", {"host": "here"}),
    ],
)
def test_head_with_one_host_and_no_body_is_taken(version: str, headers: dict[str, str]) -> None:
    check_head(version, headers)


@pytest.mark.parametrize(
    ("version", "headers", "why"),
    [
        ("1.1", {"host": "here", "transfer-encoding": "chunked"}, "no body here"),
        ("1.0", {"transfer-encoding": "identity"}, "no body here"),
        ("1.1", {"host": "here", "content-length": "1"}, "no body here"),
        ("1.1", {"host": "here", "content-length": "0, 0"}, "no body here"),
        ("1.1", {}, "has no Host"),
        ("1.1", {"host": "here, there"}, "not one host"),
        ("1.0", {"host": "here there"}, "not one host"),
    ],
)
def test_head_that_could_be_read_differently_is_refused(version: str, headers: dict[str, str], why: str) -> None:
    with pytest.raises(Refusal, match=why):
        check_head(version, headers)
