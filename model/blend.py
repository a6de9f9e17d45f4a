"""One request's served sum: candidates from model, memory and provisional rows, ranked under every weight.

Knows: cosines by line of a version's index, what the memory recalled, the sum (model/sums.py).
Does not know: users, versions, who learned what, which weight serves.

A candidate's place is its line in the index or, outside the catalogue, OUTSIDE + its code in the memory, so
that places stand in the order of the catalogue and ties are broken as the whole catalogue would break them.
"""

# C = candidates, K = the model's best lines, R = recalled items, X = provisional rows

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.leader import JUDGED
from model.memory import Recalled
from model.sums import WEIGHTS, memory_logs, stand_in, sum_scores, top_sum

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Added to the memory's counts before the logarithm: what an item scores that the memory says nothing of. A
#: tenth of it or ten times as much rank worse at the end of warm parts (model/choices.py).
EPSILON = 0.01
#: Places from here on are codes of the memory; no index has so many lines.
OUTSIDE = 1 << 40
#: A line that stands for none: an item without a row.
NO_LINE = -1


class Rows(NamedTuple):
    """Items that the version has no row for, and a cosine all the same: provisional rows."""

    codes_X: IntArray  # of the memory, ascending
    cosines_X: FloatArray


class Modelled(NamedTuple):
    """What a version says of one state."""

    lines_K: IntArray  # its best lines, without barred ones
    cosines_K: FloatArray
    lines_R: IntArray  # per recalled item: its line, or NO_LINE
    cosines_R: FloatArray  # per recalled item; whatever where it has no line
    barred: IntArray  # lines that must not be shown
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Candidates of one request, barred ones left out."""

    places_C: IntArray  # ascending
    cosines_C: FloatArray
    memory_C: FloatArray
    logs_C: FloatArray  # memory_logs of it
    temperature: float

    def lists(self) -> list[list[int]]:
        """For every weight the places that the leader judges, best first."""
        tops = top_sum(self.cosines_C, self.logs_C, JUDGED, self.temperature)
        return [self.places_C[top].tolist() for top in tops]

    def best(self, n: int, weight: int) -> IntArray:
        """The n best candidates under WEIGHTS[weight], as indexes of the arrays here."""
        [found] = top_sum(self.cosines_C, self.logs_C, n, self.temperature, (WEIGHTS[weight],))
        return found

    def scores(self, chosen: IntArray, weight: int) -> FloatArray:
        return sum_scores(self.cosines_C[chosen], self.logs_C[chosen], WEIGHTS[weight], self.temperature)


def blend(
    modelled: Modelled,
    recalled: Recalled,
    closed_codes: IntArray,
    rows: Rows | None = None,
    epsilon: float = EPSILON,
) -> Blend:
    """The candidates among which the top n of the whole catalogue lie, for n up to K.

    ``closed_codes``: codes outside the catalogue that must not be shown. Provisional rows all take part.
    """
    known_R = modelled.lines_R != NO_LINE
    open_R = np.where(
        known_R,
        ~among(modelled.lines_R, modelled.barred),
        ~among(recalled.codes_C, closed_codes),
    )
    alone_K = ~among(modelled.lines_K, modelled.lines_R)
    places = [
        np.where(known_R, modelled.lines_R, OUTSIDE + recalled.codes_C)[open_R],
        modelled.lines_K[alone_K],
    ]
    cosines = [np.where(known_R, modelled.cosines_R, 0.0)[open_R], modelled.cosines_K[alone_K]]
    memory = [recalled.scores_C[open_R], np.zeros(int(alone_K.sum()))]
    if rows is not None and len(rows.codes_X):
        alone_X = ~among(rows.codes_X, recalled.codes_C) & ~among(rows.codes_X, closed_codes)
        places.append(OUTSIDE + rows.codes_X[alone_X])
        cosines.append(rows.cosines_X[alone_X])
        memory.append(np.zeros(int(alone_X.sum())))
    places_C = np.concatenate(places)
    order = np.argsort(places_C, kind="stable")  # quick on what is nearly sorted: codes follow lines
    places_C = places_C[order]
    cosines_C, memory_C = np.concatenate(cosines)[order], np.concatenate(memory)[order]
    cosines_C = _filled(places_C, cosines_C, memory_C, rows)
    return Blend(
        places_C=places_C,
        cosines_C=cosines_C,
        memory_C=memory_C,
        logs_C=memory_logs(memory_C, epsilon),
        temperature=modelled.temperature,
    )


def alone(recalled: Recalled, closed_codes: IntArray, epsilon: float = EPSILON) -> Blend:
    """The memory without a model: its places are OUTSIDE + code, and no cosine says anything."""
    open_R = ~among(recalled.codes_C, closed_codes)
    memory_C = recalled.scores_C[open_R]
    return Blend(
        places_C=OUTSIDE + recalled.codes_C[open_R],
        cosines_C=np.zeros(len(memory_C)),
        memory_C=memory_C,
        logs_C=memory_logs(memory_C, epsilon),
        temperature=1.0,
    )


def among(values: IntArray, some: IntArray) -> npt.NDArray[np.bool_]:
    """Whether each of these whole numbers is one of ``some``.

    They are small and none is below NO_LINE, so a table beats sorting, and a bare one numpy.isin.
    """
    if not len(some) or not len(values):
        return np.zeros(len(values), bool)
    table = np.zeros(max(int(values.max()), int(some.max())) + 2, bool)  # its last place is NO_LINE's
    table[some] = True
    found: npt.NDArray[np.bool_] = table[values]
    return found


def _filled(places_C: IntArray, cosines_C: FloatArray, memory_C: FloatArray, rows: Rows | None) -> FloatArray:
    """Cosines, with those of items outside the catalogue from their provisional row or made up."""
    outside = np.flatnonzero(places_C >= OUTSIDE)
    if not len(outside):
        return cosines_C
    known_C = places_C < OUTSIDE
    if rows is not None and len(rows.codes_X):
        codes = places_C[outside] - OUTSIDE
        at = np.minimum(np.searchsorted(rows.codes_X, codes), len(rows.codes_X) - 1)
        has = rows.codes_X[at] == codes
        cosines_C = cosines_C.copy()
        cosines_C[outside[has]] = rows.cosines_X[at[has]]
        known_C[outside[has]] = True
    return stand_in(cosines_C, memory_C, known_C)
