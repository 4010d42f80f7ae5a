"""nchan: push in C inside nginx. One worker, memory storage, its defaults but for the pings, which are Landline's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.load import BODY, UPGRADE, Reading, request
from bench.peers.nginx import serving
from bench.peers.peer import Peer, Server
from bench.processes import Unable, get, post

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
LOCATIONS = """
location = /publish { nchan_publisher; nchan_channel_id orders; }
location = /events { nchan_subscriber eventsource; nchan_channel_id orders; nchan_eventsource_ping_interval 15;
                     nchan_subscriber_first_message newest; }
location = /ws { nchan_subscriber websocket; nchan_channel_id orders; nchan_websocket_ping_interval 15;
                 nchan_subscriber_first_message newest; }
location = /long-poll { nchan_subscriber longpoll; nchan_channel_id orders; nchan_subscriber_timeout 60;
                        nchan_subscriber_first_message newest; }
location = /poll { nchan_subscriber interval-poll; nchan_channel_id orders; }
"""
SINCE = ("Last-Modified: ", "\r\n", "Etag: ", "\r\n")


@contextmanager
def start(folder: Path) -> Iterator[Server]:
    """Run one worker, with an event in the channel, so that a poll has a position to ask from."""
    if not MODULE.exists():
        raise Unable("libnginx-mod-nchan is not installed")
    modules = f"load_module {MODULE};"
    with serving(folder, LOCATIONS, http="nchan_shared_memory_size 256M;", modules=modules) as (port, pid):
        post(port, "/publish", BODY.encode())
        headers = get(port, "/poll")[1]
        position = f"If-Modified-Since: {headers['Last-Modified']}", f"If-None-Match: {headers['Etag']}"
        readings = {
            "sse": Reading("sse", request("/events", "Accept: text/event-stream")),
            "websocket": Reading("websocket", request("/ws", *UPGRADE)),
            "long-poll": Reading(
                "poll",
                request("/long-poll", *position),
                request("/long-poll", "If-Modified-Since: {0}", "If-None-Match: {1}"),
                SINCE,
            ),
        }
        yield Server((pid,), port, poll=request("/poll", *position), readings=readings)


PEER = Peer("nchan", start, {"route": "nginx has no routes of an app"})
