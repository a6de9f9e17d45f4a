"""The full encoding: laws that every shortcut and the training rely on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.backbone import last, unit, user_vector
from model.config import FIRST_ITEM_ROW
from model.mme import FuxiMME

N = 10


def _histories(lengths: list[int], seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    lengths_B = torch.tensor(lengths)
    mask = torch.arange(max(lengths)) < lengths_B[:, None]
    rows = torch.randint(1, 95, mask.shape) * mask
    times = torch.randint(0, 10**9, mask.shape).cumsum(1) * mask
    return rows, times, lengths_B


def test_padding_does_not_leak(network) -> None:
    """A history has the same states alone, beside a longer one, and with more padding."""
    model = network()
    rows, times, lengths = _histories([4, N])

    beside = model.encode(rows, times, lengths).states_BNMd
    alone = model.encode(rows[:1, :4], times[:1, :4], lengths[:1]).states_BNMd

    torch.testing.assert_close(alone[0], beside[0, :4], atol=1e-6, rtol=1e-5)
    assert beside[0, 4:].abs().max() == 0


def test_a_later_item_changes_nothing_before_it(network) -> None:
    """Replacing event 6 moves states from 6 on only."""
    model = network()
    rows, times, lengths = _histories([N])
    other = rows.clone()
    other[0, 6] = 90 if rows[0, 6] != 90 else 91

    one, two = (model.encode(r, times, lengths).states_BNMd[0] for r in (rows, other))

    assert torch.equal(one[:6], two[:6])
    assert (one[6:] - two[6:]).abs().amax(dim=(1, 2)).min() > 0


def test_a_later_time_changes_nothing_before_it(network) -> None:
    """Moving event 6 by years moves states from 6 on only: no state knows when the next event comes."""
    model = network()
    rows, times, lengths = _histories([N])
    other = times.clone()
    other[0, 6] += 10**12

    one, two = (model.encode(rows, t, lengths).states_BNMd[0] for t in (times, other))

    assert torch.equal(one[:6], two[:6])
    assert (one[6] - two[6]).abs().max() > 0


def test_only_time_differences_count(network) -> None:
    """The same history a year later has the same states."""
    model = network()
    rows, times, lengths = _histories([N])

    one, two = (model.encode(rows, t, lengths).states_BNMd for t in (times, times + 31_536_000_000))

    assert torch.equal(one, two)


def test_states_are_unit_per_stream(network) -> None:
    """Every valid state has length 1 in each stream, and the vector's product is the mean cosine."""
    model = network()
    rows, times, lengths = _histories([N, 3])
    states = last(model.encode(rows, times, lengths).states_BNMd, lengths)

    scores = user_vector(states) @ model.item_index().T

    items = unit(model.items[FIRST_ITEM_ROW:])
    cosines = torch.einsum("bmd,imd->bmi", states, items).mean(1)
    torch.testing.assert_close(states.norm(dim=-1), torch.ones(2, 2))
    torch.testing.assert_close(scores, cosines)


def test_an_empty_history_has_a_zero_state(network) -> None:
    """No event, no direction; its neighbours are not disturbed."""
    model = network()
    rows, times, lengths = _histories([0, 3])

    states = last(model.encode(rows, times, lengths).states_BNMd, lengths)

    assert states[0].abs().max() == 0
    assert torch.isfinite(states).all()


def test_streams_differ_by_their_embedding_only(network) -> None:
    """With equal item rows and equal stream embeddings all streams have one state: the decoder is shared."""
    model = network()
    model.items.copy_(model.items[:, :1].expand_as(model.items).clone())
    model.streams_Md.copy_(model.streams_Md[:1].expand_as(model.streams_Md).clone())
    rows, times, lengths = _histories([N])

    states = model.encode(rows, times, lengths).states_BNMd

    torch.testing.assert_close(states[:, :, 0], states[:, :, 1])


def test_equal_experts_are_no_mixture(network, small) -> None:
    """Three copies of one expert encode what the single expert encodes."""
    mixture = network()
    plain = network(dataclasses.replace(small, experts=1))
    for block in mixture.blocks:
        block.experts.weight_EdF.copy_(block.experts.weight_EdF[:1].expand(3, -1, -1).clone())
    weights = mixture.state_dict()
    for name in weights:
        if name.endswith("experts.weight_EdF"):
            weights[name] = weights[name][:1]
        elif ".experts." in name:
            weights[name] = weights[name][:, :1]
    plain.load_state_dict(weights)
    rows, times, lengths = _histories([N])

    expected, actual = (model.encode(rows, times, lengths).states_BNMd for model in (plain, mixture))

    torch.testing.assert_close(expected, actual, atol=1e-6, rtol=1e-5)


def test_loads_are_shares_of_valid_tokens(network) -> None:
    """Per block they sum to 1 and agree with the logits' argmax."""
    rows, times, lengths = _histories([N, 4])
    encoded = network().encode(rows, times, lengths)

    chosen = encoded.logits_LBNME.argmax(-1)
    first = torch.bincount(torch.cat([chosen[0, 0].flatten(), chosen[0, 1, :4].flatten()]), minlength=3)
    torch.testing.assert_close(encoded.load_LE.sum(1), torch.ones(2))
    torch.testing.assert_close(encoded.load_LE[0], first / first.sum())


def test_every_parameter_learns(small) -> None:
    """One backward pass from states and losses reaches all parameters, and padding never."""
    torch.manual_seed(0)
    model = FuxiMME(small, 95).train()
    rows, times, lengths = _histories([N, 6, 9, 2])

    encoded = model.encode(rows, times, lengths)
    (encoded.states_BNMd[..., 0].sum() + encoded.balance + encoded.z).backward()

    silent = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert silent == []
    assert model.items.grad[0].abs().max() == 0


def test_initial_values_follow_the_table(small) -> None:
    """Spread, cuts and zeros are as the docstring of initialise says."""
    torch.manual_seed(0)
    model = FuxiMME(small, 5000)
    block = model.blocks[0]

    assert model.items[0].abs().max() == 0
    assert model.items.abs().max() <= 0.04
    assert abs(model.items[1:].std().item() - 0.0176) < 5e-4  # 0.02 cut at two deviations
    assert abs(block.qkv_dF.std().item() - 0.02) < 0.004
    assert block.experts.router.gate_dE.abs().min() > 0
    assert 0 == block.experts.router.noise_dE.abs().max() == block.out_bias_d.abs().max()


def test_the_seed_decides_the_weights(small) -> None:
    """Two models from one seed are equal, from two seeds not."""

    def drawn(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([value.flatten() for value in FuxiMME(small, 70).parameters()])

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))


def test_weights_survive_the_file(network, small, tmp_path: Path) -> None:
    """Saved and loaded as safetensors, the model answers bit for bit the same; no draw is used up."""
    model = network()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    weights = {name: value.numpy() for name, value in load_file(tmp_path / "weights.safetensors").items()}
    torch.manual_seed(5)
    expected = torch.rand(3)

    torch.manual_seed(5)
    again = FuxiMME.from_weights(small, weights)

    assert torch.equal(expected, torch.rand(3))
    rows, times, lengths = _histories([N, 4])
    assert torch.equal(
        model.encode(rows, times, lengths).states_BNMd, again.encode(rows, times, lengths).states_BNMd
    )


def test_foreign_weights_are_refused(network, small) -> None:
    """A state dict of another shape raises instead of loading in part."""
    weights = {name: value.numpy() for name, value in network().state_dict().items()}

    with pytest.raises(RuntimeError):
        FuxiMME.from_weights(dataclasses.replace(small, blocks=1), weights)
