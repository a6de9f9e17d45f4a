"""Incremental matrix factorisation: one gradient step for each event, none ever looked at again.

Knows: a vector per user and item. Does not know: sequences, times, negative events.

ISGD (Vinagre, Jorge and Gama, UMAP 2014, algorithm 2): for an event of user u with item i, with the target 1,

    e = 1 - a_u · b_i,    a_u += rate (e b_i - decay a_u),    b_i += rate (e a_u - decay b_i)

New vectors are drawn from normal(0, 0.1), in order of arrival from one seed.
"""

# I = items with a code, F = width of the vectors

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.recommender import ActiveUsers, FloatArray, Scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorConfig:
    """The rate is chosen on the end of a warm part."""

    width: int = 32  # F
    rate: float = 0.05
    decay: float = 0.01
    seed: int = 0
    max_users: int = 1_000_000


class Factorisation(Scoring):
    """Scores are inner products; a user without an event has none."""

    def __init__(self, config: FactorConfig | None = None) -> None:
        super().__init__()
        self.config = config or FactorConfig()
        self._random = np.random.default_rng(self.config.seed)
        self._users: ActiveUsers[FloatArray] = ActiveUsers(self.config.max_users)
        self._items_IF = np.zeros((64, self.config.width))

    def observe(self, user: str, item: str, ts_ms: int) -> None:  # noqa: ARG002 - the order is all the time it knows
        rate, decay = self.config.rate, self.config.decay
        known = len(self.items)
        code = self.items.admit(item)
        if code == len(self._items_IF):
            self._items_IF = np.concatenate([self._items_IF, np.zeros_like(self._items_IF)])
        if code == known:
            self._items_IF[code] = self._drawn()
        user_F, item_F = self._users.get(user), self._items_IF[code]
        user_F = self._drawn() if user_F is None else user_F
        missing = 1.0 - user_F @ item_F
        user_F = user_F + rate * (missing * item_F - decay * user_F)
        item_F += rate * (missing * user_F - decay * item_F)
        self._users.put(user, user_F)

    def scores(self, user: str) -> FloatArray:
        user_F = self._users.get(user)
        if user_F is None:
            return np.zeros(len(self.items))
        return np.asarray(self._items_IF[: len(self.items)] @ user_F)

    def _drawn(self) -> FloatArray:
        return self._random.normal(0.0, 0.1, self.config.width)
