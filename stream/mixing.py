"""What one request is served: model, memory and provisional rows added up under the weight that leads.

Knows: names of places, what of the sum goes into a list. Does not know: Kafka, torch, who leads or learns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model.blend import OUTSIDE, Blend, Modelled, Rows, alone, blend
from model.sums import WEIGHTS
from stream.asking import Place, Ranker
from stream.remembering import Remembered, Remembering

#: Memory scores in one list: those of its own items, then the highest.
KEPT_MEMORY: Final = 256
#: Provisional rows in one list that neither stand in it nor have a memory score there: the highest cosines.
KEPT_ROWS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """One state's served items, and what a reader needs to rank others as they were ranked."""

    items: list[str]  # best first
    scores: list[float]
    weight: float
    memory: dict[str, float]  # item → score, to 9 digits: 1e-7 of a logarithm
    memory_cut: int  # scores above 0 that were left out
    rows: dict[str, float]  # items without a trained row → cosine that stood for it; of the rest the highest
    remembered: list[str]  # the memory's own list, best first


class Mixer:
    """Places to names, for one version and one memory."""

    def __init__(self, ranker: Ranker | None, remembering: Remembering) -> None:
        self._ranker = ranker
        self._remembering = remembering

    def blend(
        self,
        place: Place | None,
        remembered: Remembered,
        excluded: Collection[str],
        rows: Rows | None = None,
    ) -> Blend:
        """``place`` None, or one that knows none of the user's items: the memory alone.

        ``excluded``: what must not be shown; looked at for items outside the catalogue only.
        """
        closed = self._remembering.codes(excluded)
        if place is None or not place.known or self._ranker is None:
            return alone(remembered.recalled, closed)
        modelled = Modelled(
            np.asarray(place.lines, np.int64),
            np.asarray(place.scores, np.float64),
            remembered.lines_R,
            np.asarray(place.others, np.float64),
            np.asarray(place.barred, np.int64),
            self._ranker.temperature,
        )
        return blend(modelled, remembered.recalled, closed, rows)

    def lists(self, blended: Blend) -> tuple[list[list[int]], list[str]]:
        """What each weight would show, as places in the names that come with it."""
        lists = blended.lists()
        at = {
            place: number for number, place in enumerate(dict.fromkeys(one for top in lists for one in top))
        }
        return [[at[place] for place in top] for top in lists], self.names(list(at))

    def mixed(self, blended: Blend, n: int, weight: int) -> Mixed:
        """The n best under WEIGHTS[weight]."""
        best = blended.best(n, weight)
        loudest = _loudest(blended.memory_C, max(KEPT_MEMORY, n))
        kept = list(dict.fromkeys([*best[blended.memory_C[best] > 0].tolist(), *loudest.tolist()]))
        kept = kept[: max(KEPT_MEMORY, len(best))]
        told = list(dict.fromkeys([*best.tolist(), *kept, *_nearest_rows(blended, KEPT_ROWS)]))
        outside = np.array(told, np.int64)[blended.places_C[told] >= OUTSIDE]
        return Mixed(
            items=self.names(blended.places_C[best]),
            scores=blended.scores(best, weight).round(6).tolist(),
            weight=WEIGHTS[weight],
            memory=dict(
                zip(self.names(blended.places_C[kept]), blended.memory_C[kept].round(9).tolist(), strict=True)
            ),
            memory_cut=int(np.count_nonzero(blended.memory_C)) - len(kept),
            rows=dict(
                zip(
                    self.names(blended.places_C[outside]),
                    blended.cosines_C[outside].round(7).tolist(),
                    strict=True,
                )
            ),
            remembered=self.names(blended.places_C[loudest[:n]]),
        )

    def names(self, places: npt.NDArray[np.int64] | Sequence[int]) -> list[str]:
        ids = self._remembering.memory.items.ids
        items: Sequence[str] = () if self._ranker is None else self._ranker.items
        numbers: list[int] = np.asarray(places, np.int64).tolist()
        return [items[place] if place < OUTSIDE else ids[place - OUTSIDE] for place in numbers]


def _nearest_rows(blended: Blend, n: int) -> list[int]:
    """At most n candidates of the highest cosine that are there for their provisional row alone."""
    quiet = np.flatnonzero((blended.places_C >= OUTSIDE) & (blended.memory_C == 0))
    nearest: list[int] = quiet[np.argsort(-blended.cosines_C[quiet], kind="stable")][:n].tolist()
    return nearest


def _loudest(memory_C: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.int64]:
    """At most n candidates of the highest memory, best first, ties by place; none without memory."""
    heard = np.flatnonzero(memory_C)
    if n < len(heard):
        last = np.partition(memory_C[heard], len(heard) - n)[len(heard) - n]
        heard = heard[memory_C[heard] >= last]
    return heard[np.argsort(-memory_C[heard], kind="stable")][:n]
