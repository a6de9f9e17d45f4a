"""The list after every event of a stream, made the slow way: no cache, no candidates, one user at a time.

Knows: one version that serves all along, the memory it brought, the order of the events.
Does not know: Kafka, turns, batches, caches, how the stream was sent.

What a scorer makes in lockstep, made again from the events alone: histories are encoded whole
(model/states.py), and the sum goes over the whole catalogue (model/sums.py). Vectors are rounded to 16 bits
first, as lists carry them. Versions with MoS are not read: their sequences depend on sessions.
"""

# n = events, D = vector width, I = lines of the index, O = lines of the index, then codes outside it

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.backbone import user_vector
from model.blend import EPSILON
from model.columns import EventColumns
from model.exposure import PLACES
from model.leader import JUDGED, Leaders, gains
from model.memory import Memory, Recalled
from model.mme import FuxiMME
from model.provisional import ProvisionalConfig, ProvisionalRows
from model.sequences import histories
from model.states import states, states_before
from model.sums import WEIGHTS, memory_logs, stand_in, top_sum
from model.version import Version

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.float32]


class After(NamedTuple):
    """What one event left its user with."""

    user: str
    number: int  # of the user's events so far, this one too
    lines: dict[str, list[str]]  # model, memory, served: best first


def lists_after(
    version: Version,
    memory: Memory,
    columns: EventColumns,
    start: int,
    rows: ProvisionalConfig,
    filter_seen: bool = True,
) -> Iterator[After]:
    """One After per event from the place ``start`` of the columns on, in their order.

    A scorer reads users' newest KEPT_EVENTS or more events, cut where sessions end, which nobody knows here:
    beyond KEPT_EVENTS of a user the two may differ.
    ``memory``: what ``version`` brings, with the events before ``start`` in it; it learns the rest. After an
    event whose user has no item of the catalogue there are no lists: a scorer falls back there. Raises
    ValueError for a version with MoS.
    """
    if version.mos is not None:
        raise ValueError(f"version {version.name} reads sessions by MoS; lists are made here without")
    slow = _Slow(version, memory, columns, rows, filter_seen)
    slow.encode(start)
    for place in range(start):
        slow.remember(place)
    slow.begin()
    for place in range(start, len(columns)):
        yield slow.after(place)


class _Slow:
    def __init__(
        self,
        version: Version,
        memory: Memory,
        columns: EventColumns,
        rows: ProvisionalConfig,
        filter_seen: bool,
    ) -> None:
        self._version, self._memory, self._columns = version, memory, columns
        self._filter_seen = filter_seen
        self._lines = {item: line for line, item in enumerate(version.catalogue.items)}
        self._rows = ProvisionalRows((version.config.streams, version.config.stream_dim), rows)
        self._leaders = Leaders(len(WEIGHTS))
        self._waiting: dict[int, tuple[int, list[list[str]]]] = {}  # user → its events then, its lists
        self._histories: dict[int, list[str]] = {}
        self._newest: dict[int, int] = {}  # user → place of the newest event
        self._vectors: dict[int, tuple[Vectors, Vectors]] = {}  # place → vector after it, and ungated

    def encode(self, start: int) -> None:
        """Vectors after each event from ``start`` on, and after its user's event before."""
        version = self._version
        model = FuxiMME.from_weights(version.config, version.weights)
        events = histories(self._columns, version.catalogue)
        asked_n = events.order >= start
        for found in states(model, events, asked_n | states_before(events, asked_n)):
            vectors_TD = found.vectors_TD.float().cpu().numpy().astype(np.float16).astype(np.float32)
            ungated_TD = user_vector(found.states_TMd).float().cpu().numpy()
            places = events.order[found.after_T].tolist()
            self._vectors.update(zip(places, zip(vectors_TD, ungated_TD, strict=True), strict=True))

    def remember(self, place: int) -> None:
        """An event that the version knows: part of its user's history, and no more."""
        user = int(self._columns.user[place])
        self._histories.setdefault(user, []).append(self._columns.items[self._columns.item[place]])
        self._newest[user] = place

    def begin(self) -> None:
        """Everybody whose next event comes has a list already, for that event to judge."""
        for user, place in sorted(self._newest.items(), key=lambda pair: -pair[1]):  # latest active first
            if place in self._vectors:
                self._answer(user, place, self._histories[user])

    def after(self, place: int) -> After:
        """Judge the user's lists and move the item's row, learn, then answer."""
        user, item = int(self._columns.user[place]), self._columns.items[self._columns.item[place]]
        if user in self._waiting:
            num_events, lists = self._waiting.pop(user)
            self._leaders.of(num_events).judge(gains(lists, item))
        if item not in self._lines and user in self._newest:
            self._rows.observe(item, self._vectors[self._newest[user]][1])
        else:
            self._rows.passed(item)
        self._memory.learn(self._histories.get(user, []), item, int(self._columns.time_ms[place]))
        self.remember(place)
        history = self._histories[user]
        return After(self._columns.users[user], len(history), self._answer(user, place, history))

    def _answer(self, user: int, place: int, history: list[str]) -> dict[str, list[str]]:
        if not any(name in self._lines for name in history):
            return {}
        vector_D, _ = self._vectors[place]
        places, memory_O = self._remembered(self._memory.recall(history))
        outside = list(places)
        num_lines = len(self._lines)
        cosines_O, known_O = np.zeros(len(memory_O)), np.ones(len(memory_O), bool)
        cosines_O[:num_lines] = self._version.index @ vector_D
        for at, name in enumerate(outside, num_lines):
            line_D = self._rows.line(name)
            known_O[at] = line_D is not None
            cosines_O[at] = 0.0 if line_D is None else line_D @ vector_D
        open_O = np.ones(len(memory_O), bool)
        if self._filter_seen:
            had = (self._lines.get(name, places.get(name)) for name in history)
            open_O[[at for at in had if at is not None]] = False
        shown = np.flatnonzero(open_O)
        memory_O, cosines_O, known_O = memory_O[shown], cosines_O[shown], known_O[shown]
        by_cosine = np.argsort(-cosines_O[shown < num_lines], kind="stable")[:JUDGED]
        if len(by_cosine) >= PLACES:
            self._rows.listed(vector_D, cosines_O[by_cosine[PLACES - 1]])
        cosines_O = stand_in(cosines_O, memory_O, known_O)

        def named(chosen: IntArray) -> list[str]:
            items = self._version.catalogue.items
            at = shown[chosen].tolist()
            return [items[place] if place < num_lines else outside[place - num_lines] for place in at]

        sums = top_sum(cosines_O, memory_logs(memory_O, EPSILON), JUDGED, self._version.config.temperature)
        lists = [named(top) for top in sums]
        self._waiting[user] = (len(history), lists)
        by_memory = np.argsort(-memory_O, kind="stable")[:JUDGED]
        return {
            "model": named(by_cosine),
            "memory": named(by_memory[memory_O[by_memory] > 0]),
            "served": lists[self._leaders.of(len(history)).serving],
        }

    def _remembered(self, recalled: Recalled) -> tuple[dict[str, int], FloatArray]:
        """Items outside the index with a memory or a row, by code, with their places behind its lines; and
        (O,) what the memory says of all."""
        ids, num_lines = self._memory.items.ids, len(self._lines)
        told = dict(zip((ids[code] for code in recalled.codes_C), recalled.scores_C.tolist(), strict=True))
        codes = (
            self._memory.items.get(name) for name in {*told, *self._rows.items} if name not in self._lines
        )
        outside = sorted(code for code in codes if code is not None)
        places = {ids[code]: at for at, code in enumerate(outside, num_lines)}
        memory_O = np.zeros(num_lines + len(outside))
        for name, score in told.items():
            memory_O[self._lines.get(name, places.get(name))] = score
        return places, memory_O
