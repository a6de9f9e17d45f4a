"""Reasons of a place: terms that add up, and the history item that truly is the nearest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.config import ModelConfig
from ops.server.reasons import Reasons
from ops.server.shelf import Shelf
from ops.server.versions import Mapped
from stream.events import Item
from tests.ops.server.hall import DIM, ITEMS, made_list, unit_vector, version


def mapped() -> Mapped:
    return Mapped(replace(version(), config=ModelConfig(dim=DIM, streams=2, heads=1, experts=1)))


def test_terms_of_all_facets_add_up_to_the_models_score() -> None:
    """Heaviest first; to what two bytes per number of the vector leave exact."""
    one = mapped()
    facets = Reasons(one, made_list(), [], Shelf(1)).facets("i3")

    assert sum(facet.term for facet in facets) == pytest.approx(
        float(one.index_ID[3] @ unit_vector(1)), abs=2e-3
    )
    assert [facet.term for facet in facets] == sorted((facet.term for facet in facets), reverse=True)
    assert {facet.nearest for facet in facets} == {None}


def test_each_facet_names_the_history_item_nearest_to_the_place() -> None:
    """By the cosine in that facet's columns; items without a row are passed over."""
    one, shelf = mapped(), Shelf(10)
    shelf.put(Item(item="i5", title="Heat"))
    one.index_ID[5, : DIM // 2] = 2 * one.index_ID[3, : DIM // 2]
    facets = Reasons(one, made_list(), ["i9", "unheard of", "i5"], shelf).facets("i3")

    first = next(facet for facet in facets if facet.facet == 0)
    assert first.nearest is not None
    assert (first.nearest.item, first.nearest.title) == ("i5", "Heat")
    assert first.nearest.cosine == pytest.approx(1.0)


def test_what_has_no_row_or_no_vector_has_no_facets() -> None:
    """Nothing is made up."""
    one = mapped()

    assert Reasons(one, made_list(), ITEMS, Shelf(1)).facets("unheard of") == []
    assert Reasons(one, None, ITEMS, Shelf(1)).facets("i3") == []
    assert np.isfinite(one.index_ID).all()
