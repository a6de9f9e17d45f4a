"""Whether the server lives, whether it is ready, its metrics, and what happens as it happens.

Knows: those routes. Does not know: what is followed, what is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from ops.server import schema
from ops.server.asking import checked_id, written
from ops.server.feed import Full
from ops.server.openapi import JSON, answers
from ops.server.parts import Parts
from ops.server.problems import RETRY, documented
from stream.events import MAX_ID_BYTES

_TEXT = {"schema": {"type": "string"}}


def router(parts: Parts) -> APIRouter:
    """The routes of this file."""
    made = APIRouter(tags=["health"])

    @made.get("/health/live", responses=answers("Live"), response_class=Response)
    async def live() -> Response:
        """The process answers."""
        return written(schema.Live())

    # 503 is no problem here: it is the answer, with its reasons
    ready_said = answers("Ready")
    ready_said[503] = {**ready_said[200], "description": "Not ready, and why."}

    @made.get("/health/ready", responses=ready_said, response_class=Response)
    async def ready() -> Response:
        """Whether this server should get requests: 503 with the reasons if not."""
        answering = parts.answering
        reasons = parts.health.reasons()
        told = schema.Ready(
            ready=not reasons,
            reasons=reasons,
            lists=len(answering.view.lists),
            states=len(answering.view.states),
            items=len(answering.shelf),
            model=None if answering.versions.current is None else answering.versions.current.name,
        )
        if reasons:
            return Response(schema.encode(told), 503, RETRY, JSON)
        return written(told)

    @made.get(
        "/metrics",
        responses={
            200: {"description": "Prometheus metrics", "content": {"text/plain": _TEXT}},
            **documented(429, 503),
        },
        response_class=Response,
    )
    async def metrics() -> Response:
        """Metrics of this server in the text format of Prometheus."""
        return Response(parts.telemetry.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    @made.get(
        "/stream",
        responses={
            200: {"description": "Server-sent events", "content": {"text/event-stream": _TEXT}},
            **documented(422, 429, 503),
        },
        response_class=Response,
    )
    async def stream(
        user: Annotated[
            str | None,
            Query(min_length=1, max_length=MAX_ID_BYTES, description="Whose lists to tell of."),
        ] = None,
    ) -> Response:
        """What happens: `list` (of one user), `quality`, `version`; `rates`, `tick`, `run` once a second."""
        if user is not None:
            checked_id(user, "user")
        listening = parts.feed.listening(user)
        try:
            listener = listening.__enter__()
        except Full:
            raise HTTPException(503, "As many listen as may; try again later.", RETRY) from None

        async def events() -> AsyncIterator[bytes]:
            try:
                async for event in listener.events():
                    yield event
            finally:
                listening.__exit__(None, None, None)

        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingResponse(events(), 200, headers, "text/event-stream")

    return made
