"""django-eventstream on uvicorn: one process, no storage, as its README has it without GRIP."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.load import Reading, request
from bench.peers.peer import Peer, Server, speaks_only
from bench.processes import free_port, running

urlpatterns: list[Any] = []
"""Where Django looks for the app's routes."""


def make() -> Any:
    """Make the app."""
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="-" * 50,
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django_eventstream"],
        MIDDLEWARE=[],
    )
    from django.core.asgi import get_asgi_application

    app = get_asgi_application()

    from django.http import HttpResponse, JsonResponse
    from django.urls import include, path
    from django_eventstream import send_event

    def publish(request: Any) -> Any:
        send_event("orders", "message", json.loads(request.body))
        return HttpResponse()

    urlpatterns[:] = [
        path("publish", publish),
        path("plain", lambda _: JsonResponse({"data": None})),
        path("events/", include("django_eventstream.urls"), {"channels": ["orders"]}),
    ]
    return app


@contextmanager
def start(_: Path) -> Iterator[Server]:
    """Run one process."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "--port", port, "--backlog", 4096, "--no-access-log"]
    readings = {"sse": Reading("sse", request("/events/", "Accept: text/event-stream"))}
    with running([*command, "--lifespan", "off", f"{__name__}:make"], port) as pid:
        yield Server((pid,), port, readings=readings)


PEER = Peer("django-eventstream, uvicorn", start, speaks_only("sse", "it speaks SSE", polls="it speaks SSE"))
