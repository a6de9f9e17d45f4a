"""One slice of the stream under one version: vectors encoded once, rows for what the version does not know.

Knows: which histories are read, the version's lines, provisional rows and the clicks behind them.
Does not know: how the version was trained, the memory, ranks, when a slice ends.
"""

# S = events of the slice, J = items of the columns, P = provisional rows, A = catalogue items, D = M * d
# L = live ones among them

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.backbone import Backbone, user_vector
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.exposure import PLACES, Exposure
from model.provisional import ProvisionalConfig, ProvisionalRows
from model.sequences import histories
from model.states import states, states_before
from model.summing import Heard

Vectors = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
#: Item code of the columns → places of its newest clicks on the stream.
Clicks = dict[int, deque[int]]

#: Scores held at once: bounds memory, no effect on results.
MAX_SCORES = 4_000_000


class Serving(NamedTuple):
    """A version as the stream meets it."""

    model: Backbone
    catalogue: Catalogue
    live_A: Mask  # by catalogue line
    trained_through: int  # events of the columns that its weights may know


class Part:
    """One slice under one version: its vectors, encoded once, and rows for what the version does not know."""

    def __init__(
        self,
        serving: Serving,
        columns: EventColumns,
        start: int,
        stop: int,
        clicks: Clicks,
        config: ProvisionalConfig,
        exposure: Exposure | None = None,
    ) -> None:
        """``exposure``: of the slice before, whose clicks are ``clicks``; it goes on."""
        model, catalogue = serving.model, serving.catalogue
        self._columns = columns
        self._temperature = model.config.temperature
        lines_J = np.array([catalogue.row(name) for name in columns.items], np.int64) - FIRST_ITEM_ROW
        self.known_J = lines_J >= 0
        self.known_J[self.known_J] = serving.live_A[lines_J[self.known_J]]
        index_AD = model.item_index().detach().float().cpu().numpy()
        self._live_LD = index_AD[serving.live_A]  # of the whole catalogue, though the columns may hold less
        self._live_J = np.zeros(len(lines_J), np.int64)  # which of them an item is, where it is known
        self._live_J[self.known_J] = (np.cumsum(serving.live_A) - 1)[lines_J[self.known_J]]
        shape = model.config.streams, model.config.stream_dim
        self.rows = ProvisionalRows(shape, config, exposure)
        self._with_rows_J = self.known_J.copy()
        self._places_P: list[int] = []  # item codes of the rows, in their order
        past = [place for item, places in clicks.items() if not self.known_J[item] for place in places]
        self._encode(model, catalogue, start, stop, np.array(sorted(past), np.int64))
        for place in sorted(past):
            self._move(int(columns.item[place]), self._past_vectors[place], counted=True)
        self.rows.settle()
        self._start = start
        self._from, self._cosines_SL = start, np.zeros((0, len(self._live_LD)), np.float32)

    def heard(self, place: int) -> Heard:
        """What the version and its rows say before the event at this place of the columns."""
        cosines_J = np.zeros(len(self.known_J), np.float32)
        cosines_J[self.known_J] = self._cosines(place)[self._live_J[self.known_J]]
        if self._places_P:
            cosines_J[self._places_P] = self.rows.lines @ self._vectors_SD[place - self._start]
        return Heard(cosines_J, self._with_rows_J, self._temperature)

    def listed(self, place: int, history: Sequence[int], filter_seen: bool) -> None:
        """The list before that event was made, for a user of this history, who is shown it or not."""
        known = np.array([item for item in history if self.known_J[item]], np.int64)
        if not len(known):
            return
        cosines_L = self._cosines(place).copy()
        if filter_seen:
            cosines_L[self._live_J[known]] = -np.inf
        if np.count_nonzero(np.isfinite(cosines_L)) >= PLACES:
            tenth = float(np.partition(cosines_L, len(cosines_L) - PLACES)[len(cosines_L) - PLACES])
            self.rows.listed(self._vectors_SD[place - self._start], tenth)

    def _cosines(self, place: int) -> Vectors:
        """(L,) of all live items, before the event at this place."""
        at = place - self._from
        if at >= len(self._cosines_SL):
            size = max(1, MAX_SCORES // max(1, len(self._live_LD)))
            first = place - self._start
            self._from, at = place, 0
            self._cosines_SL = self._vectors_SD[first : first + size] @ self._live_LD.T
        found: Vectors = self._cosines_SL[at]
        return found

    def learn(self, place: int, item: int) -> None:
        """A click by a user with events before: if the version does not know the item, its row moves."""
        if self.known_J[item]:
            self.rows.passed(self._columns.items[item])
        else:
            self._move(item, self._ungated_SD[place - self._start])

    def passed(self, item: int) -> None:
        """A click by a user without events before."""
        self.rows.passed(self._columns.items[item])

    def _move(self, item: int, vector_D: Vectors, counted: bool = False) -> None:
        move = self.rows.recall if counted else self.rows.observe
        move(self._columns.items[item], vector_D)
        if not self._with_rows_J[item]:
            self._with_rows_J[item] = True
            self._places_P.append(item)
        if len(self._places_P) != len(self.rows):  # the stalest row went to make room
            codes = {name: code for code, name in enumerate(self._columns.items)}
            self._places_P = [codes[name] for name in self.rows.items]
            self._with_rows_J = self.known_J.copy()
            self._with_rows_J[self._places_P] = True

    def _encode(self, model: Backbone, catalogue: Catalogue, start: int, stop: int, past: IntArray) -> None:
        """User vectors before each event of the slice, and ungated ones before past clicks too."""
        events = histories(self._columns.slice(0, stop), catalogue)
        asked_n = (events.order >= start) | np.isin(events.order, past)
        dim = model.config.dim
        self._vectors_SD = np.zeros((stop - start, dim), np.float32)
        self._ungated_SD = np.zeros((stop - start, dim), np.float32)
        self._past_vectors: dict[int, Vectors] = {}
        for found in states(model, events, states_before(events, asked_n)):
            place_T = events.order[found.after_T + 1]
            ungated_TD = user_vector(found.states_TMd).float().cpu().numpy()
            mine_T = place_T >= start
            self._vectors_SD[place_T[mine_T] - start] = found.vectors_TD.float().cpu().numpy()[mine_T]
            self._ungated_SD[place_T[mine_T] - start] = ungated_TD[mine_T]
            self._past_vectors.update(zip(place_T[~mine_T].tolist(), ungated_TD[~mine_T], strict=True))
