"""What a scorer has learned, as one file: written beside, then renamed; read back only if it is whole.

Knows: which parts there are, when it is time, that writing happens beside the turns.
Does not know: what a part means, the file's layout (stream/snapshot.py), Kafka.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.leader import Leaders
from model.memory import Memory, MemoryConfig
from model.popularity import Popularity
from model.provisional import ProvisionalConfig
from stream import snapshot
from stream.leading import Leading
from stream.learning import Learner
from stream.snapshot import SnapshotDamaged
from stream.standing_in import StandIns

log = logging.getLogger("hopstream.scorer")

FILE: Final = "learned.snapshot"
KIND: Final = "scorer"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Everything that follows from events alone."""

    learner: Learner
    leading: Leading
    stand_ins: StandIns = field(default_factory=StandIns)
    requests: Mapping[int, int]  # partition → offset of `requests` below which all is learned


def packed(learned: Learned) -> dict[str, Any]:
    """A copy that can be written while learning goes on."""
    counts = learned.learner.counts
    return {
        "requests": dict(learned.requests),
        "leaders": learned.leading.leaders.to_dict(),
        "learner": _told(learned.learner.to_arrays()),
        "memory": _told(learned.learner.memory.to_arrays()),
        "rows": _told(learned.stand_ins.to_arrays()),
        "popularity": _told(counts.to_arrays()) if isinstance(counts, Popularity) else None,
    }


def unpacked(
    state: dict[str, Any], no_positive: Collection[str], config: MemoryConfig, rows: ProvisionalConfig | None
) -> Learned:
    """Raises KeyError, ValueError, TypeError when the state is not one of ours, or of another shape."""
    counts = state["popularity"]
    learner = Learner(
        Popularity() if counts is None else Popularity.from_arrays(_arrays(counts)),
        no_positive,
        Memory.from_arrays(_arrays(state["memory"]), config),
    )
    learner.restore(_arrays(state["learner"]))
    requests = {int(partition): int(offset) for partition, offset in state["requests"].items()}
    stand_ins = StandIns(rows)
    try:
        stand_ins.restore(_arrays(state.get("rows", {})))  # a snapshot from before rows has none
    except (KeyError, ValueError) as error:  # of another layout: the rest is worth keeping
        log.warning("rows of new items start anew, those of the snapshot cannot be read: %r", error)
    leading = Leading(Leaders.from_dict(state["leaders"]))
    return Learned(learner=learner, leading=leading, stand_ins=stand_ins, requests=requests)


def kept_memory(directory: Path, config: MemoryConfig) -> Memory | None:
    """The memory of a scorer's newest snapshot, for people who look; None where it cannot be read."""
    try:
        state = snapshot.load(directory / FILE, KIND, VERSION)
        return None if state is None else Memory.from_arrays(_arrays(state["memory"]), config)
    except (SnapshotDamaged, OSError, KeyError, ValueError, TypeError):
        return None


class Checkpoint:
    """One file, replaced every so often by a thread beside the turns."""

    def __init__(self, directory: Path, every_s: float, executor: Executor) -> None:
        self.damaged = 0  # snapshots that could not be read
        self._path = directory / FILE
        self._every_s = every_s
        self._executor = executor
        self._writing: Future[None] | None = None
        self._saved_s: float | None = None
        self._num_saved = 0

    def restore(
        self, no_positive: Collection[str], config: MemoryConfig, rows: ProvisionalConfig | None = None
    ) -> Learned:
        """What was saved; where nothing was, or nothing that can be used, a fresh start."""
        try:
            state = snapshot.load(self._path, KIND, VERSION)
            if state is not None:
                return unpacked(state, no_positive, config, rows)
        except (SnapshotDamaged, OSError, KeyError, ValueError, TypeError) as error:
            self.damaged += 1
            log.error("%s cannot be used, what was learned is read back from requests: %r", self._path, error)
        fresh = Learner(Popularity(), no_positive, Memory(config))
        return Learned(learner=fresh, leading=Leading(), stand_ins=StandIns(rows), requests={})

    def keep(self, learned: Learned, now_s: float) -> None:
        """Save when it is time and something was learned since; called between turns."""
        if self._saved_s is None:
            self._saved_s, self._num_saved = now_s, learned.learner.num_learned
        if now_s - self._saved_s < self._every_s or (self._writing is not None and not self._writing.done()):
            return
        if learned.learner.num_learned != self._num_saved:
            self._say()
            self._writing = self._executor.submit(self._write, packed(learned))
        self._saved_s, self._num_saved = now_s, learned.learner.num_learned

    def close(self, learned: Learned) -> None:
        """Save at the end, after whatever is being written."""
        self.settle()
        self._writing = self._executor.submit(self._write, packed(learned))
        self.settle()

    def settle(self) -> None:
        """Wait until what is being written is there."""
        self._say()

    def _write(self, state: dict[str, Any]) -> None:
        snapshot.save(self._path, KIND, VERSION, state)

    def _say(self) -> None:
        error = self._writing.exception() if self._writing is not None else None
        if error is not None:
            log.error("%s was not written, it is tried again: %r", self._path, error)


def _told(arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    return {name: [array.dtype.str, array.shape, array.tobytes()] for name, array in arrays.items()}


def _arrays(told: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        name: np.frombuffer(raw, np.dtype(dtype)).reshape(shape) for name, (dtype, shape, raw) in told.items()
    }
