"""A trained network as a recommender: every user's newest events, read anew whenever the user asks.

Knows: histories in memory, one full encoding per question. Does not know: training, caches, versions, MoS.

The simplest way to serve a network, and the slowest: what runs is model/scorer.py. This one answers to the
same laws as the counters, so that networks and counters can stand in one table.
"""

# I = items with a code, D = width of a user vector

from __future__ import annotations

import numpy as np
import torch

from model.backbone import Backbone, last
from model.batch import padded
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW
from model.recommender import ActiveUsers, FloatArray, Scoring


class Neural(Scoring):
    """A network that stays as it is, over histories that grow.

    The score of an item is exp((s - best) / tau) of its inner product s with the user vector: above 0 and in
    the order of s. An item outside the catalogue is read as one of its new-item rows, and has no evidence.
    """

    def __init__(self, model: Backbone, catalogue: Catalogue, max_users: int = 100_000) -> None:
        """The newest ``config.max_events`` events of the ``max_users`` users that were active last are kept.

        Raises ValueError for a network that must be told the time of the next event.
        """
        super().__init__()
        if model.config.query_time != "own":
            raise ValueError(
                "a list made right after a click cannot know the next event's time: query_time own"
            )
        self._model = model.eval()
        self._catalogue = catalogue
        self._users: ActiveUsers[list[tuple[int, int]]] = ActiveUsers(max_users)
        with torch.inference_mode():
            self._index_ID = model.item_index().float().cpu().numpy()

    def observe(self, user: str, item: str, ts_ms: int) -> None:
        self.items.admit(item)
        kept = self._users.get(user) or []
        kept.append((self._catalogue.row(item), ts_ms))
        self._users.put(user, kept[-self._model.config.max_events :])

    def scores(self, user: str) -> FloatArray:
        scores_I = np.zeros(len(self.items))
        kept = self._users.get(user)
        lines_I = np.array([self._catalogue.row(item) for item in self.items.ids], np.int64) - FIRST_ITEM_ROW
        known_I = lines_I >= 0
        if kept and known_I.any():
            products = self._index_ID[lines_I[known_I]] @ self._vector(kept)
            scores_I[known_I] = np.exp((products - products.max()) / self._model.config.temperature)
        return scores_I

    @torch.inference_mode()
    def _vector(self, kept: list[tuple[int, int]]) -> FloatArray:
        rows, times_ms = zip(*kept, strict=True)
        batch = padded([(rows, times_ms)], self._model.config.max_events)
        encoded = self._model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B)
        vectors_1D = self._model.vectors(last(encoded.states_BNMd, batch.lengths_B))
        vector_D: FloatArray = vectors_1D[0].double().cpu().numpy()
        return vector_D
