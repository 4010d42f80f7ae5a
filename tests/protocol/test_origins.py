"""Whose pages may read, and what browsers are told of it (https://fetch.spec.whatwg.org/#cors-protocol)."""

import pytest
from flask_landline import UsageError
from flask_landline.protocol.origins import Origins

LISTED = ["https://app.example.org", "https://*.shop.example", "http://localhost:3000", "capacitor://localhost"]
HERE = {"host": "here.example:8000"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example.org", True),
        ("https://a.shop.example", True),
        ("http://localhost:3000", True),
        ("capacitor://localhost", True),
        ("http://here.example:8000", True),  # the host itself
        ("https://HERE.example:8000", True),
        ("http://here.example", False),
        ("http://app.example.org", False),
        ("https://app.example.org:444", False),
        ("https://xapp.example.org", False),
        ("https://app.example.org.evil.example", False),
        ("https://app_example.org", False),
        ("https://app.example.orgs", False),
        ("https://shop.example", False),
        ("https://a.b.shop.example", False),  # one label, as in a certificate
        ("https://.shop.example", False),
        ("https://evil.example#.shop.example", False),
        ("https://evil.example/.shop.example", False),
        ("https://evil.example\n.shop.example", False),
        ("https://a.shop.example\n", False),
        ("https://*.shop.example", False),
        ("https://ashop.example", False),
        ("http://[", False),
        ("null", False),
        ("", False),
    ],
)
def test_page_of_a_listed_origin_may_read_and_no_other(origin: str, allowed: bool) -> None:
    origins = Origins(LISTED)
    headers = HERE | {"origin": origin}
    assert origins.allow(headers, public=False) is allowed
    is_host = origin.lower().endswith("//here.example:8000")
    shown = dict(origins.answer(headers, public=False)).get("Access-Control-Allow-Origin")
    assert shown == (origin if allowed and not is_host else None)


def test_nobodys_page_is_not_the_host_that_nobody_named() -> None:
    assert not Origins([]).allow({"origin": "null"}, public=True)
    assert not Origins([]).allow({"origin": "null", "host": ""}, public=True)


def test_who_names_no_origin_is_no_page() -> None:
    assert Origins([]).allow(HERE, public=False)
    assert Origins([]).answer(HERE, public=False) == ()


def test_answer_to_a_listed_origin_may_be_read_with_cookies_and_is_cached_for_it_alone() -> None:
    answer = Origins(LISTED).answer(HERE | {"origin": "https://app.example.org"}, public=True)
    assert dict(answer) == {
        "Access-Control-Allow-Origin": "https://app.example.org",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Landline-Interval, Landline-Hold, Retry-After, ETag",
        "Vary": "Origin",
    }
    for other in ({}, {"origin": "https://evil.example"}):
        assert Origins(LISTED).answer(HERE | other, public=True) == (("Vary", "Origin"),)


def test_star_is_for_public_channels_and_never_with_cookies() -> None:
    origins = Origins(["*"])
    for headers in (HERE, HERE | {"origin": "https://anywhere.example"}, HERE | {"origin": "null"}):
        answer = dict(origins.answer(headers, public=True))
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer
        assert origins.allow(headers, public=True)
        assert origins.answer(headers, public=False) == ()
        assert origins.allow(headers, public=False) is ("origin" not in headers)


def test_listed_beside_the_star_may_use_cookies() -> None:
    origins = Origins(["*", "https://app.example.org"])
    mine = origins.answer(HERE | {"origin": "https://app.example.org"}, public=True)
    assert ("Access-Control-Allow-Credentials", "true") in mine
    others = origins.answer(HERE | {"origin": "https://other.example"}, public=True)
    assert ("Access-Control-Allow-Origin", "*") in others
    assert ("Vary", "Origin") in others


@pytest.mark.parametrize(
    "item",
    [
        "app.example.org",
        "https://app.example.org/",
        "https://app.example.org/path",
        "https://App.example.org",
        "https://user@app.example.org",
        "https://*",
        "https://a.*.example.org",
        "https://app*.example.org",
        "https://app.example.org:port",
        "null",
        "",
        7,
    ],
)
def test_what_is_no_origin_is_an_error_that_shows_one(item: str) -> None:
    with pytest.raises(UsageError, match=r"LANDLINE_ORIGINS has .*'https://\*\.example\.org' or '\*'"):
        Origins([item])


@pytest.mark.parametrize("item", ["https://app.example.org:443", "http://app.example.org:80"])
def test_port_that_browsers_leave_out_is_an_error(item: str) -> None:
    with pytest.raises(UsageError, match="leave out ':"):
        Origins([item])


def test_preflight_is_answered_to_those_who_may_ask() -> None:
    origins = Origins(LISTED)
    asks = HERE | {"origin": "https://app.example.org", "access-control-request-method": "GET"}
    reply = origins.preflight(asks)
    assert reply is not None
    assert reply.status == "204 No Content"
    headers = dict(reply.headers)
    assert headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert origins.preflight(asks | {"origin": "https://evil.example"}) is None
    assert origins.preflight({"origin": "https://app.example.org"}) is None
    assert origins.preflight(HERE | {"access-control-request-method": "GET"}) is None
