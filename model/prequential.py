"""Every line of the stream protocol beside a frozen model: each answers from the events before, then learns.

Knows: lines, candidates, the seen filter, who is asked when. Does not know: files, training, how settings are
chosen.

Places are item codes of the columns. Candidates of the model are its catalogue; of all others the items with
an event before. An item outside the model's catalogue takes part in the served sum by sums.stand_in.
"""

# E = judged events, D = width of a user vector, I = items of the model's catalogue, J = items of the columns

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
from model.evaluate import judged_events, seen_before, target_ranks
from model.factorisation import FactorConfig, Factorisation
from model.memory import MemoryConfig
from model.recommender import Popular, Recommender
from model.sequences import histories
from model.session_knn import SessionConfig, SessionKnn
from model.states import states, states_before
from model.summing import Heard, Summed, Summing

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
    for place, (code, item, time_ms) in enumerate(in_order(columns)):
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
    summing = Summing(columns, choices.memory, choices.epsilon, filter_seen)
    cosines, known_J = cosines_of(model, columns), known_items(model.catalogue, columns)
    for place, (user, item, time_ms) in enumerate(in_order(columns)):
        if place >= num_warm and user in summing.seen:
            summing.judge(user, item, [Heard(next(cosines), known_J, model.temperature)])
        summing.learn(user, item, time_ms)
    return summing.summed()


def known_items(catalogue: Catalogue, columns: EventColumns) -> npt.NDArray[np.bool_]:
    """(J,) whether each item of the columns has a row."""
    return np.array([name in catalogue for name in columns.items], bool)


def cosines_of(model: FrozenModel, columns: EventColumns) -> Iterator[Vectors]:
    """(J,) per judged event, by item code of the columns; 0 outside the catalogue."""
    lines_J = np.array([model.catalogue.row(name) for name in columns.items], np.int64) - FIRST_ITEM_ROW
    known_J = lines_J >= 0
    index_JD = np.zeros((len(lines_J), model.index_ID.shape[1]), np.float32)
    index_JD[known_J] = model.index_ID[lines_J[known_J]]
    size = max(1, MAX_SCORES // max(1, len(index_JD)))
    for start in range(0, len(model.vectors_ED), size):
        yield from model.vectors_ED[start : start + size] @ index_JD.T


def in_order(columns: EventColumns) -> Iterator[tuple[int, int, int]]:
    """(user code, item code, Unix ms) of every event."""
    return zip(columns.user.tolist(), columns.item.tolist(), columns.time_ms.tolist(), strict=True)
