"""Predict, then reveal: a frozen model on the rest of the stream, beside live popularity.

Knows: the stream protocol's input, candidates, seen filter and groups of events.
Does not know: files, topics, training, lists that were really shown.
"""

# E = judged events, T = questions of a batch, I = items, D = M * d

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.metrics import MISS, Interval, bootstrap, recall_at, summary
from model.popularity import Popularity
from model.sequences import Histories, histories
from model.states import states, states_before

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

#: Scores held at once: bounds memory, no effect on results.
MAX_SCORES = 16_000_000
DAY_MS = 24 * 3600 * 1000
#: Half-lives of decayed popularity, tried on the last tenth of the warm part.
HALF_LIVES_MS = tuple(days * DAY_MS for days in (1, 3, 7, 30, 180))


@dataclass(frozen=True, slots=True, kw_only=True)
class LineReport:
    """How one contender did: means by group of events, and recall@10 with its interval over users."""

    groups: dict[str, dict[str, float]]  # "all", "warm", ... -> metrics.summary
    recall: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run of the stream protocol."""

    events: int  # of the stream
    judged: int  # events whose user has an earlier one
    users: int
    counts: dict[str, int]  # judged events by group
    half_life_days: float  # of decayed popularity
    lines: dict[str, LineReport] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(
    model: Backbone,
    catalogue: Catalogue,
    columns: EventColumns,
    num_warm: int,
    *,
    filter_seen: bool = True,
    others: Mapping[str, FloatArray] | None = None,
) -> Report:
    """Judge every event from ``num_warm`` on whose user has an earlier one.

    Lines: model (candidates: its catalogue), popular and popular-decayed (candidates: items with an event
    before). All answer from the events before the judged one. Groups: warm and cold users, new items (not in
    the warm part), repeats, hittable (a candidate of the model and not filtered). ``filter_seen`` takes all
    earlier items of the user out. ``others``: ranks of further lines, in the order of judged_events.
    """
    judged_E = judged_events(columns, num_warm)
    half_life_ms = choose_half_life(columns, num_warm, filter_seen)
    ranks = {
        "model": model_ranks(model, catalogue, columns, num_warm, filter_seen),
        "popular": popularity_ranks(columns, num_warm, None, filter_seen),
        "popular-decayed": popularity_ranks(columns, num_warm, half_life_ms, filter_seen),
        **(others or {}),
    }
    groups = groups_of(columns, num_warm, judged_E, catalogue, filter_seen)
    users_E = columns.user[judged_E]
    return Report(
        events=len(columns) - num_warm,
        judged=len(judged_E),
        users=len(np.unique(users_E)),
        counts={name: int(chosen.sum()) for name, chosen in groups.items()},
        half_life_days=half_life_ms / DAY_MS,
        lines={
            name: LineReport(
                groups={group: summary(ranks_E[chosen]) for group, chosen in groups.items()},
                recall=bootstrap(recall_at(ranks_E, 10), users_E),
            )
            for name, ranks_E in ranks.items()
        },
    )


def judged_events(columns: EventColumns, num_warm: int) -> IntArray:
    """Places (E,) of the stream events whose user has an earlier event, ascending."""
    _, first = np.unique(columns.user, return_index=True)
    judged = np.ones(len(columns), bool)
    judged[first] = False
    judged[:num_warm] = False
    return np.flatnonzero(judged)


def groups_of(
    columns: EventColumns, num_warm: int, judged_E: IntArray, catalogue: Catalogue, filter_seen: bool
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which judged events belong to which group; (E,) each. Groups overlap."""
    warm_user = np.zeros(len(columns.users), bool)
    warm_user[columns.user[:num_warm]] = True
    warm_item = np.zeros(len(columns.items), bool)
    warm_item[columns.item[:num_warm]] = True
    pairs = columns.user.astype(np.int64) * len(columns.items) + columns.item
    _, first = np.unique(pairs, return_index=True)
    repeat = np.ones(len(columns), bool)
    repeat[first] = False
    known = np.array([item in catalogue for item in columns.items], bool)
    warm_E, new_E = warm_user[columns.user[judged_E]], ~warm_item[columns.item[judged_E]]
    repeat_E, known_E = repeat[judged_E], known[columns.item[judged_E]]
    return {
        "all": np.ones(len(judged_E), bool),
        "warm": warm_E,
        "cold": ~warm_E,
        "new_item": new_E,
        "repeat": repeat_E,
        "hittable": known_E & ~(repeat_E & filter_seen),
    }


def model_ranks(
    model: Backbone, catalogue: Catalogue, columns: EventColumns, num_warm: int, filter_seen: bool = True
) -> FloatArray:
    """(E,) rank of each judged event's item in the model's catalogue, in the order of judged_events."""
    events = histories(columns, catalogue)
    ranks_n = np.full(len(columns), np.nan)
    index_ID = model.item_index().detach()
    for found in states(model, events, states_before(events, events.order >= num_warm)):
        place_T = found.after_T + 1
        seen = seen_before(events, place_T) if filter_seen else None
        targets_T = events.rows[place_T] - FIRST_ITEM_ROW
        ranks_n[events.order[place_T]] = target_ranks(found.vectors_TD, index_ID, targets_T, seen)
    return ranks_n[judged_events(columns, num_warm)]


def seen_before(events: Histories, place_T: IntArray) -> list[IntArray]:
    """Per place in the histories the rows of all the user's earlier events."""
    first_T = events.starts[np.searchsorted(events.starts, place_T, side="right") - 1]
    return [events.rows[first:place] for first, place in zip(first_T, place_T, strict=True)]


def target_ranks(
    states_TD: Tensor, index_ID: Tensor, targets_T: IntArray, seen: list[IntArray] | None
) -> FloatArray:
    """(T,) rank of each target item (negative: not in the catalogue) among the items not in ``seen`` rows."""
    ranks = [
        _block_ranks(
            states_TD[start : start + size],
            index_ID,
            targets_T[start : start + size],
            None if seen is None else seen[start : start + size],
        )
        for size in [max(1, MAX_SCORES // max(1, len(index_ID)))]
        for start in range(0, len(states_TD), size)
    ]
    return np.concatenate(ranks) if ranks else np.zeros(0)


def _block_ranks(
    states_TD: Tensor, index_ID: Tensor, targets_T: IntArray, seen: list[IntArray] | None
) -> FloatArray:
    scores_TI = states_TD @ index_ID.T
    if seen is not None:
        lines = np.repeat(np.arange(len(seen)), [len(rows) for rows in seen])
        items = np.concatenate(seen) - FIRST_ITEM_ROW
        known = items >= 0
        scores_TI[torch.from_numpy(lines[known]), torch.from_numpy(items[known])] = -torch.inf
    own_T1 = scores_TI.gather(1, torch.from_numpy(np.maximum(targets_T, 0)).to(scores_TI.device)[:, None])
    higher_T = (scores_TI > own_T1).sum(1).cpu().numpy()
    ties_T = (scores_TI == own_T1).sum(1).cpu().numpy() - 1
    own_T = own_T1[:, 0].cpu().numpy()
    hidden_T = np.isneginf(own_T) | np.isnan(own_T) | (targets_T < 0)
    return np.where(hidden_T, MISS, 1.0 + higher_T + ties_T / 2)


def popularity_ranks(
    columns: EventColumns, num_warm: int, half_life_ms: int | None, filter_seen: bool = True
) -> FloatArray:
    """(E,) rank of each judged item by live popularity, which learns every event after it was asked."""
    popularity = Popularity(half_life_ms)
    seen: dict[int, set[str]] = {}
    ranks: list[float] = []
    events = zip(columns.user.tolist(), columns.item.tolist(), columns.time_ms.tolist(), strict=True)
    for place, (user, code, time_ms) in enumerate(events):
        item = columns.items[code]
        known = seen.get(user)
        if place >= num_warm and known is not None:
            ranks.append(popularity.rank_of(item, known if filter_seen else ()))
        seen.setdefault(user, set()).add(item)
        popularity.observe(item, time_ms)
    return np.array(ranks, np.float64)


def choose_half_life(columns: EventColumns, num_warm: int, filter_seen: bool = True) -> int:
    """The half-life (ms) with the best nDCG@10 on the last tenth of the warm part; the stream is never looked
    at.
    """
    warm = columns.slice(0, num_warm)
    cut = int(0.9 * num_warm)
    found = {
        half_life_ms: summary(popularity_ranks(warm, cut, half_life_ms, filter_seen))["ndcg@10"]
        for half_life_ms in HALF_LIVES_MS
    }
    return max(found, key=lambda half_life_ms: found[half_life_ms])
