"""Landline's own routes, on every host that reaches the app.

An app may match hosts (`host_matching`) or subdomains, and have a route of its own for every path of each. For the
client's script, or for the view that calls reader functions, its router then finds that route, or none. So the router's
verdict on Landline's own addresses does not count: when a request begins, before any function of the app sees it, it is
given the rule of its address.

Building goes the other way: a page's script is on the page's host, so the host is a part of the rules, with the
request's as its default.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from flask import Blueprint, Flask, current_app, has_request_context, request, request_started
from landline.hosts.wsgi.middleware import VISIT
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import BaseConverter, RequestRedirect, Rule

_PART = "landline_host"
_CONVERTER = "landline_host"
_PASSED_OVER = (NotFound, MethodNotAllowed, RequestRedirect)
"""What a router raises where it has no such route. Anything else is the app's: a host that it does not trust."""

WARN_EVERY = 60.0
"""Seconds between two warnings that the router rejects a host: a client may write any host."""

logger = logging.getLogger("flask_landline")


class _AnyHost(BaseConverter):
    """A host, a subdomain, none, or what Werkzeug says where a host is not below `SERVER_NAME`."""

    regex = ".*"

    def to_url(self, value: Any) -> str:
        """Leave the colon before a port as it is."""
        return str(value)


def on_every_host(app: Flask, blueprint: Blueprint) -> dict[str, Any]:
    """Return what the rules of a blueprint are declared with, so that they are built for the host of the request."""
    if not matches_hosts(app):
        return {}
    app.url_map.converters[_CONVERTER] = _AnyHost

    def add_host(_endpoint: str, values: dict[str, Any]) -> None:
        adapter = current_app.create_url_adapter(request if has_request_context() else None)
        if adapter is not None:
            host = adapter.server_name if current_app.url_map.host_matching else adapter.subdomain
            values.setdefault(_PART, host)

    def drop_host(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        if values is not None:
            values.pop(_PART, None)

    blueprint.url_defaults(add_host)
    blueprint.url_value_preprocessor(drop_host)
    part = f"<{_CONVERTER}:{_PART}>"
    return {"host": part} if app.url_map.host_matching else {"subdomain": part}


def matches_hosts(app: Flask) -> bool:
    """Return whether an app's routes are of hosts or subdomains."""
    return app.url_map.host_matching or bool(app.subdomain_matching)


class OwnRoutes:
    """Gives requests to Landline's own addresses their rules. Kept by the app's state, for signals hold it weakly.

    Args:
        app: has the rules.
        endpoints: of rules without variable parts.
    """

    def __init__(self, app: Flask, endpoints: set[str]) -> None:
        self._every_host = matches_hosts(app)
        self._rules: dict[str, Rule] = {
            rule.rule: rule for rule in app.url_map.iter_rules() if rule.endpoint in endpoints
        }
        self._warned: float | None = None
        request_started.connect(self._route, app)

    def _route(self, _app: Flask, **_: Any) -> None:
        rule = self._rules.get(request.path)
        if rule is None or request.method not in ("GET", "HEAD"):
            return
        visit = request.environ.get(VISIT)
        said = request.routing_exception
        if isinstance(said, HTTPException) and not isinstance(said, _PASSED_OVER):
            if visit is not None:
                visit.not_routed()
                self._warn(said)
            return
        # Elsewhere an app may have put a route of its own in the place of one of Landline's files.
        if visit is not None or said is not None or self._every_host:
            request.routing_exception = None
            request.url_rule = rule
            request.view_args = dict(rule.defaults or {})

    def _warn(self, said: HTTPException) -> None:
        now = time.monotonic()
        if self._warned is not None and now - self._warned < WARN_EVERY:
            return
        self._warned = now
        logger.error(
            "The app could not be asked who may read: its router answered %s to host %s. If that host is the app's, "
            "add it to TRUSTED_HOSTS; if it is a proxy's name for the app, have the proxy pass Host on (nginx: "
            "proxy_set_header Host $http_host), or X-Forwarded-Host with a ProxyFix around app.wsgi_app.",
            said.code,
            ascii(request.environ.get("HTTP_HOST", "")[:100]),
        )
