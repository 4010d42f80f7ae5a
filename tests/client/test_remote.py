"""A reader of somebody's Landline over HTTP: the wire as a client sees it, from a scripted server."""

import io
import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from email.message import Message
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask_landline import LandlineError, UsageError
from landline.client.remote import Delivered, Remote

PREFIX = "http://app.test/landline"
POLLS = {"interval": 2.0, "hold": 0.0, "transports": ["poll"]}
STREAMS = {"interval": 2.0, "hold": 20.0, "transports": ["sse", "long-poll", "poll"]}

Answer = Callable[[dict[str, list[str]]], io.BytesIO]


class Body(io.BytesIO):
    """A response, with the socket whose time limit the reader changes."""

    fp = SimpleNamespace(raw=SimpleNamespace(_sock=SimpleNamespace(settimeout=lambda _: None)))


class Script:
    """Answers requests in order, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.slept: list[float] = []
        self.reports: list[str] = []

    def open(self, request: urllib.request.Request, timeout: float) -> io.BytesIO:
        parts = urlsplit(request.full_url)
        query = parse_qs(parts.query)
        self.asked.append((parts.path.rpartition("/")[2], query))
        answer = next(self._answers, None)
        if answer is None:
            raise LandlineError("the script is over")
        return answer(query)

    @property
    def cursors(self) -> list[tuple[str, str]]:
        """What was asked for, and from where."""
        return [(name, query["cursor"][0]) for name, query in self.asked]


def polled(cursor: str, *events: dict[str, Any], advice: dict[str, Any] = POLLS, **more: Any) -> Answer:
    text = json.dumps({"data": list(events) or None, "cursor": cursor, "advice": advice, **more})
    return lambda _: Body(text.encode())


def event(channel: str, offset: int, data: Any = None, **more: Any) -> dict[str, Any]:
    return {"channel": channel, "offset": offset, "at": 1.0, "data": data, **more}


def stream(*blocks: str, nonce: str | None = None) -> Answer:
    def answer(query: dict[str, list[str]]) -> io.BytesIO:
        hello = {"cursor": query["cursor"][0], "nonce": nonce or query["nonce"][0], "at": 1.0, "advice": STREAMS}
        return Body("\n\n".join([f"retry: 2000\nevent: landline\ndata: {json.dumps(hello)}", *blocks, ""]).encode())

    return answer


def block(name: str, data: Any, cursor: str | None = None) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}" + (f"\nid: {cursor}" if cursor else "")


def refused(status: int, detail: str = "why", **headers: str) -> Answer:
    def answer(query: dict[str, list[str]]) -> io.BytesIO:
        message = Message()
        for name, value in headers.items():
            message[name.replace("_", "-")] = value
        body = io.BytesIO(json.dumps({"detail": detail}).encode())
        raise urllib.error.HTTPError("", status, "", message, body)

    return answer


def broken(query: dict[str, list[str]]) -> io.BytesIO:
    raise ConnectionRefusedError("Connection refused")


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[Delivered], Script]]:
    """Follow a scripted server to the end of its script."""

    def run(*answers: Answer, url: str = f"{PREFIX}?channel=a&channel=b", cursor: str = "now") -> Any:
        script = Script(*answers)
        monkeypatch.setattr(urllib.request, "urlopen", script.open)
        remote = Remote(url, cursor, report=script.reports.append, sleep=script.slept.append, rand=lambda: 0.5)
        told: list[Delivered] = []
        with pytest.raises(LandlineError, match="the script is over"):
            _keep(remote, told)
        return told, script

    return run


def _keep(items: Iterable[Delivered], told: list[Delivered]) -> None:
    """Keep what is told before the end, too."""
    for item in itertools.islice(items, 100):
        told.append(item)  # noqa: PERF402  `extend` would keep nothing when the script ends


def test_polls_go_on_from_the_last_cursor_after_the_advised_interval(follow) -> None:
    told, script = follow(polled("eeeeeeee-1"), polled("eeeeeeee-2", event("a", 2, {"id": 7})), cursor="start")
    assert told == [Delivered("a", '{"id": 7}', "eeeeeeee-2")]
    assert script.cursors == [("poll", "start"), ("poll", "eeeeeeee-1"), ("poll", "eeeeeeee-2")]
    assert script.slept == [2.0, 2.0]


def test_each_event_of_a_page_has_its_own_cursor(follow) -> None:
    told, _ = follow(polled("eeeeeeee-9", event("a", 3), event("b", 5), event("a", 9)))
    assert [item.cursor for item in told] == ["eeeeeeee-3", "eeeeeeee-5", "eeeeeeee-9"]


def test_stream_begins_where_the_poll_ended_and_the_poll_where_the_stream_did(follow) -> None:
    told, script = follow(
        polled("eeeeeeee-1", advice=STREAMS),
        stream(block("a", 1, "eeeeeeee-2"), block("landline", {"cursor": "eeeeeeee-7"}, "eeeeeeee-7")),
        polled("eeeeeeee-7"),
    )
    assert told == [Delivered("a", "1", "eeeeeeee-2")]
    assert script.cursors[:3] == [("poll", "now"), ("events", "eeeeeeee-1"), ("poll", "eeeeeeee-7")]


def test_stream_without_our_nonce_is_left_for_polls(follow) -> None:
    told, script = follow(
        polled("eeeeeeee-1", advice=STREAMS), stream(block("a", 1, "eeeeeeee-2"), nonce="old"), polled("eeeeeeee-1")
    )
    assert told == []
    assert script.cursors[2] == ("poll", "eeeeeeee-1")


def test_goodbye_is_waited_out(follow) -> None:
    _, script = follow(polled("eeeeeeee-1", advice=STREAMS), stream(block("landline", {"goodbye": {"retry": 0.7}})))
    assert script.slept == [0.7]


@pytest.mark.parametrize(
    "answers",
    [
        (
            polled(
                "eeeeeeee-8",
                event("a", 8, "state", snapshot=True),
                event("b", 5, "b5"),
                event("a", 6, "a6"),
                event("b", 8, "b8"),
                reset={"channels": ["a", "b"], "reason": "epoch"},
            ),
        ),
        (
            polled("eeeeeeee-1", advice=STREAMS),
            stream(
                block("landline", {"reset": {"channels": ["a", "b"], "reason": "epoch"}}),
                block("landline", {"snapshot": {"channel": "a", "offset": 8}}),
                block("a", "state"),
                block("b", "b5", "eeeeeeee-5"),
                block("a", "a6", "eeeeeeee-6"),
                block("b", "b8", "eeeeeeee-8"),
            ),
        ),
    ],
    ids=["poll", "stream"],
)
def test_snapshot_of_one_channel_stands_for_its_older_events_alone(follow, answers: tuple[Answer, ...]) -> None:
    told, _ = follow(*answers)
    assert told[0].reset
    assert [(item.channel, json.loads(item.payload)) for item in told[1:]] == [
        ("a", "state"),
        ("b", "b5"),
        ("b", "b8"),
    ]


def test_unreachable_server_is_reported_once_and_asked_ever_later(follow) -> None:
    told, script = follow(broken, broken, broken, polled("eeeeeeee-1", event("a", 1)))
    assert [item.channel for item in told] == ["a"]
    assert script.reports == [f"{PREFIX} cannot be read (Connection refused); trying again."]
    assert script.slept[:3] == [0.5, 1.0, 2.0]


def test_retry_after_is_the_least_pause(follow) -> None:
    _, script = follow(refused(503, Retry_After="7"), polled("eeeeeeee-1"))
    assert script.slept[0] == 7.5


def test_page_in_place_of_an_answer_is_no_answer(follow) -> None:
    told, script = follow(lambda _: Body(b"<html>log in</html>"), polled("eeeeeeee-1", event("a", 1)))
    assert len(told) == 1
    assert len(script.reports) == 1


def test_refusal_for_good_ends_with_the_servers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", Script(refused(404, "no such channel")).open)
    with pytest.raises(LandlineError, match="answers 404: no such channel"):
        next(iter(Remote(f"{PREFIX}?channel=a")))


@pytest.mark.parametrize("url", [PREFIX, "landline?channel=a", f"{PREFIX}?chanel=a"])
def test_url_without_channels_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(UsageError, match=r"http://host/landline\?channel=a"):
        Remote(url)


@pytest.mark.parametrize("suffix", ["", "/", "/poll", "/events"])
def test_prefix_may_be_given_as_any_of_its_addresses(follow, suffix: str) -> None:
    _, script = follow(polled("eeeeeeee-1"), url=f"{PREFIX}{suffix}?channel=a")
    assert script.asked[0] == ("poll", {"channel": ["a"], "cursor": ["now"]})


def test_newest_grant_is_sent_along_and_is_in_no_message(follow: Callable[..., Any], monkeypatch) -> None:
    """Also one that a stream's hello brings."""

    def renewing(query: dict[str, list[str]]) -> io.BytesIO:
        hello = {"cursor": "e-1", "nonce": query["nonce"][0], "at": 1.0, "advice": STREAMS, "grant": {"token": "g2"}}
        return Body(f"event: landline\ndata: {json.dumps(hello)}\n\n".encode())

    first = polled("e-1", advice=STREAMS, grant={"token": "g1", "expires": 2.0})
    _, script = follow(first, renewing, polled("e-1"), polled("e-1"))
    assert [query.get("grant") for _, query in script.asked] == [None, ["g1"], ["g2"], ["g2"], ["g2"]]
    script = Script(first, refused(403))
    monkeypatch.setattr(urllib.request, "urlopen", script.open)
    with pytest.raises(LandlineError, match=r"cursor=e-1&nonce=\w+&grant=- answers 403"):
        list(Remote(f"{PREFIX}?channel=a", sleep=script.slept.append, rand=lambda: 0.5))
