"""An explanation is the served score, taken apart."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.backbone import last, unit
from model.batch import padded
from model.cache import slot_bytes
from model.catalogue import Catalogue
from model.config import KINDS, ModelConfig
from model.encoding import Encoder
from model.explain import Explainer, Memories, Themes
from model.mme import FuxiMME
from model.registry import Registry
from stream.sessions import extend
from stream.themes import Router
from tests.model.published import questions, trained, world

CATALOGUE = Catalogue([f"i{number}" for number in range(20)])
CONFIG = ModelConfig(
    dim=16,
    streams=2,
    heads=2,
    blocks=2,
    experts=3,
    max_events=32,
    facet_gate=True,
    sequences=("global", "local"),
)
SEQUENCES = {
    "history": (["i1", "i2", "i3", "new", "i4"], [1_000, 60_000, 120_000, 180_000, 240_000]),
    "global": (["i1", "i2", "i3", "new", "i4"], [1_000, 60_000, 120_000, 180_000, 240_000]),
    "local": (["new", "i4"], [180_000, 240_000]),
}


@pytest.fixture(scope="module")
def network() -> FuxiMME:
    torch.manual_seed(0)
    made = FuxiMME(CONFIG, CATALOGUE.num_rows).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3)
        made.items[0].zero_()
    return made


def served(network: FuxiMME, item: str) -> float:
    """The score as a scorer computes it: one inner product."""
    kinds = [SEQUENCES["global"], SEQUENCES["local"]]
    batch = padded([(CATALOGUE.rows(items), times) for items, times in kinds], 32)
    with torch.no_grad():
        states = network.encode(batch.rows_BN, batch.times_BN, batch.lengths_B).states_BNMd
        vector = network.vectors(unit(last(states, batch.lengths_B).sum(0)))
        return float(network.item_index()[CATALOGUE.items.index(item)] @ vector)


def test_the_terms_add_up_to_the_served_score(network: FuxiMME) -> None:
    """For every item of the catalogue, to 1e-5; the weights of the facets sum to one."""
    explainer = Explainer(network, CATALOGUE, SEQUENCES)
    for item in CATALOGUE.items:
        found = explainer.explain(item)
        assert found.score is not None
        assert abs(found.score - served(network, item)) < 1e-5
        assert abs(sum(facet.term for facet in found.facets) - found.score) < 1e-12
        assert abs(sum(facet.weight for facet in found.facets) - 1) < 1e-5


def test_with_a_memory_the_sum_has_one_term_more(network: FuxiMME) -> None:
    """(w / tau) times the cosine plus (1 - w) times the logarithm, shared out over the history."""
    memories = Memories(weight=0.3, epsilon=1e-3, shares={"i1": 0.02, "i4": 0.06})
    found = Explainer(network, CATALOGUE, SEQUENCES).explain("i7", memories)

    expected = 0.3 / CONFIG.temperature * served(network, "i7") + 0.7 * math.log(0.08 + 1e-3)
    assert found.score is not None
    assert abs(found.score - expected) < 1e-4
    assert found.memory is not None
    assert found.memory.shares == pytest.approx({"i1": 0.25, "i4": 0.75})


@pytest.mark.parametrize("weight", [None, 0.0, 0.3, 1.0])
def test_what_is_said_of_a_facet_multiplies_to_its_term(network: FuxiMME, weight: float | None) -> None:
    """The model's scale in the sum, the facet's weight and its cosine: with a memory and without."""
    memories = None if weight is None else Memories(weight=weight, epsilon=1e-3, shares={"i1": 0.02})
    found = Explainer(network, CATALOGUE, SEQUENCES).explain("i7", memories)

    assert {facet.scale for facet in found.facets} == {1.0 if weight is None else weight / CONFIG.temperature}
    for facet in found.facets:
        assert facet.term == pytest.approx(facet.scale * facet.weight * facet.cosine, abs=1e-5)


def test_nothing_recalled_is_said_so(network: FuxiMME) -> None:
    """A memory without evidence has its floor as its term, and nobody's share."""
    found = Explainer(network, CATALOGUE, SEQUENCES).explain(
        "i7", Memories(weight=0.0, epsilon=1e-3, shares={"i1": 0.0})
    )
    assert found.memory is not None
    assert found.memory.shares == {}
    assert found.score == pytest.approx(math.log(1e-3))


def test_the_item_itself_is_its_own_nearest_history_item(network: FuxiMME) -> None:
    """In each facet, with a cosine of one; and it counts as seen."""
    found = Explainer(network, CATALOGUE, SEQUENCES).explain("i2")

    assert found.seen
    for facet in found.facets:
        assert facet.nearest[0].item == "i2"
        assert facet.nearest[0].cosine == pytest.approx(1.0, abs=1e-5)


def test_an_item_without_a_row_has_no_facets(network: FuxiMME) -> None:
    """It is named as such; only a memory could speak for it."""
    found = Explainer(network, CATALOGUE, SEQUENCES).explain("unheard of")

    assert (found.row, found.score, found.facets) == ("none", None, [])


def test_a_user_without_events_gets_zero_from_every_facet(network: FuxiMME) -> None:
    """No history: no experts, no nearest items, a score of zero."""
    empty = {"history": ([], []), "global": ([], []), "local": ([], [])}
    found = Explainer(network, CATALOGUE, empty).explain("i3")

    assert found.score == 0.0
    assert found.experts == []
    assert all(not facet.nearest for facet in found.facets)


def test_expert_shares_are_distributions(network: FuxiMME) -> None:
    """One per layer; a network without a mixture has none."""
    shares = Explainer(network, CATALOGUE, SEQUENCES).explain("i3").experts
    assert len(shares) == 2
    assert all(abs(sum(share) - 1) < 1e-6 for share in shares)

    plain = FuxiMME(replace(CONFIG, experts=1), CATALOGUE.num_rows).eval()
    assert Explainer(plain, CATALOGUE, SEQUENCES).explain("i3").experts == []


def test_what_mos_serves_is_explained(tmp_path: Path) -> None:
    """At every third event of a hopping user: terms add up to the score of the cached encoder, and the shares
    of global, local and theme sequences and the themes that count are its own."""
    made = world(users=1)
    version = Registry(tmp_path).publish(trained(made))
    cache_bytes = 20 * slot_bytes(made.network)
    served = Encoder(version, device=torch.device("cpu"), cache_bytes=cache_bytes, extend=extend)
    themed = 0
    for asked in questions(made, Router(version.themes, version.name))[::3]:
        encoded = served.encode([asked])
        themes = Themes(version=version.name, mos=made.mos, weights=asked.themes, routed_by=asked.routed_by)
        explainer = Explainer(made.network, version.catalogue, asked.sequences(), themes=themes)
        for line in (0, 7, 20):
            found = explainer.explain(version.catalogue.items[line])
            score = float(version.index[line] @ encoded.vectors_BD[0])
            assert abs(sum(facet.term for facet in found.facets) - score) < 1e-5
        shares = [found.shares.get(kind, 0.0) for kind in KINDS]
        assert shares == pytest.approx(encoded.kinds_BS[0].tolist(), abs=1e-5)
        assert tuple(found.themes) == encoded.readings[0].reads.themes
        themed += bool(found.themes)
    assert themed > 5
