"""The OpenAPI description, held against what the code does."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from flask_landline import Refusal
from jsonschema import Draft202012Validator
from landline.protocol import problem, request
from landline.protocol.openapi import describe
from landline.serve.offers import ALL

from tests.apps import PREFIX, Answer, App


@pytest.fixture
def described(orders: App) -> dict[str, Any]:
    """Return the description, as it is served."""
    answer = orders.ask("", path=f"{PREFIX}/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    found: dict[str, Any] = answer.json
    return found


@pytest.fixture
def orders(app: App) -> App:
    app.live.channel("orders", keep=10)
    app.live.channel("state").snapshot(lambda: {"whole": "state"})
    return app


def schema(described: dict[str, Any], name: str) -> Draft202012Validator:
    """Return what checks an object against one of the description's schemas."""
    found = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in described["paths"].items():
        assert list(item) == ["get"]
        yield path, item["get"]


def test_description_has_the_wires_paths_and_their_parameters(described: dict[str, Any], orders: App) -> None:
    paths = dict(operations(described))
    assert set(paths) == orders.flask.wsgi_app._endpoints.paths  # type: ignore[attr-defined]
    for path, known in (
        ("poll", request.POLL_PARAMETERS),
        ("events", request.STREAM_PARAMETERS),
        ("ws", request.SOCKET_PARAMETERS),
    ):
        given = [item["name"] for item in paths[f"{PREFIX}/{path}"]["parameters"] if item["in"] == "query"]
        assert tuple(given) == known


def test_every_code_is_described_with_its_statuses(described: dict[str, Any]) -> None:
    codes = {code: set(kind.statuses) for code, kind in problem.KINDS.items() if code != "method"}
    for _, operation in operations(described):
        found: dict[str, set[int]] = {}
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            (media_type,) = response["content"]
            assert media_type == "application/problem+json"
            members = response["content"][media_type]["schema"]["allOf"][1]["properties"]
            assert members["status"]["const"] == int(status)
            for code in members["code"]["enum"]:
                found.setdefault(code, set()).add(int(status))
        assert found == codes


def test_transports_are_those_that_are_offered(described: dict[str, Any]) -> None:
    transports = described["components"]["schemas"]["Advice"]["properties"]["transports"]
    assert transports["items"]["enum"] == list(ALL)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "cursor",
            ["", "now", "start", "k3f9a2zq-0", "k3f9a2zq-1042"],
            ["NOW", " ", "1042", "k3f9a2zq-01", "k3f9a2zq-1\n"],
        ),
        ("wait", ["0", "20", "0.5", "999999.999999"], ["", "-1", "1e3", ".5", "5s", "1\n"]),
        ("channel", [["orders"], ["a", "b"]], [[], ["a", "a"], [str(n) for n in range(101)]]),
        ("nonce", ["", "x" * 64], ["x" * 65]),
        ("lastEventId", ["", "now", "k3f9a2zq-1042"], ["NOW", "1042", "k3f9a2zq-1\n"]),
        ("_", ["", "1700000000"], []),
    ],
)
def test_described_parameters_are_those_understood(
    name: str, good: list[Any], bad: list[Any], described: dict[str, Any]
) -> None:
    """What the description permits is understood, and what it forbids is refused."""
    parse, path = (request.parse_poll, "poll") if name in request.POLL_PARAMETERS else (request.parse_stream, "events")
    (parameter,) = [
        item for item in described["paths"][f"{PREFIX}/{path}"]["get"]["parameters"] if item["name"] == name
    ]
    validator = Draft202012Validator(parameter["schema"])

    def is_understood(value: Any) -> bool:
        pairs = [("channel", each) for each in value] if name == "channel" else [("channel", "a"), (name, value)]
        try:
            parse(urlencode(pairs))
        except Refusal:
            return False
        return True

    for values, expected in ((good, True), (bad, False)):
        for value in values:
            # ECMA's `$` is the end; Python's is also before a last line break.
            described_so = validator.is_valid(value) and not str(value).endswith("\n")
            assert (described_so, is_understood(value)) == (expected, expected), value


def answers(app: App) -> Iterator[Answer]:
    """Yield an answer of each kind that a poll has."""
    first = app.poll("orders")
    yield first
    app.live.publish("orders", {"id": 7})
    yield app.poll("orders", cursor=first.cursor)
    for number in range(120):
        app.live.publish("orders", number)
    yield app.poll("orders", cursor=first.cursor)
    yield app.poll("orders", cursor="zzzzzzzz-5")
    yield app.poll("orders", cursor=first.cursor.partition("-")[0] + "-99999")
    yield app.poll("orders", cursor="")
    yield app.poll("state")


def test_answers_are_as_described(described: dict[str, Any], orders: App) -> None:
    validator = schema(described, "Answer")
    headers = described["paths"][f"{PREFIX}/poll"]["get"]["responses"]["200"]["headers"]
    found = [answer.json for answer in answers(orders)]
    for answer in answers(orders):
        assert list(validator.iter_errors(answer.json)) == []
        assert [name for name in headers if name not in answer.headers] == []
    assert any(answer["data"] is None for answer in found)
    assert {answer["reset"]["reason"] for answer in found if "reset" in answer} == {
        "trimmed",
        "epoch",
        "ahead",
        "unknown",
    }
    assert any(event.get("snapshot") for answer in found for event in answer["data"] or ())


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: answer.pop("cursor"),
        lambda answer: answer.update(cursor="1042"),
        lambda answer: answer.update(data=[]),
        lambda answer: answer["data"][0].pop("at"),
        lambda answer: answer["data"][0].update(offset="7"),
        lambda answer: answer["advice"].update(transports=["carrier-pigeon"]),
        lambda answer: answer["advice"].update(interval=-1),
        lambda answer: answer.update(reset={"channels": ["orders"], "reason": "whim"}),
    ],
)
def test_description_is_strict(change: Callable[[Any], object], described: dict[str, Any], orders: App) -> None:
    """A description that anything fits would prove nothing."""
    orders.live.publish("orders", 1)
    answer = orders.poll("orders", cursor="start").json
    validator = schema(described, "Answer")
    assert validator.is_valid(answer)
    change(answer)
    assert not validator.is_valid(answer)


def test_problems_are_as_described(described: dict[str, Any], orders: App) -> None:
    responses = described["paths"][f"{PREFIX}/poll"]["get"]["responses"]
    for query in ("", "channel=orders&x=1", "channel=orders&cursor=5", "channel=nothing"):
        answer = orders.ask(query)
        content = responses[str(answer.status)]["content"][answer.headers["Content-Type"]]
        validator = Draft202012Validator({**content["schema"], "components": described["components"]})
        assert list(validator.iter_errors(answer.json)) == []
        assert not validator.is_valid({**answer.json, "code": "whim"})


def test_unchanged_is_as_described(described: dict[str, Any], orders: App) -> None:
    answer = orders.poll("orders", if_none_match=orders.poll("orders").headers["ETag"])
    headers = described["paths"][f"{PREFIX}/poll"]["get"]["responses"][str(answer.status)]["headers"]
    assert set(headers) == {"Landline-Interval", "Landline-Hold"}
    for name, header in headers.items():
        assert re.fullmatch(header["schema"]["pattern"].strip("^$"), answer.headers[name])


def test_description_follows_the_configuration() -> None:
    paths = describe("/live/line", ALL, 7.5)["paths"]
    assert list(paths) == ["/live/line/poll", "/live/line/events", "/live/line/ws"]
    assert "up to 7.5 s" in paths["/live/line/poll"]["get"]["description"]
