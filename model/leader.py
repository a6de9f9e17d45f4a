"""Follow the leader: of several weights the one that has ranked best lately serves.

Knows: what each weight's list gained at each judged event. Does not know: lists, scores, what a weight means.

With each list the ten best ids under every weight are kept; the user's next positive event judges all of them
by nDCG@10. Gains lose half their say in 3,000 judged events; users with fewer than 3 events follow a leader
of their own (our construction; follow the leader: Cesa-Bianchi and Lugosi, Prediction, Learning, and Games,
2006, ch. 3).
"""

# W = weights

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.metrics import MISS, ndcg_at

FloatArray = npt.NDArray[np.float64]

#: Length of the judged lists.
JUDGED = 10
HALF_LIFE = 3000
#: A user with fewer events is cold.
COLD_EVENTS = 3
#: The place in sums.WEIGHTS of what serves before the first judgement, 0.1: on the ends of warm parts the
#: best fixed weight lay on either side of it.
START = 3


def gains(lists: Sequence[Sequence[Any]], target: Any) -> FloatArray:
    """(W,) nDCG@10 of each weight's list when ``target`` came next."""
    ranks = [
        1.0 + list(shown[:JUDGED]).index(target) if target in shown[:JUDGED] else MISS for shown in lists
    ]
    return ndcg_at(ranks, JUDGED)


class Leader:
    """Decayed sums of gains, and the weight that serves."""

    def __init__(self, num_weights: int, start: int = START, half_life: float = HALF_LIFE) -> None:
        """``half_life`` in judged events. Raises ValueError when ``start`` is no weight."""
        if not 0 <= start < num_weights:
            raise ValueError(f"start {start} is none of {num_weights} weights")
        self.serving = start
        self.num_judged = 0
        self._kept = 0.5 ** (1.0 / half_life)
        self._sums_W = np.zeros(num_weights)

    def judge(self, gains_W: npt.ArrayLike) -> None:
        """One judged event: its gains under every weight; then the best so far serves.

        Ties go to the smaller change, then to the lower weight.
        """
        self._sums_W = self._sums_W * self._kept + np.asarray(gains_W, np.float64)
        self.num_judged += 1
        best = np.flatnonzero(self._sums_W == self._sums_W.max())
        self.serving = int(best[np.abs(best - self.serving).argmin()])

    def to_dict(self) -> dict[str, Any]:
        return {"serving": self.serving, "judged": self.num_judged, "sums": self._sums_W.tolist()}

    @classmethod
    def from_dict(cls, state: dict[str, Any], half_life: float = HALF_LIFE) -> Leader:
        """Raises KeyError, ValueError when it is none of to_dict's."""
        made = cls(len(state["sums"]), state["serving"], half_life)
        made.num_judged = state["judged"]
        made._sums_W = np.array(state["sums"], np.float64)
        return made


class Leaders:
    """One leader for users with a past, one for cold users."""

    def __init__(self, num_weights: int, start: int = START) -> None:
        self.warm = Leader(num_weights, start)
        self.cold = Leader(num_weights, start)

    def of(self, num_events: int) -> Leader:
        """The leader of a user who had so many events when the list was made."""
        return self.cold if num_events < COLD_EVENTS else self.warm

    def to_dict(self) -> dict[str, Any]:
        return {"warm": self.warm.to_dict(), "cold": self.cold.to_dict()}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Leaders:
        made = cls(len(state["warm"]["sums"]))
        made.warm, made.cold = Leader.from_dict(state["warm"]), Leader.from_dict(state["cold"])
        return made
