"""Every line of the stream protocol beside a frozen model: each answers from the events before, then learns.

Knows: lines, candidates, the seen filter, who is asked when. Does not know: files, training, how settings are
chosen.

Places are item codes of the columns. Candidates of the model are its catalogue; of all others the items with
an event before. An item outside the model's catalogue takes part in the served sum by sums.stand_in.
"""

# E = judged events, D = width of a user vector, I = items of the model's catalogue, J = items of the columns
# O = items that may be shown, W = weights

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.cooccurrence import CoOccurrence
from model.evaluate import judged_events, seen_before, target_ranks
from model.factorisation import FactorConfig, Factorisation
from model.leader import JUDGED, Leaders, gains
from model.memory import MemoryConfig
from model.recommender import Popular, Recommender
from model.sequences import histories
from model.session_knn import SessionConfig, SessionKnn
from model.states import states, states_before
from model.sums import WEIGHTS, candidates, memory_logs, stand_in, sum_ranks, top_sum

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]

#: Scores held at once: bounds memory, no effect on results.
MAX_SCORES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What is fixed before the stream begins; model/choices.py finds it on the end of the warm part."""

    memory: MemoryConfig = field(default_factory=MemoryConfig)
    sessions: SessionConfig = field(default_factory=SessionConfig)
    factors: FactorConfig = field(default_factory=FactorConfig)
    half_life_ms: int = 30 * 24 * 3600 * 1000  # of decayed popularity
    epsilon: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenModel:
    """A model as the stream meets it: item lines, and a user vector for every judged event."""

    catalogue: Catalogue
    index_ID: Vectors
    vectors_ED: Vectors  # in the order of judged_events
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """What became of model and memory together."""

    memory_E: FloatArray  # ranks by the memory alone
    served_E: FloatArray  # under the weight that led when the list was made
    fixed_WE: FloatArray  # under every weight all along: the best of them is known in hindsight only
    weights_E: FloatArray  # that served


def frozen(model: Backbone, catalogue: Catalogue, columns: EventColumns, num_warm: int) -> FrozenModel:
    """Encode every history once; the state before an event knows nothing later."""
    events = histories(columns, catalogue)
    vectors_nD = np.zeros((len(columns), model.config.dim), np.float32)
    for found in states(model, events, states_before(events, events.order >= num_warm)):
        vectors_nD[events.order[found.after_T + 1]] = found.vectors_TD.float().cpu().numpy()
    return FrozenModel(
        catalogue=catalogue,
        index_ID=model.item_index().detach().float().cpu().numpy(),
        vectors_ED=vectors_nD[judged_events(columns, num_warm)],
        temperature=model.config.temperature,
    )


def line_ranks(
    model: FrozenModel, columns: EventColumns, num_warm: int, choices: Choices, filter_seen: bool = True
) -> tuple[dict[str, FloatArray], Summed]:
    """(E,) ranks by line, in the order of judged_events, and the sums behind `served`.

    Lines: model, memory (which is co-occurrence), served, popular, popular-decayed, session-knn,
    matrix-factorisation.
    """
    summed = sums_along(model, columns, num_warm, choices, filter_seen)
    counters: dict[str, Recommender] = {
        "popular": Popular(),
        "popular-decayed": Popular(choices.half_life_ms),
        "session-knn": SessionKnn(choices.sessions),
        "matrix-factorisation": Factorisation(choices.factors),
    }
    lines = {
        "model": model_line(model, columns, num_warm, filter_seen),
        "memory": summed.memory_E,
        "served": summed.served_E,
        **{name: ranks_along(made, columns, num_warm, filter_seen) for name, made in counters.items()},
    }
    return lines, summed


def ranks_along(
    made: Recommender, columns: EventColumns, num_warm: int, filter_seen: bool = True
) -> FloatArray:
    """(E,) ranks of a recommender that answers before each judged event and learns every event."""
    seen: dict[int, set[str]] = {}
    ranks: list[float] = []
    for place, (code, item, time_ms) in enumerate(_events(columns)):
        user, name = columns.users[code], columns.items[item]
        known = seen.setdefault(code, set())
        if place >= num_warm and known:
            ranks.append(made.rank_of(user, name, known if filter_seen else ()))
        known.add(name)
        made.observe(user, name, time_ms)
    return np.array(ranks, np.float64)


def model_line(
    model: FrozenModel, columns: EventColumns, num_warm: int, filter_seen: bool = True
) -> FloatArray:
    """(E,) ranks by the model alone among its catalogue."""
    events = histories(columns, model.catalogue)
    judged = judged_events(columns, num_warm)
    place_n = np.empty(len(columns), np.int64)
    place_n[events.order] = np.arange(len(columns))
    place_E = place_n[judged]
    return target_ranks(
        torch.from_numpy(model.vectors_ED),
        torch.from_numpy(model.index_ID),
        events.rows[place_E] - FIRST_ITEM_ROW,
        seen_before(events, place_E) if filter_seen else None,
    )


def sums_along(
    model: FrozenModel, columns: EventColumns, num_warm: int, choices: Choices, filter_seen: bool = True
) -> Summed:
    """Model and memory together, judged at every event, weighed by the leader of the judgements so far."""
    pass_ = _Pass(model, columns, choices, filter_seen)
    cosines = _cosines(model, columns)
    for place, (user, item, time_ms) in enumerate(_events(columns)):
        if place >= num_warm and user in pass_.seen:
            pass_.judge(user, item, next(cosines))
        pass_.learn(user, item, time_ms)
    return Summed(
        memory_E=np.array(pass_.memory_ranks, np.float64),
        served_E=np.array(pass_.served_ranks, np.float64),
        fixed_WE=np.array(pass_.fixed_ranks, np.float64).reshape(-1, len(WEIGHTS)).T,
        weights_E=np.array(pass_.weights, np.float64),
    )


class _Pass:
    """State of one pass over the stream: the memory, the leaders, who has seen what, and the ranks so far."""

    def __init__(
        self, model: FrozenModel, columns: EventColumns, choices: Choices, filter_seen: bool
    ) -> None:
        self.seen: dict[int, list[int]] = {}
        self.memory_ranks: list[float] = []
        self.served_ranks: list[float] = []
        self.fixed_ranks: list[FloatArray] = []
        self.weights: list[float] = []
        self._columns = columns
        self._epsilon = choices.epsilon
        self._temperature = model.temperature
        self._filter_seen = filter_seen
        self._counter = CoOccurrence(choices.memory)
        self._leaders = Leaders(len(WEIGHTS))
        self._known_J = np.array([name in model.catalogue for name in columns.items], bool)
        self._taken_J = np.zeros(len(columns.items), bool)
        self._item_of_code = np.zeros(len(columns.items), np.int64)  # of the memory's codes

    def judge(self, user: int, item: int, cosines_J: Vectors) -> None:
        """Rank the event's item under every weight, then let the lists judge the weights."""
        open_J = self._taken_J.copy()
        if self._filter_seen:
            open_J[self.seen[user]] = False
        open_O = np.flatnonzero(open_J)
        target = int(np.searchsorted(open_O, item)) if open_J[item] else -1
        memory_O = self._memory(user)[open_O]
        cosines_O = stand_in(cosines_J[open_O].astype(np.float64), memory_O, self._known_J[open_O])
        ranks_W = sum_ranks(cosines_O, memory_logs(memory_O, self._epsilon), target, self._temperature)
        leader = self._leaders.of(len(self.seen[user]))
        self.weights.append(WEIGHTS[leader.serving])
        self.served_ranks.append(ranks_W[leader.serving])
        self.memory_ranks.append(ranks_W[0])
        self.fixed_ranks.append(ranks_W)
        leader.judge(self._gains(cosines_O, memory_O, target))

    def learn(self, user: int, item: int, time_ms: int) -> None:
        name = self._columns.items[item]
        self._counter.observe(self._columns.users[user], name, time_ms)
        code = self._counter.items.get(name)
        assert code is not None
        self._item_of_code[code] = item
        self._taken_J[item] = True
        self.seen.setdefault(user, []).append(item)

    def _memory(self, user: int) -> FloatArray:
        """(J,) memory scores by item code of the columns."""
        scores_J = np.zeros(len(self._columns.items))
        scores = self._counter.scores(self._columns.users[user])
        scores_J[self._item_of_code[: len(scores)]] = np.maximum(scores, 0.0)
        return scores_J

    def _gains(self, cosines_O: FloatArray, memory_O: FloatArray, target: int) -> FloatArray:
        chosen = candidates(cosines_O, memory_O, JUDGED)
        logs = memory_logs(memory_O[chosen], self._epsilon)
        lists = [chosen[top].tolist() for top in top_sum(cosines_O[chosen], logs, JUDGED, self._temperature)]
        return gains(lists, target)


def _cosines(model: FrozenModel, columns: EventColumns) -> Iterator[Vectors]:
    """(J,) per judged event, by item code of the columns; 0 outside the catalogue."""
    lines_J = np.array([model.catalogue.row(name) for name in columns.items], np.int64) - FIRST_ITEM_ROW
    known_J = lines_J >= 0
    index_JD = np.zeros((len(lines_J), model.index_ID.shape[1]), np.float32)
    index_JD[known_J] = model.index_ID[lines_J[known_J]]
    size = max(1, MAX_SCORES // max(1, len(index_JD)))
    for start in range(0, len(model.vectors_ED), size):
        yield from model.vectors_ED[start : start + size] @ index_JD.T


def _events(columns: EventColumns) -> Iterator[tuple[int, int, int]]:
    return zip(columns.user.tolist(), columns.item.tolist(), columns.time_ms.tolist(), strict=True)
