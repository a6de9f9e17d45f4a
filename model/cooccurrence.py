"""Item co-occurrence as a recommender: the fast memory asked about a user's newest items.

Knows: the newest items of each active user. Does not know: pairs and their weights (model/memory.py), models.
"""

from __future__ import annotations

from model.memory import Memory, MemoryConfig, latest
from model.recommender import ActiveUsers, FloatArray, Scoring

#: Users whose newest items are kept; a user comes back as a new one after so many others.
MAX_USERS = 1_000_000


class CoOccurrence(Scoring):
    """Items that were taken close to what this user took last."""

    def __init__(self, config: MemoryConfig | None = None, max_users: int = MAX_USERS) -> None:
        super().__init__()
        self.memory = Memory(config)
        self.items = self.memory.items
        self._latest: ActiveUsers[list[str]] = ActiveUsers(max_users)

    def observe(self, user: str, item: str, ts_ms: int) -> None:
        history = self.history(user)
        self.memory.learn(history, item, ts_ms)
        kept = latest([*history, item], self.memory.config.window)
        self._latest.put(user, kept[::-1])

    def scores(self, user: str) -> FloatArray:
        return self.memory.scores(self.history(user))

    def history(self, user: str) -> list[str]:
        """The newest distinct items of a user that count, oldest first."""
        return self._latest.get(user) or []
