"""Published themes and prototypes that follow the stream."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from model.catalogue import Catalogue
from model.prototypes import (
    DAY_MS,
    ENOUGH,
    EVERY,
    NO_THEME,
    Chosen,
    Following,
    choose,
    choose_for,
    learned_table,
    repair,
    session_logits,
    still_alive,
)
from model.themes import Labels

AXES = np.eye(3, 6, dtype=np.float32)


def following(turn: np.ndarray | None = None) -> Following:
    """Three prototypes on three axes."""
    return Following(np.eye(6, dtype=np.float32) if turn is None else turn, AXES, np.zeros(3, np.int64))


def test_no_torch_is_needed() -> None:
    """A worker may import it and torch stays unloaded."""
    code = "import sys, model.prototypes; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"


def test_a_table_is_published_with_names_by_lift() -> None:
    """W_r turns items before they meet the prototypes; what only a theme's items carry names it."""
    turn = np.eye(6, dtype=np.float32)[[1, 2, 0, 3, 4, 5]]  # axis 0 → 2, 1 → 0, 2 → 1
    catalogue = Catalogue([f"i{place}" for place in range(9)])
    genres = ["War", "Sci-Fi", "Comedy"]
    labels = Labels(categories={f"i{place}": ["Drama", genres[place // 3]] for place in range(9)})

    table = learned_table(5 * np.repeat(AXES, 3, axis=0), turn, AXES, catalogue, labels)

    assert table.labels == ["Sci-Fi", "Comedy", "War"]
    assert table.logits_of("i0").tolist() == [0, 0, 10]


def test_a_session_without_a_known_item_has_no_logits() -> None:
    """None, and nothing is chosen for it."""
    p = np.full((1, 3), 1 / 3)

    assert session_logits(np.zeros((4, 3), np.float32), []) is None
    assert choose(p, np.array([False])).themes_T2.tolist() == [[NO_THEME, NO_THEME]]
    assert choose(p, np.array([False])).weights_T2.tolist() == [[0, 0]]


def test_ties_go_to_the_lowest_theme_and_only_close_ones_are_named() -> None:
    """Two themes when the second is within the margin, one otherwise."""
    p = np.array([[0.4, 0.4, 0.2], [0.5, 0.39, 0.11], [0.5, 0.41, 0.09]])

    found = choose(p, np.ones(3, bool))

    assert found.themes_T2.tolist() == [[0, 1], [0, NO_THEME], [0, 1]]
    assert found.weights_T2.tolist() == [[0.4, 0.4], [0.5, 0], [0.5, 0.41]]
    assert choose(np.ones((2, 1)), np.ones(2, bool)).themes_T2.tolist() == [[0, NO_THEME]] * 2


def test_candidate_aware_reads_the_sessions_theme_and_the_candidates() -> None:
    """Half of the weight each, one theme where they agree, none where the session has none."""
    free = Chosen(
        np.array([[2, 1], [1, NO_THEME], [NO_THEME, NO_THEME]]), np.array([[0.5, 0.45], [0.9, 0], [0, 0]])
    )

    found = choose_for(1, free)

    assert found.themes_T2.tolist() == [[2, 1], [1, NO_THEME], [NO_THEME, NO_THEME]]
    assert found.weights_T2.tolist() == [[0.25, 0.25], [0.9, 0], [0, 0]]


def test_prototypes_move_once_per_thousand_sessions_by_the_stated_step() -> None:
    """c ← norm(.999 c + .001 mean W_r z) for themes that had sessions; W_r takes part and stays."""
    turn = 2 * np.eye(6, dtype=np.float32)
    themes = following(turn)
    z = np.array([0.6, 0, 0, 0.8, 0, 0], np.float32)
    for number in range(EVERY - 1):
        themes.close(z if number % 2 else -z / 2, 0, number)
    before = themes.c_KD.copy()
    themes.close(z, 0, EVERY)
    mean = 2 * (z - z / 2) / 2  # half of the sessions at z, half at -z / 2
    wanted = 0.999 * AXES[0] + 0.001 * mean

    np.testing.assert_array_equal(before, AXES)
    np.testing.assert_allclose(themes.c_KD[0], wanted / np.linalg.norm(wanted), atol=1e-6)
    np.testing.assert_array_equal(themes.c_KD[1:], AXES[1:])
    np.testing.assert_allclose(np.linalg.norm(themes.c_KD, axis=1), 1, atol=1e-6)


def test_a_session_without_a_theme_teaches_nothing() -> None:
    """However many there are."""
    themes = following()
    for number in range(2 * EVERY):
        themes.close(AXES[1], NO_THEME, number)

    np.testing.assert_array_equal(themes.c_KD, AXES)


def test_a_dead_theme_goes_to_the_farthest_session_in_a_new_generation() -> None:
    """After a day in which it had fewer than 0.5 % of the sessions; the others keep number and place."""
    themes = following()
    stray = np.array([0, 0, 0, 0, 1, 0], np.float32)
    for number in range(ENOUGH - 1):
        themes.close(AXES[number % 2], number % 2, number)
    themes.close(stray, 1, DAY_MS - 1)
    assert themes.generation_K.tolist() == [0, 0, 0]
    themes.close(AXES[0], 0, DAY_MS)

    assert themes.generation_K.tolist() == [0, 0, 1]
    np.testing.assert_allclose(themes.c_KD[2], stray, atol=1e-6)
    np.testing.assert_allclose(themes.c_KD[:2], AXES[:2], atol=1e-2)


def test_few_sessions_prove_no_death() -> None:
    """Below ENOUGH nobody is moved; above, only the dead are."""
    theme = np.zeros(ENOUGH - 1, np.int64)
    turned = np.repeat(AXES[:1], len(theme) + 1, axis=0)
    few, _ = repair(AXES, np.zeros(3, np.int64), turned[:-1], theme)
    many, generation = repair(AXES, np.zeros(3, np.int64), turned, np.append(theme, 0))

    np.testing.assert_array_equal(few, AXES)
    assert generation.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(many[0], AXES[0])


def test_two_dead_themes_go_to_two_places() -> None:
    """The second one sees what the first one took."""
    strays = np.array([[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]], np.float32)
    turned = np.concatenate([np.repeat(AXES[:1], ENOUGH, axis=0), strays])

    moved, _ = repair(AXES, np.zeros(3, np.int64), turned, np.zeros(len(turned), np.int64))

    np.testing.assert_array_equal(moved[1:], strays)


def test_sessions_of_an_older_generation_become_themeless() -> None:
    """What the repaired theme held is not what it holds now."""
    found = still_alive(np.array([0, 2, 2, NO_THEME]), np.array([0, 0, 1, 0]), np.array([0, 0, 1]))

    assert found.tolist() == [0, NO_THEME, 2, NO_THEME]
