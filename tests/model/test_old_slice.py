"""What a version still knows of the past: the same moments and the same candidates for every version."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from model.choices import LEARNED_SHARE
from model.evaluate import judged_events, model_ranks
from model.metrics import recall_at
from model.old_slice import OldSlice
from model.online import Serving
from tests.model.test_online import CONFIG, NUM_WARM, STOPS, log, network, ran

START = int(LEARNED_SHARE * NUM_WARM)


@pytest.mark.parametrize("filter_seen", [True, False])
def test_version_1_is_asked_what_the_stream_protocol_would_ask(filter_seen: bool) -> None:
    """Its recall on the last tenth of the warm part, every judged moment asked."""
    model, catalogue = network(log())
    warm = log().slice(0, NUM_WARM)
    old = OldSlice(log(), NUM_WARM, catalogue, filter_seen)
    ranks_E = model_ranks(model, catalogue, warm, START, filter_seen)

    assert old.moments == len(judged_events(warm, START)) == len(ranks_E)
    assert old.recall(model) == pytest.approx(float(recall_at(ranks_E, 10).mean()))
    assert 0 < old.recall(model) < 1


def test_later_items_take_no_places() -> None:
    """Every item once more, as a row of a later version: nothing is forgotten by that."""
    model, catalogue = network(log())
    grown = copy.deepcopy(model)
    items = model.items.detach()
    grown.items = nn.Parameter(torch.cat([items, items[-len(catalogue) :], items[-len(catalogue) :]]))
    old = OldSlice(log(), NUM_WARM, catalogue)

    assert old.recall(grown) == old.recall(model)


def test_item_rows_that_change_places_are_forgotten() -> None:
    """Who took one item finds another now: recall is not what it was."""
    model, catalogue = network(log())
    moved = copy.deepcopy(model)
    with torch.no_grad():
        moved.items[-len(catalogue) :] = model.items[-len(catalogue) :].flip(0)
    old = OldSlice(log(), NUM_WARM, catalogue, filter_seen=False)

    assert old.recall(moved) != old.recall(model)


def test_moments_are_drawn_once_and_for_all() -> None:
    """Of more moments than are wanted the same few are drawn again; the future draws no others."""
    model, catalogue = network(log())
    found = [
        OldSlice(columns, NUM_WARM, catalogue, filter_seen=False, most=5)
        for columns in (log(), log(), log().slice(0, 150))
    ]

    assert [old.moments for old in found] == [5, 5, 5]
    drawn = [np.flatnonzero(old._needed_n).tolist() for old in found]
    assert len(drawn[0]) == 5
    assert drawn[0] == drawn[1]
    assert len({old.recall(model) for old in found}) == 1
    assert (found[0].recall(model) * 5) % 1 == pytest.approx(0)


def test_every_version_of_the_stream_is_asked() -> None:
    """Version 1 first, then what serves after each slice, its rows where version 1 had them; at a rate that
    high it forgets, and the run is the same as without."""
    columns = log()
    model, catalogue = network(columns)
    fast = replace(CONFIG, tune=replace(CONFIG.tune, lr=0.5))
    served: list[Serving] = []
    found = ran(columns, fast, serves=served.append)
    old = OldSlice(columns, NUM_WARM, catalogue, filter_seen=False)
    recalls = [old.recall(one.model) for one in served]

    assert [one.trained_through for one in served] == [NUM_WARM, *STOPS]
    assert all(one.catalogue.items[: len(catalogue)] == catalogue.items for one in served)
    assert recalls[0] == old.recall(model) > recalls[-1]
    assert np.array_equal(found.lines["model"], ran(columns, fast).lines["model"])
