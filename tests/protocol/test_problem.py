"""Refusals as problem documents (WIRE §10, RFC 9457)."""

import json

import pytest
from flask_landline import LogError, Refusal
from landline.protocol.problem import (
    RETRY_AFTER,
    app_failed,
    log_unavailable,
    method_refused,
    problem,
    unknown_channels,
)
from landline.protocol.request import bad_request, too_many_channels


@pytest.mark.parametrize(
    ("refusal", "status", "code", "more"),
    [
        (bad_request("What was wrong."), "400 Bad Request", "bad-request", {}),
        (too_many_channels(101), "400 Bad Request", "too-many-channels", {}),
        (Refusal("bad-cursor", 400, "No."), "400 Bad Request", "bad-cursor", {}),
        (unknown_channels(["a", "ü\r\n"]), "404 Not Found", "unknown-channel", {"channels": ["a", "ü\r\n"]}),
        (method_refused("POST"), "405 Method Not Allowed", "method", {}),
        (log_unavailable(), "503 Service Unavailable", "log-unavailable", {}),
        (app_failed(), "503 Service Unavailable", "app-failed", {}),
    ],
)
def test_refusal_is_a_problem_document(refusal: Refusal, status: str, code: str, more: dict[str, object]) -> None:
    reply = problem(refusal)
    headers = dict(reply.headers)
    fields = json.loads(reply.body)
    assert reply.status == status
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Content-Length"] == str(len(reply.body))
    assert headers["Cache-Control"] == "no-store"
    assert fields["title"]
    assert fields == {
        "type": f"urn:landline:problem:{code}",
        "title": fields["title"],
        "status": int(status[:3]),
        "detail": refusal.detail,
        "code": code,
        **more,
    }


def test_passing_trouble_says_when_to_come_back() -> None:
    for refusal in (log_unavailable(), app_failed()):
        assert ("Retry-After", str(RETRY_AFTER)) in problem(refusal).headers
    assert "Retry-After" not in dict(problem(bad_request("No.")).headers)


def test_refused_method_is_told_those_allowed() -> None:
    reply = problem(method_refused("DELETE"))
    assert dict(reply.headers)["Allow"] == "GET, HEAD"


def test_cause_is_the_operators_to_read() -> None:
    """A client learns nothing of files and users."""
    cause = LogError("The log /srv/app/landline.db is read-only.")
    refusal = log_unavailable(cause)
    assert refusal.__cause__ is cause
    assert b"/srv" not in problem(refusal).body


@pytest.mark.parametrize("method", ["GET\r\nX: y", "x" * 1000, "ÜÜ", "\x00"])
def test_refusal_repeats_nothing_that_ends_a_line(method: str) -> None:
    reply = problem(method_refused(method))
    assert all(value.isprintable() and value.isascii() for _, value in reply.headers)
    assert len(reply.body) < 500
    assert json.loads(reply.body)["detail"].isprintable()
