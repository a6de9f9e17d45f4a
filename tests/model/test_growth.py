"""A catalogue that grows: rows stay, new ones begin where they should, what was silent leaves and returns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.families import build
from model.growth import Items, first_rows, grow, refreshed_index, refreshed_themes
from model.themes import Labels, fit_themes

CONFIG = ModelConfig(dim=8, streams=2, heads=2, blocks=1, experts=1, max_events=16)


def network(num_items: int) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(CONFIG, FIRST_ITEM_ROW + num_items)


def test_an_item_is_admitted_once_it_has_enough_events() -> None:
    """In the order of first events; until then it has the new-item row of its id."""
    items = Items()
    items.admit(["old"])
    for item in ("x", "y", "y", "x", "z"):
        items.observe(item, 5)
    due = items.due(2)
    items.admit(due)

    assert due == ["x", "y"]
    assert items.catalogue().items == ["old", "x", "y"]
    assert items.rows.tolist() == [Catalogue(["old", "x", "y"]).row(item) for item in ("old", "x", "y", "z")]
    with pytest.raises(ValueError, match="'x' has a row"):
        items.admit(["x"])


def test_a_silent_item_is_archived_and_its_next_event_restores_it() -> None:
    """It keeps its id and its row all along; one without an event was never live."""
    items = Items()
    items.admit(["a", "b", "never"])
    items.observe("a", 0)
    items.observe("b", 90)
    archived, row = items.live(100, 50).tolist(), items.rows[0]
    items.observe("a", 100)

    assert archived == [False, True, False]
    assert items.live(100, 50).tolist() == [True, True, False]
    assert items.live(100, None).tolist() == [True, True, False]
    assert items.rows[0] == row
    assert items.by_line(items.counts).tolist() == [2, 1, 0]
    assert items.by_line(items.last_ms).tolist() == [100, 90, 0]


def test_more_items_than_there_was_room_for() -> None:
    """Counts, times and rows survive growing, and a snapshot."""
    items = Items()
    for number in range(300):
        items.observe(f"i{number % 150}", number)
    items.admit(items.due(2))
    other = Items.from_arrays(items.to_arrays())

    assert items.counts.tolist() == [2] * 150
    assert items.last_ms.tolist() == list(range(150, 300))
    assert other.rows.tolist() == items.rows.tolist() == list(range(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 150))
    assert other.catalogue().digest() == items.catalogue().digest()


def test_rows_are_appended_and_nothing_else_moves() -> None:
    """Weights, and the optimiser's moments of what was there, stay bit-identical; new rows have none."""
    model = network(3)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.items.sum().backward()
    optimiser.step()
    before = model.items.detach().clone()
    moment = optimiser.state[model.items]["exp_avg"].clone()
    others = {name: weights.clone() for name, weights in model.state_dict().items() if name != "items"}
    grow(model, [optimiser], np.ones((2, 2, 4), np.float32))
    model.items.sum().backward()

    assert torch.equal(model.items[: len(before)], before)
    assert torch.equal(model.items[len(before) :], torch.ones(2, 2, 4))
    assert torch.equal(optimiser.state[model.items]["exp_avg"][: len(before)], moment)
    assert not optimiser.state[model.items]["exp_avg"][len(before) :].any()
    assert all(
        torch.equal(weights, others[name]) for name, weights in model.state_dict().items() if name != "items"
    )
    optimiser.step()
    assert not torch.equal(model.items[len(before) :], torch.ones(2, 2, 4))


def test_a_first_row_is_the_provisional_line_at_the_usual_length() -> None:
    """Its direction per stream is the line's, its length the trained rows' median; without a line, noise."""
    model = network(9)
    line = np.arange(1, 9, dtype=np.float32)
    rows = first_rows(model, ["with", "without"], {"with": line}, np.random.default_rng(0))
    usual = model.items.detach()[FIRST_ITEM_ROW:].norm(dim=2).median(dim=0).values.numpy()
    parts = line.reshape(2, 4)

    assert np.linalg.norm(rows, axis=2) == pytest.approx(np.stack([usual, usual]), rel=1e-5)
    assert rows[0] == pytest.approx(
        parts / np.linalg.norm(parts, axis=1, keepdims=True) * usual[:, None], rel=1e-5
    )
    assert not np.array_equal(rows[1], rows[0])


def test_index_and_themes_follow_touched_and_new_items_only() -> None:
    """What is refreshed equals what is made from nothing; what was not touched is left alone."""
    model = network(40)
    catalogue = Catalogue([f"i{number}" for number in range(40)])
    before = model.item_index().detach().numpy().copy()
    table = fit_themes(before, catalogue, Labels(), 3, seed=0)
    grow(model, [], np.random.default_rng(1).normal(size=(2, 2, 4)).astype(np.float32))
    with torch.no_grad():
        model.items[FIRST_ITEM_ROW + 5] *= -1
        model.items[FIRST_ITEM_ROW + 6] *= -1
    index = refreshed_index(model, before, np.array([5]))
    grown = Catalogue([*catalogue.items, "new", "newer"])
    themes = refreshed_themes(table, before, index, grown, np.array([5]))
    whole = model.item_index().detach().numpy()

    assert index[[5, 40, 41]] == pytest.approx(whole[[5, 40, 41]], abs=1e-6)
    assert np.array_equal(index[6], before[6])
    assert np.array_equal(np.delete(themes.logits_IK[:40], 5, axis=0), np.delete(table.logits_IK, 5, axis=0))
    assert themes.logits_IK[5] == pytest.approx(-table.logits_IK[5], abs=1e-3)
    assert themes.labels == table.labels
