"""What is known: of users, items, themes and versions; and which version is to serve.

Knows: parameters of those routes. Does not know: how what is told comes about (telling.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from model.errors import ModelError
from ops.server import schema, telling
from ops.server.asking import ItemId, MayChange, UserId, checked_id, read, written
from ops.server.openapi import answers, takes
from ops.server.parts import Parts, Record
from ops.server.problems import Unavailable
from stream.announcing import rolled_back
from stream.records import encode_announcement


def router(parts: Parts) -> APIRouter:
    """The routes of this file."""
    made = APIRouter(tags=["about"])
    answering = parts.answering

    @made.get("/users/{user:path}", responses=answers("UserTold", 404), response_class=Response)
    async def user_told(user: UserId) -> Response:
        """A user's sessions with their themes, rejected items, counts, and newest list."""
        told = telling.user(answering, checked_id(user, "user"))
        if told is None:
            raise HTTPException(404, f"Nothing is remembered of user {user!r}.")
        return written(told)

    @made.get("/items", responses=answers("Items"), response_class=Response)
    async def search(
        q: Annotated[str, Query(max_length=200, description="Words of the title, as they stand.")],
        n: Annotated[int, Query(ge=1, le=100)] = 10,
    ) -> Response:
        """Items whose titles hold these words, best known first."""
        versions, shelf = answering.versions, answering.shelf
        serving = versions.current and versions.current.name
        found = shelf.search(q, n, telling.weight(versions), serving)
        return written(schema.Items(items=[telling.item(shelf, versions, name) for name in found]))

    @made.get("/items/{item:path}", responses=answers("ItemTold", 404), response_class=Response)
    async def item_told(item: ItemId) -> Response:
        """What is known of an item."""
        told = telling.item(answering.shelf, answering.versions, checked_id(item, "item"))
        if not told.known and answering.shelf.get(item) is None:
            raise HTTPException(404, f"No item {item!r} is known.")
        return written(told)

    @made.get("/themes", responses=answers("Themes"), response_class=Response)
    async def themes() -> Response:
        """The themes of the version that serves, with items that stand for them."""
        return written(telling.themes(answering))

    _models(made, parts)
    return made


def _models(made: APIRouter, parts: Parts) -> None:
    """The routes of the registry."""

    @made.get("/models", responses=answers("Models"), response_class=Response)
    async def models() -> Response:
        """Published versions, oldest first, and which one serves."""
        return written(await asyncio.to_thread(telling.models, parts.registry, parts.models_dir))

    @made.post(
        "/models/rollback",
        responses=answers("RolledBack", 401, 404, 409, 413, 415),
        response_class=Response,
        openapi_extra=takes("RollbackAsked"),
        dependencies=[Depends(MayChange(parts.token))],
    )
    async def rollback(request: Request) -> Response:
        """Let an earlier version serve again; the one that served is withdrawn, and its lists are hidden.

        409 where it cannot come back: it serves already, is newer, was withdrawn, or is damaged.
        """
        to = (await read(request, schema.RollbackAsked)).to
        try:
            before = await asyncio.to_thread(parts.registry.current)
            serving = None if before is None else before.version
            back = await asyncio.to_thread(parts.registry.rollback, to, serving)
        except ModelError as error:
            unheard_of = to is not None and to not in await asyncio.to_thread(parts.registry.list)
            raise HTTPException(404 if unheard_of else 409, str(error)) from None
        await parts.refresh()
        assert serving is not None  # there was something to take back
        told = rolled_back(parts.models_dir, back, serving)
        with contextlib.suppress(Unavailable):  # the rollback counts all the same: roles follow the registry
            await parts.sender.send(
                [Record(parts.names.models, one.model.encode(), encode_announcement(one)) for one in told]
            )
        return written(
            schema.RolledBack(current=back.version, epoch=back.epoch, withdrawn=list(back.withdrawn))
        )
