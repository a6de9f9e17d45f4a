"""The served sum: what the model says of an item, and what the memory says, added as logits.

Knows: cosines, memory scores, weights between them. Does not know: items, users, who learned what.

    score(i) = (w / temperature) cosine(i) + (1 - w) log(memory(i) + epsilon),    w in [0, 1]

Our construction; the model's part is the logit it was trained with. The order is by score, then by cosine,
then by place, so at w = 0 the items that the memory knows nothing about still stand in the model's order. An
item the model has no row for takes part with a cosine that stands in for its own (stand_in).
"""

# C = candidates, O = all items that may be shown, W = weights

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.metrics import MISS, rank_in

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: The weights that are tried side by side: 0 is the memory alone, 1 the model alone. Logits of the model are
#: far wider than those of the memory, so the weights that matter are small.
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)


def sum_scores(cosines_C: FloatArray, logs_C: FloatArray, weight: float, temperature: float) -> FloatArray:
    """(C,) the sum under one weight; ``logs_C``: memory_logs."""
    return (weight / temperature) * cosines_C + (1.0 - weight) * logs_C


def memory_logs(memory_C: FloatArray, epsilon: float) -> FloatArray:
    """(C,) log(memory + epsilon); most items have no memory, and a logarithm is dear."""
    logs_C = np.full(len(memory_C), np.log(epsilon))
    remembered = np.flatnonzero(memory_C)
    logs_C[remembered] = np.log(memory_C[remembered] + epsilon)
    return logs_C


def stand_in(cosines_C: FloatArray, memory_C: FloatArray, known_C: npt.NDArray[np.bool_]) -> FloatArray:
    """(C,) cosines, with those of items outside the model's catalogue (``known_C`` false) made up.

    What the memory proposes is related to the user: the mean cosine of its known proposals, by their memory,
    stands in for the unknown ones; 0, as if unrelated, without memory or a known proposal. Known items
    keep theirs.
    """
    told = memory_C * known_C
    total = told.sum()
    made_up = told @ cosines_C / total if total > 0 else 0.0
    return np.where(known_C, cosines_C, np.where(memory_C > 0, made_up, 0.0))


def candidates(cosines_O: FloatArray, memory_O: FloatArray, n: int) -> IntArray:
    """Places, ascending, of the n highest cosines and of every item with memory: enough for an exact top n.

    An item left out has n items of higher cosine before it, and memory only ever raises these.
    """
    chosen_O = memory_O > 0
    chosen_O[_best(cosines_O, cosines_O, n)] = True
    return np.flatnonzero(chosen_O)


def top_sum(
    cosines_C: FloatArray,
    logs_C: FloatArray,
    n: int,
    temperature: float,
    weights: tuple[float, ...] = WEIGHTS,
) -> list[IntArray]:
    """For each weight the n best places among the candidates, best first; fewer if there are no more.

    Exact for a whole catalogue where the candidates hold its n highest cosines (ties to the lowest place) and
    every item with memory, and stand in the catalogue's order. Barred items must not be among them.
    """
    return [_best(sum_scores(cosines_C, logs_C, weight, temperature), cosines_C, n) for weight in weights]


def sum_ranks(
    cosines_O: FloatArray,
    logs_O: FloatArray,
    target: int,
    temperature: float,
    weights: tuple[float, ...] = WEIGHTS,
) -> FloatArray:
    """(W,) rank of the item at place ``target`` under each weight; MISS for a target below 0, and where the
    model says of it what is no number."""
    if target < 0:
        return np.full(len(weights), MISS)
    scores_WO = (sum_scores(cosines_O, logs_O, weight, temperature) for weight in weights)
    return np.array([rank_in(scores_O, target) for scores_O in scores_WO])


def _best(scores: FloatArray, cosines: FloatArray, n: int) -> IntArray:
    """The n best places by score, then cosine, then place."""
    if n <= 0:
        return np.zeros(0, np.int64)
    places = np.arange(len(scores))
    if n < len(scores):
        places = np.flatnonzero(scores >= np.partition(scores, len(scores) - n)[len(scores) - n])
    return places[np.lexsort((places, -cosines[places], -scores[places]))][:n]
