"""The OpenAPI page, out of the records that the API really reads and writes.

Knows: how an operation names its records and shows an example. Does not know: routes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ops.server import schema
from ops.server.problems import documented
from stream.events import Forget, Interaction, Item, Rescore

_REF = "#/components/schemas/{name}"
JSON = "application/json"

EVENT = {
    "v": 1,
    "event": "interaction",
    "ts": 1700000000000,
    "user": "u1",
    "item": "i1",
    "type": "click",
}
ANSWER = {
    "user": "u1",
    "list": "0f3a",
    "items": [{"item": "i7", "score": 0.83, "title": "Apollo 18 (2011)"}],
    "model": "000001",
    "epoch": 1,
    "state": {"topic_id": "Zx", "partition": 3, "offset": 8812, "events": 57},
    "themes": [{"id": 4, "weight": 0.61, "label": "Sci-Fi"}],
    "degraded": None,
    "reason": None,
    "made_ms": 1700000000000,
    "left_out": [],
}
EXAMPLES: dict[str, Any] = {
    "Answer": ANSWER,
    "RankAsked": {"user": "u1", "items": ["i7", "i9"]},
    "Similar": {"item": "i1", "model": "000001", "items": ANSWER["items"], "degraded": None},
    "Events": {
        "accepted": [{"index": 0, "partition": 3, "offset": 8812}],
        "rejected": [{"index": 1, "reason": "missing_field", "detail": "Object missing required field `ts`"}],
    },
    "Forgotten": {"user": "u1", "partition": 3, "offset": 8813},
    "RollbackAsked": {"to": "000001"},
    "RolledBack": {"current": "000001", "epoch": 3, "withdrawn": ["000002"]},
    "Live": {"status": "live"},
    "Ready": {"ready": True, "reasons": [], "lists": 410, "states": 412, "items": 9742, "model": "000001"},
}


def answers(name: str, *problems: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """``responses`` of an operation that answers with the record ``name`` or one of these problems."""
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(name=name)}}
    if name in EXAMPLES:
        content["example"] = EXAMPLES[name]
    about = {"description": getattr(schema, name).__doc__, "content": {JSON: content}}
    return {status: about, **documented(*problems, 422, 429, 503)}


def takes(name: str) -> dict[str, Any]:
    """``openapi_extra`` of an operation whose body is the record ``name``."""
    content = {"schema": {"$ref": _REF.format(name=name)}, "example": EXAMPLES[name]}
    return {"requestBody": {"required": True, "content": {JSON: content}}}


def takes_events(max_events: int) -> dict[str, Any]:
    """``openapi_extra`` of POST /events: one event or several, in our shape or a foreign one."""
    ours = [{"$ref": _REF.format(name=kind.__name__)} for kind in _EVENTS]
    foreign = {
        "type": "object",
        "description": "An event as Metarank (`event`, `timestamp`) or Gorse (`FeedbackType`) has it.",
    }
    event = {"anyOf": [*ours, foreign]}
    body = {"anyOf": [event, {"type": "array", "items": event, "maxItems": max_events}]}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": body, "example": [EVENT]}}}}


_EVENTS = (Interaction, Item, Forget, Rescore)


def install(app: FastAPI) -> None:
    """The page is made once, when it is first asked for."""

    def page() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            names = made.setdefault("components", {}).setdefault("schemas", {})
            names.update(_components())
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = page  # type: ignore[method-assign]  # FastAPI's documented way


def _components() -> dict[str, Any]:
    _, found = msgspec.json.schema_components((*schema.ALL, *_EVENTS), ref_template=_REF)
    return found
