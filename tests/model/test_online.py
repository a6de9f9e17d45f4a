"""The stream with weights that learn: nobody hears the future, and what is predicted was not trained on."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from model.backbone import Backbone
from model.catalogue import Catalogue
from model.columns import EventColumns
from model.config import ModelConfig, TrainConfig
from model.evaluate import judged_events
from model.families import build
from model.finetune import TuneConfig
from model.gate import Verdict
from model.memory import DAY_MS, MemoryConfig
from model.metrics import MISS
from model.online import Online, OnlineConfig, Serving, online, slice_stops
from model.prequential import Choices, frozen, line_ranks, sums_along
from model.sequences import catalogue_of

SHAPE = ModelConfig(dim=8, streams=2, heads=2, blocks=1, experts=1, max_events=24)
TRAIN = TrainConfig()
CONFIG = OnlineConfig(
    tune=TuneConfig(batch=64, window=10, replay_events=5, capacity=40, negatives=6, lr=0.01)
)
CHOICES = Choices(memory=MemoryConfig(window=4, neighbours=8, half_life_ms=DAY_MS), epsilon=0.05)
NUM_WARM = 80
STOPS = [120, 150, 180, 200]


@cache
def log() -> EventColumns:
    """Seven users; the last items come late, so the warm part lacks some."""
    random = np.random.default_rng(0)
    return EventColumns(
        users=[f"u{number}" for number in range(7)],
        items=[f"i{number:02d}" for number in range(24)],
        user=random.integers(0, 7, 200).astype(np.int32),
        item=(random.random(200) * np.linspace(6, 24, 200)).astype(np.int32),
        time_ms=np.cumsum(random.integers(0, 3_600_000, 200)),
    )


def network(columns: EventColumns) -> tuple[Backbone, Catalogue]:
    catalogue = catalogue_of(columns.slice(0, NUM_WARM))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = build(SHAPE, catalogue.num_rows).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(10)
    return model, catalogue


def ran(columns: EventColumns, config: OnlineConfig = CONFIG, **more: object) -> Online:
    model, catalogue = network(columns)
    return online(model, catalogue, columns, NUM_WARM, STOPS, CHOICES, config, TRAIN, **more)  # type: ignore[arg-type]


@cache
def undisturbed() -> Online:
    return ran(log())


def test_the_twin_is_the_frozen_model() -> None:
    """Twin, twin + memory and memory are what the frozen protocol gives."""
    columns = log()
    model, catalogue = network(columns)
    met = frozen(model, catalogue, columns, NUM_WARM)
    lines, summed = line_ranks(met, columns, NUM_WARM, CHOICES)
    found = undisturbed()

    assert found.lines["twin"].tolist() == lines["model"].tolist()
    assert found.lines["twin + memory"].tolist() == summed.served_E.tolist()
    assert found.lines["memory"].tolist() == lines["memory"].tolist()
    assert set(found.lines) == {"twin", "twin + memory", "model", "model + rows", "memory", "served"}
    assert {len(ranks_E) for ranks_E in found.lines.values()} == {len(judged_events(columns, NUM_WARM))}


@pytest.mark.parametrize("cut", [150, 165])
def test_a_shuffled_future_changes_nothing_before_it(cut: int) -> None:
    """Every line has the same ranks up to the shuffle, inside a slice or at its end."""
    columns = log()
    order = np.concatenate([np.arange(cut), cut + np.random.default_rng(1).permutation(len(columns) - cut)])
    shuffled = replace(columns, user=columns.user[order], item=columns.item[order])
    same = int((judged_events(columns, NUM_WARM) < cut).sum())
    ours, theirs = undisturbed().lines, ran(shuffled).lines

    for name, ranks_E in ours.items():
        assert ranks_E[:same].tolist() == theirs[name][:same].tolist(), name
    assert any(ours[name][same:].tolist() != theirs[name][same:].tolist() for name in ours)


def test_a_slice_is_judged_before_it_is_learned() -> None:
    """The weights that judge a slice are those of a learner that never heard of it."""
    columns = log()
    judged_by: list[Serving] = []

    def watch(candidate: Serving, serving: Serving, start: int, stop: int) -> Verdict:
        assert candidate.trained_through == start < stop
        assert serving.trained_through < start
        judged_by.append(candidate)
        return Verdict.PUBLISH

    found = ran(columns, accept=watch)

    assert [one.trained_through for one in judged_by] == STOPS[:-1]
    assert [end.verdict for end in found.ends] == ["none", "publish", "publish", "publish"]
    assert judged_by[0].catalogue.items == catalogue_of(columns.slice(0, STOPS[0])).items


def test_an_item_of_the_stream_is_hit_at_once_with_a_row_and_after_the_slice_by_the_model() -> None:
    """Before its first event nobody can hit it; within its first slice the model alone cannot."""
    columns = log()
    found = undisturbed()
    judged = judged_events(columns, NUM_WARM)
    first = {item: int(np.flatnonzero(columns.item == item)[0]) for item in np.unique(columns.item).tolist()}
    kinds: dict[str, set[bool]] = {"model": set(), "model + rows": set()}
    for place, alone, rows in zip(
        judged.tolist(), found.lines["model"], found.lines["model + rows"], strict=True
    ):
        item = int(columns.item[place])
        seen = item in columns.item[:place][columns.user[:place] == columns.user[place]]
        end_before = max(stop for stop in [NUM_WARM, *STOPS] if stop <= place)
        if first[item] == place or seen:
            assert alone == rows == MISS
        elif first[item] >= end_before:
            assert alone == MISS
            kinds["model + rows"].add(rows < MISS)
        else:
            assert alone < MISS
            kinds["model"].add(True)

    assert True in kinds["model + rows"]
    assert kinds["model"] == {True}


def test_a_gate_that_never_opens_leaves_the_twin_serving() -> None:
    """Rejected each time, the model is the twin all along; kept, its candidate is not trained further."""
    columns = log()
    rejected = ran(columns, accept=lambda *_: Verdict.REJECT)
    kept = ran(columns, accept=lambda *_: Verdict.KEEP)

    for found in (rejected, kept):
        assert found.lines["model"].tolist() == pytest.approx(found.lines["twin"].tolist())
    assert [end.verdict for end in kept.ends] == ["none", "keep", "keep", "keep"]
    assert [end.cycle is None for end in kept.ends] == [False, True, True, True]
    assert kept.learner.num_waiting > 0
    assert [end.cycle.events for end in rejected.ends if end.cycle] == [40, 70, 100, 120]


def test_a_rejected_candidate_leaves_no_trace_in_the_weights() -> None:
    """What follows a rejection is learned from the serving version: as if both slices had been one."""
    columns = log()
    verdicts = iter([Verdict.REJECT, Verdict.PUBLISH, Verdict.PUBLISH])
    served: list[int] = []

    def gate(candidate: Serving, serving: Serving, start: int, stop: int) -> Verdict:
        served.append(serving.trained_through)
        assert (candidate.trained_through, stop > start) == (start, True)
        return next(verdicts)

    found = ran(columns, accept=gate)
    cycles = [end.cycle.events for end in found.ends if end.cycle]

    assert served == [NUM_WARM, NUM_WARM, STOPS[1]]
    assert cycles == [STOPS[0] - NUM_WARM, STOPS[1] - NUM_WARM, STOPS[2] - STOPS[1], STOPS[3] - STOPS[2]]


def test_rows_wait_for_an_item_that_is_not_admitted_yet() -> None:
    """With a late admission rows live on over versions, made again from the same clicks."""
    columns = log()
    late = replace(CONFIG, tune=replace(CONFIG.tune, min_events=1000))
    found = ran(columns, late)
    judged = judged_events(columns, NUM_WARM)
    warm = set(columns.item[:NUM_WARM].tolist())
    new = np.array([int(columns.item[place]) not in warm for place in judged.tolist()])

    assert (found.lines["model"][new] == MISS).all()
    assert np.isfinite(found.lines["model + rows"][new & (judged > STOPS[0])]).any()
    assert found.learner.items.num_admitted == len(warm)


def test_without_learning_served_is_the_twin_with_memory_and_rows() -> None:
    """A rate next to nothing and no admission: the model stays the twin, whose sum differs by rows alone."""
    columns = log()
    still = replace(CONFIG, tune=replace(CONFIG.tune, lr=1e-12, min_events=1000))
    found = ran(columns, still)
    model, catalogue = network(columns)
    summed = sums_along(frozen(model, catalogue, columns, NUM_WARM), columns, NUM_WARM, CHOICES)

    assert found.lines["model"].tolist() == found.lines["twin"].tolist()
    assert found.twin.fixed_WE.tolist() == summed.fixed_WE.tolist()
    assert found.served.fixed_WE[0].tolist() == summed.fixed_WE[0].tolist()
    assert found.served.fixed_WE[-1].tolist() != summed.fixed_WE[-1].tolist()


def test_slices_end_where_the_stream_does() -> None:
    """Twenty of one size, or so many events each; a short stream is one slice."""
    assert slice_stops(200, 100, even=True) == list(range(105, 201, 5))
    assert slice_stops(9000, 4500, even=False) == [6500, 8500, 9000]
    assert slice_stops(110, 100, even=False) == [110]
    assert slice_stops(105, 100, even=True) == [101, 102, 103, 104, 105]
