"""The application: routes, errors and limits put together around given parts.

Knows: which routers there are, in which order a request passes. Does not know: Kafka, processes, settings.
"""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp

from ops.server import (
    openapi,
    problems,
    routes_about,
    routes_events,
    routes_health,
    routes_lists,
    routes_page,
)
from ops.server.guard import Guard, Rates
from ops.server.parts import Parts

ABOUT = """Clicks in, lists out. Every click changes that user's list within a fraction of a second.
Errors are application/problem+json. Whatever changes something needs the bearer token, where one is set."""


def build(parts: Parts, *, max_bytes: int, requests_per_s: int, timeout_s: float) -> ASGIApp:
    """``max_bytes``: of a request; ``requests_per_s``: of one client; ``timeout_s``: of one answer."""
    app = page(parts)
    return Guard(
        app,
        parts.telemetry,
        Rates(requests_per_s),
        max_bytes=max_bytes,
        timeout_s=timeout_s,
        clock_s=parts.clock_s,
    )


def page(parts: Parts) -> FastAPI:
    """The routes without the limits."""
    app = FastAPI(
        title="Hopstream",
        version=version("hopstream"),
        description=ABOUT,
        docs_url=None,  # its script would be another origin's; routes_page.py has our own
        redoc_url=None,
    )
    problems.install(app)
    openapi.install(app)
    # the busiest are matched first
    for routes in (routes_lists, routes_events, routes_about, routes_health, routes_page):
        app.include_router(routes.router(parts))
    return app
