"""Whose pages may read, and what browsers are told of it (https://fetch.spec.whatwg.org/#cors-protocol)."""

import pytest
from flask_landline import UsageError
from flask_landline.protocol.origins import Origins, Site

LISTED = ["https://app.example.org", "https://*.shop.example", "http://localhost:3000", "capacitor://localhost"]
HERE = Site("http", "here.example:8000")
OWN = ("Cross-Origin-Resource-Policy", "same-origin")


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
    assert origins.allow(origin, HERE, public=False) is allowed
    is_host = origin.lower().endswith("//here.example:8000")
    shown = dict(origins.answer({"origin": origin}, public=False)).get("Access-Control-Allow-Origin")
    assert shown == (origin if allowed and not is_host else None)


def test_nobodys_page_is_not_the_host_that_nobody_named() -> None:
    assert not Origins([]).allow("null", Site("http", ""), public=True)
    assert not Origins([]).allow("https://", Site("https", ""), public=True)


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "is_same"),
    [
        ("https://site.test", "http", "site.test", True),
        ("https://site.test", "http", "site.test:443", True),
        ("https://site.test", "https", "SITE.test:443", True),
        ("http://site.test", "http", "site.test:80", True),
        ("http://site.test", "http", "site.test", True),
        ("https://[::1]", "https", "[::1]:443", True),
        ("http://[::1]:8000", "http", "[::1]:8000", True),
        ("http://site.test", "http", "site.test:443", False),
        ("https://site.test", "https", "site.test:80", False),
        ("https://site.test:8443", "https", "site.test", False),
        ("https://site.test", "https", "site.test:8443", False),
        ("https://site.test", "https", "site.test:4433", False),
        ("https://site.test", "https", "evil.site.test", False),
        ("http://site.test", "https", "site.test", False),  # anyone on the way may have made that page
    ],
)
def test_same_host_with_the_schemes_own_port_or_without(origin: str, scheme: str, host: str, is_same: bool) -> None:
    assert Origins([]).allow(origin, Site(scheme, host), public=True) is is_same


def test_who_names_no_origin_is_no_page() -> None:
    assert Origins([]).allow(None, HERE, public=False)
    assert Origins([]).answer({}, public=False) == (OWN,)


def test_answers_are_the_own_pages_alone_where_no_origin_is_listed() -> None:
    assert OWN in Origins([]).answer({"origin": "https://app.example.org"}, public=True)
    assert Origins([]).share("https://app.example.org") == ()
    for listed in (["*"], LISTED):
        assert OWN not in Origins(listed).answer({}, public=True)


def test_what_else_an_answer_depends_on_stands_in_one_header() -> None:
    """Some caches heed but one of several."""
    assert Origins(LISTED).answer({}, public=True, vary=("Host",)) == (("Vary", "Origin, Host"),)
    assert ("Vary", "Host") in Origins([]).answer({}, public=True, vary=("Host",))


def test_answer_to_a_listed_origin_may_be_read_with_cookies_and_is_cached_for_it_alone() -> None:
    answer = Origins(LISTED).answer({"origin": "https://app.example.org"}, public=True)
    assert dict(answer) == {
        "Access-Control-Allow-Origin": "https://app.example.org",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "Landline-Interval, Landline-Hold, Retry-After, ETag, Date",
        "Vary": "Origin",
    }
    for other in ({}, {"origin": "https://evil.example"}):
        assert Origins(LISTED).answer(other, public=True) == (("Vary", "Origin"),)


def test_star_is_for_public_channels_and_never_with_cookies() -> None:
    origins = Origins(["*"])
    for origin in (None, "https://anywhere.example", "null"):
        headers = {"origin": origin} if origin else {}
        answer = dict(origins.answer(headers, public=True))
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer
        assert origins.allow(origin, HERE, public=True)
        assert origins.answer(headers, public=False) == ()
        assert origins.allow(origin, HERE, public=False) is (origin is None)


def test_listed_beside_the_star_may_use_cookies() -> None:
    origins = Origins(["*", "https://app.example.org"])
    mine = origins.answer({"origin": "https://app.example.org"}, public=True)
    assert ("Access-Control-Allow-Credentials", "true") in mine
    others = origins.answer({"origin": "https://other.example"}, public=True)
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
    asks = {"origin": "https://app.example.org", "access-control-request-method": "GET"}
    reply = origins.preflight(asks)
    assert reply is not None
    assert reply.status == "204 No Content"
    headers = dict(reply.headers)
    assert headers["Access-Control-Allow-Origin"] == "https://app.example.org"
    assert headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert origins.preflight(asks | {"origin": "https://evil.example"}) is None
    assert origins.preflight({"origin": "https://app.example.org"}) is None
    assert origins.preflight({"access-control-request-method": "GET"}) is None
