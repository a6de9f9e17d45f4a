"""The epoch loop over the least network there is, in a world where what comes next is known."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from model.config import ModelConfig, TrainConfig
from model.fit import Epoch, fit, validate
from model.sequences import Histories, catalogue_of, histories, hold_out
from tests.model.circles import RECIPE, Turned, rounds

CONFIG = ModelConfig(dim=16, streams=2, heads=2, max_events=32)
MINUTE_MS = 60_000


def fitted(config: ModelConfig = CONFIG, recipe: TrainConfig = RECIPE) -> tuple[Turned, list[Epoch]]:
    torch.manual_seed(0)
    columns = rounds()
    catalogue = catalogue_of(columns)
    model = Turned(config, catalogue.num_rows)
    events, questions = hold_out(histories(columns, catalogue), 40, 64, seed=0)
    return model, fit(model, events, questions, recipe, time.monotonic(), None)


def test_any_network_learns() -> None:
    """One matrix is enough to turn each item into the next of the circle."""
    _, curve = fitted(recipe=replace(RECIPE, lr=2e-2))

    assert curve[-1].recall > 0.9
    assert [epoch.epoch for epoch in curve] == list(range(1, len(curve) + 1))


def test_rows_are_asked_for_the_time_of_what_comes_next() -> None:
    """Events of a user are an hour apart, so with query_time "next" so are a row and its question."""
    asking = replace(CONFIG, query_time="next")
    model, _ = fitted(asking, replace(RECIPE, max_epochs=1))
    columns = rounds()
    asked = [asked_BN for asked_BN in model.asked if asked_BN is not None]
    known = set(columns.time_ms.tolist())

    assert len(asked) == len(model.asked)
    assert {int(ms) for asked_BN in asked for ms in asked_BN.flatten()} <= known
    assert max(int(asked_BN.max()) for asked_BN in asked) == columns.time_ms[-1]


def test_rows_are_asked_for_their_own_time_unless_said_otherwise() -> None:
    """With query_time "own" a network is told no other times."""
    model, _ = fitted(recipe=replace(RECIPE, max_epochs=1))

    assert set(model.asked) == {None}


def test_a_position_is_asked_for_the_very_time_of_its_target() -> None:
    """In every training batch each asked time is the time of the event the position has to predict."""
    log = rounds(num_users=5, num_events=9)
    catalogue = catalogue_of(log)
    found: Histories = histories(log, catalogue)
    events, questions = hold_out(found, 5, 64, seed=0)
    model = Turned(replace(CONFIG, query_time="next"), catalogue.num_rows)
    fit(model, events, questions, replace(RECIPE, max_epochs=1, batch=5), time.monotonic(), None)
    trained, asked_last = model.asked[0], model.asked[-1]
    users = len(log.users)

    assert trained is not None
    assert asked_last is not None
    assert sorted(trained[:, 0].tolist()) == [MINUTE_MS * (users + user) for user in range(users)]
    assert sorted(asked_last[:, -1].tolist()) == [MINUTE_MS * (8 * users + user) for user in range(users)]


def test_a_window_longer_than_any_sequence_is_refused() -> None:
    """Its oldest events would be cut off while their targets stayed."""
    with pytest.raises(ValueError, match="window 12 is longer than max_events 8"):
        fitted(replace(CONFIG, max_events=8))


def test_validation_reads_no_more_than_a_network_can() -> None:
    """A network of ten positions is asked with the newest ten events of longer histories."""
    log = rounds(num_users=4, num_events=20)
    catalogue = catalogue_of(log)
    _, questions = hold_out(histories(log, catalogue), 4, 64, seed=0)
    model = Turned(replace(CONFIG, max_events=10, query_time="next"), catalogue.num_rows)
    means = validate(model, questions)

    assert model.asked[0] is not None
    assert model.asked[0].shape == (4, 10)
    assert 0 <= means["ndcg"] <= 1
