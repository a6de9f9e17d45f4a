"""What a version is made of, in a version of six items whose answers are known."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from model.anatomy import (
    abundance,
    abundances,
    cosines,
    margin,
    nearest,
    parts,
    rank_of,
    themes,
)
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.themes import ThemeTable
from model.version import Version


def version() -> Version:
    """Items a..f in two streams of two dimensions; two themes, of four items and of two."""
    lines_IMd = np.zeros((6, 2, 2), np.float32)
    lines_IMd[:, 0] = [[1, 0], [1, 0], [0, 1], [0, 1], [-1, 0], [0, -1]]
    lines_IMd[:, 1] = [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [-1, 0]]
    catalogue = Catalogue(list("abcdef"))
    items = np.zeros((catalogue.num_rows, 2, 2), np.float32)
    items[FIRST_ITEM_ROW:, 0] = [[3, 0]] * 6  # one line
    items[FIRST_ITEM_ROW:, 1] = [[2, 0], [0, 2]] * 3  # two directions of the same strength
    logits = np.array([[9, 1], [8, 1], [7, 1], [6, 1], [1, 5], [2, 2.5]], np.float32)
    return Version(
        name="000001",
        epoch=1,
        manifest={},
        config=ModelConfig(dim=4, streams=2, heads=1),
        catalogue=catalogue,
        weights={"items": items},
        index=lines_IMd.reshape(6, 4),
        themes=ThemeTable(catalogue, logits, ["War", "Love"]),
        popularity=np.array([5, 0, 5, 10, 60, 20]),
    )


def test_parameters_are_counted_by_part() -> None:
    """Arrays share a part when their names differ after the last dot only."""
    weights = {
        "blocks.0.gate.w": np.zeros((2, 3)),
        "blocks.0.gate.b": np.zeros(3),
        "blocks.0.out": np.zeros(7),
        "items": np.zeros((4, 2, 5)),
    }

    found = {part.name: (part.parameters, part.shapes) for part in parts(weights)}

    assert found == {
        "blocks.0": (7, {"out": (7,)}),
        "blocks.0.gate": (9, {"b": (3,), "w": (2, 3)}),
        "items": (40, {"items": (4, 2, 5)}),
    }


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (np.ones((50, 4)), 1.0),
        (np.eye(4), 4.0),
        (np.diag([2.0, 1.0, 1.0, 0.0]), 2.0),
        (np.zeros((5, 4)), 0.0),
        (np.ones((1, 4)), 1.0),
    ],
    ids=["one line", "all directions", "known values", "zeros", "one row"],
)
def test_abundance_is_the_sum_over_the_largest_singular_value(table: np.ndarray, expected: float) -> None:
    """From 1, collapsed, to the width, even; scale changes nothing."""
    assert abundance(table.astype(np.float32)) == pytest.approx(expected, abs=1e-6)
    assert abundance(1000 * table.astype(np.float32)) == pytest.approx(expected, abs=1e-6)


def test_abundance_agrees_with_the_singular_values() -> None:
    """The short way over d by d products loses nothing."""
    table = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32) * np.arange(1, 9)
    values = np.linalg.svd(table, compute_uv=False)

    assert abundance(table) == pytest.approx(values.sum() / values[0], rel=1e-6)


def test_each_stream_has_its_own_abundance() -> None:
    """The collapsed one is told from the sound one; padding and new-item rows count nowhere."""
    assert abundances(version()) == pytest.approx([1.0, 2.0])


def test_cosines_are_told_overall_and_by_stream() -> None:
    """Overall is the mean of the streams where each line has length 1 in each; lengths count nowhere."""
    one = version()
    overall, by_stream = cosines(one, 0)

    assert by_stream.tolist() == [[1, 1], [1, 0], [0, 1], [0, 0], [-1, 1], [0, -1]]
    assert overall == pytest.approx(by_stream.mean(axis=1))
    one.index[3] *= 7
    assert cosines(one, 3)[0][3] == pytest.approx(1)


def test_the_nearest_leave_the_item_itself_out() -> None:
    """Largest first, ties in order of the catalogue, no more than there are."""
    cosine = np.array([0.1, 0.9, 0.5, 0.9, -1.0], np.float32)

    assert nearest(cosine, 0, 2) == [1, 3]
    assert nearest(cosine, 3, 10) == [1, 2, 0, 4]


def test_themes_share_items_and_events() -> None:
    """Four of six items and a fifth of the events are War; both kinds of shares sum to 1."""
    war, love = themes(version())

    assert (war.label, war.items.tolist(), love.items.tolist()) == ("War", [0, 1, 2, 3], [4, 5])
    assert (war.share_of_items, war.share_of_events) == (pytest.approx(4 / 6), 0.2)
    assert (love.number, love.share_of_events) == (1, 0.8)


def test_the_margin_is_the_lead_over_the_second_theme() -> None:
    """With one theme it is the logit."""
    assert margin(version().themes.logits_IK).tolist() == [8, 7, 6, 5, 4, 0.5]
    assert margin(np.array([[3.0], [1.0]], np.float32)).tolist() == [3, 1]


def test_ranks_by_popularity_share_ties() -> None:
    """Two items with five events are both fourth of six."""
    popularity = version().popularity

    assert [rank_of(popularity, place) for place in range(6)] == [4, 6, 4, 3, 1, 2]


def test_anatomy_and_health_need_no_torch() -> None:
    """They read arrays."""
    code = "import sys, model.anatomy, model.health; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"
