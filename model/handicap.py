"""The handicap of provisional rows: what is taken off their cosines, so that they stand as high as they earn.

Knows: how many first places rows took, whether the next click was on a row, whether the places held it.
Does not know: rows, users, versions, the memory.

A row is a mean of users, so it looks right to everybody; a few dozen that wait long for a trained row can
fill the first places of every list. After each judged event the handicap goes up by STEP times the share of
places that rows took, and down by STEP times the share that they earn: of clicks or of hits in those places,
whichever is more, both decayed, times WORTH. Never below 0 or above MOST. Our construction; the step is that
of adaptive conformal inference (Gibbs and Candes 2021), and bounds it likewise: over T judged events rows
take at most (spread + STEP) / (STEP T) more of the places than they earned, spread being how far cosines lie
apart, as long as there are ten items for the ten places.
"""

# K = items of the version, X = provisional rows

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from model.leader import JUDGED

IntArray = npt.NDArray[np.int64]

#: Of a cosine per judged event; fixed beforehand, .003 does about the same (docs/LOG.md).
STEP = 0.01
#: Judged events in which clicks and hits lose half their say.
HALF_LIFE = 1000
#: What rows may take for what they earn: pushed down they also bring fewer hits and would earn less and less.
WORTH = 2.0
#: Hits that belong to nobody: a single first hit is not all hits.
NOBODYS_HITS = 1.0
#: As far as cosines lie apart: more changes no order, and where there are too few items for the places it
#: would only take longer to come down.
MOST = 2.0


class Handicap:
    """One number, moved by judged events alone."""

    def __init__(self) -> None:
        self.value = 0.0
        self._events = self._clicks = self._hits = self._row_hits = 0.0  # decayed

    def judge(self, taken: float, on_row: bool, hit: bool) -> None:
        """The next event after a list in which rows could stand: the share of first places they took, whether
        the event's item had a row when it came, and whether it stood in one of those places."""
        kept = 0.5 ** (1.0 / HALF_LIFE)
        self._events = self._events * kept + 1.0
        self._clicks = self._clicks * kept + on_row
        self._hits = self._hits * kept + hit
        self._row_hits = self._row_hits * kept + (hit and on_row)
        self.value = min(MOST, max(0.0, self.value + STEP * (taken - self.earned)))

    @property
    def earned(self) -> float:
        """The share of first places that rows may take now; 0 before the first judgement."""
        if not self._events:
            return 0.0
        hits = self._row_hits / (NOBODYS_HITS + self._hits)
        return min(1.0, WORTH * max(self._clicks / self._events, hits))

    def to_array(self) -> npt.NDArray[np.float64]:
        """Everything, for a snapshot."""
        return np.array([self.value, self._events, self._clicks, self._hits, self._row_hits])

    @classmethod
    def from_array(cls, told: npt.NDArray[np.generic]) -> Handicap:
        """Raises ValueError when it is none of to_array's."""
        made = cls()
        made.value, made._events, made._clicks, made._hits, made._row_hits = np.asarray(
            told, np.float64
        ).tolist()
        return made


def rows_in_front(
    known_K: npt.NDArray[np.floating], rows_X: npt.NDArray[np.floating], n: int = JUDGED
) -> IntArray:
    """Which rows are among the n highest cosines of all, best first; ties go to the items, then to the lower
    place. Barred ones must be in neither; of the items the n highest are enough."""
    best_X = np.argsort(-rows_X, kind="stable")[:n]
    before_X = np.array([np.count_nonzero(known_K >= cosine) for cosine in rows_X[best_X]], np.int64)
    return best_X[before_X + np.arange(len(best_X)) < n]
