"""From a request and a ranking to what goes out: a recommendation list and, for sampled users, a judgement.

Knows: the public form of a list, why a list is degraded. Does not know: Kafka, torch, who ranks.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.asking import Place
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
POPULAR: Final = "popular"


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


def make_list(header: Header, place: Place | None, popular: Sequence[str], made: Made) -> RecommendationList:
    """The list for a request: the model's, or the popular one where there is no model or it knows no item of
    the user. A forgotten user gets an empty list. Popular items score 1 / place."""
    degraded: str | None = None
    if header.forgotten:
        scored: list[Scored] = []
    elif place is not None and place.known:
        scored = [
            Scored(item=item, score=round(float(score), 6))
            for item, score in zip(place.items[: made.top_n], place.scores, strict=False)
        ]
    else:
        degraded = NO_MODEL if made.model is None else POPULAR
        scored = [
            Scored(item=item, score=round(1.0 / rank, 6))
            for rank, item in enumerate(popular[: made.top_n], 1)
        ]
    whole = place is not None and degraded is None and not header.forgotten
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
        degraded=degraded,
        made_ms=made.made_ms,
        took_ms=made.took,
    )


def make_judgement(header: Header, place: Place | None, popular: Sequence[str], made: Made) -> Judgement:
    """What each contender would show for this state; `served` is what the list shows."""
    lines: dict[str, Line] = {}
    if place is not None:
        lines["model"] = Line(version=made.model, items=list(place.items[:JUDGED_ITEMS]))
    lines["popular"] = Line(version=None, items=list(popular[:JUDGED_ITEMS]))
    lines["served"] = lines["model"] if place is not None and place.known else lines["popular"]
    return Judgement(
        user=header.user, state=_state(header), epoch=made.epoch, lines=lines, made_ms=made.made_ms
    )


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
