"""Event columns → per-user histories → training windows in batches of similar length, split in time.

Knows: who did what in which order, windows, new-item masking, what is held out for validation.
Does not know: the network, losses, files.
"""

# n = events, U = users, I = items, B = windows of a batch, N = their longest

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.batch import Events
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import NEW_ITEM_ROWS

IntArray = npt.NDArray[np.int64]

#: Share of the events, oldest first, that a model is warm-started on; the rest is the stream.
WARM_SHARE = 0.8


def split(columns: EventColumns, share: float = WARM_SHARE) -> tuple[EventColumns, EventColumns]:
    """(the first floor(share * n) events, the rest), in time order."""
    cut = int(share * len(columns))
    return columns.slice(0, cut), columns.slice(cut, len(columns))


def catalogue_of(columns: EventColumns) -> Catalogue:
    """The items that occur in these events, in order of their first event."""
    codes, first = np.unique(columns.item, return_index=True)
    return Catalogue([columns.items[code] for code in codes[np.argsort(first, kind="stable")]])


def data_digest(columns: EventColumns) -> str:
    """sha256 of the events: ids of users and items that occur, and times, in order."""
    digest = hashlib.sha256()
    for codes, names in ((columns.user, columns.users), (columns.item, columns.items)):
        present, order = np.unique(codes, return_inverse=True)
        for code in present:
            raw = names[code].encode()
            digest.update(len(raw).to_bytes(4, "big") + raw)
        digest.update(order.astype("<i8").tobytes())
    digest.update(columns.time_ms.astype("<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """All users' events side by side: user u has [starts[u], starts[u + 1]), in arrival order."""

    rows: IntArray  # (n,) catalogue rows
    times_ms: IntArray  # (n,) Unix ms
    starts: IntArray  # (U + 1,)
    users: IntArray  # (U,) user codes, ascending; every user here has an event
    order: IntArray  # (n,) place of each event in the columns

    def __len__(self) -> int:
        return len(self.users)

    def lengths(self) -> IntArray:
        return np.diff(self.starts)


def histories(columns: EventColumns, catalogue: Catalogue) -> Histories:
    """Group events by user, each user's in the order of the columns; unknown items get their new-item row."""
    rows_I = np.zeros(len(columns.items), np.int64)
    present = np.unique(columns.item)
    rows_I[present] = catalogue.rows(columns.items[code] for code in present)
    order = np.argsort(columns.user, kind="stable")
    users, counts = np.unique(columns.user, return_counts=True)
    return Histories(
        rows=rows_I[columns.item[order]],
        times_ms=columns.time_ms[order],
        starts=np.concatenate([[0], np.cumsum(counts)]),
        users=users.astype(np.int64),
        order=order,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What validation asks: after these events, which row came next?"""

    sequences: list[Events]
    targets: IntArray  # rows
    asked_ms: IntArray  # Unix ms of the target, as long as targets
    seen: list[IntArray]  # all earlier rows of the user: filtered

    def asked(self, place: int) -> Events:
        """A question's rows, and when each is asked: at the next event, the last at the target."""
        rows, times_ms = self.sequences[place]
        return rows, np.append(times_ms[1:], self.asked_ms[place])


def hold_out(all_events: Histories, num_users: int, max_events: int, seed: int) -> tuple[Histories, HeldOut]:
    """Take the last event of up to ``num_users`` users with at least three events away for validation.

    Returns the histories without those events, and the questions. Users are drawn by ``seed``.
    """
    able = np.flatnonzero(all_events.lengths() >= 3)
    if len(able) > num_users:
        able = np.sort(np.random.default_rng(seed).choice(able, num_users, replace=False))
    ends = all_events.starts[able + 1] - 1
    sequences: list[Events] = []
    seen: list[IntArray] = []
    for start, end in zip(all_events.starts[able], ends, strict=True):
        cut = max(start, end - max_events)
        sequences.append((all_events.rows[cut:end], all_events.times_ms[cut:end]))
        seen.append(all_events.rows[start:end])
    questions = HeldOut(
        sequences=sequences, targets=all_events.rows[ends], asked_ms=all_events.times_ms[ends], seen=seen
    )
    kept = np.ones(len(all_events.rows), bool)
    kept[ends] = False
    shorter = all_events.lengths().copy()
    shorter[able] -= 1
    rest = Histories(
        rows=all_events.rows[kept],
        times_ms=all_events.times_ms[kept],
        starts=np.concatenate([[0], np.cumsum(shorter)]),
        users=all_events.users,
        order=all_events.order[kept],
    )
    return rest, questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """A batch of training windows: position i of a window predicts ``targets`` i."""

    sequences: list[Events]
    targets: list[IntArray]  # as long as the rows of the sequence
    asked_ms: list[IntArray]  # Unix ms of the targets

    def num_positions(self) -> int:
        return sum(len(rows) for rows in self.targets)

    def share(self, rank: int, processes: int) -> Windows:
        """Every ``processes``-th window, from ``rank`` on; maybe none."""
        mine = slice(rank, None, processes)
        return Windows(
            sequences=self.sequences[mine], targets=self.targets[mine], asked_ms=self.asked_ms[mine]
        )


def windows_of(events: Histories, window: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Cut histories into [start, stop) of at most ``window`` + 1 events, so that every event but a user's
    first is a target once. The cuts of long histories are shifted at random, so that no event always comes
    without context.
    """
    cuts: list[tuple[int, int]] = []
    for begin, end in zip(events.starts[:-1].tolist(), events.starts[1:].tolist(), strict=True):
        if end - begin < 2:
            continue
        start = begin
        if end - begin > window + 1:
            first = begin + int(random.integers(1, window + 1))
            cuts.append((begin, first + 1))
            start = first
        while start < end - 1:
            stop = min(end, start + window + 1)
            cuts.append((start, stop))
            start = stop - 1
    return cuts


def batches(
    events: Histories,
    *,
    window: int,
    batch: int,
    positions: int,
    new_item_share: float,
    random: np.random.Generator,
) -> Iterator[Windows]:
    """One epoch: windows of similar length together, batches in random order.

    A batch has at most ``batch`` windows and ``positions`` padded positions, which keeps steps alike. A share
    of the inputs, never of the targets, is masked as one of the new-item rows: that trains those rows.
    """
    cuts = windows_of(events, window, random)
    lengths = np.array([stop - start for start, stop in cuts], np.int64)
    order = np.lexsort((random.random(len(cuts)), lengths))  # by length, at random within one length
    groups = _grouped(order, lengths, batch, positions)
    for group in random.permutation(len(groups)):
        yield _masked(events, [cuts[index] for index in groups[group]], new_item_share, random)


def _grouped(order: IntArray, lengths: IntArray, batch: int, positions: int) -> list[IntArray]:
    groups: list[IntArray] = []
    start = 0
    while start < len(order):
        stop = min(start + batch, len(order))
        while stop > start + 1 and (stop - start) * (int(lengths[order[stop - 1]]) - 1) > positions:
            stop -= 1
        groups.append(order[start:stop])
        start = stop
    return groups


def _masked(
    events: Histories, cuts: list[tuple[int, int]], share: float, random: np.random.Generator
) -> Windows:
    sequences: list[Events] = []
    targets: list[IntArray] = []
    asked_ms: list[IntArray] = []
    for start, stop in cuts:
        rows = events.rows[start : stop - 1].copy()
        masked = random.random(len(rows)) < share
        rows[masked] = random.integers(1, 1 + NEW_ITEM_ROWS, int(masked.sum()))
        sequences.append((rows, events.times_ms[start : stop - 1]))
        targets.append(events.rows[start + 1 : stop])
        asked_ms.append(events.times_ms[start + 1 : stop])
    return Windows(sequences=sequences, targets=targets, asked_ms=asked_ms)
