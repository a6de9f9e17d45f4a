"""Lines for items without a row: where they point, how high they stand, what a snapshot keeps."""

from __future__ import annotations

import numpy as np
import pytest

from model.exposure import LEAST, unit_streams
from model.provisional import (
    SETTLED_EVERY,
    ProvisionalConfig,
    ProvisionalRows,
    shape_of,
)

SHAPE = (2, 3)


def vectors(num: int, seed: int = 0) -> np.ndarray:
    return unit_streams(np.random.default_rng(seed).normal(size=(num, 2, 3)).astype(np.float32)).reshape(
        num, 6
    )


def test_a_line_is_the_normalised_mean_of_the_users_stream_by_stream() -> None:
    """Whatever the length of the vectors; as long as no lists say that it stands too high."""
    rows = ProvisionalRows(SHAPE)
    told = vectors(3)
    for number, vector in enumerate(told):
        rows.observe("a", vector * (number + 1))
    expected = unit_streams(told.reshape(3, 2, 3).mean(axis=0)).ravel()

    assert rows.line("a") == pytest.approx(expected, abs=1e-6)
    assert rows.line("b") is None


def listed(rows: ProvisionalRows, num: int = LEAST, tenth: float = 0.0) -> None:
    """Lists of users who all lean the same way."""
    for vector in vectors(num, 3) + np.array([3.0, 0, 0, 0, 3.0, 0], np.float32):
        rows.listed(unit_streams(vector.reshape(SHAPE)).ravel(), tenth)


def test_a_line_is_turned_at_its_click_and_all_lines_now_and_then() -> None:
    """As the exposure says for what was clicked; lists that came later turn the others after so many clicks,
    clicks that move no row among them."""
    rows = ProvisionalRows(SHAPE)
    told = np.array([3.0, 0.1, 0, 0, 3.0, 0.1], np.float32)
    rows.observe("a", told)
    untouched = rows.line("a").copy()
    listed(rows)
    rows.observe("b", told)
    meant = unit_streams(told.reshape(SHAPE)).reshape(1, 6)

    assert rows.line("a").tolist() == untouched.tolist() == meant[0].tolist()
    assert rows.line("b").tolist() == rows.exposure.turned(meant, ["b"])[0].tolist() != meant[0].tolist()
    for _ in range(SETTLED_EVERY - 3):
        rows.passed("known")
    assert rows.line("a").tolist() == untouched.tolist()
    rows.passed("known")
    assert rows.line("a").tolist() == rows.exposure.turned(meant, ["a"])[0].tolist() != untouched.tolist()


def test_a_click_of_somebody_unknown_counts_for_a_row_that_is_there() -> None:
    """It moves no line and makes none."""
    rows = ProvisionalRows(SHAPE)
    rows.observe("a", vectors(1)[0])
    before = rows.exposure.earned(["a", "b"]).tolist()
    for item in "abbb":
        rows.passed(item)
    after = rows.exposure.earned(["a", "b"]).tolist()

    assert rows.items == ["a"]
    assert after[0] > before[0] > 0
    assert after[1] == before[1] == 0.0


def test_only_the_newest_clicks_count() -> None:
    """After as many clicks as count, the older ones are as if they had never been."""
    config = ProvisionalConfig(clicks=4)
    long, short = ProvisionalRows(SHAPE, config), ProvisionalRows(SHAPE, config)
    told = vectors(9)
    for vector in told:
        long.observe("a", vector)
    for vector in told[-4:]:
        short.observe("a", vector)

    assert np.array_equal(long.lines, short.lines)


def test_the_stalest_item_makes_room() -> None:
    """Beyond the bound the item clicked longest ago goes, and the others keep their lines."""
    rows = ProvisionalRows(SHAPE, ProvisionalConfig(max_items=2))
    told = vectors(4)
    for item, vector in zip("abac", told, strict=True):
        rows.observe(item, vector)

    assert sorted(rows.items) == ["a", "c"]
    assert len(rows) == len(rows.lines) == 2
    assert all(np.array_equal(rows.lines[place], rows.line(item)) for place, item in enumerate(rows.items))


def test_a_trained_row_takes_over() -> None:
    """Forgetting an item leaves the lines of the others; forgetting it again does nothing."""
    rows = ProvisionalRows(SHAPE)
    for item, vector in zip("abc", vectors(3), strict=True):
        rows.observe(item, vector)
    before = {item: rows.line(item).copy() for item in "bc"}
    rows.forget("a")
    rows.forget("a")

    assert "a" not in rows
    assert {item: rows.line(item).tolist() for item in rows.items} == {
        item: line.tolist() for item, line in before.items()
    }


def test_a_snapshot_answers_the_same() -> None:
    """Bit for bit, at once and after more clicks, with items of any name and a bound that is reached."""
    config = ProvisionalConfig(clicks=3, max_items=4)
    rows = ProvisionalRows(SHAPE, config)
    listed(rows)
    names = ["", "é", "x", "y", "x", "", "x", "x", "z"]
    for item, vector in zip(names, vectors(9), strict=True):
        rows.observe(item, vector)
    other = ProvisionalRows.from_arrays(rows.to_arrays(), shape_of(rows.to_arrays()), config)
    same = np.array_equal(rows.lines, other.lines)
    for item, vector in zip(["x", "new", "y"], vectors(3, 1), strict=True):
        rows.observe(item, vector)
        other.observe(item, vector)

    assert same
    assert rows.items == other.items
    assert np.array_equal(rows.lines, other.lines)


def test_rows_beside_another_version_are_those_of_the_same_clicks() -> None:
    """Without observing them again: the same lines as from all clicks and lists, then click by click; items
    that are left out do not come along."""
    config = ProvisionalConfig(clicks=3, max_items=9)
    before, expected = ProvisionalRows(SHAPE, config), ProvisionalRows(SHAPE, config)
    told = vectors(40)
    for rows in (before, expected):
        listed(rows)
    for number, vector_D in enumerate(told[:30]):
        before.observe(f"i{number % 6}", vector_D)
        if number % 6 != 2:
            expected.observe(f"i{number % 6}", vector_D)
        else:
            expected.passed("i2")
    expected.settle()
    restored = ProvisionalRows.from_arrays(before.to_arrays(), SHAPE, config)

    named = {"i0", "i1", "i3", "i4", "i5", "unknown"}
    for made in (before.beside(named), restored.beside(named)):
        assert sorted(made.items) == sorted(expected.items)
        for item in expected.items:
            np.testing.assert_allclose(made.line(item), expected.line(item), atol=1e-6)
    for number, vector_D in enumerate(told[30:]):
        for rows in (made, expected):
            rows.observe(f"i{number}", vector_D)
    assert sorted(made.items) == sorted(expected.items)
    for item in expected.items:
        np.testing.assert_allclose(made.line(item), expected.line(item), atol=1e-6)
