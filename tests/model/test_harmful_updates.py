"""Updates that do harm, each on its whole way to service: sanity, gate, publication. None of them arrives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import store
from model.columns import EventColumns
from model.config import ModelConfig
from model.errors import CatalogueMismatch, ModelError, VersionDamaged
from model.gate import Decision, Verdict, decide
from model.gate_ranks import evidence, frozen_version
from model.leader import Leaders
from model.memory import Memory, MemoryConfig
from model.registry import Registry
from model.sanity import sanity
from model.sums import WEIGHTS
from model.train import warm_start
from model.version import Offsets, Trained
from model.watch import Outcome, Watch
from tests.model.circles import RECIPE, rounds

CONFIG = ModelConfig(
    dim=16, streams=2, heads=2, blocks=1, experts=1, max_events=64, dropout=0.0, input_dropout=0.0
)
COLUMNS = rounds(num_users=105, num_events=32)
#: Twelve events of each user are trained on; the rest is the gate's slice.
FIRST = 12 * 105
SHORT = replace(RECIPE, max_epochs=4, validation_users=20)


def made(columns: EventColumns = COLUMNS) -> Trained:
    return warm_start(columns.slice(0, FIRST), CONFIG, SHORT)


@pytest.fixture(scope="module")
def good() -> Trained:
    """What serves: it knows the circle."""
    torch.set_num_threads(1)
    return made()


def judged(new: Trained, serving: Trained) -> Decision:
    """The gate's word on events that neither was trained on, with a memory of those before them."""
    memory, past = Memory(MemoryConfig(window=4, neighbours=16)), {}
    for user, item, ms in zip(COLUMNS.user[:FIRST], COLUMNS.item, COLUMNS.time_ms, strict=False):
        memory.learn(past.setdefault(user, []), COLUMNS.items[item], int(ms))
        past[user].append(COLUMNS.items[item])
    models = [
        frozen_version(one.config, one.catalogue, one.weights, COLUMNS, FIRST) for one in (new, serving)
    ]
    found = evidence(
        models[0],
        models[1],
        None,
        COLUMNS,
        FIRST,
        memory,
        Leaders(len(WEIGHTS)),
        epsilon=0.01,
        filter_seen=False,
    )
    return decide(found, serving="000001", anchor="000001", draws=200)


def serves(new: Trained, good: Trained, directory: Path) -> tuple[str, str]:
    """What serves in the end, and why: the way that the trainer takes."""
    registry = Registry(directory)
    registry.publish(good)
    faults = sanity(new, good)
    if faults:
        why = faults[0].name
    else:
        decision = judged(new, good)
        why = f"{decision.verdict}: {decision.reason}"
        if decision.verdict is Verdict.PUBLISH:
            registry.publish(
                replace(
                    new,
                    parent="000001",
                    gate=decision.to_json(),
                    offsets=Offsets(
                        topic_id="t",
                        trained_through={0: FIRST - 1},
                        judged_by={0: (FIRST, len(COLUMNS) - 1)},
                    ),
                )
            )
    current = registry.current()
    assert current is not None
    return current.version, why


def test_the_same_weights_arrive(good: Trained, tmp_path: Path) -> None:
    """The way is open: the laws below are about harm and not about a closed door."""
    version, why = serves(good, good, tmp_path)

    assert version == "000002", why
    assert Registry(tmp_path).load("000002").manifest["gate"]["verdict"] == "publish"


def test_shuffled_labels_never_serve(good: Trained, tmp_path: Path) -> None:
    """Items dealt out to events at random, but for each user's first: as popular as before, and nothing to
    learn. It looks sane; the gate sees it."""
    items = COLUMNS.item.copy()
    items[105:FIRST] = np.random.default_rng(0).permutation(items[105:FIRST])
    version, why = serves(made(replace(COLUMNS, item=items)), good, tmp_path)

    assert version == "000001"
    assert why.startswith("reject: worse than 000001 alone")


def test_rows_that_changed_places_are_found_by_the_gate(good: Trained) -> None:
    """Items with one another's rows look sane, and rank worse alone."""
    order = np.random.default_rng(0).permutation(len(good.catalogue))
    rows = good.weights["items"].copy()
    rows[-len(order) :] = rows[-len(order) :][order]
    harmed = replace(good, weights={**good.weights, "items": rows}, index=good.index[order])
    decision = judged(harmed, good)

    assert sanity(harmed, good) == []
    assert decision.verdict is Verdict.REJECT
    assert "alone" in decision.reason


def test_nan_never_serves(good: Trained, tmp_path: Path) -> None:
    """Sanity names it, and without sanity the registry refuses it."""
    rows = good.weights["items"].copy()
    rows[70] = np.nan
    harmed = replace(good, weights={**good.weights, "items": rows})

    assert serves(harmed, good, tmp_path) == ("000001", "not finite")
    with pytest.raises(VersionDamaged, match="no numbers"):
        Registry(tmp_path).publish(harmed)


def test_a_truncated_file_never_serves(good: Trained, tmp_path: Path) -> None:
    """Cut after it was published, it is refused by whoever loads it, and a rollback passes over it."""
    registry = Registry(tmp_path)
    for seed in range(3):
        rows = good.weights["items"] + np.float32(seed)
        registry.publish(replace(good, weights={**good.weights, "items": rows}))
    weights = tmp_path / "000002" / store.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-9])

    with pytest.raises(VersionDamaged, match=store.WEIGHTS):
        registry.load("000002")
    assert registry.rollback().version == "000001"


def test_another_catalogue_never_serves(good: Trained, tmp_path: Path) -> None:
    """Two ids that changed places: sanity names it; files of two versions mixed are refused when loaded."""
    catalogue = type(good.catalogue)([*good.catalogue.items[1::-1], *good.catalogue.items[2:]])
    harmed = replace(good, catalogue=catalogue)
    version, why = serves(harmed, good, tmp_path)
    registry = Registry(tmp_path)
    registry.publish(harmed)
    (tmp_path / "000002" / store.CATALOGUE).write_bytes((tmp_path / "000001" / store.CATALOGUE).read_bytes())

    assert (version, why) == ("000001", "other catalogue")
    with pytest.raises((CatalogueMismatch, VersionDamaged), match=store.CATALOGUE):
        registry.load("000002")


def test_a_version_that_is_worse_live_is_rolled_back(good: Trained, tmp_path: Path) -> None:
    """A planted one that passed its gate: the watch sees it on live events, and what served before is back;
    it is not published again."""
    registry = Registry(tmp_path)
    registry.publish(good)
    rows = good.weights["items"] * np.float32(-1)
    planted = replace(good, parent="000001", weights={**good.weights, "items": rows})
    registry.publish(planted)
    watch = Watch("000002", "000001")
    outcome = None
    for number in range(4000):
        outcome = outcome or watch.judge(f"u{number % 60}", (9.0, 6.0), (7.0 + number % 2, 6.0))
        if outcome is Outcome.ROLL_BACK:
            registry.rollback(to=watch.previous, serving=watch.new)
            break

    current = registry.current()
    assert current is not None
    assert (current.version, current.epoch, current.withdrawn) == ("000001", 3, ("000002",))
    assert watch.looks[0].alone_high < 0
    with pytest.raises(ModelError, match="withdrawn"):
        registry.publish(planted)
