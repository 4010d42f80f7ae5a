"""Refusals as problem documents (WIRE §10, RFC 9457)."""

import json

import pytest
from flask_landline import LogError, Refusal
from landline.protocol.problem import (
    RETRY_AFTER,
    app_busy,
    app_failed,
    busy,
    log_unavailable,
    method_refused,
    not_allowed,
    not_here,
    problem,
    rights_change,
    slow_down,
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
        (not_allowed(["a"], 401), "401 Unauthorized", "not-allowed", {"channels": ["a"]}),
        (not_allowed(["a"], 403), "403 Forbidden", "not-allowed", {"channels": ["a"]}),
        (busy("Full.", 3), "503 Service Unavailable", "busy", {}),
        (app_busy("Full.", 3), "503 Service Unavailable", "busy", {}),
        (rights_change(), "503 Service Unavailable", "busy", {}),
        (slow_down(5.0, 3), "429 Too Many Requests", "slow-down", {}),
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


def test_refusal_names_the_way_on() -> None:
    assert "Log in" in not_allowed(["a"], 401).detail
    assert "without it" in not_allowed(["a"], 403).detail
    for refusal in (busy("Full.", 3), app_busy("Full.", 3), slow_down(5.0, 3)):
        assert dict(problem(refusal).headers)["Retry-After"] == "3"


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


def test_path_that_is_none_of_the_wires_is_any_servers_404() -> None:
    """Without a code, so that clients ask whether their address is right; and nothing of the path ends a line."""
    reply = not_here("/landline/p\r\nll", ["/landline/ws", "/landline/poll"])
    fields = json.loads(reply.body)
    assert reply.status == "404 Not Found"
    assert (fields["type"], fields["status"], "code" in fields) == ("about:blank", 404, False)
    assert "Landline answers /landline/poll, /landline/ws;" in fields["detail"]
    assert not {"\r", "\n"} & set(fields["detail"])
