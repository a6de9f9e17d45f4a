"""Variants of MoS, candidate-aware scores, and weights that make one again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.backbone import unit
from model.config import FIRST_ITEM_ROW
from model.mos import MoS, MoSConfig
from model.mos_ranks import aware_states, cuts_before, ranks_at
from model.mos_reading import Reader
from model.prototypes import NO_THEME, choose_for
from model.sequences import Histories
from tests.model.hoppers import RULES, THEMES, Past, hoppers, past_of
from tests.model.mos_networks import MME, everything, grown, network, new


@pytest.fixture(scope="module")
def past() -> Past:
    return past_of(hoppers(3, users=4, sessions=10))


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
