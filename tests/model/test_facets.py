"""The facet gate learns over a frozen network what an even mean cannot say; kept where it does not hurt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.backbone import unit
from model.catalogue import Catalogue
from model.config import FIRST_ITEM_ROW, ModelConfig, TrainConfig
from model.explain import Explainer
from model.facets import FacetFit, Moments, fit_facets, fit_gate, moments_along
from model.fit import validate
from model.mme import FuxiMME
from model.sequences import catalogue_of, histories, hold_out
from model.train import warm_start
from tests.model import circles
from tests.model.circles import rounds

NUM_ITEMS = 200
SHAPE = ModelConfig(
    dim=16, streams=2, heads=2, blocks=1, experts=1, max_events=24, dropout=0, input_dropout=0
)
RECIPE = TrainConfig(negatives=64, threads=1, gate_apart=True)


def network(num_rows: int = FIRST_ITEM_ROW + NUM_ITEMS) -> FuxiMME:
    """With rows far from each other."""
    torch.manual_seed(0)
    made = FuxiMME(SHAPE, num_rows)
    with torch.no_grad():
        made.items.normal_()
    return made.eval()


def one_stream_knows(
    model: FuxiMME, num: int, seed: int, groups: tuple[int, ...] = (0, 1)
) -> tuple[Moments, Tensor]:
    """Users of two groups: of group g, stream g stands near the next item, and the other stands wrongly near
    a habit that tells the group. Returns also the groups."""
    random = torch.Generator().manual_seed(seed)
    habits_2d = unit(torch.randn(2, 8, generator=torch.Generator().manual_seed(9)))
    group_T = torch.tensor(groups)[torch.randint(len(groups), (num,), generator=random)]
    targets_T = torch.randint(FIRST_ITEM_ROW, len(model.items), (num,), generator=random)
    lines_TMd = unit(model.items.detach()[targets_T])
    places = torch.arange(num)
    states_TMd = torch.empty(num, 2, 8)
    states_TMd[places, group_T] = lines_TMd[places, group_T]
    states_TMd[places, 1 - group_T] = habits_2d[group_T]
    states_TMd = unit(states_TMd + 0.3 * torch.randn(num, 2, 8, generator=random))
    seen = [np.zeros(0, np.int64)] * num
    return Moments(states_TMd, targets_T.numpy(), seen), group_T


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def learned() -> tuple[FuxiMME, FacetFit]:
    model = network()
    fitted = fit_gate(model, one_stream_knows(model, 6000, 1)[0], one_stream_knows(model, 500, 2)[0], RECIPE)
    return model, fitted


def test_the_gate_finds_the_stream_that_knows(learned: tuple[FuxiMME, FacetFit]) -> None:
    """Where one stream carries the signal of a group, new users of that group get most weight there."""
    model, fitted = learned
    asked, group_T = one_stream_knows(model, 500, 3)

    weights_TM = model.facets(asked.states_TMd)

    assert fitted.kept
    assert fitted.gated_ndcg > fitted.even_ndcg + 0.05
    assert model.config.facet_gate
    assert float((weights_TM.argmax(dim=1) == group_T).float().mean()) > 0.95
    assert float(weights_TM[torch.arange(500), group_T].mean()) > 0.75
    torch.testing.assert_close(weights_TM.sum(dim=1), torch.ones(500))


def test_a_score_is_still_one_product_with_one_index(learned: tuple[FuxiMME, FacetFit]) -> None:
    """The gated sum of cosines, for a batch and for each of its moments alone; the index is as it was."""
    model, _ = learned
    states_TMd = one_stream_knows(model, 50, 4)[0].states_TMd
    lines_IMd = unit(model.items[FIRST_ITEM_ROW:])

    scores_TI = model.vectors(states_TMd) @ model.item_index().T

    by_hand_TI = torch.einsum("tm,tmd,imd->ti", model.facets(states_TMd), states_TMd, lines_IMd)
    torch.testing.assert_close(scores_TI, by_hand_TI)
    alone_TD = torch.stack([model.vectors(state_Md[None])[0] for state_Md in states_TMd])
    torch.testing.assert_close(model.vectors(states_TMd), alone_TD)
    assert torch.equal(model.item_index(), network().item_index())


def test_an_explanation_shows_the_learned_weights(learned: tuple[FuxiMME, FacetFit]) -> None:
    """Per facet the gate's weight for the user's state, no longer one half each."""
    model, _ = learned
    catalogue = Catalogue([f"i{number}" for number in range(NUM_ITEMS)])
    events = (["i1", "i7", "i9"], [1_000, 2_000, 3_000])
    explainer = Explainer(model, catalogue, {"history": events, "global": events})

    shown = [facet.weight for facet in explainer.explain("i5").facets]

    rows_BN = torch.tensor([catalogue.rows(events[0])])
    state_Md = model.encode(rows_BN, torch.tensor([events[1]]), torch.tensor([3])).states_BNMd[0, -1]
    torch.testing.assert_close(torch.tensor(shown), model.facets(state_Md))
    assert abs(shown[0] - 0.5) > 0.01


def test_a_gate_that_would_hurt_is_not_kept() -> None:
    """Learned from the one group, asked about the other: the network stays what it was, to the bit."""
    model = network()
    asked, _ = one_stream_knows(model, 300, 2, groups=(1,))
    before = model.vectors(asked.states_TMd)

    fitted = fit_gate(model, one_stream_knows(model, 2000, 1, groups=(0,))[0], asked, RECIPE)

    assert not fitted.kept
    assert 0 < fitted.gated_ndcg < fitted.even_ndcg
    assert not model.config.facet_gate
    assert set(model.state_dict()) == set(network().state_dict())
    assert torch.equal(before, model.vectors(asked.states_TMd))


def test_without_questions_nothing_is_kept() -> None:
    """Nobody could say whether it helps."""
    model = network()
    learned, _ = one_stream_knows(model, 50, 1)

    fitted = fit_gate(model, learned, Moments(learned.states_TMd[:0], learned.targets_T[:0], []), RECIPE)

    assert (fitted.kept, fitted.best_epoch) == (False, 0)
    assert not model.config.facet_gate


def test_the_same_seed_gives_the_same_gate_and_leaves_torch_as_it_was() -> None:
    """Bit for bit, wherever torch's generator stands; nothing but the gate moves."""
    made = []
    for start in (1, 2):
        model = network()
        moments, _ = one_stream_knows(model, 600, 1)
        torch.manual_seed(start)
        before = torch.get_rng_state()
        fit_gate(model, moments, one_stream_knows(model, 200, 2)[0], RECIPE)
        assert torch.equal(before, torch.get_rng_state())
        made.append(model.state_dict())

    assert made[0].keys() == made[1].keys()
    assert {"facets_DM", "facets_M"} <= made[0].keys()
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert all(torch.equal(made[0][name], value) for name, value in network().state_dict().items())


def test_a_trained_network_gets_its_gate_from_its_own_events() -> None:
    """Every event but a user's first is a moment; validation is that of training, before and after."""
    columns = rounds()
    catalogue = catalogue_of(columns)
    events, questions = hold_out(histories(columns, catalogue), 40, 64, seed=0)
    model = network(catalogue.num_rows)
    even = validate(model, questions)["ndcg"]

    moments = moments_along(model, events, seed=0)
    fitted = fit_facets(model, events, questions, RECIPE)

    assert fitted is not None
    assert len(moments.targets_T) == len(events.rows) - len(events)
    assert np.bincount(moments.targets_T).sum() == len(moments.states_TMd)
    assert fitted.even_ndcg == pytest.approx(even)
    assert fitted.kept == (fitted.gated_ndcg >= fitted.even_ndcg) == model.config.facet_gate
    assert validate(model, questions)["ndcg"] == pytest.approx(max(fitted.even_ndcg, fitted.gated_ndcg))
    assert not any(value.requires_grad for value in model.parameters())


def test_moments_are_bounded_by_leaving_out_whole_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for a hundred, seven users of thirteen moments each; the seed says which."""
    monkeypatch.setattr("model.facets.MAX_MOMENTS", 100)
    columns = rounds()
    catalogue = catalogue_of(columns)
    model, events = network(catalogue.num_rows), histories(columns, catalogue)

    few = [moments_along(model, events, seed) for seed in (0, 0, 1)]

    assert [len(moments.targets_T) for moments in few] == [91, 91, 91]
    assert np.array_equal(few[0].targets_T, few[1].targets_T)
    assert not np.array_equal(few[0].targets_T, few[2].targets_T)


@pytest.mark.parametrize(
    ("shape", "asked_for"),
    [(SHAPE, False), (replace(SHAPE, streams=1), True), (replace(SHAPE, facet_gate=True), True)],
)
def test_where_there_is_nothing_to_weigh_nothing_is_learned(shape: ModelConfig, asked_for: bool) -> None:
    """Not asked for, one stream, or a gate that was learned along: the network is left alone."""
    columns = rounds()
    catalogue = catalogue_of(columns)
    events, questions = hold_out(histories(columns, catalogue), 40, 64, seed=0)
    model = FuxiMME(shape, catalogue.num_rows)

    assert fit_facets(model, events, questions, replace(RECIPE, gate_apart=asked_for)) is None
    assert model.config == shape
    assert model.training


def test_a_gate_is_learned_once() -> None:
    """Over a network that has one already it is refused."""
    model = FuxiMME(replace(SHAPE, facet_gate=True), 100)
    nothing = Moments(torch.zeros(0, 2, 8), np.zeros(0, np.int64), [])

    with pytest.raises(ValueError, match="gate"):
        fit_gate(model, nothing, nothing, RECIPE)


def test_a_published_version_has_the_gate_and_both_numbers() -> None:
    """The configuration says so, the weights hold W_g and b_g, the metrics with and without it."""
    recipe = replace(circles.RECIPE, gate_apart=True, max_epochs=3)

    trained = warm_start(rounds(), SHAPE, recipe)

    metrics = trained.metrics
    assert trained.config.facet_gate == bool(metrics["facets_kept"]) == ("facets_DM" in trained.weights)
    assert metrics["facets_even_ndcg"] == pytest.approx(metrics["validation_ndcg"])
    assert bool(metrics["facets_kept"]) == (metrics["facets_gated_ndcg"] >= metrics["facets_even_ndcg"])
    again = FuxiMME.from_weights(trained.config, trained.weights)
    assert np.array_equal(again.item_index().numpy(), trained.index)
