"""A published version as a ranker of requests: the one file of this room that torch comes in by.

Knows: how a request becomes the model room's question, and its answer a place. Does not know: Kafka, turns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from model.blend import NO_LINE
from model.config import FIRST_ITEM_ROW
from model.encoding import Asked
from model.errors import ModelError
from model.kinds import Kinds
from model.memory import Memory, MemoryConfig
from model.popularity import Popularity
from model.scorer import Scorer
from model.seed import Brought
from model.version import Version
from stream.asking import Asking, Place, Ranking
from stream.learning import Counts, Seed
from stream.sessions import extend

log = logging.getLogger("hopstream.scorer")


class Serving:
    """One version, its scorer and its cache."""

    def __init__(
        self,
        version: Version,
        epoch: int,
        *,
        device: str,
        cache_bytes: int,
        threads: int,
        filter_seen: bool,
        brought: Callable[[], Brought | None] = lambda: None,
    ) -> None:
        """``brought``: reads what there is to start from (seed.seed_of). Raises CatalogueMismatch."""
        self.version = version.name
        self.epoch = epoch
        self.parent: str | None = version.manifest["parent"]
        self.labels: Sequence[str] = version.themes.labels
        self.items: Sequence[str] = version.catalogue.items
        self.temperature = version.config.temperature
        self._published = version
        self._read_brought = brought
        self._kinds = Kinds(version.name, version.config, version.mos.config if version.mos else None)
        self._max_events = version.config.max_events
        self._scorer = Scorer(
            version,
            device=device,
            cache_bytes=cache_bytes,
            threads=threads,
            extend=extend,
            filter_seen=filter_seen,
        )

    def lines(self, items: Sequence[str]) -> npt.NDArray[np.int64]:
        """Each item's line of the index, NO_LINE without one."""
        rows = np.array(self._published.catalogue.rows(items), np.int64)
        return np.where(rows >= FIRST_ITEM_ROW, rows - FIRST_ITEM_ROW, NO_LINE)

    def rank(
        self,
        asking: Sequence[Asking],
        n: int,
        others: Sequence[npt.NDArray[np.int64]] | None = None,
    ) -> Ranking:
        """The ``n`` best items for each request, and the scores of ``others``: lines per request, NO_LINE
        scores whatever. Raises Unreadable if a request's sequences cannot be read."""
        asked = None if others is None else [np.maximum(lines, 0) for lines in others]
        ranked = self._scorer.rank([_asked(one) for one in asking], n, asked)
        places = [
            Place(
                items=answer.items,
                scores=answer.scores,
                vector=answer.vector,
                experts=answer.experts,
                known=answer.known,
                ungated=answer.ungated,
                lines=answer.lines,
                others=answer.others,
                barred=answer.barred,
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

    def share(self, asking: Asking) -> float:
        """Of the cache, that a request's sequences take."""
        return len(self._kinds.reads(asking.header).parts) / self._scorer.num_slots

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        self._scorer.forget(user)

    @property
    def shape(self) -> tuple[int, int]:
        """(M, d) of user vectors and lines."""
        config = self._published.config
        return config.streams, config.stream_dim

    def popularity(self) -> Counts:
        """The version's counts, to count on from; made anew."""
        return Popularity.from_counts(self._published.catalogue.items, self._published.popularity.tolist())

    def seed(self, config: MemoryConfig) -> Seed:
        """Popularity and memory of the same events, those of the training that the version comes from; where
        that brings no memory that can be used, an empty one and the version's own counts."""
        try:
            brought = self._read_brought()
            if brought is not None:
                through_ms = int(brought.memory["through_ms"][0])
                return Seed(brought.counts, Memory.from_arrays(brought.memory, config), through_ms)
        except (ModelError, OSError, LookupError, ValueError) as error:
            log.error("the memory of version %s cannot be used, it starts empty: %r", self.version, error)
        return Seed(self.popularity(), Memory(config), None)

    def _tokens(self, one: Asking) -> int:
        """Positions that a scorer without a cache would compute."""
        read = self._kinds.reads(one.header).parts
        return sum(min(one.header.lengths[part.kind], self._max_events) for part in read)


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
        themes=header.themes,
        routed_by=header.routed_by,
    )
