"""One version and its cache: questions in, ranked lists out.

Knows: what is masked, how vectors become lists.
Does not know: which sequences are read and how, Kafka, batching, other versions; a new version is a new
scorer with an empty cache.
"""

# B = questions, D = vector width, I = items

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from model.allocator import keep_freed_memory
from model.config import FIRST_ITEM_ROW
from model.encoding import HISTORY, Asked, Encoder, Network, Reading, wanted
from model.errors import CatalogueMismatch
from model.ranking import Ranker
from model.seen import Seen
from model.slots import Extend


class Version(Network, Protocol):
    """What a scorer needs of a published version."""

    @property
    def name(self) -> str: ...
    @property
    def index(self) -> npt.NDArray[np.float32]: ...  # (I, D) FuxiMME.item_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One list."""

    items: list[str]  # best first
    scores: list[float]  # mean cosine of user and item
    vector: npt.NDArray[
        np.float32
    ]  # (D,): its product with a line of the index is the score; 0 if no history
    ungated: npt.NDArray[np.float32]  # (D,): the vector before the facet gate
    experts: list[list[float]]  # per block, per expert: share of the newest position's streams
    positions: int  # computed for this list
    known: bool  # at least one item of the history is in the catalogue
    lines: list[int]  # of the index, as items
    others: npt.NDArray[np.float32]  # scores of the lines that were asked about
    barred: npt.NDArray[np.int64]  # lines that this user must not be shown


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedBatch:
    """Lists in the order of the questions."""

    lists: list[Ranked]
    encode_ms: float  # process time for the whole batch
    rank_ms: float


class Scorer:
    """Ranks for one version. Not thread-safe."""

    def __init__(
        self,
        version: Version,
        *,
        device: str = "auto",
        cache_bytes: int,
        threads: int,
        extend: Extend,
        filter_seen: bool = True,
    ) -> None:
        """``threads``: of torch, in the whole process, whose allocator is set too.

        ``extend``: the fingerprint rule of the requests.

        Raises CatalogueMismatch.
        """
        _check(version)
        torch.set_num_threads(threads)
        keep_freed_memory()
        torch.set_float32_matmul_precision("highest")  # no TF32: routers compare close numbers
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.version = version
        self.device = torch.device(device)
        self.filter_seen = filter_seen
        self._encoder = Encoder(version, device=self.device, cache_bytes=cache_bytes, extend=extend)
        self._seen = Seen(self._encoder.num_slots, extend)
        self._ranker = Ranker(torch.from_numpy(version.index).to(self.device))

    @property
    def num_slots(self) -> int:
        """How many sequences the cache holds."""
        return self._encoder.num_slots

    def rank(
        self, asked: Sequence[Asked], n: int, others: Sequence[npt.NDArray[np.int64]] | None = None
    ) -> RankedBatch:
        """The ``n`` best items for each question; a batch answers what its questions alone would.

        A user may ask several times, oldest state first; a burst of appended events is one computation.
        ``others``: per question, lines of the index whose scores are told too, for a served sum. Vectors then
        meet the index rounded to 16 bits: a list carries its vector so, and whoever ranks with that one must
        come to the same order.
        """
        started_s = time.perf_counter()
        encoded = self._encoder.encode(asked)
        encoded_s = time.perf_counter()
        barred, known = self._barred(encoded.readings)
        met_BD = encoded.vectors_BD
        if others is not None:
            met_BD = met_BD.astype(np.float16).astype(np.float32)
        tops = self._ranker.top(torch.from_numpy(met_BD).to(self.device), barred, n, others)
        none = np.zeros(0, np.float32)
        items = self.version.catalogue.items
        lists = [
            Ranked(
                items=[items[line] for line in top.lines],
                scores=top.scores,
                vector=encoded.vectors_BD[b],
                ungated=encoded.ungated_BD[b],
                experts=encoded.experts[b],
                positions=encoded.readings[b].positions,
                known=known[b],
                lines=top.lines,
                others=none if top.others is None else top.others,
                barred=barred[b],
            )
            for b, top in enumerate(tops)
        ]
        ended_s = time.perf_counter()
        return RankedBatch(
            lists=lists, encode_ms=(encoded_s - started_s) * 1e3, rank_ms=(ended_s - encoded_s) * 1e3
        )

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        self._encoder.forget(user)
        self._seen.forget(user)

    def clear(self) -> None:
        """Remember nothing; answers stay the same and cost more."""
        self._encoder.clear()
        self._seen.clear()

    def _barred(self, readings: list[Reading]) -> tuple[list[npt.NDArray[np.int64]], list[bool]]:
        """Index lines that each question must not show, and whether its history has a catalogue item."""
        barred, known = [], []
        rows_of = self.version.catalogue.rows
        for reading in readings:
            asked = reading.asked
            rows = np.empty(0, dtype=np.int64)
            if HISTORY in asked.kinds:
                kept = wanted(asked, asked.kinds.index(HISTORY))
                rows = self._seen.rows(kept, reading.newest_row, partial(self._history_rows, reading))
            known.append(len(rows) > 0)
            hidden = [row for row in rows_of(asked.hidden) if row >= FIRST_ITEM_ROW]
            masked = rows if self.filter_seen else rows[:0]
            barred.append((np.append(masked, hidden) if hidden else masked) - FIRST_ITEM_ROW)
        return barred, known

    def _history_rows(self, reading: Reading) -> list[int]:
        return self.version.catalogue.rows(reading.sequences()[HISTORY][0])


def _check(version: Version) -> None:
    num_rows, num_items = len(version.weights["items"]), len(version.catalogue)
    if num_rows != version.catalogue.num_rows or len(version.index) != num_items:
        raise CatalogueMismatch(
            f"Version {version.name}: {num_rows} rows, {len(version.index)} index lines, {num_items} items."
        )
