"""How each line has done so far: for all time by user and by group, and in a sliding window.

Knows: verdicts, the metrics of the offline tables (model/metrics.py), intervals over users.
Does not know: Kafka, how the join was made, popularity.

For all time a user is two numbers per line, so an interval over users costs no history. The window holds the
newest judged events, an equal share for each partition: across partitions no order is certain.
"""

# U = users

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.metrics import Interval, bootstrap, bootstrap_users, mrr_at, ndcg_at, recall_at
from stream.judging import Verdict, rank_in_list

#: Places that recall, nDCG and MRR look at, and all places that a judgement has.
TOP: Final = 10
DEPTH: Final = 50
#: Users told apart for intervals; further ones share a number by hash, which widens an interval.
MAX_USERS: Final = 200_000
#: Lines told apart; a judgement's further ones are left out and counted.
MAX_LINES: Final = 32
ALL: Final = "all"

#: By rank - 1: recall@10, nDCG@10, MRR@10, nDCG@50 of one event; the last entry is a miss.
_PLACES: Final = np.array([*range(1, DEPTH + 1), np.inf])
_VALUES: Final = np.stack(
    [recall_at(_PLACES, TOP), ndcg_at(_PLACES, TOP), mrr_at(_PLACES, TOP), ndcg_at(_PLACES, DEPTH)], axis=1
)
NAMES: Final = (f"recall@{TOP}", f"ndcg@{TOP}", "mrr", f"ndcg@{DEPTH}")


@dataclass(slots=True)
class Line:
    """One contender for all time."""

    events_U: array[int] = field(default_factory=lambda: array("l"))
    hits_U: array[int] = field(default_factory=lambda: array("l"))
    places: dict[str, list[int]] = field(default_factory=dict)  # group → events by place, the last a miss

    def count(self, user: int, place: int, groups: tuple[str, ...]) -> None:
        while len(self.events_U) <= user:
            self.events_U.append(0)
            self.hits_U.append(0)
        self.events_U[user] += 1
        self.hits_U[user] += place < TOP
        for group in (ALL, *groups):
            self.places.setdefault(group, [0] * (DEPTH + 1))[place] += 1


#: An event of the window: user, groups, and for each line its place and the first ten items by code.
Entry = tuple[int, tuple[str, ...], dict[str, tuple[int, tuple[int, ...]]]]


class Standings:
    """Count verdicts; ask for figures at any time."""

    def __init__(self, window: int, partitions: int, max_users: int = MAX_USERS) -> None:
        self._size = max(1, window // partitions)
        self._max_users = max_users
        self._codes: dict[str, int] = {}
        self.lines: dict[str, Line] = {}
        self.windows: dict[int, deque[Entry]] = {}
        self.lines_left_out = 0

    def count(self, verdict: Verdict, groups: tuple[str, ...], shown: dict[str, tuple[int, ...]]) -> None:
        """A verdict with a judgement; ``shown``: line → codes of its first ten items."""
        judgement, event = verdict.judgement, verdict.event
        assert judgement is not None
        user = self._code(event.user)
        places: dict[str, tuple[int, tuple[int, ...]]] = {}
        for name, line in judgement.lines.items():
            if name not in self.lines and len(self.lines) >= MAX_LINES:
                self.lines_left_out += 1
                continue
            place = _place(rank_in_list(line.items, event.item))
            self.lines.setdefault(name, Line()).count(user, place, groups)
            places[name] = (place, shown[name])
        self._window(event.partition).append((user, groups, places))

    def forget(self, user: str) -> None:
        """Erase a user's name; what they judged stays in the sums."""
        code = self._codes.pop(user, None)
        if code is not None:  # codes follow the order of names, so the place is kept
            self._codes = {
                name: number
                for name, number in sorted(
                    [*self._codes.items(), (f"\0{code}", code)], key=lambda entry: entry[1]
                )
            }

    def figures(self) -> dict[str, dict[str, Any]]:
        """Line → figures for all time, without intervals."""
        return {name: figures(line.places[ALL]) for name, line in sorted(self.lines.items())}

    def groups(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Group → line → figures for all time."""
        names = sorted({group for line in self.lines.values() for group in line.places} - {ALL})
        return {
            group: {
                name: figures(line.places[group])
                for name, line in sorted(self.lines.items())
                if group in line.places
            }
            for group in names
        }

    def window_figures(self) -> dict[str, dict[str, Any]]:
        """Line → figures over the window, without intervals."""
        places: dict[str, list[int]] = {}
        for entry in self._entries():
            for name, (place, _) in entry[2].items():
                places.setdefault(name, [0] * (DEPTH + 1))[place] += 1
        return {name: figures(found) for name, found in sorted(places.items())}

    def window_shown(self) -> dict[str, list[tuple[int, ...]]]:
        """Line → codes of the first ten items of each of its lists in the window."""
        shown: dict[str, list[tuple[int, ...]]] = {}
        for entry in self._entries():
            for name, (_, codes) in entry[2].items():
                shown.setdefault(name, []).append(codes)
        return shown

    def bands(self) -> dict[str, Interval]:
        """Line → recall@10 for all time with its 90 % interval by redrawing users; it takes a while."""
        order = self._by_name()
        found = {}
        for name, line in sorted(self.lines.items()):
            events, hits = np.zeros((2, len(self._codes)), np.int64)
            events[: len(line.events_U)] = line.events_U
            hits[: len(line.hits_U)] = line.hits_U
            users_U = np.argsort(order)  # by name: the same draw whoever was judged first
            users_U = users_U[events[users_U] > 0]
            found[name] = bootstrap_users(hits[users_U].astype(float), events[users_U].astype(float))
        return found

    def window_bands(self) -> dict[str, Interval]:
        """The same over the window."""
        order = self._by_name()
        values: dict[str, list[bool]] = {}
        users: dict[str, list[int]] = {}
        for user, _, places in self._entries():
            for name, (place, _) in places.items():
                values.setdefault(name, []).append(place < TOP)
                users.setdefault(name, []).append(int(order[user]))
        return {name: bootstrap(values[name], users[name]) for name in sorted(values)}

    def state(self) -> dict[str, Any]:
        """For a snapshot."""
        return {
            "users": list(self._codes),
            "left_out": self.lines_left_out,
            "lines": {
                name: [line.events_U.tobytes(), line.hits_U.tobytes(), line.places]
                for name, line in self.lines.items()
            },
            "windows": {str(number): list(entries) for number, entries in self.windows.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._codes = {name: code for code, name in enumerate(state["users"])}
        self.lines_left_out = state["left_out"]
        for name, (events, hits, places) in state["lines"].items():
            self.lines[name] = Line(array("l", events), array("l", hits), places)
        for number, entries in state["windows"].items():
            self._window(int(number)).extend(
                (user, tuple(groups), {name: (place, tuple(codes)) for name, (place, codes) in found.items()})
                for user, groups, found in entries
            )

    def _entries(self) -> list[Entry]:
        return [entry for _, entries in sorted(self.windows.items()) for entry in entries]

    def _window(self, partition: int) -> deque[Entry]:
        return self.windows.setdefault(partition, deque(maxlen=self._size))

    def _code(self, user: str) -> int:
        code = self._codes.get(user)
        if code is None:
            if len(self._codes) >= self._max_users:
                return zlib.crc32(user.encode()) % self._max_users
            code = self._codes[user] = len(self._codes)
        return code

    def _by_name(self) -> npt.NDArray[np.int64]:
        """(U,) place of each user in the order of names."""
        order = np.empty(len(self._codes), np.int64)
        order[np.array([self._codes[name] for name in sorted(self._codes)], np.int64)] = np.arange(len(order))
        return order


def figures(places: list[int]) -> dict[str, Any]:
    """Means of the metrics over events counted by place (51 counts, the last the misses)."""
    counts = np.array(places)
    events = int(counts.sum())
    means = counts @ _VALUES / max(1, events)
    return {name: round(float(mean), 6) for name, mean in zip(NAMES, means, strict=True)} | {"events": events}


def joined(
    figures: dict[str, dict[str, Any]],
    bands: Mapping[str, Interval],
    exposure: Mapping[str, Mapping[str, float | None]],
) -> dict[str, dict[str, Any]]:
    """Figures, interval and exposure of each line in one object."""
    found = {}
    for name, of_line in figures.items():
        band = bands.get(name)
        found[name] = {
            **{key: value for key, value in of_line.items() if key == f"recall@{TOP}"},
            "low": None if band is None or band.low is None else round(band.low, 6),
            "high": None if band is None or band.high is None else round(band.high, 6),
            **of_line,
            "users": None if band is None else band.users,
            **exposure.get(name, {}),
        }
    return found


def _place(rank: float) -> int:
    """Index into the counts by place."""
    return int(rank) - 1 if rank <= DEPTH else DEPTH
