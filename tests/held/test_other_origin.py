"""A page of another origin, in Chromium, with its visitor's cookies: it gets nothing, unless its origin is listed."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.held.servers import GTHREAD, Server, second_door, serve

if TYPE_CHECKING:
    from playwright.sync_api import Page

TRY_ALL = """
async ({base, withCredentials}) => {
  const got = [];
  for (const channel of ["news", "private/x"]) {
    const query = `?channel=${encodeURIComponent(channel)}&cursor=start`;
    const credentials = withCredentials ? "include" : "omit";
    const ways = {
      poll: (resolve) =>
        fetch(`${base}/landline/poll${query}`, {credentials}).then((answer) => answer.text()).then(resolve, resolve),
      events: (resolve) => {
        const source = new EventSource(`${base}/landline/events${query}`, {withCredentials});
        source.addEventListener(channel, ({data}) => resolve(data));
        source.onerror = () => { source.close(); resolve("nothing"); };
      },
      ws: (resolve) => {
        const socket = new WebSocket(`${base.replace("http", "ws")}/landline/ws${query}`);
        socket.onmessage = ({data}) => data.includes('"data": [') && resolve(data);
        socket.onclose = () => resolve("nothing");
      },
    };
    for (const [way, look] of Object.entries(ways)) {
      if (String(await new Promise(look)).includes("secret")) got.push(`${way} ${channel}`);
    }
  }
  return got;
}
"""
WAYS = ("poll", "events", "ws")
PUBLIC = [f"{way} news" for way in WAYS]
ALL = PUBLIC + [f"{way} private/x" for way in WAYS]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return another origin, which has a page at /plain. Cookies know no ports, so it sends the same ones."""
    with serve(GTHREAD, tmp_path_factory.mktemp("elsewhere")) as server:
        yield server.base


@pytest.mark.browser
@pytest.mark.parametrize("door", ["wsgi", "listener"])
@pytest.mark.parametrize(
    ("origins", "with_credentials", "gets"),
    [
        ([], True, []),
        ([], False, []),
        (["http://127.0.0.1", "https://*.example.org"], True, []),
        (["{elsewhere}"], True, ALL),
        (["*"], False, PUBLIC),
        (["*"], True, ["ws news"]),  # which has no such choice, and public channels do not ask who it is
    ],
    ids=["none", "none, no cookies", "others", "listed", "star, no cookies", "star"],
)
def test_page_of_another_origin(
    origins: list[str],
    with_credentials: bool,
    gets: list[str],
    door: str,
    elsewhere: str,
    tmp_path: Path,
    page: "Page",
) -> None:
    config = {"LANDLINE_ORIGINS": [origin.format(elsewhere=elsewhere) for origin in origins]}
    start: AbstractContextManager[Server] = (serve if door == "wsgi" else _second_door)(GTHREAD, tmp_path, config)
    with start as server:
        server.publish("secret")
        server.publish("secret", channel="private/x")
        page.context.add_cookies([{"name": "who", "value": "ann", "url": server.base}])
        what = {"base": server.base, "withCredentials": with_credentials}
        page.goto(f"{elsewhere}/plain")
        assert page.evaluate(TRY_ALL, what) == gets
        if door == "wsgi":
            page.goto(f"{server.base}/plain")
            assert page.evaluate(TRY_ALL, what | {"withCredentials": True}) == ALL


def _second_door(_: object, folder: Path, config: Mapping[str, object]) -> AbstractContextManager[Server]:
    return second_door(folder, config)


IMPORT = """
async ({base}) => {
  const { Landline } = await import(`${base}/landline/landline.js`);
  const line = new Landline({ url: `${base}/landline`, cursor: "start" });
  const told = await new Promise((resolve) => line.on("news", resolve));
  line.close();
  return told;
}
"""


@pytest.mark.browser
@pytest.mark.parametrize(("origins", "imports"), [(["{elsewhere}"], True), (["*"], True), ([], False)])
def test_page_of_another_origin_imports_the_script_if_it_may_read(
    origins: list[str], imports: bool, elsewhere: str, tmp_path: Path, page: "Page"
) -> None:
    """Modules are fetched with CORS."""
    config = {"LANDLINE_ORIGINS": [origin.format(elsewhere=elsewhere) for origin in origins]}
    with serve(GTHREAD, tmp_path, config) as server:
        server.publish("hello")
        page.goto(f"{elsewhere}/plain")
        told = page.evaluate(f"(what) => ({IMPORT.strip()})(what).catch(() => 'refused')", {"base": server.base})
        assert told == ("hello" if imports else "refused")


EMBED = """
async (base) => {
  const seen = [];
  for (const element of ["object", "embed"]) {
    for (const channel of ["news", "private%2Fx", "nothing"]) {
      const shown = document.createElement(element);
      shown[element === "object" ? "data" : "src"] = `${base}/landline/poll?channel=${channel}`;
      const end = new Promise((resolve) => {
        shown.onload = () => resolve("load");
        shown.onerror = () => resolve("error");
      });
      document.body.append(shown);
      seen.push(`${element} ${await end}`);
    }
  }
  return seen;
}
"""


@pytest.mark.browser
def test_page_of_another_origin_does_not_see_whether_its_visitor_may_read(
    elsewhere: str, tmp_path: Path, page: "Page"
) -> None:
    with serve(GTHREAD, tmp_path) as server:
        page.context.add_cookies([{"name": "who", "value": "ann", "url": server.base}])
        page.goto(f"{elsewhere}/plain")
        seen = page.evaluate(EMBED, server.base)
        assert len(seen) == 6
        assert len(set(seen[:3])) == len(set(seen[3:])) == 1
