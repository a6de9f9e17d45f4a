"""A question for a user → an answer: which list counts, how it is labelled, what the rules leave of it.

Knows: view, versions, shelf and rules together. Does not know: HTTP, Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from ops.server import schema
from ops.server.reasons import Reasons
from ops.server.rules import Asked, Candidate, Chosen, Rules, choose
from ops.server.scoring import FloatArray, Order, stored_only
from ops.server.shelf import Shelf
from ops.server.versions import Mapped, Versions
from ops.server.view import View
from ops.server.why import Why
from stream.history import User
from stream.records import RecommendationList
from stream.requests import hidden_items

#: A list that lacks an event for longer than this is labelled: usually it is a fraction of a second.
BEHIND_S = 2.0
Degraded = Literal["no model yet", "memory", "popular", "as stored", "behind", "broker away"]
_DEGRADED: dict[str, Degraded] = {"no model yet": "no model yet", "memory": "memory", "popular": "popular"}
#: Left-out candidates that an explanation names.
MAX_LEFT_OUT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked for one user."""

    user: str
    n: int
    include: Sequence[str] | None = None  # only these; None: everything
    exclude: Sequence[str] = ()
    category: str | None = None
    explain: bool = False


class _Own:
    """A user's own and rejected items, read only when somebody asks beyond the list, which knows them."""

    def __init__(self, state: Callable[[], User | None], listed: frozenset[str], filter_seen: bool) -> None:
        self._state = state
        self._listed = listed
        self._filter_seen = filter_seen

    @cached_property
    def _sets(self) -> tuple[frozenset[str], frozenset[str]]:
        user = self._state()
        if user is None:
            return frozenset(), frozenset()
        seen = frozenset(user.items) if self._filter_seen else frozenset()
        return seen - self._listed, frozenset(hidden_items(user)) - self._listed

    def seen(self) -> _Lazily:
        return _Lazily(lambda: self._sets[0], self._listed)

    def rejected(self) -> _Lazily:
        return _Lazily(lambda: self._sets[1], self._listed)


@dataclass(frozen=True, slots=True)
class _Lazily:
    """A collection of items without the listed ones, made when it is first needed."""

    items: Callable[[], frozenset[str]]
    listed: frozenset[str]

    def __contains__(self, item: object) -> bool:
        return item not in self.listed and item in self.items()

    def __iter__(self) -> Iterator[str]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self.items())


@dataclass(slots=True)
class Answering:
    """Answers from what is known now."""

    view: View
    shelf: Shelf
    rules: Rules
    filter_seen: bool
    versions: Versions = field(default_factory=Versions)
    on_hits: Callable[[Chosen], None] = lambda _: None
    _boosts: tuple[str, int, FloatArray] | None = None  # (version, revision of the shelf, boosts by place)

    def answer(self, question: Question, now_s: float, broker_away: bool = False) -> schema.Answer:
        """``now_s``: process time. Never fails for want of a list, a version or a broker: it is labelled."""
        made = self.view.list_of(question.user)
        degraded: Degraded | None = None
        reason: str | None = None
        if made is not None and made.model in self.versions.withdrawn:
            degraded, reason, made = "popular", f"version {made.model} was withdrawn", None
        elif made is not None:
            degraded, reason = self._label(made, now_s, broker_away)
        else:
            degraded, reason = "popular", "there is no list of this user"
        name = None if made is None else made.model
        mapped = self.versions.current if name is None else self.versions.mapped(name)
        if made is None and mapped is None:
            degraded, reason = "no model yet", "no version has been published"
        order: Order | None = None

        def ordered() -> Order:
            nonlocal order
            assert mapped is not None
            order = order or Order(mapped, made)
            return order

        own = _Own(
            lambda: self.view.state_of(question.user),
            frozenset() if made is None else frozenset(place.item for place in made.items),
            self.filter_seen,
        )
        chosen = choose(
            self._candidates(question, made, mapped, ordered),
            self.shelf.categories,
            self.rules,
            Asked(
                n=question.n,
                exclude=frozenset(question.exclude),
                category=question.category,
                num_in_category=self.shelf.num_in(question.category),
                seen=own.seen(),
                rejected=own.rejected(),
            ),
        )
        self.on_hits(chosen)
        explained = ordered() if question.explain and mapped is not None else None
        reasons = None
        if explained is not None and mapped is not None:
            state = self.view.state_of(question.user)
            reasons = Reasons(mapped, made, () if state is None else state.items, self.shelf)
        return schema.Answer(
            user=question.user,
            id=None if made is None else made.id,
            items=[self._shown(one, explained, reasons) for one in chosen.shown],
            model=made.model if made is not None else (mapped.name if mapped else None),
            epoch=made.epoch if made is not None else self.versions.epoch,
            state=None if made is None else made.state,
            themes=[] if made is None else made.themes,
            degraded=degraded,
            reason=reason,
            made_ms=0 if made is None else made.made_ms,
            left_out=[schema.LeftOut(item=item, rule=rule) for item, rule in chosen.left_out[:MAX_LEFT_OUT]]  # type: ignore[arg-type]
            if question.explain or question.include is not None
            else [],
        )

    def _label(
        self, made: RecommendationList, now_s: float, broker_away: bool
    ) -> tuple[Degraded | None, str | None]:
        """What a reader must know of a list, and why; the worst of it first."""
        if made.degraded is not None:
            return _DEGRADED.get(made.degraded, "popular"), "made without what the model knows of this user"
        if made.model is not None and self.versions.mapped(made.model) is None:
            return "as stored", f"version {made.model} is not mapped here, so nothing is ranked anew"
        if broker_away:
            return "broker away", "the broker does not answer; this is the last list that arrived"
        waited_s = self.view.behind_s(made.user, made.state.offset, now_s)
        if waited_s > BEHIND_S:
            return "behind", f"the user's newest event has waited {waited_s:.0f} s for a list"
        return None, None

    def _candidates(
        self,
        question: Question,
        made: RecommendationList | None,
        mapped: Mapped | None,
        ordered: Callable[[], Order],
    ) -> Iterator[Candidate]:
        """Best first; what the list names is taken from it, and the index is only read beyond that."""
        include = question.include
        if mapped is None:
            return _unscored(include) if made is None else iter(stored_only(made, include))
        if include is not None:
            return iter(ordered().among(include, [self._boost(item) for item in include]))
        if self.rules.boosts:
            return ordered().everything(self._boosts_of(mapped), self._boost)
        if made is None:
            return ordered().everything()
        return chain(stored_only(made), _beyond(made, ordered))

    def _boost(self, item: str) -> float:
        return self.rules.boost_of(item, self.shelf.categories(item))

    def _boosts_of(self, mapped: Mapped) -> FloatArray:
        key = (mapped.name, self.shelf.revision)
        if self._boosts is None or self._boosts[:2] != key:
            self._boosts = (*key, np.array([self._boost(item) for item in mapped.items]))
        return self._boosts[2]

    def _shown(self, one: Candidate, order: Order | None, reasons: Reasons | None) -> schema.Shown:
        why = None
        if order is not None and reasons is not None:
            parts = order.parts(one.item)
            why = Why(
                cosine=parts.cosine,
                memory=parts.memory,
                weight=parts.weight,
                boost=one.boost,
                facets=reasons.facets(one.item),
            )
        score = None if one.score is None else round(one.score + one.boost, 6)
        return schema.Shown(item=one.item, score=score, title=self.shelf.title(one.item), why=why)


def _beyond(made: RecommendationList, ordered: Callable[[], Order]) -> Iterator[Candidate]:
    """What stands behind the list; made only when the list was not enough."""
    listed = {place.item for place in made.items}
    yield from (one for one in ordered().everything() if one.item not in listed)


def _unscored(include: Sequence[str] | None) -> Iterator[Candidate]:
    """Nothing scores anything: candidates as they were given."""
    return (Candidate(item, None) for item in dict.fromkeys(include or ()))
