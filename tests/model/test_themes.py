"""Themes in a world of three directions."""

import subprocess
import sys

import numpy as np
import pytest

from model.catalogue import Catalogue
from model.themes import Labels, ThemeTable, fit_themes, prototypes

NUM = 30


def three_directions() -> tuple[np.ndarray, Catalogue]:
    """Items 0..29 around three axes, ten each, of any length."""
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3, 8), 10, axis=0) + random.normal(0, 0.05, (NUM, 8))
    return (vectors * random.uniform(0.5, 2, (NUM, 1))).astype(np.float32), Catalogue(
        [f"i{place:02d}" for place in range(NUM)]
    )


def test_each_direction_is_a_theme() -> None:
    """Items of one axis share their strongest theme, items of two do not."""
    vectors, catalogue = three_directions()
    table = fit_themes(vectors, catalogue, Labels(), 3, seed=0)
    themes = table.logits_IK.argmax(axis=1).reshape(3, 10)

    assert (themes == themes[:, :1]).all()
    assert len(set(themes[:, 0].tolist())) == 3


def test_a_logit_is_a_cosine_over_the_temperature() -> None:
    """Whatever the length of the vectors, no logit leaves [-10, 10], and members stand near 10."""
    vectors, catalogue = three_directions()
    logits = fit_themes(100 * vectors, catalogue, Labels(), 3, seed=0).logits_IK

    assert logits.dtype == np.float32
    assert np.abs(logits).max() <= 10 + 1e-4
    assert logits.max(axis=1).min() > 8


def test_the_same_seed_gives_the_same_prototypes() -> None:
    """Bit for bit."""
    vectors, _ = three_directions()
    first, again = (prototypes(vectors, 3, seed=9) for _ in range(2))

    assert np.array_equal(first, again)


def test_no_theme_stays_empty_among_equal_items() -> None:
    """Items that are all the same still give as many finite prototypes as were asked for."""
    found = prototypes(np.tile(np.eye(1, 4, dtype=np.float32), (6, 1)), 3, seed=0)

    assert found.shape == (3, 4)
    assert np.isfinite(found).all()


def test_categories_name_a_theme_by_lift() -> None:
    """What everybody carries names nothing; what only this theme carries names it."""
    vectors, catalogue = three_directions()
    own = {
        item: ["Drama", ["War", "Sci-Fi", "Comedy"][place // 10]]
        for place, item in enumerate(catalogue.items)
    }
    table = fit_themes(vectors, catalogue, Labels(categories=own), 3, seed=0)
    label_of = {table.labels[table.logits_of(item).argmax()] for item in ("i00", "i10", "i20")}

    assert label_of == {"War", "Sci-Fi", "Comedy"}


def test_titles_name_a_theme_where_no_category_does() -> None:
    """The two best known titles of the theme."""
    vectors, catalogue = three_directions()
    popularity = np.arange(NUM, dtype=np.int64)
    labels = Labels(titles={item: item.upper() for item in catalogue.items}, popularity_I=popularity)
    table = fit_themes(vectors, catalogue, labels, 3, seed=0)

    assert set(table.labels) == {"I09 · I08", "I19 · I18", "I29 · I28"}


def test_names_are_numbers_when_nothing_is_known_and_never_repeat() -> None:
    """Without titles and categories: "theme 0", ...; equal names are told apart."""
    catalogue = Catalogue(["a", "b"])
    alike = Labels(titles={"a": "Same", "b": "Same"})

    assert Labels().names(catalogue, np.array([0, 1]), 2) == ["theme 0", "theme 1"]
    assert alike.names(catalogue, np.array([0, 1]), 2) == ["Same", "Same theme 1"]


def test_an_unknown_item_has_no_logits() -> None:
    """Outside the version there is None, inside the line of the item."""
    table = ThemeTable(Catalogue(["a", "b"]), np.array([[1, 2], [3, 4]], np.float32), ["x", "y"])

    assert table.logits_of("c") is None
    assert table.logits_of("b").tolist() == [3, 4]


def test_a_table_fits_its_catalogue() -> None:
    """Fewer lines than items are refused."""
    with pytest.raises(ValueError, match="2 items"):
        ThemeTable(Catalogue(["a", "b"]), np.zeros((1, 2), np.float32), ["x", "y"])


def test_themes_versions_and_the_registry_need_no_torch() -> None:
    """A worker imports them and torch stays unloaded."""
    code = (
        "import sys, model.themes, model.version, model.store, model.registry; print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"
