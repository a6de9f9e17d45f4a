"""Events onto the topics, and users off them.

Knows: which topic an event goes to, what 202 promises. Does not know: how records reach the broker.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response
from starlette.exceptions import HTTPException

from ops.server import schema
from ops.server.asking import MayChange, UserId, checked_id, json_body, written
from ops.server.intake import Accepted, TooMany
from ops.server.intake import read as read_events
from ops.server.openapi import answers, takes_events
from ops.server.parts import Parts, Record
from ops.server.problems import problem
from stream.events import Forget, Item, Malformed, encode


def router(parts: Parts) -> APIRouter:
    """The routes of this file."""
    made = APIRouter(tags=["events"], dependencies=[Depends(MayChange(parts.token))])

    @made.post(
        "/events",
        status_code=202,
        responses=answers("Events", 400, 401, 413, 415, status=202),
        response_class=Response,
        openapi_extra=takes_events(parts.max_events),
    )
    async def take(request: Request) -> Response:
        """One event or an array of them. 202 comes once the broker holds every accepted one.

        503 does not say that nothing was stored: send the same again, an event counts once. 422 with the
        reasons if none was accepted.
        """
        body = await json_body(request)
        try:
            found = read_events(body, parts.wall_ms(), parts.max_events)
        except TooMany:
            raise HTTPException(413, f"A request has at most {parts.max_events} events.") from None
        if isinstance(found, Malformed):
            return problem(400, f"{found.reason}: {found.detail}")
        accepted, rejected = found
        refused = [schema.Refused(index=one.index, reason=one.reason, detail=one.detail) for one in rejected]
        parts.telemetry.taken(0, len(refused))
        if refused and not accepted:
            return problem(422, "No event of this request was accepted.", rejected=refused)
        places = await parts.sender.send([_record(one, parts) for one in accepted])
        parts.telemetry.taken(len(accepted), 0)
        stored = [
            schema.Stored(index=one.index, partition=place.partition, offset=place.offset)
            for one, place in zip(accepted, places, strict=True)
        ]
        return written(schema.Events(accepted=stored, rejected=refused), 202)

    @made.delete(
        "/users/{user:path}",
        status_code=202,
        responses=answers("Forgotten", 401, status=202),
        response_class=Response,
    )
    async def forget(user: UserId) -> Response:
        """Erase a user: state, and every list made of it. `min_offset` of the answer waits for it."""
        erasure = Forget(user=checked_id(user, "user"))
        record = Record(parts.names.events, user.encode(), encode(erasure))
        place = (await parts.sender.send([record]))[0]
        return written(schema.Forgotten(user=user, partition=place.partition, offset=place.offset), 202)

    return made


def _record(one: Accepted, parts: Parts) -> Record:
    event = one.event
    if isinstance(event, Item):
        return Record(parts.names.items, event.item.encode(), one.raw)
    return Record(parts.names.events, event.user.encode(), one.raw)
