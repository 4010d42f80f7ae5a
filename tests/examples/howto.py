"""The pages of the how-tos: what the documents show is what runs here."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.processes import Process, free_port
from tools.markdown import split

ROOT = Path(__file__).parents[2]
NODE_MODULES = ROOT / "node_modules"

PATIENCE = 20_000
"""Milliseconds: a page that lost its server pauses before it asks again, and the pauses grow."""

# The first line of a block that is a whole file names it, in the language's own kind of comment.
NAME = re.compile(r"^(?:#|//|<!--) (?P<name>[\w./-]+\.\w+)(?: -->)?$")


class HowTo:
    """The files that a how-to shows, in a folder, served as it says.

    Args:
        document: The how-to's name in `docs/how-to`, without the ending.
        folder: An empty folder.
    """

    def __init__(self, document: str, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._text = (ROOT / "docs" / "how-to" / f"{document}.md").read_text()
        _, blocks = split(self._text)
        for _, _, code in blocks:
            name = NAME.match(code.partition("\n")[0])
            if name:
                path = folder / name["name"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(code + "\n")

    def add(self, module: str) -> None:
        """Put a file of an npm package into `static`."""
        static = self.folder / "static"
        static.mkdir(exist_ok=True)
        shutil.copy(NODE_MODULES / module, static)

    def bundle(self, command: str) -> None:
        """Run a command of esbuild's that the how-to shows."""
        assert f"\n{command}\n" in self._text
        _, *arguments = command.split()
        # Packages are looked for from the folder upwards.
        (self.folder / "node_modules").symlink_to(NODE_MODULES)
        esbuild = NODE_MODULES / ".bin" / "esbuild"
        subprocess.run([esbuild, *arguments, "--log-level=warning"], cwd=self.folder, check=True, timeout=60)

    def serve(self) -> Process:
        """Serve the app; after a stop once more, at the same address."""
        command = [sys.executable, "-m", "flask", "run", "--port", str(self.port)]
        return Process(command, port=self.port, cwd=self.folder)

    def place(self, item: str) -> None:
        """Have another process place an order, whether the app is served or not."""
        script = f"from app import place; place({item!r})"
        subprocess.run([sys.executable, "-c", script], cwd=self.folder, check=True, timeout=60)


class Lines:
    """What a page has open, and what it asks for. Made before anything is loaded."""

    def __init__(self, page: Page) -> None:
        self.polls: list[str] = []
        self._page = page
        page.on("request", lambda request: self.polls.append(request.url) if "/landline/poll" in request.url else None)
        # Sockets and streams alike; what is closed stays in the list, with its state.
        page.add_init_script(
            textwrap.dedent("""
                window.opened = [];
                for (const name of ["WebSocket", "EventSource"])
                  window[name] = class extends window[name] {
                    constructor(...given) { super(...given); opened.push(this); }
                  };
                // A line looks after its page until it is closed.
                window.signals = new Set();
                const add = window.addEventListener;
                window.addEventListener = (type, listener, options) => {
                  if (options?.signal) signals.add(options.signal);
                  add.call(window, type, listener, options);
                };
            """)
        )

    def opened(self) -> int:
        """Count all that were ever opened."""
        count: int = self._page.evaluate("opened.length")
        return count

    def alive(self) -> int:
        """Count the Landline objects that were not closed."""
        count: int = self._page.evaluate("[...signals].filter(({ aborted }) => !aborted).length")
        return count

    def expect_channels(self, *lines: list[str]) -> None:
        """Wait until just these are open."""
        self._page.wait_for_function(
            """lines => JSON.stringify(lines) === JSON.stringify(opened.filter(({ readyState }) => readyState === 1)
                .map(({ url }) => new URL(url).searchParams.getAll("channel")))""",
            arg=list(lines),
            timeout=PATIENCE,
        )


def expect_items(page: Page, selector: str, *texts: str) -> None:
    expect(page.locator(selector)).to_have_text(list(texts), timeout=PATIENCE)


def order(page: Page, item: str) -> None:
    page.fill("input", item)
    page.click("button")
