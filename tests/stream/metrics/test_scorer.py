"""What a scorer tells of what it did: a ranker whose answers are known, and a real version."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.config import ModelConfig
from model.health import ENOUGH
from model.version import Version
from stream.asking import Asking
from stream.scoring import Desk
from stream.serving import Serving
from tests.model.untrained_version import untrained
from tests.stream.test_scoring import FixedRanker, World, desk

ITEMS = [f"i{number}" for number in range(40)]
CONFIG = ModelConfig(dim=16, streams=2, heads=2, blocks=1, experts=3)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """A version of random weights with three experts."""
    return untrained(tmp_path_factory.mktemp("models"), CONFIG, ITEMS)


def collapsed(version: Version) -> Version:
    """The same with routers that send every token to expert 0: all logits are equal, ties go to the first."""
    weights = {
        name: np.zeros_like(array) if "router.gate" in name else array
        for name, array in version.weights.items()
    }
    assert any("router.gate" in name for name in weights)
    return replace(version, weights=weights)


def value(made: Desk, name: str, **labels: str) -> float | None:
    return made.metrics.registry.get_sample_value(f"hopstream_{name}", labels)


def after_visits(version: Version) -> Desk:
    """A desk that has answered clicks of many users with this version."""
    made, world = desk(), World()
    made.adopt(Serving(version, 1, device="cpu", cache_bytes=1 << 20, threads=1, filter_seen=True))
    for number in range(ENOUGH):
        made.answer([world.ask(f"u{number % 30}", ITEMS[7 * number % 40])])
    return made


def test_a_planted_dead_expert_shows_in_load_evenness_and_count(version: Version) -> None:
    """With a collapsed router two of three experts are dead and one has everything; before, none is."""
    healthy, sick = after_visits(version), after_visits(collapsed(version))

    assert value(healthy, "dead_experts", layer="0") == 0
    assert 0 < (value(healthy, "expert_load_ratio", layer="0", expert="0") or 0) < 1
    assert (value(healthy, "router_entropy_ratio", layer="0") or 0) > 0.1
    assert value(sick, "dead_experts", layer="0") == 2
    assert value(sick, "expert_load_ratio", layer="0", expert="0") == 1
    assert value(sick, "expert_load_ratio", layer="0", expert="2") == 0
    assert value(sick, "router_entropy_ratio", layer="0") == 0


def test_a_list_is_timed_from_its_event_and_one_made_again_is_not() -> None:
    """The clock stands at 1.01 s, the event was written at 1 s; a list for a new version times no click."""
    made, asked = desk(FixedRanker()), World().ask("ann", "i0")
    made.answer([asked])
    made.answer([Asking(asked.raw, 2, 0, 1_000, again=True)])

    assert value(made, "lists_total") == 2
    assert value(made, "event_to_list_seconds_count") == 1
    assert value(made, "event_to_list_seconds_sum") == pytest.approx(0.01)
    assert value(made, "scorer_queue_seconds_count") == 2


def test_why_lists_are_degraded_is_counted() -> None:
    """Without a version, and with one that knows no item of the user."""
    made, world = desk(), World()
    made.answer([world.ask("ann", "i0")])
    made.adopt(FixedRanker())
    made.answer([world.ask("bob", "nowhere")])
    made.answer([world.ask("cid", "i3")])

    assert value(made, "lists_degraded_total", fallback="no model yet") == 1
    assert value(made, "lists_degraded_total", fallback="popular") == 1
    assert value(made, "lists_degraded_total", fallback="memory") == 0
    assert value(made, "lists_total") == 3


def test_the_version_that_serves_is_named() -> None:
    """One series, of the newest."""
    made = desk(FixedRanker("000001", 1))
    made.adopt(FixedRanker("000004", 7))

    assert value(made, "model_info", version="000004") == 1
    assert value(made, "model_info", version="000001") is None
    assert value(made, "model_epoch") == 7


def test_batches_and_cached_positions_are_counted() -> None:
    """Two users in one batch; the ranker computes one position for each and takes none from a cache."""
    made, world = desk(FixedRanker()), World()
    made.answer([world.ask("ann", "i0"), world.ask("bob", "i1")])

    assert value(made, "scorer_batch_size_sum") == 2
    assert value(made, "scorer_batch_size_count") == 1
    assert value(made, "scorer_positions_total", source="computed") == 2
    assert value(made, "scorer_positions_total", source="cache") == 0
    assert value(made, "scorer_stage_seconds_sum", stage="encode") == pytest.approx(0.002)
