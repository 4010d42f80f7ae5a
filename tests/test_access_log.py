"""The line that a held request leaves in the log."""

import pytest
from flask_landline import access_log


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
