"""The line that a held request leaves in the log."""

import pytest
from landline.serve import access_log


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("channel=a&cursor=now", "channel=a&cursor=now"),
        ("channel=a&grant=secret", "channel=a&grant=-"),
        ("grant=secret&channel=a&grant=secret", "grant=-&channel=a&grant=-"),
        ("%67ra%6Et=secret", "%67ra%6Et=-"),
        ("grant=", "grant=-"),
        ("grants=1&xgrant=2&grant", "grants=1&xgrant=2&grant"),
        ("", ""),
    ],
)
def test_grant_is_in_no_line(query: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "flask_landline.access"):
        access_log.log("127.0.0.1", "sse", query, 1.25, 3, "gone")
    assert caplog.messages == [f"127.0.0.1 sse ?{shown} 1.2s 3 events, gone"]


def test_line_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "flask_landline.access"):
        access_log.log("127.0.0.1", "sse", "a=\r\nforged\u2028\x1b", 0.0, 0, "gone")
    assert caplog.messages == [r"127.0.0.1 sse ?a=\r\nforged\u2028\x1b 0.0s 0 events, gone"]


@pytest.mark.parametrize(
    "query",
    [
        "channel=" + "a" * 30_000,
        "channel=" + "€" * 30_000,
        "grant=" + "s" * 30_000,
        "channel=" + "a" * 495 + "&grant=secret",
        "&" * 30_000,
        "a&" * 15_000 + "grant=secret",
    ],
    ids=["long", "not ASCII", "grant", "grant at the end", "pairs", "grant behind the end"],
)
def test_line_has_so_much_of_a_query_and_no_more(query: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "flask_landline.access"):
        access_log.log("127.0.0.1", "sse", query, 0.0, 0, "gone")
    (line,) = caplog.messages
    shown = line.removeprefix("127.0.0.1 sse ?").removesuffix(" 0.0s 0 events, gone")
    assert len(shown) <= 512
    assert "secret" not in line
    assert "sss" not in line


def test_whole_query_is_shown_where_it_fits(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "flask_landline.access"):
        access_log.log("127.0.0.1", "sse", "a" * 512, 0.0, 0, "gone")
        access_log.log("127.0.0.1", "sse", "a" * 513, 0.0, 0, "gone")
    assert [f"?{'a' * 512} " in caplog.messages[0], f"?{'a' * 509}... " in caplog.messages[1]] == [True, True]


def test_address_cannot_end_the_line(caplog: pytest.LogCaptureFixture) -> None:
    """It may be a client's words: a server, or what is wrapped around the app, has taken it from a header."""
    with caplog.at_level("INFO", "flask_landline.access"):
        access_log.log("\x1b]0;owned\n" + "x" * 999, "sse", "", 0.0, 0, "gone")
    (line,) = caplog.messages
    assert line.startswith(r"\x1b]0;owned\nxxx")
    assert len(line) < 120
