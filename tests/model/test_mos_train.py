"""The second stage, and the proof: in a world of session hopping themes are found, and they pay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from model.backbone import Adaptable
from model.columns import EventColumns
from model.config import FIRST_ITEM_ROW
from model.families import FAMILIES, build
from model.metrics import full_ndcg
from model.mos import MoSConfig
from model.mos_compare import Comparison, Trial, compare
from model.mos_compare import Past as Side
from model.mos_losses import MoSTrainConfig, step_loss
from model.mos_ranks import cuts_before
from model.mos_reading import Noise, Reader
from model.mos_sequences import sessions_of
from model.mos_train import first_prototypes, fit_mos
from model.sequences import histories, split
from model.train import warm_start
from model.version import Trained
from ops.simulate import simulate
from tests.model.hoppers import RECIPE, RULES, SHAPE, THEMES, Past, hoppers, past_of

MOS = MoSConfig(num_themes=THEMES)
STAGE_2 = MoSTrainConfig(max_epochs=4, validation_users=0)


@pytest.fixture(scope="module")
def past() -> Past:
    return past_of(hoppers(3, users=12, sessions=10))


def network(past: Past, seed: int = 0) -> Adaptable:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    num_rows = FIRST_ITEM_ROW + 300
    model = build(replace(SHAPE, blocks=2), num_rows)
    assert isinstance(model, Adaptable)
    return model


def short(**fields: float) -> MoSTrainConfig:
    return replace(MoSTrainConfig(max_epochs=1, cuts=128, validation_users=4), **fields)


def accuracy(theme_S: np.ndarray, truth_S: np.ndarray, learn_S: np.ndarray, judge_S: np.ndarray) -> float:
    """Share of judged sessions with the right theme; numbers are matched one to one on the learned ones."""
    table = np.zeros((theme_S.max() + 1, truth_S.max() + 1))
    np.add.at(table, (theme_S[learn_S], truth_S[learn_S]), 1)
    numbers = dict(zip(*linear_sum_assignment(-table), strict=True))
    named_S = np.array([numbers.get(theme, -1) for theme in theme_S.tolist()])
    return float((named_S[judge_S] == truth_S[judge_S]).mean())


def test_the_network_stays_as_it_was(past: Past) -> None:
    """Every weight of the first stage bit for bit, item rows among them; all that MoS adds has moved."""
    backbone = network(past)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}

    mos, curve = fit_mos(backbone, past.events, past.sessions, RULES, MOS, short())

    first = first_prototypes(backbone, past.events, past.sessions, THEMES, seed=0)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert (mos.router.c_KD - first).abs().max() > 1e-5
    assert (mos.router.w_r_DD - torch.eye(SHAPE.dim)).abs().max() > 1e-5
    assert all(value.abs().max() > 1e-5 for value in (mos.adapters.up_SLrF[s] for s in range(3)))
    assert mos.w_f_XS.abs().max() > 1e-5
    assert len(curve) == 1


def test_prototypes_keep_length_one(past: Past) -> None:
    """After every step, so at the end too."""
    mos, _ = fit_mos(network(past), past.events, past.sessions, RULES, MOS, short())

    torch.testing.assert_close(mos.router.c_KD.norm(dim=1), torch.ones(THEMES))


def test_the_seed_decides_and_torch_stays_as_it_was(past: Past) -> None:
    """Same seed, same weights, bit for bit; another seed differs; torch's generator is not touched."""
    made = []
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for seed in (0, 0, 1):
        state = torch.get_rng_state()
        backbone = network(past)
        torch.set_rng_state(state)
        mos, _ = fit_mos(backbone, past.events, past.sessions, RULES, MOS, short(seed=seed))
        made.append(torch.cat([value.flatten() for value in mos.parameters()]))

    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_validation_events_are_never_learned(past: Past) -> None:
    """Changing the last event of every user changes no weight when all of them validate, only the score."""
    last = past.events.starts[1:] - 1
    rows = past.events.rows.copy()
    rows[last] = FIRST_ITEM_ROW + (rows[last] - FIRST_ITEM_ROW + 150) % 300
    made = []
    for events in (past.events, replace(past.events, rows=rows)):
        # an event that is never an input either: the sessions' vectors for themes must not see it
        config = short(contrastive=0.0, balance=0.0, validation_users=99)
        mos, curve = fit_mos(
            network(past), events, past.sessions, RULES, replace(MOS, kinds=("global",)), config
        )
        made.append((mos, curve[-1]))

    assert torch.equal(made[0][0].w_f_XS, made[1][0].w_f_XS)
    assert torch.equal(made[0][0].adapters.up_SLrF, made[1][0].adapters.up_SLrF)
    assert made[0][1].loss == made[1][1].loss
    assert made[0][1].full_ndcg != made[1][1].full_ndcg


def test_training_ends_when_validation_does_not_get_better(past: Past) -> None:
    """With patience 1 every epoch but the last is better than the one before it, and the last is not."""
    train = short(max_epochs=12, patience=1, lr=0.05)
    _, curve = fit_mos(network(past), past.events, past.sessions, RULES, MOS, train)
    figures = [epoch.full_ndcg for epoch in curve]

    assert len(curve) < 12
    assert figures[:-1] == sorted(set(figures[:-1]))
    assert figures[-1] <= figures[-2]


def test_ranking_alone_teaches_the_router(past: Past) -> None:
    """With every loss of themes off, W_r, prototypes, adapters and fusion still get gradients."""
    backbone = network(past).eval().requires_grad_(False)
    config = short(contrastive=0.0, balance=0.0, spread=0.0)
    mos, _ = fit_mos(backbone, past.events, past.sessions, RULES, MOS, config)
    mos.requires_grad_(True).train()
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = cuts_before(reader, np.ones(len(past.events.rows), bool))

    noise = Noise(1.0, torch.Generator().manual_seed(0))
    loss, ranking = step_loss(reader, cuts, noise, config, np.random.default_rng(0))
    loss.backward()

    assert loss > ranking > 0
    silent = [name for name, value in mos.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []


def test_each_term_of_the_loss_counts(past: Past) -> None:
    """Switching a term off lowers the loss of the same step by that term."""
    backbone = network(past)
    mos, _ = fit_mos(backbone, past.events, past.sessions, RULES, MOS, short())
    reader = Reader(backbone, mos, past.events, past.sessions, RULES)
    cuts = cuts_before(reader, np.ones(len(past.events.rows), bool))

    def loss(**fields: float) -> float:
        return float(step_loss(reader, cuts, None, short(**fields), np.random.default_rng(0))[0])

    whole = loss()
    for term in ("alone", "balance", "spread", "contrastive"):
        assert loss(**{term: 0.0}) < whole - 1e-6
    alone = step_loss(
        reader, cuts, None, short(alone=0, balance=0, spread=0, contrastive=0), np.random.default_rng(0)
    )
    assert torch.equal(*alone)


def test_dead_themes_are_repaired_between_epochs() -> None:
    """Themes with fewer than 0.5 % of the sessions, and only those, are of a new generation afterwards."""
    past = past_of(hoppers(1, users=40, sessions=16))
    many = replace(MOS, num_themes=100)  # more than the world has: some starve

    mos, curve = fit_mos(network(past), past.events, past.sessions, RULES, many, short(cuts=1024))

    starved = [share < 0.005 for share in curve[-1].share]
    assert (mos.generation_K == 1).tolist() == starved
    assert 0 < sum(starved) < 100


def trained(columns: EventColumns) -> tuple[Adaptable, Trained]:
    made = warm_start(columns, SHAPE, RECIPE)
    backbone = FAMILIES[SHAPE.family].from_weights(SHAPE, made.weights)
    assert isinstance(backbone, Adaptable)
    return backbone, made


@pytest.fixture(scope="module")
def proof() -> tuple[Comparison, Callable[[str], float]]:
    """All variants, learned from the first 80 % of the events and judged on the rest."""
    town = hoppers(0, users=200)
    warm, _ = split(town.columns)
    backbone, made = trained(warm)
    whole = past_of(town, warm)
    known = histories(warm, made.catalogue)
    learned = Side(events=known, sessions=sessions_of(known, RULES))
    judged = Side(events=whole.events, sessions=whole.sessions)
    asked = whole.events.order >= len(warm)
    trial = Trial(
        backbone=backbone,
        learned=learned,
        judged=judged,
        asked_n=asked,
        rules=RULES,
        config=MOS,
        train=STAGE_2,
        filter_seen=False,
    )
    found = compare(trial, variants=("global", "+theme", "random themes"))

    def routed(name: str) -> float:
        reader = Reader(backbone, found.variants[name].variant.mos, whole.events, whole.sessions, RULES)
        with torch.no_grad():
            theme_S = reader.route(np.arange(len(whole.events))).theme_S
        learn_S = whole.events.order[whole.sessions.starts[:-1]] < len(warm)
        return accuracy(theme_S, whole.truth_S, learn_S, ~learn_S)

    return found, routed


@pytest.mark.timeout(240)
def test_sessions_find_their_theme(proof: tuple[Comparison, Callable[[str], float]]) -> None:
    """At least nine in ten sessions that nobody learned from are routed to the true theme."""
    _, routed = proof

    assert routed("+theme") >= 0.9
    assert routed("random themes") < 0.4


@pytest.mark.timeout(240)
@pytest.mark.parametrize("rival", ["global", "random themes"])
def test_themes_pay(proof: tuple[Comparison, Callable[[str], float]], rival: str) -> None:
    """Global, local and theme experts find more of what comes next than global alone and than themes by
    chance: the 90 % interval of recall@10 over users excludes zero."""
    found, _ = proof

    difference = found.difference("+theme", rival, "recall@10")

    assert difference.users >= 100
    assert difference.low is not None
    assert difference.low > 0


def test_costs_are_told(proof: tuple[Comparison, Callable[[str], float]]) -> None:
    """More sequences cost more FLOPs; figures are means of the ranks."""
    found, _ = proof
    plain, themed = found.variants["global"], found.variants["+theme"]

    assert 1 < themed.cost.flops / plain.cost.flops < 4
    assert themed.cost.events > plain.cost.events
    assert min(plain.cost.ms, themed.cost.ms) > 0
    assert themed.figures["ndcg"] == pytest.approx(full_ndcg(themed.ranks_T).mean())


@pytest.mark.timeout(240)
def test_the_simulators_themes_are_found() -> None:
    """Nine in ten of the simulator's later sessions have the true theme, whatever one item says."""
    world = simulate(1, users=150, items=240, events=8_000, themes=THEMES)
    table = world.dataset.events
    columns = EventColumns(
        users=table.users, items=table.items, user=table.user, item=table.item, time_ms=table.time_ms
    )
    warm, _ = split(columns)
    backbone, made = trained(warm)
    known, events = (histories(each, made.catalogue) for each in (warm, columns))
    sessions = sessions_of(events, RULES)
    mos, _ = fit_mos(
        backbone, known, sessions_of(known, RULES), RULES, MOS, replace(STAGE_2, max_epochs=1, seed=1)
    )
    with torch.no_grad():
        theme_S = Reader(backbone, mos, events, sessions, RULES).route(np.arange(len(events))).theme_S
    start = events.order[sessions.starts[:-1]]
    truth_S = world.session_theme[world.event_session[start]]
    known_S = theme_S >= 0

    assert known_S.mean() > 0.95
    assert accuracy(theme_S, truth_S, (start < len(warm)) & known_S, (start >= len(warm)) & known_S) >= 0.9
