"""Views of one network: neutral at first, each its own, causal like the network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.adapters import KINDS, Adapters, TokenMixture
from model.backbone import Adaptable
from model.families import build
from tests.model.small_backbones import MME, NUM_ROWS, ONE, N, told

NETWORKS = {
    "fuxi-mme": MME,
    "fuxi-mme, no semantic channel": replace(MME, semantic=False),
    "fuxi": ONE,
    "sasrec": replace(ONE, family="sasrec", ffn_multiple=2),
    "hstu": replace(ONE, family="hstu"),
}


@pytest.fixture(params=NETWORKS.values(), ids=NETWORKS)
def model(request: pytest.FixtureRequest) -> Adaptable:
    """In evaluation mode, moved away from where it starts, so that each part counts."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    made = build(request.param, NUM_ROWS).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    assert isinstance(made, Adaptable)
    return made


def grown(model: Adaptable) -> Adapters:
    """Adapters that do something."""
    adapters = Adapters(model.adapter_widths, model.config.blocks)
    torch.nn.init.normal_(adapters.up_SLrF)
    return adapters.requires_grad_(False)


def test_adapters_start_as_the_plain_network(model: Adaptable) -> None:
    """Every kind, and a mixture over tokens: bit for bit the states without any."""
    rows, times, lengths, _ = told([N, 4])
    adapters = Adapters(model.adapter_widths, model.config.blocks)
    mixture = TokenMixture(model.adapter_widths, model.config.blocks, 3, 2)

    plain = model.encode(rows, times, lengths).states_BNMd

    views = [adapters.view(kind, torch.ones(2, N)) for kind in KINDS]
    for view in [*views, mixture.view(torch.ones(2, N, 3))]:
        assert torch.equal(plain, model.encode(rows, times, lengths, adapters=view).states_BNMd)


def test_each_kind_is_another_view(model: Adaptable) -> None:
    """With weights of its own each kind moves every state elsewhere."""
    rows, times, lengths, _ = told([N])
    adapters = grown(model)

    seen = [model.encode(rows, times, lengths, adapters=adapters.view(kind)).states_BNMd for kind in KINDS]

    assert (seen[0] - seen[1]).abs().amax(dim=(2, 3)).min() > 1e-4
    assert (seen[1] - seen[2]).abs().amax(dim=(2, 3)).min() > 1e-4


def test_a_view_looks_no_further_ahead_than_the_network(model: Adaptable) -> None:
    """Another item, input scale or expert share at event 6 moves nothing before it."""
    rows, times, lengths, _ = told([N])
    adapters = grown(model)
    mixture = TokenMixture(model.adapter_widths, model.config.blocks, 3, 2).requires_grad_(False)
    torch.nn.init.normal_(mixture.up_LrF)
    other = rows.clone()
    other[0, 6] = 90 if rows[0, 6] != 90 else 91
    scale, share = torch.ones(1, N), torch.ones(1, N, 3)
    scale[0, 6] = 3.0
    share[0, 6, 1] = 3.0
    pairs = [
        ((rows, adapters.view("theme")), (other, adapters.view("theme"))),
        ((rows, adapters.view("theme")), (rows, adapters.view("theme", scale))),
        ((rows, mixture.view(torch.ones(1, N, 3))), (rows, mixture.view(share))),
    ]

    for one, two in pairs:
        a, b = (model.encode(each, times, lengths, adapters=view).states_BNMd[0] for each, view in (one, two))
        assert (a - b)[:6].abs().max() < 1e-6
        assert (a - b)[6].abs().max() > 1e-6


def test_adapters_and_scales_learn_through_a_frozen_network(model: Adaptable) -> None:
    """Gradients reach both factors and the scale of an earlier event; the network gets none."""
    rows, times, lengths, _ = told([N])
    adapters = grown(model).requires_grad_(True)
    scale = torch.ones(1, N, requires_grad=True)

    states = model.encode(rows, times, lengths, adapters=adapters.view("theme", scale)).states_BNMd
    (states[0, -1] * torch.linspace(-1, 1, states[0, -1].numel()).view(states[0, -1].shape)).sum().backward()

    assert adapters.down_SLdr.grad[2].abs().max() > 0
    assert adapters.up_SLrF.grad[2].abs().max() > 0
    assert adapters.down_SLdr.grad[:2].abs().max() == 0
    assert scale.grad[0, 2].abs() > 0
    assert all(parameter.grad is None for parameter in model.parameters())
