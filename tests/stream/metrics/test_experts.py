"""A dead expert is seen: in its load, in the evenness of its layer, in the number of dead ones."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from model.health import ENOUGH
from stream.metrics.experts import ExpertMetrics

EVEN = [0.25, 0.25, 0.25, 0.25]
DEAD = [0.5, 0.5, 0.0, 0.0]


def value(registry: CollectorRegistry, name: str, layer: int, expert: int | None = None) -> float | None:
    labels = {"layer": str(layer)} | ({} if expert is None else {"expert": str(expert)})
    return registry.get_sample_value(f"hopstream_{name}", labels)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_a_planted_dead_expert_changes_load_evenness_and_count(registry: CollectorRegistry) -> None:
    """Two of four experts of layer 1 die: their load goes to 0, the entropy to a half; layer 0 stays even."""
    metrics = ExpertMetrics(registry, block=200)
    metrics.listed([[EVEN, EVEN]] * 200)
    healthy = [value(registry, "router_entropy_ratio", 1), value(registry, "dead_experts", 1)]
    metrics.listed([[EVEN, DEAD]] * 200)
    metrics.listed([[EVEN, DEAD]] * 200)
    metrics.listed([[EVEN, DEAD]])

    assert healthy == [pytest.approx(1.0), 0.0]
    assert value(registry, "expert_load_ratio", 1, 2) == 0.0
    assert value(registry, "expert_load_ratio", 1, 0) == 0.5
    assert value(registry, "router_entropy_ratio", 1) == pytest.approx(0.5)
    assert value(registry, "dead_experts", 1) == 2.0
    assert value(registry, "dead_experts", 0) == 0.0
    assert value(registry, "router_entropy_ratio", 0) == pytest.approx(1.0)


def test_few_lists_declare_nobody_dead(registry: CollectorRegistry) -> None:
    """One list below the number that proves something, then that number."""
    metrics = ExpertMetrics(registry)
    metrics.listed([[DEAD]] * (ENOUGH - 1))
    before = value(registry, "dead_experts", 0)
    metrics.listed([[DEAD]])

    assert before == 0.0
    assert value(registry, "dead_experts", 0) == 2.0


def test_another_version_starts_anew(registry: CollectorRegistry) -> None:
    """Its experts are others, and may be of another number; lists without experts say nothing."""
    metrics = ExpertMetrics(registry)
    metrics.listed([[DEAD]] * 500)
    metrics.reset()
    gone = value(registry, "expert_load_ratio", 0, 0)
    metrics.listed([[[1.0]], []])

    assert gone is None
    assert value(registry, "expert_load_ratio", 0, 0) == 1.0
    assert value(registry, "expert_load_ratio", 0, 1) is None
    assert value(registry, "router_entropy_ratio", 0) is None
