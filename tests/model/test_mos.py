"""Fusion and reading: what MoS is at first, what it sees, what teaches it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.backbone import Adaptable
from model.config import FIRST_ITEM_ROW
from model.mos import ALL_GLOBAL
from model.mos_reading import Noise, Reader
from model.mos_sequences import ranges
from model.prototypes import NO_THEME
from tests.model.hoppers import RULES, THEMES, Past, hoppers, past_of
from tests.model.mos_networks import MME, NETWORKS, NUM_ROWS, everything, grown, network, new


@pytest.fixture(scope="module")
def past() -> Past:
    return past_of(hoppers(3, users=4, sessions=10))


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def backbone(request: pytest.FixtureRequest) -> Adaptable:
    return network(request.param)


def test_all_on_global_is_the_plain_network(backbone: Adaptable, past: Past) -> None:
    """With +20 on global and new adapters every user vector is the network's own, to 1e-6."""
    mos = new(backbone)
    mos.b_f_S.data[0] = ALL_GLOBAL
    with torch.no_grad():
        views, cuts = everything(mos, backbone, past)
        reader = Reader(backbone, mos, past.events, past.sessions, RULES)
        whole = ranges(past.sessions.global_from[past.sessions.of_event], cuts)
        parts = []
        for line in whole.sequences:
            rows, times = (torch.from_numpy(x[line])[None] for x in (past.events.rows, past.events.times_ms))
            parts.append(backbone.encode(rows, times, torch.tensor([len(line)])).states_BNMd[0])
        plain = backbone.vectors(torch.cat(parts))

    assert reader.sessions.applies.sum() > 50
    assert (views.lengths_TS > 0).all(dim=1).sum() > 50
    torch.testing.assert_close(backbone.vectors(views.fused.states_TMd), plain, atol=1e-6, rtol=0)


def test_fusion_starts_at_equal_weights(backbone: Adaptable, past: Past) -> None:
    """A half each without themes, a third with; states of length 1 per stream."""
    views, _ = everything(new(backbone), backbone, past)
    read = views.lengths_TS > 0

    torch.testing.assert_close(views.fused.shares_TS, read / read.sum(1, keepdim=True))
    torch.testing.assert_close(
        views.fused.states_TMd.norm(dim=-1), torch.ones(views.fused.states_TMd.shape[:2])
    )
    assert set(read.sum(1).tolist()) == {2, 3}


def test_what_was_not_read_has_no_weight_and_nothing_is_no_number() -> None:
    """A kind of length 0 counts nothing whatever its state; no kind at all gives the zero vector."""
    backbone = network(MME)
    mos = grown(backbone)
    states = torch.randn(2, 3, 2, 8)
    lengths = torch.tensor([[5, 2, 0], [0, 0, 0]])

    fused = mos.fuse(states, torch.zeros(2, THEMES), lengths)
    other = mos.fuse(states * torch.tensor([1, 1, 9.0])[None, :, None, None], torch.zeros(2, THEMES), lengths)

    assert fused.shares_TS[0, 2] == 0
    assert torch.equal(fused.states_TMd, other.states_TMd)
    assert fused.states_TMd[1].abs().max() == 0


def test_themes_are_mixed_by_weight_and_a_lone_one_still_teaches_its_weight() -> None:
    """Weights of what was read sum to 1; a holds them as they came; the scale has no gradient."""
    mos = new(network(MME))
    states = torch.randn(3, 2, 2, 8)
    themes = torch.tensor([[4, 1], [2, NO_THEME], [3, 0]])
    weights = torch.tensor([[0.5, 0.25], [0.8, 0.3], [0.5, 0.5]], requires_grad=True)
    read = torch.tensor([[True, True], [True, False], [True, False]])

    themed = mos.themed(states, themes, weights, read)
    themed.states_TMd.sum().backward()

    torch.testing.assert_close(themed.states_TMd[0], (2 * states[0, 0] + states[0, 1]) / 3)
    torch.testing.assert_close(themed.states_TMd[1], states[1, 0])
    torch.testing.assert_close(themed.states_TMd[2], states[2, 0])
    assert themed.a_TK[0].tolist() == [0, 0.25, 0, 0, 0.5, 0]
    assert themed.a_TK[1].tolist() == pytest.approx([0, 0, 0.8, 0, 0, 0])
    assert weights.grad[1, 0] == pytest.approx(float(states[1, 0].sum() / 0.8), rel=1e-4)


def test_what_comes_after_a_moment_changes_nothing_at_it(backbone: Adaptable, past: Past) -> None:
    """Other items and sessions after a cut: same themes, same experts, same vector up to the cut."""
    mos = grown(backbone)
    start, stop = (int(place) for place in past.events.starts[1:3])
    cut = start + 37
    random = np.random.default_rng(5)
    rows = past.events.rows.copy()
    rows[cut + 1 : stop] = random.integers(FIRST_ITEM_ROW, NUM_ROWS, stop - cut - 1)
    other = replace(past.events, rows=rows)
    with torch.no_grad():
        one, _ = everything(mos, backbone, past)
        two, _ = everything(mos, backbone, Past(other, past.sessions, past.truth_S))

    upto = slice(start, cut + 1)
    torch.testing.assert_close(one.themed.a_TK[upto], two.themed.a_TK[upto])
    torch.testing.assert_close(one.states_TSMd[upto], two.states_TSMd[upto], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.fused.states_TMd[upto], two.fused.states_TMd[upto], atol=1e-5, rtol=1e-4)
    assert (one.fused.states_TMd[cut + 1] - two.fused.states_TMd[cut + 1]).abs().max() > 1e-4


def test_together_or_alone_a_moment_is_the_same(backbone: Adaptable, past: Past) -> None:
    """One pass for all cuts of all users equals one pass for a single cut."""
    mos = grown(backbone)
    with torch.no_grad():
        views, _ = everything(mos, backbone, past)
        reader = Reader(backbone, mos, past.events, past.sessions, RULES)
        for cut in (int(past.events.starts[2]) + 30, int(past.events.starts[3]) - 1):
            routed = reader.route(np.searchsorted(past.events.starts, [cut], side="right") - 1)
            alone = reader.read(routed, np.array([cut]))
            torch.testing.assert_close(
                alone.fused.states_TMd[0], views.fused.states_TMd[cut], atol=1e-5, rtol=1e-4
            )


def test_scales_are_one_forward_and_teach_closed_sessions(backbone: Adaptable, past: Past) -> None:
    """With gradients the theme expert says the same; its states alone reach W_r and the prototypes."""
    mos = grown(backbone)
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = np.flatnonzero(past.sessions.applies)
    routed = reader.route(np.arange(len(past.events)))
    themes = reader.chosen(routed, cuts).themes_T2
    taught, lengths = reader.theme_states(routed, cuts, themes)
    with torch.no_grad():
        calm, _ = reader.theme_states(reader.route(np.arange(len(past.events))), cuts, themes)

    (taught * torch.linspace(-1, 1, taught.shape[-1])).sum().backward()

    assert torch.equal(taught, calm)
    assert (lengths > 0).any()
    for parameter in (mos.router.w_r_DD, mos.router.c_KD):
        assert parameter.grad.abs().max() > 1e-6


def test_noise_is_one_draw_for_a_session_and_only_where_asked() -> None:
    """Moments of a session differ from the calm ones by one vector of logits; without noise all is calm."""
    backbone, past = network(MME), past_of(hoppers(3, users=2, sessions=6))
    reader = Reader(backbone, new(backbone), past.events, past.sessions, RULES)
    users = np.arange(2)
    with torch.no_grad():
        calm, again = (reader.route(users).p_nK for _ in range(2))
        noisy = reader.route(users, Noise(1.0, torch.Generator().manual_seed(0))).p_nK
    gap = noisy.log() - calm.log()
    gap = gap - gap.mean(dim=1, keepdim=True)
    first = past.sessions.starts[past.sessions.of_event]

    assert torch.equal(calm, again)
    assert gap.abs().mean() > 0.1
    torch.testing.assert_close(gap, gap[torch.from_numpy(first)], atol=1e-3, rtol=1e-3)


def test_unknown_items_route_nothing() -> None:
    """A session of new-item rows alone has no theme; among known ones they do not count."""
    backbone, past = network(MME), past_of(hoppers(3, users=2, sessions=6))
    rows = past.events.rows.copy()
    first = slice(int(past.sessions.starts[0]), int(past.sessions.starts[1]))
    rows[first] = 7
    reader = Reader(backbone, new(backbone), replace(past.events, rows=rows), past.sessions, RULES)
    with torch.no_grad():
        routed = reader.route(np.arange(2))

    assert routed.theme_S[0] == NO_THEME
    assert (routed.theme_S[1:] >= 0).all()
    assert not routed.known_n[first].any()
