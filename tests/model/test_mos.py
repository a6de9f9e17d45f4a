"""Fusion and reading: what MoS is at first, what it sees, what teaches it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.backbone import Adaptable, unit
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.families import build
from model.mos import ALL_GLOBAL, MoS, MoSConfig
from model.mos_ranks import aware_states, cuts_before, ranks_at
from model.mos_reading import Noise, Reader, Views
from model.mos_sequences import ranges
from model.prototypes import NO_THEME, choose_for
from model.sequences import Histories
from tests.model.hoppers import RULES, THEMES, Past, hoppers, past_of

MME = ModelConfig(dim=16, streams=2, blocks=2, heads=2, experts=3)
NETWORKS = {
    "fuxi-mme": MME,
    "fuxi-mme, facet gate": replace(MME, facet_gate=True),
    "fuxi": replace(MME, streams=1, experts=1),
    "sasrec": replace(MME, family="sasrec", streams=1, experts=1),
    "hstu": replace(MME, family="hstu", streams=1, experts=1),
}
NUM_ROWS = FIRST_ITEM_ROW + 300


@pytest.fixture(scope="module")
def past() -> Past:
    return past_of(hoppers(3, users=4, sessions=10))


def network(config: ModelConfig) -> Adaptable:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build(config, NUM_ROWS).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    assert isinstance(model, Adaptable)
    return model


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def backbone(request: pytest.FixtureRequest) -> Adaptable:
    return network(request.param)


def new(backbone: Adaptable, **fields: object) -> MoS:
    torch.manual_seed(1)
    config = MoSConfig(num_themes=THEMES, **fields)
    return MoS(config, backbone, torch.randn(THEMES, backbone.config.dim)).eval()


def grown(backbone: Adaptable, **fields: object) -> MoS:
    """Every part away from where it starts."""
    mos = new(backbone, **fields)
    with torch.no_grad():
        for parameter in mos.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        mos.router.renormalise()
    return mos


def everything(mos: MoS, backbone: Adaptable, past: Past) -> tuple[Views, np.ndarray]:
    """Views at every event of every user."""
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = np.arange(len(past.events.rows))
    return reader.read(reader.route(np.arange(len(past.events))), cuts), cuts


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


def test_kinds_that_are_not_fused_are_not_read(past: Past) -> None:
    """Global alone is the global expert; with local there are two."""
    backbone = network(MME)
    with torch.no_grad():
        alone, _ = everything(grown(backbone, kinds=("global",)), backbone, past)
        two, _ = everything(grown(backbone, kinds=("global", "local")), backbone, past)

    torch.testing.assert_close(alone.fused.states_TMd, alone.states_TSMd[:, 0])
    assert (two.fused.shares_TS[:, 2] == 0).all()
    assert (two.fused.shares_TS[:, 1] > 0).all()


def test_themes_by_chance_are_fixed_and_have_nothing_to_do_with_items(past: Past) -> None:
    """The control: the same at every look, one theme at full weight, none like the truth."""
    backbone = network(MME)
    reader = Reader(backbone, new(backbone, routing="random"), past.events, past.sessions, RULES)
    with torch.no_grad():
        one, two = (reader.route(np.arange(len(past.events))) for _ in range(2))

    assert np.array_equal(one.theme_S, two.theme_S)
    assert one.p_nK.max(dim=1).values.min() == 1
    assert len(np.unique(one.theme_S)) > 3


def test_a_mixture_over_tokens_starts_as_the_plain_network(past: Past) -> None:
    """The rival costs no theme sequences and is the global expert at first."""
    backbone = network(MME)
    with torch.no_grad():
        rival, _ = everything(new(backbone, routing="tokens", kinds=("global",)), backbone, past)
        plain, _ = everything(new(backbone, kinds=("global",)), backbone, past)

    torch.testing.assert_close(rival.fused.states_TMd, plain.fused.states_TMd)


def test_candidate_aware_scores_each_item_by_its_own_themes_vector(past: Past) -> None:
    """Ranks by K vectors equal ranks by one vector per candidate, made the long way."""
    backbone = network(MME)
    mos = grown(backbone)
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = np.flatnonzero(past.sessions.applies[:-1])[5:12]
    ranks = ranks_at(reader, cuts, aware=True, filter_seen=False)
    with torch.no_grad():
        user = np.searchsorted(past.events.starts, cuts, side="right") - 1
        routed = reader.route(np.unique(user))
        views, free = reader.read(routed, cuts), reader.chosen(routed, cuts)
        theme_I = mos.router(reader.unit_RD[FIRST_ITEM_ROW:]).argmax(1)
        made = torch.stack([backbone.vectors(x) for x in aware_states(reader, routed, views, cuts)])
        scores_TI = torch.einsum("itd,id->ti", made[theme_I], backbone.item_index())
    own = scores_TI[np.arange(len(cuts)), past.events.rows[cuts + 1] - FIRST_ITEM_ROW]

    assert ranks.tolist() == (1 + (scores_TI > own[:, None]).sum(1)).tolist()
    assert (choose_for(int(free.themes_T2[0, 0]), free).themes_T2[0] == [free.themes_T2[0, 0], -1]).all()
    alike = [made[theme, at] for at, theme in enumerate(free.themes_T2[:, 0].tolist())]
    lone = free.themes_T2[:, 1] == NO_THEME
    torch.testing.assert_close(
        torch.stack(alike)[lone], backbone.vectors(views.fused.states_TMd)[lone], atol=1e-5, rtol=1e-4
    )


def test_with_one_theme_candidates_change_nothing(past: Past) -> None:
    """Candidate-aware and candidate-free are then the same ranks."""
    backbone = network(MME)
    mos = MoS(MoSConfig(num_themes=1), backbone, unit(torch.randn(1, 16))).eval()
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = cuts_before(reader, np.ones(len(past.events.rows), bool))

    np.testing.assert_array_equal(ranks_at(reader, cuts), ranks_at(reader, cuts, aware=True))


def test_weights_make_it_again(past: Past) -> None:
    """A few named arrays are all there is; torch's generator stays where it was."""
    backbone = network(MME)
    mos = grown(backbone)
    before = torch.get_rng_state()
    again = MoS.from_weights(mos.config, backbone, mos.weights())
    with torch.no_grad():
        one, two = (everything(each, backbone, past)[0].fused.states_TMd for each in (mos, again))

    assert sorted(mos.weights()) == [
        "adapters.down_SLdr",
        "adapters.up_SLrF",
        "b_f_S",
        "generation_K",
        "router.c_KD",
        "router.w_r_DD",
        "w_f_XS",
    ]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, two)


def test_weights_of_another_shape_are_refused() -> None:
    """Prototypes of a wider network, and an array that is missing, are told by name."""
    backbone = network(MME)
    mos = new(backbone)
    wider = {**mos.weights(), "router.c_KD": np.zeros((THEMES, 2 * MME.dim), np.float32)}
    fewer = {name: array for name, array in mos.weights().items() if name != "generation_K"}

    with pytest.raises(RuntimeError, match=r"size mismatch for router\.c_KD"):
        MoS.from_weights(mos.config, backbone, wider)
    with pytest.raises(RuntimeError, match=r"Missing key.*generation_K"):
        MoS.from_weights(mos.config, backbone, fewer)


def test_what_cannot_be_is_refused(past: Past) -> None:
    """A network told the next event's time, kinds without global, an unknown routing, too long a sequence."""
    late = network(replace(MME, query_time="next"))
    short = network(replace(MME, max_events=8))

    with pytest.raises(ValueError, match="query_time own"):
        new(late)
    with pytest.raises(ValueError, match="must be global"):
        MoSConfig(kinds=("theme",))
    with pytest.raises(ValueError, match="routing"):
        MoSConfig(routing="dice")
    with pytest.raises(ValueError, match="max_events 8"):
        everything(new(short), short, past)


def test_the_worlds_histories_are_histories(past: Past) -> None:
    """Sessions cut by the worker's rule are the world's own: one theme each, none twice in a row."""
    assert isinstance(past.events, Histories)
    assert len(past.truth_S) == 4 * 10
    assert (np.diff(past.truth_S.reshape(4, 10), axis=1) != 0).all()
