"""Model and memory together along a stream: several models over one memory, each under a leader of its own.

Knows: candidates, the seen filter, the memory, leaders, where each target ranked under every weight.
Does not know: networks, how cosines come about, when weights change.

Items are codes of the columns. Candidates are the items with an event before; one a model has no line for
takes part by sums.stand_in.
"""

# E = judged events, J = items of the columns, O = items that may be shown, W = weights

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.columns import EventColumns
from model.cooccurrence import CoOccurrence
from model.leader import JUDGED, Leaders, gains
from model.memory import MemoryConfig
from model.sums import WEIGHTS, candidates, memory_logs, stand_in, sum_ranks, top_sum

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Heard(NamedTuple):
    """What one model says of every item at one event."""

    cosines_J: npt.NDArray[np.floating]  # anything where the model has no line
    known_J: Mask  # where it has one
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """What became of model and memory together."""

    memory_E: FloatArray  # ranks by the memory alone
    served_E: FloatArray  # under the weight that led when the list was made
    fixed_WE: FloatArray  # under every weight all along: the best of them is known in hindsight only
    weights_E: FloatArray  # that served


class Summing:
    """State of one pass over the stream; ask with ``judge``, then ``learn``, in the order of the columns."""

    def __init__(
        self, columns: EventColumns, memory: MemoryConfig, epsilon: float, filter_seen: bool, models: int = 1
    ) -> None:
        self.seen: dict[int, list[int]] = {}  # of each user, in order
        self._columns = columns
        self._epsilon = epsilon
        self._filter_seen = filter_seen
        self._counter = CoOccurrence(memory)
        self._lines = [_Line(Leaders(len(WEIGHTS))) for _ in range(models)]
        self._taken_J = np.zeros(len(columns.items), bool)
        self._item_of_code = np.zeros(len(columns.items), np.int64)  # of the memory's codes

    def judge(self, user: int, item: int, heard: Sequence[Heard]) -> None:
        """Rank the event's item under every model and weight, then let the lists judge the weights."""
        open_J = self._taken_J.copy()
        if self._filter_seen:
            open_J[self.seen[user]] = False
        open_O = np.flatnonzero(open_J)
        target = int(np.searchsorted(open_O, item)) if open_J[item] else -1
        memory_O = self._memory(user)[open_O]
        logs_O = memory_logs(memory_O, self._epsilon)
        for line, (cosines_J, known_J, temperature) in zip(self._lines, heard, strict=True):
            cosines_O = stand_in(cosines_J[open_O].astype(np.float64), memory_O, known_J[open_O])
            ranks_W = sum_ranks(cosines_O, logs_O, target, temperature)
            leader = line.leaders.of(len(self.seen[user]))
            line.weights.append(WEIGHTS[leader.serving])
            line.served.append(ranks_W[leader.serving])
            line.ranks.append(ranks_W)
            leader.judge(self._gains(cosines_O, memory_O, logs_O, target, temperature))

    def learn(self, user: int, item: int, time_ms: int) -> None:
        name = self._columns.items[item]
        self._counter.observe(self._columns.users[user], name, time_ms)
        code = self._counter.items.get(name)
        assert code is not None
        self._item_of_code[code] = item
        self._taken_J[item] = True
        self.seen.setdefault(user, []).append(item)

    def summed(self, number: int = 0) -> Summed:
        """Of one model, by its place."""
        line = self._lines[number]
        fixed_WE = np.array(line.ranks, np.float64).reshape(-1, len(WEIGHTS)).T
        return Summed(
            memory_E=fixed_WE[0],
            served_E=np.array(line.served, np.float64),
            fixed_WE=fixed_WE,
            weights_E=np.array(line.weights, np.float64),
        )

    def _memory(self, user: int) -> FloatArray:
        """(J,) memory scores by item code of the columns."""
        scores_J = np.zeros(len(self._columns.items))
        scores = self._counter.scores(self._columns.users[user])
        scores_J[self._item_of_code[: len(scores)]] = np.maximum(scores, 0.0)
        return scores_J

    def _gains(
        self, cosines_O: FloatArray, memory_O: FloatArray, logs_O: FloatArray, target: int, temperature: float
    ) -> FloatArray:
        chosen = candidates(cosines_O, memory_O, JUDGED)
        if target not in chosen:  # then it is in no list of ten, whatever the weight
            return np.zeros(len(WEIGHTS))
        tops = top_sum(cosines_O[chosen], logs_O[chosen], JUDGED, temperature)
        return gains([chosen[top].tolist() for top in tops], target)


class _Line:
    """What is kept of one model."""

    def __init__(self, leaders: Leaders) -> None:
        self.leaders = leaders
        self.served: list[float] = []
        self.ranks: list[FloatArray] = []
        self.weights: list[float] = []
