"""Which facets of a model a place of a list owes its score to, and which history item stands behind each.

Knows: the list's vector and the index of its version, cut into facets. Does not know: rules, HTTP.

The score of the model is one inner product over all facets, so a facet's term is the part of that product in
the facet's own columns, times weight / temperature where a memory serves beside it: the terms add up. The
history item named for a facet is the one closest to the item in these columns. The form is our construction;
`hopstream explain` takes a score apart from the network itself.
"""

# I = items of the version, D = width of a vector, M = facets, H = history items

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ops.server.scoring import vector_of
from ops.server.shelf import Shelf
from ops.server.versions import Mapped
from ops.server.why import FacetTold, NearTold
from stream.records import RecommendationList

DIGITS = 4


class Reasons:
    """For the places of one list."""

    def __init__(
        self, mapped: Mapped, made: RecommendationList | None, history: Sequence[str], shelf: Shelf
    ) -> None:
        """``history``: items of the user; those without a row in the version are passed over."""
        index_ID, streams = mapped.index_ID, mapped.version.config.streams
        width = index_ID.shape[1]
        self._mapped, self._shelf = mapped, shelf
        self._vector_D = None if made is None or width % streams else vector_of(made, width)
        self._shape = (streams, width // streams)
        weight = None if made is None else made.weight
        self._scale = 1.0 if weight is None else weight / mapped.temperature
        self._history = [item for item in dict.fromkeys(history) if item in mapped.places]
        lines_HD = index_ID[[mapped.places[item] for item in self._history]].astype(np.float32)
        lines_HMd = lines_HD.reshape(len(self._history), *self._shape)
        self._unit_HMd = lines_HMd / np.maximum(np.linalg.norm(lines_HMd, axis=2, keepdims=True), 1e-9)

    def facets(self, item: str) -> list[FacetTold]:
        """The heaviest term first; nothing for an item without a row, or a list without a vector."""
        place = self._mapped.places.get(item)
        if place is None or self._vector_D is None:
            return []
        line_Md = self._mapped.index_ID[place].astype(np.float32).reshape(self._shape)
        terms_M = self._scale * (line_Md * self._vector_D.reshape(self._shape)).sum(1)
        unit_Md = line_Md / np.maximum(np.linalg.norm(line_Md, axis=1, keepdims=True), 1e-9)
        near_MH = np.einsum("hmd,md->mh", self._unit_HMd, unit_Md)
        return [
            FacetTold(
                facet=int(facet),
                term=round(float(terms_M[facet]), DIGITS),
                nearest=self._nearest(near_MH[facet]),
            )
            for facet in np.argsort(-terms_M, kind="stable")
        ]

    def _nearest(self, near_H: np.ndarray) -> NearTold | None:
        if not len(near_H):
            return None
        at = int(near_H.argmax())
        item = self._history[at]
        return NearTold(item=item, title=self._shelf.title(item), cosine=round(float(near_H[at]), DIGITS))
