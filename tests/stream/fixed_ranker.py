"""A desk whose ranker gives every user the same known answer.

Knows: events of a made-up world as requests. Does not know: Kafka, networks, what a test is about.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.blend import NO_LINE
from model.memory import Memory, MemoryConfig
from model.popularity import Popularity
from stream.asking import Asking, Place, Ranking
from stream.events import Interaction
from stream.history import Rules, User
from stream.learning import Learner, Seed
from stream.outgoing import Outgoing
from stream.records import (
    Judgement,
    RecommendationList,
    decode_judgement,
    decode_list,
)
from stream.requests import Cause, build
from stream.scoring import Desk
from stream.themes import Router

CATALOGUE = [f"i{number}" for number in range(100)]


class FixedRanker:
    """Ranks its catalogue in id order without what the user has; remembers what it was asked."""

    labels = ("Drama",)
    items = CATALOGUE
    temperature = 0.05
    parent: str | None = None
    withdrawn: Sequence[str] = ()  # where it stands for the registry too

    def __init__(self, version: str = "000001", epoch: int = 1) -> None:
        self.version = version
        self.epoch = epoch
        self.asked: list[list[str]] = []
        self.forgotten: list[str] = []

    def lines(self, items: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.array([CATALOGUE.index(item) if item in CATALOGUE else NO_LINE for item in items], np.int64)

    def rank(
        self, asking: Sequence[Asking], n: int, others: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> Ranking:
        self.asked.append([one.user for one in asking])
        places = []
        for one, asked in zip(asking, others or [np.zeros(0, np.int64)] * len(asking), strict=True):
            items, _ = one.sequences()["history"]
            left = [item for item in CATALOGUE if item not in items][:n]
            lines = self.lines(left)
            places.append(
                Place(
                    items=left,
                    lines=lines.tolist(),
                    others=1.0 / (1 + asked),
                    barred=self.lines(items),
                    scores=(1.0 / (1 + lines)).tolist(),
                    vector=np.ones(4, np.float32),
                    experts=[[0.25, 0.75]],
                    known=bool(set(items) & set(CATALOGUE)),
                )
            )
        return Ranking(places=places, encode_ms=2.0, rank_ms=1.0, positions=len(asking), tokens=len(asking))

    def share(self, asking: Asking) -> float:
        return 0.1

    def forget(self, user: str) -> None:
        self.forgotten.append(user)

    @property
    def shape(self) -> tuple[int, int]:
        return 1, 4

    def seed(self, config: MemoryConfig) -> Seed:
        return Seed(self.popularity(), Memory(config), None)

    def popularity(self) -> Popularity:
        return Popularity.from_counts(["i5", "i6"], [3, 2])


class World:
    """A worker's states: turns events into the requests that the scorer would poll."""

    def __init__(self, sample_share: float = 0.0) -> None:
        self.users: dict[str, User] = {}
        self.sample_share = sample_share
        self.offset = 0

    def ask(self, name: str, item: str, type: str = "click", id: str | None = None) -> Asking:
        user = self.users.setdefault(name, User.new("t"))
        event = Interaction(ts=1000 * (self.offset + 1), user=name, item=item, type=type, id=id)
        user.apply(event, "t", self.offset, Rules(), Router())
        return self._request(name, type)

    def forget(self, name: str) -> Asking:
        self.users[name].forget("t", self.offset, 1_000 * (self.offset + 1))
        return self._request(name, "forget", forgets=True)

    def _request(self, name: str, type: str, *, forgets: bool = False) -> Asking:
        cause = Cause(user=name, partition=2, type=type, produced_ms=1_000, forgets=forgets)
        raw = build(self.users[name], Router(), cause, sample_share=self.sample_share)
        self.offset += 1
        return Asking(raw, 2, self.offset - 1, 1_000)


def desk(ranker: FixedRanker | None = None) -> Desk:
    """A desk with its clock at 1.01 s after 1970, and nothing learned."""
    made = Desk(
        Learner(Popularity(), {"dislike", "impression"}),
        topic="t.requests",
        top_n=3,
        max_batch=8,
        filter_seen=True,
        clock_ms=lambda: 1_010.0,
    )
    if ranker is not None:
        made.adopt(ranker)
    return made


def lists(out: Sequence[Outgoing]) -> list[RecommendationList]:
    return [decode_list(one.value) for one in out if one.topic == "recommendations"]


def judgements(out: Sequence[Outgoing]) -> list[Judgement]:
    return [decode_judgement(one.value) for one in out if one.topic == "judgements"]


def shown(made: RecommendationList) -> list[str]:
    return [place.item for place in made.items]
