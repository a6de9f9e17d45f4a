"""Sessions routed to themes that are known: how many rightly?

Knows: themes by number, true ones by number. Does not know: how sessions are routed, where the truth is from.
"""

# S = sessions, K = themes

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from model.prototypes import NO_THEME

IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def routing_accuracy(theme_S: IntArray, truth_S: IntArray, learned_S: Mask, judged_S: Mask) -> float:
    """Share of the judged sessions with a theme that have the right one; 0 where none has any.

    Learned numbers mean nothing by themselves: they are matched to true ones, one to one, on the sessions of
    ``learned_S`` (the best such matching), and a number that is left over is wrong.
    """
    themed_S = theme_S != NO_THEME
    learned_S, judged_S = learned_S & themed_S, judged_S & themed_S
    if not judged_S.any():
        return 0.0
    table = np.zeros((int(theme_S.max()) + 1, int(truth_S.max()) + 1))
    np.add.at(table, (theme_S[learned_S], truth_S[learned_S]), 1)
    true_K = np.full(len(table), NO_THEME)
    matched, means = linear_sum_assignment(-table)
    true_K[matched] = means
    return float((true_K[theme_S[judged_S]] == truth_S[judged_S]).mean())
