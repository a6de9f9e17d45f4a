"""From a request and a ranking to what goes out: a recommendation list and, for sampled users, a judgement.

Knows: the public form of a list, why a list is degraded. Does not know: Kafka, torch, who ranks.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.blend import EPSILON
from stream.asking import Place
from stream.mixing import Mixed
from stream.records import (
    Header,
    Judgement,
    Line,
    RecommendationList,
    Scored,
    StateRef,
    ThemeWeight,
    Took,
)

#: Items of every line of a judgement.
JUDGED_ITEMS: Final = 50
NO_MODEL: Final = "no model yet"
MEMORY: Final = "memory"
POPULAR: Final = "popular"
#: What an item scores in a sum of the memory alone that knows nothing of it.
NOTHING_REMEMBERED: Final = round(math.log(EPSILON), 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """When, by what and how long."""

    model: str | None  # version; None before the first
    epoch: int
    labels: Sequence[str]  # of the version's themes, by theme
    made_ms: int
    took: Took
    top_n: int


def list_id(header: Header, epoch: int) -> str:
    """The same for the same state and epoch, so a list that is made twice has one id (our construction)."""
    parts = f"{header.topic_id}/{header.partition}/{header.offset}/{epoch}"
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def make_list(
    header: Header, place: Place | None, mixed: Mixed | None, popular: Sequence[str], made: Made
) -> RecommendationList:
    """The list for a request: ``mixed``, where the model knows an item of the user; else what the memory
    says, then what is popular, and the list says so. A forgotten user gets an empty list.

    A popular item scores as one that the memory says nothing of.
    """
    whole = place is not None and place.known and not header.forgotten
    degraded: str | None = None
    if header.forgotten:
        mixed, scored = None, []
    else:
        scored = [Scored(item=item, score=score) for item, score in zip(*_shown(mixed), strict=True)][
            : made.top_n
        ]
        if not whole:
            degraded = NO_MODEL if made.model is None else MEMORY if scored else POPULAR
            there = {one.item for one in scored}
            rest = [item for item in popular if item not in there][: made.top_n - len(scored)]
            scored += [Scored(item=item, score=NOTHING_REMEMBERED) for item in rest]
    return RecommendationList(
        id=list_id(header, made.epoch),
        user=header.user,
        items=scored,
        model=made.model,
        state=_state(header),
        epoch=made.epoch,
        themes=_themes(header, made),
        experts=[[round(float(share), 4) for share in block] for block in place.experts]
        if whole and place
        else [],
        vector=_packed(place.vector) if whole and place and place.vector is not None else None,
        memory=mixed.memory if mixed else {},
        rows=[Scored(item=item, score=score) for item, score in mixed.rows.items()]
        if mixed and whole
        else [],
        weight=mixed.weight if mixed and (whole or mixed.items) else None,
        degraded=degraded,
        made_ms=made.made_ms,
        took_ms=made.took,
        memory_cut=mixed.memory_cut if mixed else 0,
    )


def make_judgement(
    header: Header, place: Place | None, mixed: Mixed | None, popular: Sequence[str], made: Made
) -> Judgement:
    """What each contender would show for this state; `served` is what the list shows."""
    lines: dict[str, Line] = {}
    if place is not None:
        lines["model"] = Line(version=made.model, items=list(place.items[:JUDGED_ITEMS]))
    shown, _ = _shown(mixed)
    if place is None or not place.known:
        shown = list(dict.fromkeys([*shown, *popular]))
    lines["memory"] = Line(version=None, items=mixed.remembered[:JUDGED_ITEMS] if mixed else [])
    lines["popular"] = Line(version=None, items=list(popular[:JUDGED_ITEMS]))
    lines["served"] = Line(version=made.model, items=shown[:JUDGED_ITEMS])
    return Judgement(
        user=header.user, state=_state(header), epoch=made.epoch, lines=lines, made_ms=made.made_ms
    )


def _shown(mixed: Mixed | None) -> tuple[list[str], list[float]]:
    return ([], []) if mixed is None else (mixed.items, mixed.scores)


def excluded(header: Header, history: Sequence[str], filter_seen: bool) -> Collection[str]:
    """Items that no line may show this user: the rejected ones and, with ``filter_seen``, the user's own."""
    return {*(history if filter_seen else ()), *header.hidden}


def _state(header: Header) -> StateRef:
    return StateRef(
        topic_id=header.topic_id, partition=header.partition, offset=header.offset, events=header.events
    )


def _themes(header: Header, made: Made) -> list[ThemeWeight]:
    """Labels only where the version that chose the themes is the one that serves: ids belong to a version."""
    labels = made.labels if header.routed_by == made.model else ()
    return [
        ThemeWeight(id=theme, weight=round(weight, 4), label=labels[theme] if theme < len(labels) else "")
        for theme, weight in header.themes
    ]


def _packed(vector_D: npt.NDArray[np.floating]) -> str:
    return base64.b64encode(np.asarray(vector_D, np.float16).tobytes()).decode()
