"""Provisional lines of items that the serving version has no row for; rows of the next version begin there.

Knows: the newest line of each item, how high lines stand, from slice to slice.
Does not know: what is learned from them, scorers (standing_in.py keeps theirs), files.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from model.catalogue import Catalogue
from model.exposure import Exposure
from model.families import FAMILIES
from model.names import Arrays
from model.prequential import in_order
from model.provisional import ProvisionalConfig
from model.slices import Part, Serving
from model.version import Version
from stream.lessons import Slice

Vectors = npt.NDArray[np.float32]

ROWS: Final = ProvisionalConfig()


class TrainerRows:
    """Tell it of every slice, in order."""

    def __init__(self, serving: Version) -> None:
        """No lines yet; they will lie among this version's."""
        self._shape = serving.config.streams, serving.config.stream_dim
        self.lines: dict[str, Vectors] = {}  # (D,) by id, the newest made last
        self.exposure = Exposure(self._shape, ROWS.worth)

    def take(self, taken: Slice, serving: Version, *, filter_seen: bool) -> None:
        """Make lines of the slice's clicks, as high as all clicks so far place them.

        Its lists are those of its events with a history, over the version's whole catalogue.
        """
        if all(click.item in serving.catalogue for click in taken.clicks):
            for _ in taken.clicks:
                self.exposure.clicked(None)
            return
        columns, first = taken.columns()
        model = FAMILIES[serving.config.family].from_weights(serving.config, serving.weights)
        live_A = np.asarray(serving.popularity) > 0
        of = Serving(model, serving.catalogue, live_A, first)
        part = Part(of, columns, first, len(columns), {}, ROWS, self.exposure)
        seen: dict[int, list[int]] = {}
        for place, (user, item, _) in enumerate(in_order(columns)):
            if place >= first:
                if user in seen:
                    part.listed(place, seen[user], filter_seen)
                    part.learn(place, item)
                else:
                    part.passed(item)
            seen.setdefault(user, []).append(item)
        part.rows.settle()
        for name, line in zip(part.rows.items, part.rows.lines, strict=True):
            self.lines.pop(name, None)  # to the end: the oldest go first
            self.lines[name] = line.copy()
        for name in list(self.lines)[: -ROWS.max_items]:
            del self.lines[name]
        self.exposure = part.rows.exposure.of(list(self.lines))

    def published(self, catalogue: Catalogue) -> None:
        """A version of these items serves, trained on from the one before: they need lines no more."""
        self.lines = {item: line for item, line in self.lines.items() if item not in catalogue}
        self.exposure = self.exposure.of(list(self.lines))

    def restore(self, lines: Arrays, exposure: Arrays) -> None:
        """Go on from a snapshot. Raises KeyError, ValueError."""
        self.lines = {name: np.asarray(line, np.float32) for name, line in lines.items()}
        self.exposure = Exposure.from_arrays(exposure, self._shape, ROWS.worth)
