"""Questions of users → their vectors, from what the cache holds and what is new.

Knows: what is computed together, which states belong to which question, what a version fuses them by.
Does not know: which sequences are read (model/kinds.py), ranking, what is masked, Kafka, batching.
"""

# B = questions, P = places of states, S = kinds, D = vector width, M = streams, d = stream width
# L = blocks, E = experts

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.backbone import user_vector
from model.cache import PrefixCache, Reached
from model.catalogue import Catalogue
from model.config import PADDING_ROW, ModelConfig
from model.fusion import averaged, fused, num_places
from model.kinds import HISTORY, Kinds, Part, Reads
from model.mme import FuxiMME
from model.mos import Fused, MoS
from model.slots import Extend, New, Slots, Wanted
from model.version import MoSWeights

__all__ = ["HISTORY", "Asked", "Decoded", "Encoded", "Encoder", "Network", "Reading", "wanted"]

Decoded = dict[str, tuple[list[str], list[int]]]


class Network(Protocol):
    """What an encoder needs of a published version."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> ModelConfig: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def weights(self) -> dict[str, npt.NDArray[np.float32]]: ...  # FuxiMME.state_dict
    @property
    def mos(self) -> MoSWeights | None: ...  # None: kinds are averaged


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
    themes: tuple[tuple[int, float], ...] = ()  # (theme, weight), heaviest first
    routed_by: str | None = None  # version whose table chose the themes


@dataclass(slots=True)
class Reading:
    """A question while it is being answered."""

    asked: Asked
    newest_row: int
    reads: Reads
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
    view: int  # of KINDS
    owners: list[tuple[int, int]]  # (question, place of its state), oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What was read of the questions, in their order."""

    readings: list[Reading]
    vectors_BD: npt.NDArray[np.float32]  # 0 without a history
    ungated_BD: npt.NDArray[np.float32]  # before the facet gate
    experts: list[list[list[float]]]  # (B, L, E): shares, means over each question's sequences
    kinds_BS: npt.NDArray[np.float32]  # how much global, local and theme sequences count; 0 or sums to 1


class Encoder:
    """The sequences of one version, kept between questions. Not thread-safe."""

    def __init__(self, version: Network, *, device: torch.device, cache_bytes: int, extend: Extend) -> None:
        """``extend``: the fingerprint rule of the requests."""
        self.version = version
        self.device = device
        self._model = FuxiMME.from_weights(version.config, version.weights).to(device)
        told = version.mos
        self._kinds = Kinds(version.name, version.config, None if told is None else told.config)
        self._mos = (
            None if told is None else MoS.from_weights(told.config, self._model, told.weights).to(device)
        )
        adapters = None if self._mos is None else self._mos.adapters
        self._cache = PrefixCache(self._model, cache_bytes, adapters)
        self._slots = Slots(self._cache.num_slots, version.config.max_events, extend)

    @property
    def num_slots(self) -> int:
        """How many sequences are kept."""
        return self._slots.num_slots

    def encode(self, asked: Sequence[Asked]) -> Encoded:
        """A batch gives what its questions alone would; a user's are in order, oldest state first."""
        readings = [self._read(question) for question in asked]
        states_BPMd, experts = self._states(readings)
        made = self._fused(states_BPMd, readings)
        vectors_BD = self._model.vectors(made.states_TMd)
        return Encoded(
            readings=readings,
            vectors_BD=vectors_BD.cpu().numpy(),
            ungated_BD=user_vector(made.states_TMd).cpu().numpy(),
            experts=experts,
            kinds_BS=made.shares_TS.cpu().numpy(),
        )

    def forget(self, user: str) -> None:
        """Remember nothing of one user."""
        self._slots.forget(user)

    def clear(self) -> None:
        """Remember nothing."""
        self._slots.clear()

    def _read(self, asked: Asked) -> Reading:
        row = PADDING_ROW if asked.item is None else self.version.catalogue.row(asked.item)
        return Reading(asked, row, self._kinds.reads(asked))

    def _states(self, readings: list[Reading]) -> tuple[Tensor, list[list[list[float]]]]:
        """States (B, P, M, d), zero where nothing is read, and expert shares (B, L, E)."""
        config = self.version.config
        num, places = len(readings), num_places([reading.reads for reading in readings])
        states_BPMd = torch.zeros((num, places, config.streams, config.stream_dim), device=self.device)
        shares_BLE = torch.zeros((num, config.blocks, config.experts), device=self.device)
        waiting = [(b, part) for b, reading in enumerate(readings) for part in reading.reads.parts]
        while waiting:
            runs, waiting, reached = self._computed(readings, waiting)
            owners = torch.tensor([owner for run in runs for owner in run.owners], device=self.device)
            states_BPMd[owners[:, 0], owners[:, 1]] = reached.states_AMd
            shares_BLE.index_add_(0, owners[:, 0], reached.expert_shares(config.experts))
        nums = torch.tensor([max(1, len(reading.reads.parts)) for reading in readings], device=self.device)
        return states_BPMd, (shares_BLE / nums[:, None, None]).tolist()

    def _fused(self, states_BPMd: Tensor, readings: list[Reading]) -> Fused:
        reads = [reading.reads for reading in readings]
        if self._mos is None:
            return averaged(states_BPMd, reads)
        asked = [reading.asked for reading in readings]
        return fused(self._mos, states_BPMd, asked, reads, self.version.config.max_events)

    def _computed(
        self, readings: list[Reading], waiting: list[tuple[int, Part]]
    ) -> tuple[list[_Run], list[tuple[int, Part]], Reached]:
        """(questions answered together, (question, part) pairs that must wait, the states they reach)."""
        runs: dict[tuple[str, str], _Run] = {}
        computed = False
        try:
            later = self._gather(readings, waiting, runs)
            reached = self._cache.extend(
                [run.new for run in runs.values()], [run.view for run in runs.values()]
            )
            computed = True
        finally:
            if not computed:  # a sequence could not be read: slots promise positions that nobody computed
                for b, part in waiting:
                    self._slots.drop(readings[b].asked.user, readings[b].asked.kinds[part.kind])
        return list(runs.values()), later, reached

    def _gather(
        self, readings: list[Reading], waiting: list[tuple[int, Part]], runs: dict[tuple[str, str], _Run]
    ) -> list[tuple[int, Part]]:
        """Fill ``runs`` with what fits into the slots together; returns what must wait, a user's in order."""
        later: list[tuple[int, Part]] = []
        ended: set[tuple[str, str]] = set()  # sequences of which a question waits
        for b, part in waiting:
            reading = readings[b]
            key = (reading.asked.user, reading.asked.kinds[part.kind])
            run = runs.get(key)
            if key not in ended and run is None and len(runs) < self._slots.num_slots:
                runs[key] = _Run(self._new(reading, part.kind), part.view, [(b, part.place)])
            elif key in ended or run is None or not self._append(run, reading, b, part):
                ended.add(key)
                later.append((b, part))
        return later

    def _append(self, run: _Run, reading: Reading, b: int, part: Part) -> bool:
        """Answer one more question of the same sequence with the run, if it only adds an event."""
        new = self._slots.appended(run.new, wanted(reading.asked, part.kind), reading.newest_row)
        if new is None:
            return False
        run.new = new
        run.owners.append((b, part.place))
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
