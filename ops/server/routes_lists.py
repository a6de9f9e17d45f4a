"""Lists for a user, candidates in a user's order, items like another.

Knows: parameters of those three routes. Does not know: how an answer comes about (answers.py, scoring.py).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from fastapi import APIRouter, Query, Request, Response
from starlette.exceptions import HTTPException

from ops.server import queries, schema
from ops.server.answers import Question
from ops.server.asking import USER, ItemId, checked_id, read, written
from ops.server.openapi import answers, takes
from ops.server.parts import Parts
from ops.server.rules import Asked, Candidate, choose

Num = Annotated[int, Query(ge=1, le=schema.MAX_N, description="Items at most.")]
#: Bounds the length of an address that is still read.
Ids = Annotated[list[str] | None, Query(max_length=schema.MAX_N)]


def router(parts: Parts) -> APIRouter:
    """The routes of this file."""
    made = APIRouter(tags=["lists"])
    answering = parts.answering

    def asked(question: Question) -> schema.Answer:
        answer = answering.answer(question, parts.clock_s(), parts.health.broker_away)
        parts.telemetry.labelled(answer.degraded)
        return answer

    @made.get(
        "/recommend/{user:path}",
        responses=answers("Answer"),
        response_class=Response,
        openapi_extra=queries.parameters(schema.RecommendAsked, user=USER),
    )
    async def recommend(request: Request) -> Response:
        """The user's newest list, under the rules. Whoever has none gets what is popular, labelled.

        `include` leaves only these items, `category` only those of one. `min_offset` is what POST /events
        said of your click: the answer waits, a bounded time, for a list that knows it.
        """
        user = checked_id(request.path_params["user"], "user")
        wish = queries.read(request.scope["query_string"], schema.RecommendAsked)
        known = True
        if wish.min_offset is not None:
            known = await answering.view.wait_for(user, wish.min_offset, parts.wait_s)
        answer = asked(
            Question(
                user=user,
                n=wish.n,
                include=wish.include,
                exclude=wish.exclude,
                category=wish.category,
                explain=wish.explain,
            )
        )
        if not known and answer.degraded is None:
            late = f"no list that knows offset {wish.min_offset} came within {parts.wait_s:g} s"
            answer = msgspec.structs.replace(answer, degraded="behind", reason=late)
        return written(answer)

    @made.post(
        "/rank",
        responses=answers("Answer", 413, 415),
        response_class=Response,
        openapi_extra=takes("RankAsked"),
    )
    async def rank(request: Request) -> Response:
        """These candidates in the order of /recommend, under the same rules; `left_out` has the others.

        What nothing is known of comes last, with a score of null.
        """
        body = await read(request, schema.RankAsked)
        question = Question(
            user=checked_id(body.user, "user"),
            n=body.n or max(1, len(body.items)),
            include=body.items,
            exclude=body.exclude,
            category=body.category,
            explain=body.explain,
        )
        return written(asked(question))

    @made.get("/similar/{item:path}", responses=answers("Similar", 404), response_class=Response)
    async def similar(
        item: ItemId, n: Num = 10, exclude: Ids = None, category: str | None = None
    ) -> Response:
        """The items whose rows lie nearest to this one's, under the rules."""
        mapped = answering.versions.current
        place = None if mapped is None else mapped.places.get(checked_id(item, "item"))
        if mapped is None or place is None:
            if answering.shelf.get(item) is None:
                raise HTTPException(404, f"No item {item!r} is known.")
            why = "no model yet" if mapped is None else f"version {mapped.name} has no row of it"
            return written(
                schema.Similar(item=item, model=mapped.name if mapped else None, items=[], degraded=why)
            )
        cosines_I = mapped.unit @ mapped.unit[place]
        order = np.argsort(-cosines_I, kind="stable").tolist()
        candidates = (
            Candidate(mapped.items[at], round(float(cosines_I[at]), 6)) for at in order if at != place
        )
        chosen = choose(
            candidates,
            answering.shelf.categories,
            answering.rules,
            Asked(
                n=n,
                exclude=frozenset(exclude or ()),
                category=category,
                num_in_category=answering.shelf.num_in(category),
            ),
        )
        parts.telemetry.chosen(chosen)
        shown = [
            schema.Shown(item=one.item, score=one.score, title=answering.shelf.title(one.item))
            for one in chosen.shown
        ]
        return written(schema.Similar(item=item, model=mapped.name, items=shown, degraded=None))

    return made
