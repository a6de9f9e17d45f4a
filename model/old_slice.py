"""How much of what was learned before the stream a version still knows: recall@10 on one fixed old slice.

Knows: which moments are asked, among which items. Does not know: how a version came about, the stream, files.

The moments lie in the last tenth before the stream, which version 1 was trained on (but for its validation
questions) and of which replay may bring some back: this is memory of the past, not skill on what is unseen.
Candidates are version 1's items under every version: later ones did not exist then, and would take places
without anything being forgotten. Our construction.
"""

# n = events of all histories, T = states of a batch, I = version 1's items, D = M * d

from __future__ import annotations

import numpy as np

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.choices import LEARNED_SHARE
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.evaluate import judged_events, seen_before, target_ranks
from model.metrics import recall_at
from model.sequences import histories
from model.states import states, states_before

#: Moments that are asked, drawn evenly; fewer where the last tenth has fewer.
MOMENTS = 2000


class OldSlice:
    """The same questions for every version."""

    def __init__(
        self,
        columns: EventColumns,
        num_warm: int,
        catalogue: Catalogue,
        filter_seen: bool = True,
        most: int = MOMENTS,
    ) -> None:
        """``catalogue``: version 1's, of the events before ``num_warm``; its rows stay in later versions."""
        warm = columns.slice(0, num_warm)
        moments = judged_events(warm, int(LEARNED_SHARE * num_warm))
        if len(moments) > most:
            moments = np.random.default_rng(0).choice(moments, most, replace=False)
        self.moments = len(moments)
        self._events = histories(warm, catalogue)
        self._needed_n = states_before(self._events, np.isin(self._events.order, moments))
        self._num_items = len(catalogue)
        self._filter_seen = filter_seen

    def recall(self, model: Backbone) -> float:
        """Recall@10 of a version alone, all of version 1's items ranked; 0 without a moment."""
        index_ID = model.item_index().detach()[: self._num_items]
        hits = 0.0
        for found in states(model, self._events, self._needed_n):
            place_T = found.after_T + 1
            targets_T = self._events.rows[place_T] - FIRST_ITEM_ROW
            seen = seen_before(self._events, place_T) if self._filter_seen else None
            hits += float(recall_at(target_ranks(found.vectors_TD, index_ID, targets_T, seen), 10).sum())
        return hits / max(1, self.moments)
