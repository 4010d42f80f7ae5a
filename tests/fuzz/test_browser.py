"""What was published is what a page gets, in real Chromium, over each transport: the same value under the same name."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.held.servers import Server, ask, gunicorn, serve

PATIENCE = 20_000
"""Milliseconds: a line is tried after the first poll, and must prove itself."""

pytestmark = pytest.mark.browser


def nested(depth: int) -> Any:
    value: Any = "innermost"
    for number in range(depth):
        value = [value] if number % 2 else {"": value}
    return value


VALUES: list[Any] = [
    None,
    {"__proto__": {"polluted": True}},
    {"constructor": {"prototype": {"polluted": True}}, "toString": 1, "hasOwnProperty": 2, "length": -1},
    {"__proto__": None, "__defineGetter__": [], "then": "no promise"},
    "\u2028\u2029\x85\ufeff\x00\x1f\x7f",
    "\ud800",
    "\udfff tail",
    ["\ud83d", "\ude00", "\ud83d\ude00", "😀"],
    {"\ud800": "a key of half a pair", "": "an empty one", "\u2028": 1},
    "\r\n\r\nevent: forged\ndata: 1\nid: zzzzzzzz-9\n\n",
    "</script><script>document.title='forged'</script>",
    [0, -0.0, 0.0, 5e-324, -5e-324, 1.7976931348623157e308, 0.1, 1e21, 123456789.125],
    [2**53, -(2**53), 2**53 - 1],
    {"10": "a", "9": "b", "-1": "c", "01": "d", "1e3": "e"},
    [[], {}, [[]], [{}], {"": {}}],
    nested(99),
    {str(number): number for number in range(500)},
    "x" * 60_000,
    "é\u0301 e\u0301 \u1e9b\u0323 Å \u200b\u202e\ufffd\uffff",
    [True, False, None, "true", "null", "NaN", "Infinity"],
]
LAST = "that was all"

NAMES = [
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
    "message",
    "error",
    "open",
    "close",
    "a b",
    " leading",
    "trailing ",
    "a:b",
    ": comment",
    "a+b",
    "a&channel=b",
    "100%",
    "%41",
    "%2F",
    "a#b?c=d;e",
    "quo\"te's",
    "back\\slash",
    "<b>",
    "grüße/𝄞",
    "é",
    "e\u0301",
    "data",
    "id",
    "retry",
    "0",
    "x" * 200,
]

BEGIN = """
async ({transports, channels}) => {
  const { Landline } = await import("/landline/landline.js");
  const units = (text) => "s" + Array.from({ length: text.length }, (_, at) => text.charCodeAt(at)).join(",");
  const bits = (number) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, number);
    return "n" + view.getBigUint64(0).toString(16).padStart(16, "0");
  };
  const shown = (value) => {
    if (typeof value === "string") return units(value);
    if (typeof value === "number") return bits(value);
    if (value === null || typeof value === "boolean") return String(value);
    if (Array.isArray(value)) return "[" + value.map(shown).join(";") + "]";
    if (Object.getPrototypeOf(value) !== Object.prototype) return "of another kind";
    const names = Object.getOwnPropertyNames(value);
    return "{" + names.map((name) => units(name) + "=" + shown(value[name])).sort().join(";") + "}";
  };
  window.got = [];
  window.line = new Landline({ url: "/landline/", transports });
  for (const channel of channels) {
    window.line.on(channel, (data, event) => window.got.push([channel, event.channel, shown(data)]));
  }
  window.line.addEventListener("error", ({ detail }) => window.got.push(["error", "", String(detail)]));
}
"""


def shown(value: Any) -> str:
    """Show a value as the page shows it: strings by their code units, numbers by their bits."""
    if isinstance(value, str):
        units = value.encode("utf-16-be", "surrogatepass")
        return "s" + ",".join(str(high * 256 + low) for high, low in zip(units[::2], units[1::2], strict=True))
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return "n" + struct.pack(">d", value).hex()
    if isinstance(value, list):
        return "[" + ";".join(map(shown, value)) + "]"
    return "{" + ";".join(sorted(f"{shown(name)}={shown(inner)}" for name, inner in value.items())) + "}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = gunicorn("--worker-class", "gthread", "--threads", "4", app="tests.fuzz.app:create_app()")
    with serve(command, tmp_path_factory.mktemp("browser"), {"LANDLINE_INTERVAL": 0.2}) as server:
        yield server


def publish(server: Server, *pairs: tuple[str, Any]) -> None:
    assert ask(f"{server.base}/publish", body=json.dumps(pairs)).status == 200


def read(page: Page, server: Server, transport: str, channels: list[str], pairs: list[tuple[str, Any]]) -> Any:
    """Publish pairs to a page that reads by a transport, and return what it got."""
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server.base}/page")
    page.evaluate(BEGIN, {"transports": list(dict.fromkeys([transport, "poll"])), "channels": channels})
    page.wait_for_function("transport => line.cursor && line.transport === transport", arg=transport)
    publish(server, *pairs)
    page.wait_for_function("count => got.length >= count", arg=len(pairs))
    return page.evaluate("got")


@pytest.mark.parametrize("transport", ["poll", "sse", "websocket"])
def test_page_gets_the_value_that_was_published(transport: str, server: Server, page: Page) -> None:
    got = read(page, server, transport, ["values"], [("values", value) for value in [*VALUES, LAST]])
    wanted = [["values", "values", shown(value)] for value in [*VALUES, LAST]]
    for one, other in zip(got, wanted, strict=True):
        assert one == other
    assert page.evaluate("({}).polluted === undefined && document.title") == ""


@pytest.mark.parametrize("transport", ["poll", "sse", "websocket"])
def test_page_gets_events_of_any_name(transport: str, server: Server, page: Page) -> None:
    got = read(page, server, transport, NAMES, [(name, [name]) for name in NAMES])
    assert sorted(got) == sorted([name, name, shown([name])] for name in NAMES)


@pytest.mark.parametrize(
    ("number", "read_as"), [(2**53 + 1, 2**53), (2**64, 2**64), (2**63 - 1, 2**63), (10**308 + 1, 1e308)]
)
def test_page_rounds_integers_that_no_double_holds(number: int, read_as: float, server: Server, page: Page) -> None:
    """As docs/how-to/publish.md says; the server sends them digit by digit."""
    got = read(page, server, "poll", ["numbers"], [("numbers", number)])
    assert got == [["numbers", "numbers", shown(float(read_as))]]
    answer = ask(f"{server.base}/landline/poll?channel=numbers&cursor=start")
    assert answer.json["data"][-1]["data"] == number
