"""Scores of any candidates for a user, from the newest list and the index of its version: numpy alone.

Knows: the list's vector, memory and weight; that the list itself is the truth for what it names.
Does not know: rules, titles, HTTP, where lists come from.

What the list names keeps its score. Everything else is scored as the scorer does, but from a vector of 16
bits and a memory that is bounded, so it may come out a hair above what the list put last; it was not chosen,
so it is held at the last one's score and stands behind it. That makes one order of all items, of which every
answer is a part: /rank of any candidates equals /recommend among them.
"""

# I = items of the version, D = width of a vector, C = candidates

from __future__ import annotations

import base64
import binascii
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.blend import EPSILON
from model.sums import memory_logs, sum_scores
from ops.server.rules import Candidate
from ops.server.versions import Mapped
from stream.records import RecommendationList

FloatArray = npt.NDArray[np.float64]

#: Digits of a score on the wire.
DIGITS = 6
#: How many of an order are looked up at first; rules seldom need more.
FIRST_LOOK = 128


@dataclass(frozen=True, slots=True)
class Parts:
    """What an item's score is made of, before rules."""

    cosine: float | None
    memory: float | None
    weight: float | None


class Order:
    """All items of a version in the order of one list."""

    def __init__(self, mapped: Mapped, made: RecommendationList | None) -> None:
        """``made`` None: nothing is known of the user, the order is that of popularity."""
        self._mapped = mapped
        self._made = made
        self._stored = {} if made is None else {place.item: rank for rank, place in enumerate(made.items)}
        self._outside: dict[str, float] = {}  # what the list can score and the version does not know
        vector_D = None if made is None else vector_of(made, mapped.index_ID.shape[1])
        self._cosines_I: FloatArray | None = None
        if vector_D is not None:
            self._cosines_I = (mapped.index_ID @ vector_D).astype(np.float64)
        # equal scores stand by what the model says, without one by what is popular
        self._ties_I = mapped.popular if self._cosines_I is None else self._cosines_I
        scores_I, scored_I = self._raw()
        self._scores_I = np.where(scored_I, np.round(self._held(scores_I), DIGITS), -np.inf)

    def score(self, item: str) -> float | None:
        """None where nothing scores it."""
        rank = self._stored.get(item)
        if rank is not None and self._made is not None:
            return self._made.items[rank].score
        place = self._mapped.places.get(item)
        if place is None:
            return self._outside.get(item)
        value = float(self._scores_I[place])
        return value if value > -np.inf else None

    def parts(self, item: str) -> Parts:
        """For explanations."""
        made, place = self._made, self._mapped.places.get(item)
        cosine = (
            next((one.score for one in made.rows if one.item == item), None) if made is not None else None
        )
        if place is not None:
            cosine = None if self._cosines_I is None else round(float(self._cosines_I[place]), DIGITS)
        weight = None if made is None else made.weight
        memory = None if made is None or weight is None else made.memory.get(item, 0.0)
        return Parts(cosine=cosine, memory=memory, weight=weight)

    def among(self, items: Sequence[str], boosts: Sequence[float]) -> list[Candidate]:
        """Those items, best first; the ones without a score last, as they were given. Repeats count once."""
        found = {
            item: Candidate(item, self.score(item), boost) for item, boost in zip(items, boosts, strict=True)
        }
        return sorted(found.values(), key=self._key)

    def everything(
        self, boosts_I: FloatArray | None = None, boost: Callable[[str], float] = lambda _: 0.0
    ) -> Iterator[Candidate]:
        """Every item that has a score, best first; ``boosts_I`` (I,) is added to scores first, and ``boost``
        to those of items that the version has no row for."""
        bare_I = self._scores_I.copy()
        ranks_I = np.full(len(bare_I), len(self._stored), np.int64)
        for item, rank in self._stored.items():
            place = self._mapped.places.get(item)
            if place is not None and self._made is not None:
                bare_I[place], ranks_I[place] = self._made.items[rank].score, rank
        scores_I = bare_I if boosts_I is None else bare_I + boosts_I
        inside = (
            Candidate(
                self._mapped.items[place],
                float(bare_I[place]),
                0.0 if boosts_I is None else float(boosts_I[place]),
            )
            for place in _descending(scores_I, ranks_I, self._ties_I)
        )
        strangers = [item for item in self._stored if item not in self._mapped.places]
        strangers += [item for item in self._outside if item not in self._stored]
        if not strangers:
            return inside
        return heapq.merge(inside, self.among(strangers, [boost(item) for item in strangers]), key=self._key)

    def _key(self, candidate: Candidate) -> tuple[float, int, float, int]:
        rank = self._stored.get(candidate.item, len(self._stored))
        place = self._mapped.places.get(candidate.item, len(self._mapped.items))
        if candidate.score is None:
            return (np.inf, 0, 0.0, 0)  # sorted() keeps the order in which they were given
        tie = float(self._ties_I[place]) if place < len(self._ties_I) else 0.0
        return (-(candidate.score + candidate.boost), rank, -tie, place)

    def _raw(self) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """(I,) scores as the scorer makes them, and which of them mean anything."""
        made, popular_I = self._made, self._mapped.popular
        if made is None or (made.weight is None and self._cosines_I is None):
            return popular_I, popular_I > 0
        if made.weight is None:
            assert self._cosines_I is not None
            return self._cosines_I, np.ones(len(self._cosines_I), bool)
        memory_I = np.zeros(len(popular_I))
        for item, value in made.memory.items():
            place = self._mapped.places.get(item)
            if place is not None:
                memory_I[place] = value
        cosines_I = np.zeros(len(memory_I)) if self._cosines_I is None else self._cosines_I
        self._outside = self._strangers(made, made.weight)
        known_I = np.ones(len(memory_I), bool)
        if self._cosines_I is None:  # the memory spoke alone
            known_I = (memory_I > 0) | (popular_I > 0)
        return self._summed(cosines_I, memory_I, made.weight), known_I

    def _strangers(self, made: RecommendationList, weight: float) -> dict[str, float]:
        """Items that the version has no row for: the list brings their cosines along."""
        cosines = {one.item: one.score for one in made.rows}
        names = [item for item in dict.fromkeys([*cosines, *made.memory]) if item not in self._mapped.places]
        cosines_X = np.array([cosines.get(item, 0.0) for item in names])
        memory_X = np.array([made.memory.get(item, 0.0) for item in names])
        scores_X = np.round(self._held(self._summed(cosines_X, memory_X, weight)), DIGITS)
        return dict(zip(names, scores_X.tolist(), strict=True))

    def _summed(self, cosines_C: FloatArray, memory_C: FloatArray, weight: float) -> FloatArray:
        return sum_scores(cosines_C, memory_logs(memory_C, EPSILON), weight, self._mapped.temperature)

    def _held(self, scores_C: FloatArray) -> FloatArray:
        """Nothing the list left out stands above what it put last."""
        if self._made is None or not self._made.items:
            return scores_C
        return np.minimum(scores_C, self._made.items[-1].score)


def vector_of(made: RecommendationList, width: int) -> npt.NDArray[np.float32] | None:
    """(D,) the list's vector, None where it has none of this width."""
    if made.vector is None:
        return None
    try:
        vector_D = np.frombuffer(base64.b64decode(made.vector, validate=True), np.float16)
    except (binascii.Error, ValueError):
        return None
    if len(vector_D) != width or not np.isfinite(vector_D).all():
        return None
    return vector_D.astype(np.float32)


def stored_only(made: RecommendationList, items: Iterable[str] | None = None) -> list[Candidate]:
    """The list as it lies on the topic, or those of ``items`` with the ones it does not name last."""
    scores = {place.item: place.score for place in made.items}
    if items is None:
        return [Candidate(item, score) for item, score in scores.items()]
    wanted = dict.fromkeys(items)
    named = [Candidate(item, score) for item, score in scores.items() if item in wanted]
    return named + [Candidate(item, None) for item in wanted if item not in scores]


def _descending(scores_I: FloatArray, ranks_I: npt.NDArray[np.int64], ties_I: FloatArray) -> Iterator[int]:
    """Places by falling score, by rank, by falling tie, by place; sorted only as far as they are read.

    Places of score -inf are left out.
    """
    taken, look = 0, FIRST_LOOK
    num = int(np.count_nonzero(scores_I > -np.inf))
    while taken < num:
        look = min(look, num)
        least = np.partition(scores_I, len(scores_I) - look)[len(scores_I) - look]
        places = np.flatnonzero(scores_I >= least)
        places = places[np.lexsort((places, -ties_I[places], ranks_I[places], -scores_I[places]))]
        yield from places[taken:].tolist()
        taken, look = len(places), look * 8
