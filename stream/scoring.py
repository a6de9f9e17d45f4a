"""The scorer's turn on requests in memory: learn, choose, rank, and say what goes out.

Knows: the order of those steps, what a request that cannot be read becomes, which lists would go back.
Does not know: Kafka, torch, which version a ranker holds.

A turn answers everything it was handed and keeps nothing for the next. Popular items are taken in arrival
order, right after the request's own event was learned, so they know that event and nothing later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stream.asking import Asking, Place, Ranker, Ranking, Unreadable
from stream.batcher import batches
from stream.learning import Learner
from stream.lists import JUDGED_ITEMS, Made, excluded, make_judgement, make_list
from stream.records import Header, Took, encode_judgement, encode_list

log = logging.getLogger("hopstream.scorer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One record to send."""

    topic: str  # without the prefix
    partition: int | None
    key: bytes | None
    value: bytes
    headers: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What was done since the last report."""

    requests: int = 0
    lists: int = 0
    judgements: int = 0
    malformed: int = 0
    held_back: int = 0  # lists that would have gone back
    batches: int = 0
    positions: int = 0
    tokens: int = 0
    turns: int = 0
    confirm_ms: float = 0.0  # until the broker held records and offsets, sum over turns
    queue_ms: float = 0.0  # sum over lists
    encode_ms: float = 0.0  # sum over batches
    rank_ms: float = 0.0  # sum over batches


#: A list's place in the order of one user's lists: (topic id, offset, epoch).
Floor = tuple[str, int, int]


class Desk:
    """Answers requests with the version that serves."""

    def __init__(
        self,
        learner: Learner,
        *,
        topic: str,
        top_n: int,
        max_batch: int,
        filter_seen: bool,
        clock_ms: Callable[[], float],
    ) -> None:
        """``topic``: where requests come from, for dead letters; ``clock_ms``: the wall clock."""
        self.ranker: Ranker | None = None
        self.learner = learner
        self.tally = Tally()
        self.floors: dict[str, Floor] = {}  # newest lists another scorer made before we took over
        self._topic = topic
        self._top_n = top_n
        self._max_batch = max_batch
        self._filter_seen = filter_seen
        self._clock_ms = clock_ms

    def adopt(self, ranker: Ranker) -> None:
        """Serve with this version from the next turn on."""
        self.ranker = ranker
        if not self.learner.num_learned:
            self.learner.counts = ranker.popularity()

    def answer(self, waiting: Sequence[Asking]) -> list[Outgoing]:
        """Everything to send for these requests, given in arrival order; a user's lists come in that order.

        A request whose sequences cannot be read becomes a dead letter and does not touch its batch.
        """
        self.tally.requests += len(waiting)
        cut = batches(waiting, self._max_batch)
        chosen = {position for batch in cut for position in batch}
        refused: dict[int, Outgoing] = {}
        popular: dict[int, list[str]] = {}
        for position, asking in enumerate(waiting):
            self.learner.learn(asking.header)
            if asking.header.forgotten and self.ranker is not None:
                self.ranker.forget(asking.user)
            if position in chosen and (asking.sampled or self.ranker is None):
                try:
                    popular[position] = self._popular(asking)
                except Unreadable as error:
                    refused[position] = self._refuse(asking, error)
        out = list(refused.values())
        for batch in cut:
            members = [position for position in batch if position not in refused]
            out += self._answer_batch([(waiting[at], popular.get(at)) for at in members])
        return out

    def refuse(self, raw: bytes, partition: int, offset: int, key: bytes | None, why: Unreadable) -> Outgoing:
        """The dead letter for a request that lies at this place."""
        log.warning("request %d/%d refused: %s", partition, offset, why)
        self.tally.malformed += 1
        headers = {
            "reason": b"bad_request",
            "detail": str(why).encode(errors="replace")[:1024],
            "topic": self._topic.encode(),
            "partition": str(partition).encode(),
            "offset": str(offset).encode(),
        }
        return Outgoing(topic="dead-letters", partition=None, key=key, value=raw, headers=headers)

    def _refuse(self, asking: Asking, why: Unreadable) -> Outgoing:
        return self.refuse(asking.raw, asking.partition, asking.offset, asking.user.encode(), why)

    def _popular(self, asking: Asking) -> list[str]:
        outside = excluded(asking.header, asking.history, self._filter_seen)
        return self.learner.counts.top(max(self._top_n, JUDGED_ITEMS), outside)

    def _answer_batch(self, members: Sequence[tuple[Asking, list[str] | None]]) -> list[Outgoing]:
        started_ms = self._clock_ms()
        asked = [asking for asking, _ in members if asking.header.lengths[0] and not asking.header.forgotten]
        places, ranking, refused = self._rank(asked)
        out = [self._refuse(asking, error) for asking, error in refused]
        unreadable = {id(asking) for asking, _ in refused}
        ranker = self.ranker
        for asking, popular in members:
            if id(asking) in unreadable:
                continue
            queue_ms = max(0.0, started_ms - asking.sent_ms)
            self.tally.queue_ms += queue_ms
            made = Made(
                model=ranker.version if ranker else None,
                epoch=ranker.epoch if ranker else 0,
                labels=ranker.labels if ranker else (),
                made_ms=round(self._clock_ms()),
                took=Took(
                    queue=round(queue_ms, 2),
                    encode=round(ranking.encode_ms, 2),
                    rank=round(ranking.rank_ms, 2),
                ),
                top_n=self._top_n,
            )
            try:
                out += self._records(asking, places.get(id(asking)), popular, made)
            except Unreadable as error:
                out.append(self._refuse(asking, error))
        return out

    def _rank(self, asked: list[Asking]) -> tuple[dict[int, Place], Ranking, list[tuple[Asking, Unreadable]]]:
        """(places by identity of the request, the ranking, what could not be read)."""
        refused: list[tuple[Asking, Unreadable]] = []
        empty = Ranking(places=[], encode_ms=0.0, rank_ms=0.0, positions=0, tokens=0)
        if self.ranker is None or not asked:
            return {}, empty, refused
        try:
            ranking = self.ranker.rank(asked, max(self._top_n, JUDGED_ITEMS))
        except Unreadable:  # rare: find who it was, then rank the others
            readable = []
            for asking in asked:
                self.ranker.forget(asking.user)  # its cache may have been left half written
                try:
                    asking.sequences()
                    readable.append(asking)
                except Unreadable as error:
                    refused.append((asking, error))
            if not readable:
                return {}, empty, refused
            asked = readable
            ranking = self.ranker.rank(asked, max(self._top_n, JUDGED_ITEMS))
        self.tally.batches += 1
        self.tally.positions += ranking.positions
        self.tally.tokens += ranking.tokens
        self.tally.encode_ms += ranking.encode_ms
        self.tally.rank_ms += ranking.rank_ms
        places = {id(asking): place for asking, place in zip(asked, ranking.places, strict=True)}
        return places, ranking, refused

    def _records(
        self, asking: Asking, place: Place | None, popular: list[str] | None, made: Made
    ) -> list[Outgoing]:
        header = asking.header
        key = asking.user.encode()
        if popular is None:  # only the fallback needs it: not judged, so its order does not matter
            popular = self._popular(asking) if place is None or not place.known else []
        out = []
        if self._goes_on(header, made.epoch):
            self.tally.lists += 1
            value = encode_list(make_list(header, place, popular, made))
            out.append(Outgoing(topic="recommendations", partition=asking.partition, key=key, value=value))
        else:
            self.tally.held_back += 1
        if header.sampled and not header.forgotten:
            self.tally.judgements += 1
            value = encode_judgement(make_judgement(header, place, popular, made))
            out.append(Outgoing(topic="judgements", partition=asking.partition, key=key, value=value))
        return out

    def _goes_on(self, header: Header, epoch: int) -> bool:
        """Whether a list for this state does not go back behind one that another scorer has sent."""
        floor = self.floors.get(header.user)
        if floor is None:
            return True
        if floor[0] == header.topic_id and (header.offset, epoch) < floor[1:]:
            return False
        del self.floors[header.user]
        return True


def told(tally: Tally, passed_s: float, lost_requests: int) -> str:
    """One line of the log for ``passed_s`` seconds; ``lost_requests`` since the start."""
    lists, num_batches, turns = max(1, tally.lists), max(1, tally.batches), max(1, tally.turns)
    hits = 1 - tally.positions / tally.tokens if tally.tokens else 0.0
    return (
        f"{tally.requests / passed_s:.0f} requests/s, {tally.lists} lists, "
        f"{tally.positions / lists:.1f} positions a list, {hits:.1%} from the cache, "
        f"queue {tally.queue_ms / lists:.1f} ms, encode {tally.encode_ms / num_batches:.1f} ms and "
        f"rank {tally.rank_ms / num_batches:.1f} ms a batch of {lists / num_batches:.1f}, "
        f"confirm {tally.confirm_ms / turns:.1f} ms a turn of {tally.requests / turns:.1f}, "
        f"{tally.malformed} malformed, {tally.held_back} held back, {lost_requests} requests lost"
    )
