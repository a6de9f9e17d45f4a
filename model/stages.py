"""One stage of a protocol, and how any scorer answers it: what is trained on, what is asked, where it ranked.

Knows: training part, validation, questions, groups of questions, ranks and lists over the whole catalogue.
Does not know: which protocol cut the data, how a network is trained, files.
"""

# n = events of all histories, E = questions, U = users, I = items, T = states of a batch, D = M * d

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.evaluate import seen_before, target_ranks
from model.fit import VALIDATION_EVENTS
from model.metrics import FloatArray, coverage_at, ndcg_at, recall_at, summary
from model.ranking import Ranker
from model.sequences import HeldOut, Histories
from model.states import States, states, states_before

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: Length of the lists whose coverage is counted.
LISTED = 10
#: Questions answered at once by a scorer without a network: bounds memory, no effect on results.
AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Events to train on, and questions about others. E questions stand in the order of the columns."""

    variant: str  # "A": stopped early by validation; "B": again from nothing, with the validation events
    catalogue: Catalogue  # all of it is ranked
    training: Histories
    validation: HeldOut  # without questions in B: the number of epochs is A's
    events: Histories  # every event, as inputs and targets
    asked_n: Mask  # which of them are asked for; never a user's first
    groups: dict[str, Mask]  # (E,) each; the first holds the headline
    filter_seen: bool

    def places(self) -> IntArray:
        """(E,) places of the questions in ``events``."""
        asked = np.flatnonzero(self.asked_n)
        return asked[np.argsort(self.events.order[asked])]

    def users(self) -> IntArray:
        """(E,) user code of each question."""
        return self.events.users[owners(self.events, self.places())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one scorer made of a stage's questions."""

    ranks_E: FloatArray
    lists: list[list[int]] | None  # (E,) the LISTED best lines of the index, best first; None: not kept

    def figures(self, chosen_E: Mask, num_items: int) -> dict[str, float]:
        """Means over the chosen questions: recall and nDCG at 10 and 50, MRR at 10, full-rank nDCG; and
        coverage at 10 where lists were kept."""
        ranks = self.ranks_E[chosen_E]
        found = summary(ranks, LISTED)
        found["recall@50"] = float(recall_at(ranks, 50).mean()) if len(ranks) else 0.0
        found["ndcg@50"] = float(ndcg_at(ranks, 50).mean()) if len(ranks) else 0.0
        if self.lists is not None:
            lists = [self.lists[place] for place in np.flatnonzero(chosen_E).tolist()]
            found["coverage@10"] = coverage_at(lists, LISTED, num_items)
        return found


def answer(model: Backbone, stage: Stage) -> Answered:
    """Rank the whole catalogue for every question."""
    return answer_together([model], stage)


def answer_together(models: Sequence[Backbone], stage: Stage) -> Answered:
    """The same by the mean of several networks' scores; they read histories of the same length.

    The mean of inner products is one of longer vectors, so with one network this is its answer, bit for bit.
    """
    index_ID = torch.cat([model.item_index().detach() for model in models], dim=1)
    return _answered(_side_by_side(models, stage), index_ID, stage)


def _side_by_side(models: Sequence[Backbone], stage: Stage) -> Iterator[States]:
    """The last network's states; vectors are those of all, of which a product with an item is the mean.

    One network after the other: while batches wait for more, torch stays in inference mode.
    """
    needed_n = states_before(stage.events, stage.asked_n)
    before = [[found.vectors_TD for found in states(model, stage.events, needed_n)] for model in models[:-1]]
    for number, found in enumerate(states(models[-1], stage.events, needed_n)):
        vectors_TD = torch.cat([*(vectors[number] for vectors in before), found.vectors_TD], dim=1)
        yield States(found.after_T, found.states_TMd, vectors_TD / len(models))


def answer_popular(stage: Stage) -> Answered:
    """The baseline: items by their number of events in the training part, the same for everybody."""
    counts = np.bincount(stage.training.rows, minlength=stage.catalogue.num_rows)[FIRST_ITEM_ROW:]
    after = stage.places() - 1
    parts = (after[start : start + AT_ONCE] for start in range(0, len(after), AT_ONCE))
    found = (States(part, torch.ones(len(part), 1, 1), torch.ones(len(part), 1)) for part in parts)
    return _answered(found, torch.from_numpy(counts.astype(np.float32))[:, None], stage)


def _answered(found: Iterator[States], index_ID: torch.Tensor, stage: Stage) -> Answered:
    ranker = Ranker(index_ID)
    ranks_n = np.full(len(stage.events.rows), np.nan)
    lists: dict[int, list[int]] = {}
    nothing = np.zeros(0, np.int64)
    for some in found:
        place_T = some.after_T + 1
        seen = seen_before(stage.events, place_T) if stage.filter_seen else [nothing] * len(place_T)
        targets_T = stage.events.rows[place_T] - FIRST_ITEM_ROW
        ranks_n[place_T] = target_ranks(some.vectors_TD, index_ID, targets_T, seen)
        barred = [rows[rows >= FIRST_ITEM_ROW] - FIRST_ITEM_ROW for rows in seen]
        best = ranker.top(some.vectors_TD, barred, LISTED)
        lists.update(zip(place_T.tolist(), (top.lines for top in best), strict=True))
    places = stage.places()
    return Answered(ranks_E=ranks_n[places], lists=[lists[place] for place in places.tolist()])


def owners(events: Histories, places: IntArray) -> IntArray:
    """Index of the user whose history holds each place."""
    return np.searchsorted(events.starts, places, side="right") - 1


def part_of(events: Histories, kept_n: Mask) -> Histories:
    """The kept events (n,) alone; users without any are left out."""
    counts = np.bincount(owners(events, np.flatnonzero(kept_n)), minlength=len(events))
    return Histories(
        rows=events.rows[kept_n],
        times_ms=events.times_ms[kept_n],
        starts=np.concatenate([[0], np.cumsum(counts[counts > 0])]),
        users=events.users[counts > 0],
        order=events.order[kept_n],
    )


def questions_at(events: Histories, places: IntArray, filter_seen: bool) -> HeldOut:
    """What validation asks: which row came at each of these places, after the newest VALIDATION_EVENTS?"""
    starts = np.maximum(events.starts[owners(events, places)], places - VALIDATION_EVENTS)
    seen = seen_before(events, places) if filter_seen else [np.zeros(0, np.int64)] * len(places)
    return HeldOut(
        sequences=[
            (events.rows[start:place], events.times_ms[start:place])
            for start, place in zip(starts.tolist(), places.tolist(), strict=True)
        ],
        targets=events.rows[places],
        asked_ms=events.times_ms[places],
        seen=seen,
    )


def drawn(places: IntArray, most: int) -> IntArray:
    """Up to ``most`` of these places, ascending; the same draw each time."""
    if len(places) <= most:
        return np.sort(places)
    return np.sort(np.random.default_rng(0).choice(places, most, replace=False))


def stage_groups(columns: EventColumns, stage: Stage) -> dict[str, Mask]:
    """(E,) masks: all questions; of warm users (with an event in the training part) and cold ones; of items
    that are new (not in it); repeats (the user had the item before); hittable (a candidate, not filtered).
    """
    places = stage.places()
    warm_E = np.isin(stage.users(), stage.training.users)
    trained = np.bincount(stage.training.rows, minlength=stage.catalogue.num_rows) > 0
    rows_E = stage.events.rows[places]
    new_E = (rows_E < FIRST_ITEM_ROW) | ~trained[rows_E]
    codes = columns.user.astype(np.int64) * len(columns.items) + columns.item
    repeat = np.ones(len(columns), bool)
    repeat[np.unique(codes, return_index=True)[1]] = False
    repeat_E = repeat[stage.events.order[places]]
    return {
        "all": np.ones(len(places), bool),
        "warm": warm_E,
        "cold": ~warm_E,
        "new_item": new_E,
        "repeat": repeat_E,
        "hittable": (rows_E >= FIRST_ITEM_ROW) & ~(repeat_E & stage.filter_seen),
    }
