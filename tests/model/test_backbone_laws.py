"""What every network must obey, whatever is inside: one line per network in NETWORKS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from model.backbone import last
from model.batch import padded
from model.config import FIRST_ITEM_ROW, NEW_ITEM_ROWS, ModelConfig
from model.families import FAMILIES, build
from tests.model.small_backbones import MME, NUM_ROWS, ONE, TIMELESS, N, assert_alike, cut, made, moved, told

NETWORKS = {
    "fuxi-mme": MME,
    "fuxi-mme, power": replace(MME, time_bias="power"),
    "fuxi-mme, no semantic channel": replace(MME, semantic=False),
    "fuxi-mme, experts in the ffn": replace(MME, experts_at=("ffn",)),
    "fuxi-mme, experts in both": replace(MME, experts_at=("w_u", "ffn")),
    "fuxi-mme, two experts kept": replace(MME, kept=2),
    "fuxi-mme, facet gate": replace(MME, facet_gate=True),
    "fuxi-mme, next": replace(MME, query_time="next"),
    "fuxi": ONE,
    "fuxi, next": replace(ONE, query_time="next"),
    "fuxi-beta": replace(ONE, time_bias="power", semantic=False),
    "sasrec": replace(ONE, family="sasrec", ffn_multiple=1),
    "hstu": replace(ONE, family="hstu"),
    "hstu, next": replace(ONE, family="hstu", query_time="next"),
    "fame": replace(ONE, family="fame", experts=3, facet_gate=True),
    "fame, heads only": replace(ONE, family="fame", facet_gate=True),
    "fame, no gate": replace(ONE, family="fame", experts=3),
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


def test_a_later_item_changes_nothing_before_it(config: ModelConfig) -> None:
    """Another item at event 6 moves the states from 6 on, and only those."""
    model = made(config)
    rows, times, lengths, asked = told([N])
    other = rows.clone()
    other[0, 6] = 90 if rows[0, 6] != 90 else 91

    one, two = (model.encode(each, times, lengths, asked).states_BNMd for each in (rows, other))

    assert moved(one, two)[:6].max() < 1e-6
    assert moved(one, two)[6:].min() > 1e-6


def test_a_later_time_changes_nothing_before_it(config: ModelConfig) -> None:
    """Event 6 some years later moves the states from 6 on only, and none of a network without time."""
    model = made(config)
    rows, times, lengths, asked = told([N])
    other = times.clone()
    other[0, 6] += 10**12

    one, two = (model.encode(rows, each, lengths, asked).states_BNMd for each in (times, other))

    assert moved(one, two)[:6].max() < 1e-6
    assert (moved(one, two)[6:].max() > 1e-6) == (config.family not in TIMELESS)


def test_only_next_reads_what_is_asked(config: ModelConfig) -> None:
    """Asking row 6 for a later time moves that row and none before it under "next", otherwise nothing."""
    model = made(config)
    rows, times, lengths, asked = told([N])
    other = asked.clone()
    other[0, 6] += 10**12

    one, two, none = (model.encode(rows, times, lengths, each).states_BNMd for each in (asked, other, None))

    assert moved(one, two)[:6].max() < 1e-6
    assert (moved(one, two)[6] > 1e-6) == (config.query_time == "next")
    assert torch.equal(one, none) == (config.query_time == "own")


def test_more_padding_changes_nothing(config: ModelConfig) -> None:
    """Five positions more on the right: the same states, and zeros behind them."""
    model = made(config)
    rows, times, lengths, asked = told([N, 4, 7, 1])

    short = model.encode(rows, times, lengths, asked)
    wide = model.encode(*(torch.nn.functional.pad(part, (0, 5)) for part in (rows, times)), lengths,
                        torch.nn.functional.pad(asked, (0, 5)))  # fmt: skip

    assert_alike(short, cut(wide, 4, N), config)
    for sequence, length in enumerate(lengths.tolist()):
        assert wide.states_BNMd[sequence, length:].abs().max() == 0


def test_a_batch_is_its_sequences(config: ModelConfig) -> None:
    """Encoded alone and without padding, a history has the states that it has among others."""
    model = made(config)
    rows, times, lengths, asked = told([N, 4, 7, 1, 2])
    together = model.encode(rows, times, lengths, asked)

    for place, length in enumerate(lengths.tolist()):
        one = slice(place, place + 1)
        alone = model.encode(rows[one, :length], times[one, :length], lengths[one], asked[one, :length])
        beside = together._replace(
            states_BNMd=together.states_BNMd[one, :length],
            logits_LBNME=together.logits_LBNME[:, one, :length],
        )
        assert_alike(alone, beside, config)


def test_the_order_of_a_batch_is_nothing(config: ModelConfig) -> None:
    """The same histories in another order have the same states."""
    model = made(config)
    rows, times, lengths, asked = told([N, 4, 7, 1, 2])
    order = torch.tensor([3, 1, 4, 0, 2])
    straight = model.encode(rows, times, lengths, asked)

    mixed = model.encode(rows[order], times[order], lengths[order], asked[order])

    again = straight._replace(
        states_BNMd=straight.states_BNMd[order], logits_LBNME=straight.logits_LBNME[:, order]
    )
    assert_alike(again, mixed, config)


@pytest.mark.parametrize("length", [0, 1, 24, 10_000])
def test_any_history_has_finite_scores(config: ModelConfig, length: int) -> None:
    """Nothing, one event, the limit, and far more than it: cut to the newest, and every score is a number."""
    model = made(config)
    random = np.random.default_rng(length)
    events = (random.integers(FIRST_ITEM_ROW, NUM_ROWS, length), np.arange(length) * 1000)
    batch = padded([events, (events[0][-24:], events[1][-24:])], config.max_events)

    states = last(model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B).states_BNMd, batch.lengths_B)
    scores_BI = model.vectors(states) @ model.item_index().T

    assert scores_BI.shape == (2, NUM_ROWS - FIRST_ITEM_ROW)
    assert torch.isfinite(scores_BI).all()
    assert (scores_BI.abs().max() > 0) == (length > 0)
    torch.testing.assert_close(scores_BI[0], scores_BI[1])


def test_unknown_items_have_finite_states(config: ModelConfig) -> None:
    """A history of new-item rows alone is a history; different rows are told apart."""
    model = made(config)
    rows = torch.tensor([[1, 2, NEW_ITEM_ROWS], [NEW_ITEM_ROWS, 2, 1]])

    states = model.encode(rows, torch.zeros(2, 3, dtype=torch.int64), torch.tensor([3, 3])).states_BNMd

    assert torch.isfinite(states).all()
    assert (states[0, 2] - states[1, 2]).abs().max() > 1e-6


def test_the_index_is_the_lines_of_the_real_items(config: ModelConfig) -> None:
    """In row order, as wide as a user vector, and a padding row scores nothing."""
    model = made(config)
    rows, times, lengths, _ = told([N, 3])
    vectors_BND = model.vectors(model.encode(rows, times, lengths).states_BNMd)

    assert model.item_index().shape == (NUM_ROWS - FIRST_ITEM_ROW, config.dim)
    assert vectors_BND.shape == (2, N, config.dim)
    torch.testing.assert_close(model.item_index()[7], model.lines(torch.tensor(FIRST_ITEM_ROW + 7)))
    assert model.lines(torch.tensor([[0]])).abs().max() == 0


def test_one_product_is_the_score(config: ModelConfig) -> None:
    """User vector times line is the sum over streams (or facets) of weight times product; outside FAME the
    products are cosines, since states and lines have length 1 in each stream."""
    model = made(config)
    rows, times, lengths, asked = told([N, 3])
    states_BMd = last(model.encode(rows, times, lengths, asked).states_BNMd, lengths)
    lines_IMd = model.item_index().unflatten(1, states_BMd.shape[1:])

    weights_BM = model.facets(states_BMd) if hasattr(model, "facets") else torch.ones(2, 1)
    expected = torch.einsum("bm,bmd,imd->bi", weights_BM, states_BMd, lines_IMd)

    torch.testing.assert_close(model.vectors(states_BMd) @ model.item_index().T, expected)
    torch.testing.assert_close(weights_BM.sum(1), torch.ones(2))
    if config.family != "fame":
        torch.testing.assert_close(states_BMd.norm(dim=-1), torch.ones(states_BMd.shape[:2]))
        torch.testing.assert_close(lines_IMd.norm(dim=-1), torch.ones(lines_IMd.shape[:2]))


def test_every_parameter_learns(config: ModelConfig) -> None:
    """One backward pass from scores and losses reaches all but a router with no choice, never padding."""
    model = made(config).train().requires_grad_(True)
    rows, times, lengths, asked = told([N, 6, 9, 2])
    encoded = model.encode(rows, times, lengths, asked)
    scores = model.vectors(encoded.states_BNMd) @ model.lines(torch.arange(FIRST_ITEM_ROW, NUM_ROWS)).T
    torch.manual_seed(2)

    ((scores * torch.randn_like(scores)).sum() + encoded.balance + encoded.z).backward()

    needed = {name: v for name, v in model.named_parameters() if "router" not in name or v.shape[-1] > 1}
    silent = [name for name, value in needed.items() if value.grad is None or not value.grad.any()]
    assert silent == []
    assert all(torch.isfinite(value.grad).all() for value in needed.values())
    assert model.items.grad[0].abs().max() == 0


def test_evaluation_is_deterministic_and_training_is_not(config: ModelConfig) -> None:
    """Twice the same in evaluation mode; in training dropout makes a difference."""
    model = made(config)
    rows, times, lengths, asked = told([N, 3])

    calm = [model.encode(rows, times, lengths, asked).states_BNMd for _ in range(2)]
    model.train()
    noisy = [model.encode(rows, times, lengths, asked).states_BNMd for _ in range(2)]

    assert torch.equal(*calm)
    assert not torch.equal(*noisy)


def test_weights_make_the_network_again(config: ModelConfig) -> None:
    """From its state dict alone, bit for bit, in evaluation mode; torch's generator stays where it was."""
    model = made(config)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    before = torch.get_rng_state()

    again = FAMILIES[config.family].from_weights(config, weights)

    rows, times, lengths, asked = told([N, 3])
    one, two = (each.encode(rows, times, lengths, asked).states_BNMd for each in (model, again))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one, two)
    assert torch.equal(model.item_index(), again.item_index())
    assert not again.training


def test_the_seed_decides_the_weights(config: ModelConfig) -> None:
    """Two networks from one seed are equal, from two seeds not."""

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([value.flatten() for value in build(config, NUM_ROWS).parameters()])

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


def test_losses_of_routers_are_finite_scalars(config: ModelConfig) -> None:
    """The trainer may add them whatever the network; loads are shares."""
    rows, times, lengths, asked = told([N, 3])

    encoded = made(config).encode(rows, times, lengths, asked)

    assert encoded.balance.shape == encoded.z.shape == ()
    assert torch.isfinite(encoded.balance + encoded.z)
    torch.testing.assert_close(encoded.load_LE.sum(1), torch.ones(len(encoded.load_LE)))
