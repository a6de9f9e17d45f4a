"""Every network on the CPU and on CUDA: encodings, experts, the facet gate, one training step."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.backbone import Backbone, last
from model.batch import Batch, padded
from model.config import FIRST_ITEM_ROW, ModelConfig
from model.experts import ExpertFFN, Experts, margins
from model.families import FAMILIES, RECIPES, build
from model.run import Run
from model.sequences import Histories, Windows

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"
#: fp32 without TF32: devices differ in the order of sums only. Absolute, and relative beyond length 1.
TOLERANCE = 1e-4
#: Gradients sum over all positions and partly cancel: of the largest number in each.
GRADIENT_TOLERANCE = 1e-3
LEAST_MARGIN = 1e-4
USERS, WINDOW, ITEMS = 24, 30, 300

SERVED = RECIPES["served"].model
SHAPES = {name: recipe.model for name, recipe in RECIPES.items()} | {
    "facet gate": replace(SERVED, facet_gate=True),
    "even streams": replace(SERVED, facet_gate=False),
    "power bias": replace(SERVED, time_bias="power"),
    "no semantic channel": replace(SERVED, semantic=False),
    "two of four experts in both places": replace(SERVED, experts_at=("w_u", "ffn"), kept=2),
}
STEPPED = ("served", "sasrec", "hstu", "fame", "fuxi-next", "facet gate", "even streams")


def _network(config: ModelConfig) -> Backbone:
    """Drawn, routers as decided as trained ones; what starts at zero has numbers, or nothing would show."""
    torch.manual_seed(0)
    model = build(config, FIRST_ITEM_ROW + ITEMS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("gate_dE"):
                parameter.mul_(50)
            elif not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval()


def _events() -> tuple[np.ndarray, np.ndarray]:
    """Rows and times in ms of WINDOW + 1 events per user."""
    random = np.random.default_rng(0)
    rows = random.integers(FIRST_ITEM_ROW, FIRST_ITEM_ROW + ITEMS, (USERS, WINDOW + 1))
    return rows, 10**12 + random.integers(1000, 10**8, rows.shape).cumsum(1)


def _clear(model: Backbone, batch: Batch, asked_BN: Tensor) -> Tensor:
    """(B,) in which sequences no router had a close call, on the CPU."""
    with torch.inference_mode():
        logits_LBNME = model.encode(batch.rows_BN, batch.times_BN, batch.lengths_B, asked_BN).logits_LBNME
    lead_LBNM = margins(logits_LBNME, model.config.kept)
    padding_BN = torch.arange(batch.rows_BN.shape[1]) >= batch.lengths_B[:, None]
    close_LBNM = (lead_LBNM <= LEAST_MARGIN) & ~padding_BN[None, :, :, None]
    return ~close_LBNM.any(dim=3).any(dim=2).any(dim=0)


def test_every_family_is_among_them() -> None:
    """A network that families.py names is compared here."""
    assert {config.family for config in SHAPES.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", SHAPES)
def test_encodings_agree(name: str) -> None:
    """States, user vectors and item lines of histories of all lengths, where no router had a close call."""
    model = _network(SHAPES[name]).requires_grad_(False)
    rows, times_ms = _events()
    lengths = [1 + user * (WINDOW - 1) // (USERS - 1) for user in range(USERS)]
    batch = padded([(rows[user, :n], times_ms[user, :n]) for user, n in enumerate(lengths)], WINDOW)
    asked = padded([(rows[user, :n], times_ms[user, 1 : n + 1]) for user, n in enumerate(lengths)], WINDOW)
    clear_B = _clear(model, batch, asked.times_BN)
    assert clear_B.sum() >= 0.9 * USERS
    made = []
    for device in ("cpu", DEVICE):
        here, there = copy.deepcopy(model).to(device), batch.to(device)
        with torch.inference_mode():
            encoded = here.encode(there.rows_BN, there.times_BN, there.lengths_B, asked.times_BN.to(device))
            vectors_BD = here.vectors(last(encoded.states_BNMd, there.lengths_B))
            made.append([part.cpu() for part in (encoded.states_BNMd, vectors_BD, here.item_index())])

    (states, vectors, index), (other_states, other_vectors, other_index) = made
    assert states.any()
    torch.testing.assert_close(other_states[clear_B], states[clear_B], atol=TOLERANCE, rtol=TOLERANCE)
    torch.testing.assert_close(other_vectors[clear_B], vectors[clear_B], atol=TOLERANCE, rtol=TOLERANCE)
    torch.testing.assert_close(other_index, index, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("kind", [Experts, ExpertFFN])
def test_dense_experts_are_the_gathered_ones(kind: type[nn.Module], kept: int) -> None:
    """CUDA runs all experts on all tokens, the CPU each on its own: the same results and gradients."""
    torch.manual_seed(0)
    experts = kind(4, 32, 48, kept).eval()
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(std=0.2)
    x_Td, aim_TF = torch.randn(500, 32), torch.randn(500, 48 if kind is Experts else 32)
    clear_T1 = (margins(experts(x_Td).logits_TE, kept) > LEAST_MARGIN)[:, None]
    assert clear_T1.sum() >= 490
    made = []
    for device in ("cpu", DEVICE):
        here = copy.deepcopy(experts).to(device)
        out_TF = here(x_Td.to(device)).out_TF * clear_T1.to(device)
        (out_TF * aim_TF.to(device)).sum().backward()
        made.append((out_TF.detach().cpu(), _gradients(here)))

    (out_TF, gradients), (other_out_TF, other_gradients) = made
    torch.testing.assert_close(other_out_TF, out_TF, atol=TOLERANCE, rtol=TOLERANCE)
    _assert_gradients_close(other_gradients, gradients)


@pytest.mark.parametrize("name", STEPPED)
def test_a_training_step_agrees(name: str) -> None:
    """Loss and gradients, and the new weights wherever a gradient is clear of rounding.

    Without dropout and router noise, which each device draws for itself, and without close calls.
    """
    model = _network(SHAPES[name])
    rows, times_ms = _events()
    batch = padded(list(zip(rows[:, :-1], times_ms[:, :-1], strict=True)), WINDOW)
    chosen = np.flatnonzero(_clear(model, batch, torch.from_numpy(times_ms[:, 1:].copy())).numpy())
    assert len(chosen) >= 0.9 * USERS
    windows = Windows(
        sequences=[(rows[user, :-1], times_ms[user, :-1]) for user in chosen],
        targets=[rows[user, 1:] for user in chosen],
        asked_ms=[times_ms[user, 1:] for user in chosen],
    )
    histories = Histories(
        rows=rows.flatten(),
        times_ms=times_ms.flatten(),
        starts=np.arange(USERS + 1) * (WINDOW + 1),
        users=np.arange(USERS),
        order=np.arange(rows.size),
    )
    recipe = replace(RECIPES["served"].train, negatives=64)
    made = []
    for device in ("cpu", DEVICE):
        training = Run(copy.deepcopy(model).to(device), histories, recipe)
        training.step(windows)
        weights = {key: value.detach().cpu() for key, value in training.model.named_parameters()}
        made.append((training.losses[0], _gradients(training.model), weights))

    (loss, gradients, weights), (other_loss, other_gradients, other_weights) = made
    assert abs(other_loss - loss) <= TOLERANCE
    assert gradients["items"].any()
    _assert_gradients_close(other_gradients, gradients)
    for key, gradient in gradients.items():
        clear = gradient.abs() > 0.1 * gradient.abs().max()
        torch.testing.assert_close(other_weights[key][clear], weights[key][clear], atol=1e-5, rtol=0)


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.cpu()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def _assert_gradients_close(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        apart = (actual[name] - gradient).abs().max()
        assert apart <= GRADIENT_TOLERANCE * gradient.abs().max(), name
