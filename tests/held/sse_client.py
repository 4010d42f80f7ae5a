"""Reads an event stream with somebody's client, printing each event as it is told: `sse_client.py NAME URL COUNT`."""

import asyncio
import contextlib
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import httpx_sse


class Told(Exception):
    """Everything that was asked for has been told."""


class Printer:
    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self, event: str, last_id: str, data: str) -> None:
        if event != "news":
            return
        print(json.dumps({"id": last_id, "data": json.loads(data)}), flush=True)  # noqa: T201
        self._left -= 1
        if not self._left:
            raise Told


def read_httpx_sse(url: str, told: Printer) -> None:
    """It does not come back by itself: that is left to its user, as its documentation says."""
    last_id = ""
    with httpx.Client(timeout=10) as client:
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            try:
                with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
                    for block in source.iter_sse():
                        last_id = block.id or last_id
                        told(block.event, block.id, block.data)
            except httpx.TransportError:
                continue


def read_launchdarkly(url: str, told: Printer) -> None:
    from ld_eventsource import SSEClient
    from ld_eventsource.actions import Event
    from ld_eventsource.config import ErrorStrategy

    # Told nothing, it tries every second at first: the tests would only wait.
    client = SSEClient(url, error_strategy=ErrorStrategy.always_continue(), initial_retry_delay=0.05)
    for action in client.all:
        if isinstance(action, Event):
            told(action.event, action.last_event_id or "", action.data)


async def _read_aiohttp(url: str, told: Printer) -> None:
    from aiohttp_sse_client.client import EventSource

    soon = dt.timedelta(milliseconds=50)
    async with EventSource(url, reconnection_time=soon, max_connect_retry=50) as source:
        async for block in source:
            told(block.type, block.last_event_id, block.data)


def read_aiohttp(url: str, told: Printer) -> None:
    asyncio.run(_read_aiohttp(url, told))


def _blocks(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    """Read blocks as a shell script would: a cut one is none."""
    fields: dict[str, str] = {}
    for line in lines:
        if line == "\n":
            yield fields
            fields = {}
        else:
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value


def read_curl(url: str, told: Printer) -> None:
    last_id = ""
    while True:
        headers = ["-H", f"Last-Event-ID: {last_id}"] if last_id else []
        with subprocess.Popen(["curl", "-sN", "-m", "10", *headers, url], stdout=subprocess.PIPE, text=True) as curl:
            assert curl.stdout is not None
            try:
                for block in _blocks(iter(curl.stdout)):
                    last_id = block.get("id", last_id)
                    told(block["event"], last_id, block["data"])
            finally:
                curl.kill()


CLIENTS = {
    "httpx-sse": read_httpx_sse,
    "launchdarkly-eventsource": read_launchdarkly,
    "aiohttp-sse-client": read_aiohttp,
    "curl": read_curl,
}


def main(name: str, url: str, count: str) -> None:
    with contextlib.suppress(Told):
        CLIENTS[name](url, Printer(int(count)))


if __name__ == "__main__":
    main(*sys.argv[1:])
