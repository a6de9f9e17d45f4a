"""Lines for items without a row: where they point, how they are damped, what a snapshot keeps."""

from __future__ import annotations

import numpy as np
import pytest

from model.provisional import (
    ProvisionalConfig,
    ProvisionalRows,
    damped,
    from_categories,
    live_mean,
    unit_streams,
)

MEAN = unit_streams(np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32))


def vectors(num: int, seed: int = 0) -> np.ndarray:
    return unit_streams(np.random.default_rng(seed).normal(size=(num, 2, 3)).astype(np.float32)).reshape(
        num, 6
    )


def test_a_line_is_the_normalised_mean_of_the_users_stream_by_stream() -> None:
    """Whatever the length of the vectors; without damping."""
    rows = ProvisionalRows(MEAN, ProvisionalConfig(cosine=1.0))
    told = vectors(3)
    for number, vector in enumerate(told):
        rows.observe("a", vector * (number + 1))
    expected = unit_streams(told.reshape(3, 2, 3).mean(axis=0)).ravel()

    assert rows.line("a") == pytest.approx(expected, abs=1e-6)
    assert rows.line("b") is None


def test_damping_turns_towards_the_live_mean() -> None:
    """Every stream has the stated cosine with the undamped line, length one, and is nearer to the mean."""
    lines = vectors(20).reshape(20, 2, 3)
    turned = damped(lines, MEAN, 0.85)
    kept = np.maximum((lines * MEAN).sum(axis=-1), 0.85)

    assert (turned * lines).sum(axis=-1) == pytest.approx(kept, abs=1e-5)
    assert np.linalg.norm(turned, axis=-1) == pytest.approx(1.0, abs=1e-5)
    assert ((turned * MEAN).sum(axis=-1) >= (lines * MEAN).sum(axis=-1) - 1e-5).all()
    assert damped(MEAN[None], MEAN, 0.5) == pytest.approx(MEAN[None], abs=1e-6)


def test_only_the_newest_clicks_count() -> None:
    """After as many clicks as count, the older ones are as if they had never been."""
    config = ProvisionalConfig(clicks=4)
    long, short = ProvisionalRows(MEAN, config), ProvisionalRows(MEAN, config)
    told = vectors(9)
    for vector in told:
        long.observe("a", vector)
    for vector in told[-4:]:
        short.observe("a", vector)

    assert np.array_equal(long.lines, short.lines)


def test_the_stalest_item_makes_room() -> None:
    """Beyond the bound the item clicked longest ago goes, and the others keep their lines."""
    rows = ProvisionalRows(MEAN, ProvisionalConfig(max_items=2))
    told = vectors(4)
    for item, vector in zip("abac", told, strict=True):
        rows.observe(item, vector)

    assert sorted(rows.items) == ["a", "c"]
    assert len(rows) == len(rows.lines) == 2
    assert all(np.array_equal(rows.lines[place], rows.line(item)) for place, item in enumerate(rows.items))


def test_a_trained_row_takes_over() -> None:
    """Forgetting an item leaves the lines of the others; forgetting it again does nothing."""
    rows = ProvisionalRows(MEAN)
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
    rows = ProvisionalRows(MEAN, config)
    names = ["", "é", "x", "y", "x", "", "x", "x", "z"]
    for item, vector in zip(names, vectors(9), strict=True):
        rows.observe(item, vector)
    other = ProvisionalRows.from_arrays(rows.to_arrays(), config)
    same = np.array_equal(rows.lines, other.lines)
    for item, vector in zip(["x", "new", "y"], vectors(3, 1), strict=True):
        rows.observe(item, vector)
        other.observe(item, vector)

    assert same
    assert rows.items == other.items
    assert np.array_equal(rows.lines, other.lines)


def test_categories_stand_in_until_the_first_click() -> None:
    """The direction of what shares a category; nobody's direction is made up; a click replaces it."""
    index = vectors(4)
    of_category = {"jazz": [0, 1], "rock": [2]}
    line = from_categories(["jazz", "rock", "none"], of_category, index, 2)
    expected = unit_streams(((index[0] + index[1]) / 2 + index[2]).reshape(2, 3)).ravel()
    rows = ProvisionalRows(MEAN, ProvisionalConfig(cosine=1.0))
    rows.put("a", line)
    as_category = rows.line("a").copy()
    rows.observe("a", index[3])
    rows.put("a", line)

    assert line == pytest.approx(expected, abs=1e-6)
    assert from_categories(["none"], of_category, index, 2) is None
    assert as_category == pytest.approx(expected, abs=1e-6)
    assert rows.line("a") == pytest.approx(index[3], abs=1e-6)


def test_the_live_mean_is_a_direction_per_stream() -> None:
    """Of length one, and zero when there is nothing."""
    lines = vectors(5)

    assert np.linalg.norm(live_mean(lines, 2), axis=1) == pytest.approx(1.0, abs=1e-5)
    assert not live_mean(lines[:0], 2).any()


def test_rows_beside_another_version_are_those_of_the_same_clicks() -> None:
    """Without observing them again: the same lines as from all clicks under the other mean, then click by
    click; items that are left out, and lines that nobody clicked, do not come along."""
    random = np.random.default_rng(5)
    config = ProvisionalConfig(clicks=3, max_items=9)
    means = [unit_streams(random.normal(size=(2, 4)).astype(np.float32)) for _ in range(2)]
    before, expected = (ProvisionalRows(mean_Md, config) for mean_Md in means)
    before.put("put", np.ones(8))
    vectors = random.normal(size=(40, 8)).astype(np.float32)
    for number, vector_D in enumerate(vectors[:30]):
        before.observe(f"i{number % 6}", vector_D)
        if number % 6 != 2:
            expected.observe(f"i{number % 6}", vector_D)
    restored = ProvisionalRows.from_arrays(before.to_arrays(), config)

    named = {"i0", "i1", "i3", "i4", "i5", "put"}
    for made in (before.beside(means[1], named), restored.beside(means[1], named)):
        assert sorted(made.items) == sorted(expected.items)
        for item in expected.items:
            np.testing.assert_allclose(made.line(item), expected.line(item), atol=1e-6)
    for number, vector_D in enumerate(vectors[30:]):
        for rows in (made, expected):
            rows.observe(f"i{number}", vector_D)
    assert sorted(made.items) == sorted(expected.items)
    for item in expected.items:
        np.testing.assert_allclose(made.line(item), expected.line(item), atol=1e-6)
