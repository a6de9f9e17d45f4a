"""The facet gate over fused states: one vector, one index, as over a single sequence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.facets import fit_gate
from model.metrics import summary
from model.mme import FuxiMME
from model.mos import MoS, MoSConfig
from model.mos_facets import fused_moments
from model.mos_ranks import cuts_before, ranks_at
from model.mos_reading import Reader
from model.mos_sequences import sessions_of
from model.sequences import Histories
from tests.model.hoppers import RULES, THEMES, Past, hoppers, past_of

SHAPE = ModelConfig(dim=16, streams=2, blocks=1, heads=2, experts=2)


@pytest.fixture(scope="module")
def past() -> Past:
    return past_of(hoppers(3, users=12, sessions=6))


def read(past: Past) -> tuple[Reader, FuxiMME]:
    torch.manual_seed(0)
    network = FuxiMME(SHAPE, FIRST_ITEM_ROW + 300).eval().requires_grad_(False)
    mos = MoS(MoSConfig(num_themes=THEMES), network, torch.randn(THEMES, 16)).eval()
    return Reader(network, mos, past.events, past.sessions, RULES), network


def test_the_gate_is_learned_from_fused_states(past: Past) -> None:
    """Both numbers are those of MoS, even and gated, and MoS then ranks by the gated vector."""
    reader, network = read(past)
    last_n = np.zeros(len(past.events.rows), bool)
    last_n[past.events.starts[1:] - 1] = True
    learned, asked = (cuts_before(reader, which_n) for which_n in (~last_n, last_n))
    even = summary(ranks_at(reader, asked))["ndcg"]

    fitted = fit_gate(
        network,
        fused_moments(reader, learned),
        fused_moments(reader, asked),
        TrainConfig(negatives=64, threads=1),
    )

    assert fitted.even_ndcg == pytest.approx(even, abs=1e-5)
    assert network.config.facet_gate == fitted.kept
    served = summary(ranks_at(reader, asked))["ndcg"]
    assert served == pytest.approx(max(fitted.even_ndcg, fitted.gated_ndcg), abs=1e-5)


def test_moments_are_states_of_their_cuts(past: Past) -> None:
    """One row per cut, of length 1 in each stream; the row after it; what the user had until then."""
    reader, _ = read(past)
    cuts = cuts_before(reader, np.ones(len(past.events.rows), bool))[::7]

    found = fused_moments(reader, cuts)

    assert found.states_TMd.shape == (len(cuts), 2, 8)
    torch.testing.assert_close(found.states_TMd.norm(dim=-1), torch.ones(len(cuts), 2))
    assert np.array_equal(found.targets_T, past.events.rows[cuts + 1])
    assert found.seen is not None
    start = past.events.starts[np.searchsorted(past.events.starts, cuts[5], side="right") - 1]
    assert np.array_equal(found.seen[5], past.events.rows[start : cuts[5] + 1])
    assert len(fused_moments(reader, cuts[:0]).targets_T) == 0


@pytest.mark.parametrize("length", [1, 10_000])
def test_any_history_has_fused_states(length: int) -> None:
    """One event, or ten thousand of one user; every seventh item unknown: states of length 1."""
    rows = np.random.default_rng(0).integers(FIRST_ITEM_ROW, FIRST_ITEM_ROW + 300, length)
    rows[::7] = 3
    times = 1_700_000_000_000 + np.cumsum(np.where(np.arange(length) % 5, 60_000, 90_000_000))
    events = Histories(
        rows=rows,
        times_ms=times,
        starts=np.array([0, length]),
        users=np.zeros(1, np.int64),
        order=np.arange(length),
    )
    torch.manual_seed(0)
    network = FuxiMME(SHAPE, FIRST_ITEM_ROW + 300).eval().requires_grad_(False)
    mos = MoS(MoSConfig(num_themes=THEMES), network, torch.randn(THEMES, 16)).eval()
    reader = Reader(network, mos, events, sessions_of(events, RULES), RULES)

    with torch.inference_mode():
        views = reader.read(reader.route(np.zeros(1, np.int64)), np.array([length - 1]))

    states_TMd = views.fused.states_TMd
    torch.testing.assert_close(states_TMd.norm(dim=-1), torch.ones(1, 2))
    assert torch.isfinite(network.vectors(states_TMd) @ network.item_index().T).all()
