"""One version and its cache: questions in, ranked lists out.

Knows: which sequences a version reads, how their states become one vector, what is masked.
Does not know: Kafka, batching, other versions; a new version is a new scorer with an empty cache.
"""

# B = questions, J = sequences, D = vector width, M = streams, d = stream width, L = blocks, E = experts

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from model.allocator import keep_freed_memory
from model.backbone import unit
from model.cache import PrefixCache, Reached
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, PADDING_ROW, ModelConfig
from model.errors import CatalogueMismatch
from model.mme import FuxiMME
from model.ranking import Ranker
from model.seen import Seen
from model.slots import Extend, New, Slots, Wanted

#: The kind whose items count as seen; it is never encoded.
HISTORY = "history"

Decoded = dict[str, tuple[list[str], list[int]]]


class Version(Protocol):
    """What a scorer needs of a published version."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> ModelConfig: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def weights(self) -> dict[str, npt.NDArray[np.float32]]: ...  # FuxiMME.state_dict
    @property
    def index(self) -> npt.NDArray[np.float32]: ...  # (I, D) FuxiMME.item_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One user's question."""

    user: str
    kinds: tuple[str, ...]  # "history", then e.g. "global", "local", "theme:3"
    lengths: tuple[int, ...]  # events per kind
    fingerprints: tuple[int, ...]  # per kind; proves what the sequence holds without decoding it
    item: str | None  # newest positive item; None: nothing known
    ts_ms: int  # its time, Unix ms
    hidden: tuple[str, ...]  # rejected items, always filtered
    sequences: Callable[[], Decoded]  # kind -> (items, times in Unix ms), decoded when called


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One list."""

    items: list[str]  # best first
    scores: list[float]  # mean cosine of user and item
    vector: npt.NDArray[
        np.float32
    ]  # (D,): its product with a line of the index is the score; 0 if no history
    experts: list[list[float]]  # per block, per expert: share of the newest position's streams
    positions: int  # computed for this list
    known: bool  # at least one item of the history is in the catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedBatch:
    """Lists in the order of the questions."""

    lists: list[Ranked]
    encode_ms: float  # process time for the whole batch
    rank_ms: float


@dataclass(slots=True)
class _Reading:
    """A question while it is being answered."""

    asked: Asked
    newest_row: int
    kinds: list[int]  # indexes of the kinds to encode, none of them empty
    positions: int = 0
    decoded: Decoded | None = None

    def sequences(self) -> Decoded:
        """Decoded at most once."""
        if self.decoded is None:
            self.decoded = self.asked.sequences()
        return self.decoded


@dataclass(slots=True)
class _Run:
    """Questions of one sequence that are computed together: one, and those that only add an event each."""

    new: New
    owners: list[int]  # the questions, oldest first


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
        self._model = FuxiMME.from_weights(version.config, version.weights).to(self.device)
        self._cache = PrefixCache(self._model, cache_bytes)
        self._slots = Slots(self._cache.num_slots, version.config.max_events, extend)
        self._seen = Seen(self._cache.num_slots, extend)
        self._ranker = Ranker(torch.from_numpy(version.index).to(self.device))

    def rank(self, asked: Sequence[Asked], n: int) -> RankedBatch:
        """The ``n`` best items for each question; a batch answers what its questions alone would.

        A user may ask several times, oldest state first; a burst of appended events is one computation.
        """
        started_s = time.perf_counter()
        readings = [self._read(question) for question in asked]
        vectors_BD, experts = self._encode(readings)
        encoded_s = time.perf_counter()
        barred, known = self._barred(readings)
        tops = self._ranker.top(torch.from_numpy(vectors_BD).to(self.device), barred, n)
        items = self.version.catalogue.items
        lists = [
            Ranked(
                items=[items[line] for line in top.lines],
                scores=top.scores,
                vector=vectors_BD[b],
                experts=experts[b],
                positions=readings[b].positions,
                known=known[b],
            )
            for b, top in enumerate(tops)
        ]
        ended_s = time.perf_counter()
        return RankedBatch(
            lists=lists, encode_ms=(encoded_s - started_s) * 1e3, rank_ms=(ended_s - encoded_s) * 1e3
        )

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        self._slots.forget(user)
        self._seen.forget(user)

    def clear(self) -> None:
        """Remember nothing; answers stay the same and cost more."""
        self._slots.clear()
        self._seen.clear()

    def _read(self, asked: Asked) -> _Reading:
        families = self.version.config.sequences
        row = PADDING_ROW if asked.item is None else self.version.catalogue.row(asked.item)
        kinds = [
            index
            for index, kind in enumerate(asked.kinds)
            if kind != HISTORY and kind.partition(":")[0] in families and asked.lengths[index] > 0
        ]
        return _Reading(asked, row, kinds)

    def _encode(self, readings: list[_Reading]) -> tuple[npt.NDArray[np.float32], list[list[list[float]]]]:
        """User vectors (B, D) and expert shares (B, L, E): means over each question's sequences."""
        config = self.version.config
        sums_BMd = torch.zeros((len(readings), config.streams, config.stream_dim), device=self.device)
        shares_BLE = torch.zeros((len(readings), config.blocks, config.experts), device=self.device)
        waiting = [(b, kind) for b, reading in enumerate(readings) for kind in reading.kinds]
        while waiting:
            runs, waiting, reached = self._computed(readings, waiting)
            owners = torch.tensor([b for run in runs for b in run.owners], device=self.device)
            sums_BMd.index_add_(0, owners, reached.states_AMd)
            shares_BLE.index_add_(0, owners, reached.expert_shares(config.experts))
        nums = torch.tensor([max(1, len(reading.kinds)) for reading in readings], device=self.device)
        vectors_BD = self._model.vectors(unit(sums_BMd)).cpu().numpy()
        return vectors_BD, (shares_BLE / nums[:, None, None]).tolist()

    def _computed(
        self, readings: list[_Reading], waiting: list[tuple[int, int]]
    ) -> tuple[list[_Run], list[tuple[int, int]], Reached]:
        """(questions answered together, (question, kind) pairs that must wait, the states they reach)."""
        runs: dict[tuple[str, str], _Run] = {}
        computed = False
        try:
            later = self._gather(readings, waiting, runs)
            reached = self._cache.extend([run.new for run in runs.values()])
            computed = True
        finally:
            if not computed:  # a sequence could not be read: slots promise positions that nobody computed
                for b, kind in waiting:
                    self._slots.drop(readings[b].asked.user, readings[b].asked.kinds[kind])
        return list(runs.values()), later, reached

    def _gather(
        self, readings: list[_Reading], waiting: list[tuple[int, int]], runs: dict[tuple[str, str], _Run]
    ) -> list[tuple[int, int]]:
        """Fill ``runs`` with what fits into the slots together; returns what must wait, a user's in order."""
        later: list[tuple[int, int]] = []
        ended: set[tuple[str, str]] = set()  # sequences of which a question waits
        for b, kind in waiting:
            reading = readings[b]
            key = (reading.asked.user, reading.asked.kinds[kind])
            run = runs.get(key)
            if key not in ended and run is None and len(runs) < self._slots.num_slots:
                runs[key] = _Run(self._new(reading, kind), [b])
            elif key in ended or run is None or not self._append(run, reading, b, kind):
                ended.add(key)
                later.append((b, kind))
        return later

    def _append(self, run: _Run, reading: _Reading, b: int, kind: int) -> bool:
        """Answer one more question of the same sequence with the run, if it only adds an event."""
        new = self._slots.appended(run.new, _wanted(reading.asked, kind), reading.newest_row)
        if new is None:
            return False
        run.new = new
        run.owners.append(b)
        reading.positions += 1
        return True

    def _new(self, reading: _Reading, kind: int) -> New:
        wanted = _wanted(reading.asked, kind)
        new = self._slots.without_decoding(wanted, reading.newest_row)
        if new is None:
            items, times_ms = reading.sequences()[wanted.kind]
            new = self._slots.with_sequence(wanted, self.version.catalogue.rows(items), times_ms)
        reading.positions += len(new.rows)
        return new

    def _barred(self, readings: list[_Reading]) -> tuple[list[npt.NDArray[np.int64]], list[bool]]:
        """Index lines that each question must not show, and whether its history has a catalogue item."""
        barred, known = [], []
        rows_of = self.version.catalogue.rows
        for reading in readings:
            asked = reading.asked
            rows = np.empty(0, dtype=np.int64)
            if HISTORY in asked.kinds:
                wanted = _wanted(asked, asked.kinds.index(HISTORY))
                rows = self._seen.rows(wanted, reading.newest_row, partial(self._history_rows, reading))
            known.append(len(rows) > 0)
            hidden = [row for row in rows_of(asked.hidden) if row >= FIRST_ITEM_ROW]
            masked = rows if self.filter_seen else rows[:0]
            barred.append((np.append(masked, hidden) if hidden else masked) - FIRST_ITEM_ROW)
        return barred, known

    def _history_rows(self, reading: _Reading) -> list[int]:
        return self.version.catalogue.rows(reading.sequences()[HISTORY][0])


def _wanted(asked: Asked, kind: int) -> Wanted:
    return Wanted(
        user=asked.user,
        kind=asked.kinds[kind],
        length=asked.lengths[kind],
        fingerprint=asked.fingerprints[kind],
        item=asked.item,
        ts_ms=asked.ts_ms,
    )


def _check(version: Version) -> None:
    num_rows, num_items = len(version.weights["items"]), len(version.catalogue)
    if num_rows != version.catalogue.num_rows or len(version.index) != num_items:
        raise CatalogueMismatch(
            f"Version {version.name}: {num_rows} rows, {len(version.index)} index lines, {num_items} items."
        )
