"""Questions of users → their vectors, from what the cache holds and what is new.

Knows: which sequences a version reads, how their states become one vector, what is computed together.
Does not know: ranking, what is masked, Kafka, batching.
"""

# B = questions, D = vector width, M = streams, d = stream width, L = blocks, E = experts

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import unit
from model.cache import PrefixCache, Reached
from model.catalogue import Catalogue
from model.config import PADDING_ROW, ModelConfig
from model.mme import FuxiMME
from model.slots import Extend, New, Slots, Wanted

#: The kind whose items count as seen; it is never encoded.
HISTORY = "history"

Decoded = dict[str, tuple[list[str], list[int]]]


class Network(Protocol):
    """What an encoder needs of a published version."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def weights(self) -> dict[str, npt.NDArray[np.float32]]: ...  # FuxiMME.state_dict


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


@dataclass(slots=True)
class Reading:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What was read of the questions, in their order."""

    readings: list[Reading]
    vectors_BD: npt.NDArray[np.float32]  # 0 without a history
    experts: list[list[list[float]]]  # (B, L, E): shares, means over each question's sequences


class Encoder:
    """The sequences of one version, kept between questions. Not thread-safe."""

    def __init__(self, version: Network, *, device: torch.device, cache_bytes: int, extend: Extend) -> None:
        """``extend``: the fingerprint rule of the requests."""
        self.version = version
        self.device = device
        self._model = FuxiMME.from_weights(version.config, version.weights).to(device)
        self._cache = PrefixCache(self._model, cache_bytes)
        self._slots = Slots(self._cache.num_slots, version.config.max_events, extend)

    @property
    def num_slots(self) -> int:
        """How many sequences are kept."""
        return self._slots.num_slots

    def encode(self, asked: Sequence[Asked]) -> Encoded:
        """A batch gives what its questions alone would; a user's are in order, oldest state first."""
        readings = [self._read(question) for question in asked]
        vectors_BD, experts = self._encode(readings)
        return Encoded(readings=readings, vectors_BD=vectors_BD, experts=experts)

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        self._slots.forget(user)

    def clear(self) -> None:
        """Remember nothing."""
        self._slots.clear()

    def _read(self, asked: Asked) -> Reading:
        families = self.version.config.sequences
        row = PADDING_ROW if asked.item is None else self.version.catalogue.row(asked.item)
        kinds = [
            index
            for index, kind in enumerate(asked.kinds)
            if kind != HISTORY and kind.partition(":")[0] in families and asked.lengths[index] > 0
        ]
        return Reading(asked, row, kinds)

    def _encode(self, readings: list[Reading]) -> tuple[npt.NDArray[np.float32], list[list[list[float]]]]:
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
        self, readings: list[Reading], waiting: list[tuple[int, int]]
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
        self, readings: list[Reading], waiting: list[tuple[int, int]], runs: dict[tuple[str, str], _Run]
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

    def _append(self, run: _Run, reading: Reading, b: int, kind: int) -> bool:
        """Answer one more question of the same sequence with the run, if it only adds an event."""
        new = self._slots.appended(run.new, wanted(reading.asked, kind), reading.newest_row)
        if new is None:
            return False
        run.new = new
        run.owners.append(b)
        reading.positions += 1
        return True

    def _new(self, reading: Reading, kind: int) -> New:
        sought = wanted(reading.asked, kind)
        new = self._slots.without_decoding(sought, reading.newest_row)
        if new is None:
            items, times_ms = reading.sequences()[sought.kind]
            new = self._slots.with_sequence(sought, self.version.catalogue.rows(items), times_ms)
        reading.positions += len(new.rows)
        return new


def wanted(asked: Asked, kind: int) -> Wanted:
    """What a question says of one of its sequences, without decoding it."""
    return Wanted(
        user=asked.user,
        kind=asked.kinds[kind],
        length=asked.lengths[kind],
        fingerprint=asked.fingerprints[kind],
        item=asked.item,
        ts_ms=asked.ts_ms,
    )
