"""A version that is broken in one way is refused for that reason, and a sound one for none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.mme import FuxiMME
from model.sanity import LIST, canaries_of, sanity
from model.themes import ThemeTable
from model.version import Trained

CONFIG = ModelConfig(dim=16, streams=2, blocks=1, heads=2, experts=3, max_events=24)
NUM_ITEMS = 60


def version(seed: int = 0, num_items: int = NUM_ITEMS, prefix: str = "i") -> Trained:
    """Random weights; items are equally popular, and three themes share them evenly."""
    torch.manual_seed(seed)
    catalogue = Catalogue([f"{prefix}{number}" for number in range(num_items)])
    model = FuxiMME(CONFIG, catalogue.num_rows).eval().requires_grad_(False)
    logits = np.eye(3, dtype=np.float32)[np.arange(num_items) % 3]
    return Trained(
        config=CONFIG,
        train_config=TrainConfig(seed=seed),
        catalogue=catalogue,
        weights={name: tensor.numpy().copy() for name, tensor in model.state_dict().items()},
        index=model.item_index().numpy().copy(),
        themes=ThemeTable(catalogue, logits, ["a", "b", "c"]),
        popularity=np.full(num_items, 10, np.int64),
        learning_curve=[],
        metrics={},
        num_events=10 * num_items,
        data_digest="0" * 64,
    )


PARENT = version(0)


def changed(name: str, array: np.ndarray) -> Trained:
    """The parent with other weights under a name, and the index that they give."""
    weights = {**PARENT.weights, name: array.astype(np.float32)}
    index = FuxiMME.from_weights(CONFIG, weights).item_index().numpy().copy()
    return replace(PARENT, weights=weights, index=index)


def names(new: Trained, parent: Trained | None = PARENT) -> list[str]:
    return [fault.name for fault in sanity(new, parent)]


def test_a_sound_version_has_no_fault() -> None:
    """The parent itself, one with more items, and a first version."""
    grown = version(1, NUM_ITEMS + 5)

    assert names(PARENT) == []
    assert names(grown) == []
    assert names(grown, None) == []


@pytest.mark.parametrize("name", ["items", "index", "themes"])
def test_nan_never_passes(name: str) -> None:
    """One value that is no number, in weights, index or themes, is found and named."""
    if name == "items":
        rows = PARENT.weights["items"].copy()
        rows[-1, 0, 0] = np.nan
        broken = replace(PARENT, weights={**PARENT.weights, "items": rows})
    elif name == "index":
        broken = replace(PARENT, index=np.where(np.eye(NUM_ITEMS, 16) > 0, np.inf, PARENT.index))
    else:
        logits = np.full((NUM_ITEMS, 3), np.nan, np.float32)
        broken = replace(PARENT, themes=ThemeTable(PARENT.catalogue, logits, ["a", "b", "c"]))
    fault = sanity(broken, PARENT)[0]

    assert fault.name == "not finite"
    assert name in fault.detail


def test_weights_that_overflow_are_found_by_their_lists() -> None:
    """Every weight is a number, and no score is."""
    gate = max((one for one in PARENT.weights if one != "items"), key=lambda one: PARENT.weights[one].size)
    broken = changed(gate, np.full(PARENT.weights[gate].shape, 3e38))

    assert "not finite" in names(broken)


def test_another_catalogue_never_passes() -> None:
    """Other ids, another order or a lost item; appending is what a catalogue may do."""
    items = PARENT.catalogue.items
    swapped = Catalogue([items[1], items[0], *items[2:]])
    fewer = version(0, NUM_ITEMS - 1)

    assert names(version(0, prefix="other")) == ["other catalogue"]
    assert names(replace(PARENT, catalogue=swapped)) == ["other catalogue"]
    assert names(fewer) == ["other catalogue"]


def test_parts_of_two_versions_do_not_fit() -> None:
    """An index of other weights, a missing matrix, another number of rows: each is one fault, no crash."""
    other = version(1)
    some = next(name for name in PARENT.weights if name != "items")
    lacking = {name: array for name, array in PARENT.weights.items() if name != some}

    assert names(replace(PARENT, index=other.index)) == ["does not fit"]
    assert names(replace(PARENT, weights=lacking)) == ["does not fit"]
    assert names(replace(PARENT, catalogue=version(0, NUM_ITEMS + 1).catalogue)) == ["does not fit"]


def test_one_list_for_everybody_is_no_recommender() -> None:
    """All items but the first few point one way: whatever a user did, the same ten lead."""
    rows = np.tile(PARENT.weights["items"][:1], (len(PARENT.weights["items"]), 1, 1))
    rows[:] = 1.0
    alike = changed("items", rows)

    assert "one list for all" in names(alike)
    assert "one list for all" in names(alike, None)
    assert "one list for all" not in names(alike, alike)  # its parent suffers from it too


def test_lists_that_name_few_items_are_a_collapse() -> None:
    """Most items hide behind a few copies of each other; two kinds of lists are left."""
    rows = PARENT.weights["items"].copy()
    one = rows[FIRST_ITEM_ROW]
    rows[FIRST_ITEM_ROW:] = one
    rows[FIRST_ITEM_ROW + NUM_ITEMS // 2 :] = -one
    found = names(changed("items", rows))

    assert "coverage collapsed" in found
    assert LIST < NUM_ITEMS // 2


def test_an_expert_that_died_is_named_unless_the_parent_lost_it_too() -> None:
    """A router of zeros sends every token to expert 0."""
    gates = [name for name in PARENT.weights if name.endswith("gate_dE")]
    weights = {**PARENT.weights, **{name: np.zeros_like(PARENT.weights[name]) for name in gates}}
    dead = replace(PARENT, weights=weights)

    assert set(names(dead)) == {"expert dead"}
    assert names(dead, dead) == []


def test_a_theme_that_died_is_named() -> None:
    """All items under one theme: two have nothing, one has too much."""
    logits = np.tile(np.array([[1, 0, 0]], np.float32), (NUM_ITEMS, 1))
    dead = replace(PARENT, themes=ThemeTable(PARENT.catalogue, logits, ["a", "b", "c"]))
    fault = sanity(dead, PARENT)[0]

    assert fault.name == "theme dead"
    assert "theme 1 (b)" in fault.detail
    assert names(dead, dead) == []


def test_canaries_are_fixed() -> None:
    """The same version is always asked with the same histories, in rows of real items."""
    once, again = canaries_of(PARENT), canaries_of(PARENT)

    assert all(
        np.array_equal(a, b)
        for one, two in zip(once, again, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    assert min(int(rows.min()) for rows, _ in once) >= FIRST_ITEM_ROW
