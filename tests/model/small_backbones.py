"""Small networks of any family, sequences to tell them, and how alike two encodings are."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.backbone import Backbone, Encoded
from model.config import ModelConfig
from model.experts import margins
from model.families import build

MME = ModelConfig(dim=16, streams=2, blocks=2, heads=2, experts=3, max_events=24)
ONE = replace(MME, streams=1, experts=1)
NUM_ROWS = 95
N = 10
#: Networks that read no time at all.
TIMELESS = {"sasrec", "fame"}


def made(config: ModelConfig, seed: int = 0) -> Backbone:
    """In evaluation mode, every parameter moved away from where it starts, so that each part counts."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model = build(config, NUM_ROWS).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    model.items[0] = 0
    return model


def told(lengths: list[int], seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random rows and times of these lengths, and the times asked for: some minutes later."""
    generator = torch.Generator().manual_seed(seed)
    lengths_B = torch.tensor(lengths)
    valid_BN = torch.arange(max(lengths)) < lengths_B[:, None]
    rows_BN = torch.randint(1, NUM_ROWS, valid_BN.shape, generator=generator) * valid_BN
    times_BN = torch.randint(0, 10**9, valid_BN.shape, generator=generator).cumsum(1) * valid_BN
    asked_BN = (times_BN + torch.randint(0, 10**7, valid_BN.shape, generator=generator)) * valid_BN
    return rows_BN, times_BN, lengths_B, asked_BN


def assert_alike(one: Encoded, other: Encoded, config: ModelConfig) -> None:
    """States agree in every sequence whose experts rounding cannot change; almost all are such."""
    sure_B = torch.ones(len(one.states_BNMd), dtype=torch.bool)
    for encoded in (one, other):
        sure_B &= (margins(encoded.logits_LBNME, config.kept) > 1e-4).all(0).all(-1).all(-1)
    assert sure_B.float().mean() > 0.7
    torch.testing.assert_close(one.states_BNMd[sure_B], other.states_BNMd[sure_B], atol=1e-5, rtol=1e-4)


def cut(encoded: Encoded, num_sequences: int, num_positions: int) -> Encoded:
    """The first sequences and positions of an encoding."""
    return encoded._replace(
        states_BNMd=encoded.states_BNMd[:num_sequences, :num_positions],
        logits_LBNME=encoded.logits_LBNME[:, :num_sequences, :num_positions],
    )


def moved(one: Tensor, other: Tensor) -> Tensor:
    """(N,) how far each state of the first sequence moved, at most."""
    return (one - other)[0].abs().amax(dim=(1, 2))
