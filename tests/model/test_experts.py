"""Top-1 experts: which one maps a token, and what teaches the router."""

from __future__ import annotations

import math

import pytest
import torch

from model.experts import Experts, margins, routing


def _experts(num: int, seed: int = 0) -> Experts:
    torch.manual_seed(seed)
    experts = Experts(num, 6, 9)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_()
    return experts


def test_each_token_goes_through_the_expert_with_the_highest_logit() -> None:
    """Sorting tokens by expert gives what all experts on all tokens would give."""
    experts = _experts(4).eval()
    x_Td = torch.randn(50, 6)

    mixed = experts(x_Td)

    every_TEF = torch.einsum("td,edf->tef", x_Td, experts.weight_EdF)
    expected = every_TEF[torch.arange(50), mixed.logits_TE.argmax(1)]
    torch.testing.assert_close(mixed.out_TF, expected)


def test_one_expert_is_one_plain_map() -> None:
    """With E = 1 the router changes nothing, in training too."""
    experts = _experts(1).train()
    x_Td = torch.randn(50, 6)

    torch.testing.assert_close(experts(x_Td).out_TF, x_Td @ experts.weight_EdF[0])


def test_ties_go_to_the_lowest_expert() -> None:
    """A router that prefers nobody sends every token to expert 0."""
    experts = _experts(3).eval()
    with torch.no_grad():
        experts.router.gate_dE.zero_()
    x_Td = torch.randn(20, 6)

    torch.testing.assert_close(experts(x_Td).out_TF, x_Td @ experts.weight_EdF[0])


def test_the_router_learns_although_its_factor_is_one() -> None:
    """The forward value is the expert's alone; the gradient reaches the gate."""
    experts = _experts(3).eval()
    x_Td = torch.randn(40, 6)
    with torch.no_grad():
        without_grad = experts(x_Td).out_TF

    out_TF = experts(x_Td).out_TF
    out_TF.square().sum().backward()

    torch.testing.assert_close(out_TF, without_grad, rtol=0, atol=0)
    assert experts.router.gate_dE.grad is not None
    assert experts.router.gate_dE.grad.abs().min() > 0


def test_noise_moves_choices_in_training_only() -> None:
    """Two evaluations choose alike, two training passes do not."""
    experts = _experts(4)
    x_Td = torch.randn(500, 6)

    def logits(training: bool) -> torch.Tensor:
        return experts.train(training)(x_Td).logits_TE.detach()

    assert torch.equal(logits(False), logits(False))
    assert not torch.equal(logits(True), logits(True))


def test_the_router_stays_in_full_precision() -> None:
    """Under bf16 autocast the logits are those of fp32, so a choice does not depend on the mode."""
    experts = _experts(3).eval()
    x_Td = torch.randn(20, 6)
    expected = experts.router(x_Td)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits_TE = experts.router(x_Td)

    assert torch.equal(expected, logits_TE)


def test_balance_is_one_when_even_and_grows_with_collapse() -> None:
    """Tokens spread evenly cost 1; all on one of three experts, with certainty, cost 3."""
    valid = torch.ones(3, dtype=torch.bool)
    even = routing(torch.eye(3) * 50, valid)
    collapsed = routing(torch.tensor([[50.0, 0, 0]] * 3), valid)

    assert pytest.approx(1) == even.balance.item()
    assert pytest.approx(3) == collapsed.balance.item()
    assert collapsed.load_E.tolist() == [1, 0, 0]


def test_z_is_the_mean_square_of_what_the_logits_add_up_to() -> None:
    """Logits 0 and ln 3: (ln 4)^2; beside them two of 0: (ln 2)^2."""
    logits_TE = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    found = routing(logits_TE, torch.ones(2, dtype=torch.bool))

    assert found.z.item() == pytest.approx((math.log(4) ** 2 + math.log(2) ** 2) / 2)


def test_padding_counts_nowhere() -> None:
    """Invalid tokens change neither loss nor load; without a valid one all are zero."""
    logits_TE = torch.randn(10, 3)
    valid_T = torch.arange(10) < 4

    alone, beside = routing(logits_TE[:4], valid_T[:4]), routing(logits_TE, valid_T)
    none = routing(logits_TE, valid_T & False)

    for expected, actual in zip(alone, beside, strict=True):
        torch.testing.assert_close(expected, actual)
    assert 0 == none.balance == none.z == none.load_E.sum()


def test_margin_is_the_lead_over_the_second() -> None:
    """One expert leads for ever."""
    assert margins(torch.tensor([[1.0, 4.0, 2.0]])).tolist() == [2.0]
    assert [torch.inf] == margins(torch.tensor([[1.0]])).tolist()
