"""A published version as a ranker of requests: the one file of this room that torch comes in by.

Knows: how a request becomes the model room's question, and its answer a place. Does not know: Kafka, turns.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.encoding import HISTORY, Asked
from model.popularity import Popularity
from model.scorer import Scorer
from model.version import Version
from stream.asking import Asking, Place, Ranking
from stream.learning import Counts
from stream.sessions import extend


class Serving:
    """One version, its scorer and its cache."""

    def __init__(
        self, version: Version, epoch: int, *, device: str, cache_bytes: int, threads: int, filter_seen: bool
    ) -> None:
        """Raises CatalogueMismatch."""
        self.version = version.name
        self.epoch = epoch
        self.labels: Sequence[str] = version.themes.labels
        self._published = version
        self._families = version.config.sequences
        self._max_events = version.config.max_events
        self._scorer = Scorer(
            version,
            device=device,
            cache_bytes=cache_bytes,
            threads=threads,
            extend=extend,
            filter_seen=filter_seen,
        )

    def rank(self, asking: Sequence[Asking], n: int) -> Ranking:
        """The ``n`` best items for each request. Raises Unreadable if its sequences cannot be read."""
        ranked = self._scorer.rank([_asked(one) for one in asking], n)
        places = [
            Place(
                items=answer.items,
                scores=answer.scores,
                vector=answer.vector,
                experts=answer.experts,
                known=answer.known,
            )
            for answer in ranked.lists
        ]
        return Ranking(
            places=places,
            encode_ms=ranked.encode_ms,
            rank_ms=ranked.rank_ms,
            positions=sum(answer.positions for answer in ranked.lists),
            tokens=sum(self._tokens(one) for one in asking),
        )

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        self._scorer.forget(user)

    def popularity(self) -> Counts:
        """The version's counts, to count on from; made anew."""
        return Popularity.from_counts(self._published.catalogue.items, self._published.popularity.tolist())

    def _tokens(self, one: Asking) -> int:
        """Positions that a scorer without a cache would compute."""
        return sum(
            min(length, self._max_events)
            for kind, length in zip(one.header.kinds, one.header.lengths, strict=True)
            if kind != HISTORY and kind.partition(":")[0] in self._families
        )


def _asked(one: Asking) -> Asked:
    header = one.header
    return Asked(
        user=header.user,
        kinds=header.kinds,
        lengths=header.lengths,
        fingerprints=header.fingerprints,
        item=header.item,
        ts_ms=header.ts,
        hidden=header.hidden,
        sequences=one.sequences,
    )
