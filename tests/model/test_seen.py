"""Seen rows are a function of the history asked about, however they were come by."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from model.seen import Seen
from model.slots import Wanted


def extend(fingerprint: int, item: str, ts_ms: int) -> int:
    return hash((fingerprint, item, ts_ms))


class Asker:
    """Asks for a history and counts how often it had to be decoded."""

    def __init__(self, max_users: int = 2) -> None:
        self.seen = Seen(max_users, extend)
        self.decoded = 0

    def ask(self, rows: list[int], user: str = "ann") -> list[int]:
        fingerprint = 0
        for row in rows:
            fingerprint = extend(fingerprint, str(row), 0)
        wanted = Wanted(
            user=user,
            kind="history",
            length=len(rows),
            fingerprint=fingerprint,
            item=str(rows[-1]) if rows else None,
            ts_ms=0,
        )

        def decode() -> list[int]:
            self.decoded += 1
            return rows

        return sorted(self.seen.rows(wanted, rows[-1] if rows else 0, decode).tolist())


def test_appended_events_are_not_decoded() -> None:
    """One decoding for the first question, none for the following events."""
    asker = Asker()

    assert asker.ask([70, 71]) == [70, 71]
    assert asker.ask([70, 71, 70]) == [70, 71]
    assert asker.ask([70, 71, 70, 80]) == [70, 71, 80]
    assert asker.decoded == 1


def test_new_item_rows_are_not_seen_items() -> None:
    """Rows that stand for items outside the catalogue never count, decoded or appended."""
    asker = Asker()

    assert asker.ask([3, 70]) == [70]
    assert asker.ask([3, 70, 64]) == [70]


def test_an_empty_history_is_not_decoded() -> None:
    """Nothing to see, nothing to read."""
    asker = Asker()

    assert asker.ask([]) == []
    assert asker.decoded == 0


def test_a_forgotten_user_is_decoded_again() -> None:
    """Erasing leaves nothing behind."""
    asker = Asker()
    asker.ask([70, 71])
    asker.seen.forget("ann")

    assert len(asker.seen) == 0
    assert asker.ask([70, 71]) == [70, 71]
    assert asker.decoded == 2


@settings(deadline=None)  # the machine may be busy
@given(st.integers(min_value=0, max_value=10**6))
def test_memory_never_shows(seed: int) -> None:
    """Appends, trims and evictions in any order: always the items of the history asked about."""
    rng = random.Random(seed)
    asker = Asker(max_users=2)
    histories: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    for _ in range(60):
        user = rng.choice("abc")
        rows = histories[user]
        if rng.random() < 0.1:
            rows = rows[rng.randrange(len(rows) + 1) :]
        if rng.random() < 0.9:
            rows = [*rows, rng.randrange(50, 90)]
        histories[user] = rows

        assert asker.ask(rows, user) == sorted({row for row in rows if row >= 65})
        assert len(asker.seen) <= 2
