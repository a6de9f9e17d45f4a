"""Where several versions rank the events of one slice: each alone, and each in the served sum.

Knows: a slice with what came before it, the memory as it was at the slice's beginning, the served sum.
Does not know: what the ranks decide (model/gate.py), which versions these are, where a memory is kept.

Every version ranks by the stream protocol: alone among its own catalogue, where an item outside it is a miss;
in the sum among all items with an event before, where an item without a row takes part by sums.stand_in. All
share the memory and the weight that led when the slice began: only the versions differ. Our construction.
"""

# E = judged events, I = items of a catalogue, D = width, C = codes of the memory, O = items that may be shown

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.evaluate import judged_events
from model.families import FAMILIES
from model.gate import Evidence, Ranks
from model.leader import Leaders
from model.memory import Memory
from model.metrics import FloatArray
from model.prequential import FrozenModel, frozen, model_line
from model.sums import WEIGHTS, memory_logs, stand_in, sum_ranks
from model.version import Weights

IntArray = npt.NDArray[np.int64]


def frozen_version(
    config: ModelConfig, catalogue: Catalogue, weights: Weights, columns: EventColumns, first: int
) -> FrozenModel:
    """A version, published or just trained, with a user vector for every judged event of the slice."""
    model = FAMILIES[config.family].from_weights(config, weights)
    return frozen(model, catalogue, columns, first)


def evidence(
    new: FrozenModel,
    serving: FrozenModel,
    anchor: FrozenModel | None,
    columns: EventColumns,
    first: int,
    memory: Memory,
    leaders: Leaders,
    *,
    epsilon: float,
    filter_seen: bool = True,
) -> Evidence:
    """Ranks of the slice's judged events, those whose user has an earlier one.

    ``columns`` hold earlier events of the slice's users and then, from ``first`` on, the slice, in order of
    arrival. ``anchor``: None where it is what serves. ``memory`` stands at the slice's first offset and is
    carried forward over the slice: hand in a copy. ``leaders`` are only read.
    """
    models = {"new": new, "serving": serving, **({} if anchor is None else {"anchor": anchor})}
    fused = fused_ranks(models, columns, first, memory, leaders, epsilon=epsilon, filter_seen=filter_seen)
    ranks = {
        role: Ranks(alone_E=model_line(model, columns, first, filter_seen), fused_E=fused[role])
        for role, model in models.items()
    }
    judged_E = judged_events(columns, first)
    return Evidence(
        users_E=np.array(columns.users)[columns.user[judged_E]],
        new=ranks["new"],
        serving=ranks["serving"],
        anchor=ranks.get("anchor"),
    )


def fused_ranks(
    models: Mapping[str, FrozenModel],
    columns: EventColumns,
    first: int,
    memory: Memory,
    leaders: Leaders,
    *,
    epsilon: float,
    filter_seen: bool = True,
) -> dict[str, FloatArray]:
    """(E,) ranks in the served sum by model; each event is asked about before the memory learns it."""
    slice_ = _Slice(columns, first, memory)
    rows = {role: _Rows(model.catalogue, memory) for role, model in models.items()}
    found: dict[str, list[float]] = {role: [] for role in models}
    judged = 0
    for user, item, time_ms in slice_.events():
        history = slice_.history(user)
        if history:
            weight = WEIGHTS[leaders.of(len(history)).serving]
            open_O, memory_O, target = slice_.question(history, item, filter_seen)
            logs_O = memory_logs(memory_O, epsilon)
            for role, model in models.items():
                rows_O = rows[role].of(open_O)
                known_O = rows_O >= 0
                scores_I = (model.index_ID @ model.vectors_ED[judged]).astype(np.float64)
                cosines_O = stand_in(np.where(known_O, scores_I[rows_O], 0.0), memory_O, known_O)
                ranks = sum_ranks(cosines_O, logs_O, target, model.temperature, (weight,))
                found[role].append(float(ranks[0]))
            judged += 1
        slice_.learn(user, item, time_ms)
        for one in rows.values():
            one.learned(item)
    return {role: np.array(ranks, np.float64) for role, ranks in found.items()}


class _Slice:
    """Who has taken what so far, and the memory, moving forward event by event."""

    def __init__(self, columns: EventColumns, first: int, memory: Memory) -> None:
        self._columns = columns
        self._first = first
        self._memory = memory
        self._histories: dict[int, list[str]] = {}
        for user, item in zip(columns.user[:first].tolist(), columns.item[:first].tolist(), strict=True):
            self._histories.setdefault(user, []).append(columns.items[item])

    def events(self) -> Iterator[tuple[int, str, int]]:
        """(user code, item, Unix ms) of the slice."""
        part = self._columns.slice(self._first, len(self._columns))
        for user, item, time_ms in zip(
            part.user.tolist(), part.item.tolist(), part.time_ms.tolist(), strict=True
        ):
            yield user, self._columns.items[item], time_ms

    def history(self, user: int) -> list[str]:
        return self._histories.get(user, [])

    def question(self, history: list[str], item: str, filter_seen: bool) -> tuple[IntArray, FloatArray, int]:
        """Codes that may be shown, their memory scores, and the place of ``item`` among them or -1."""
        scores_C = self._memory.scores(history)
        if filter_seen:
            scores_C[self._memory.items.known(set(history))] = -np.inf
        open_O = np.flatnonzero(scores_C > -np.inf)
        code = self._memory.items.get(item)
        place = np.flatnonzero(open_O == code)
        return open_O, scores_C[open_O], int(place[0]) if len(place) else -1

    def learn(self, user: int, item: str, time_ms: int) -> None:
        history = self._histories.setdefault(user, [])
        self._memory.learn(history, item, time_ms)
        history.append(item)


class _Rows:
    """Line of one version's index by code of the memory, -1 for none; codes come and change hands."""

    def __init__(self, catalogue: Catalogue, memory: Memory) -> None:
        self._catalogue = catalogue
        self._memory = memory
        self._lines_C = np.array([self._line(item) for item in memory.items.ids], np.int64)

    def of(self, codes_O: IntArray) -> IntArray:
        return self._lines_C[codes_O]

    def learned(self, item: str) -> None:
        """The memory has just learned an event on ``item``, which may have got it a code."""
        code = self._memory.items.get(item)
        assert code is not None
        if code >= len(self._lines_C):
            more = np.full(max(64, len(self._lines_C)), -1, np.int64)
            self._lines_C = np.concatenate([self._lines_C, more])
        self._lines_C[code] = self._line(item)

    def _line(self, item: str) -> int:
        return self._catalogue.row(item) - FIRST_ITEM_ROW if item in self._catalogue else -1
