"""Every switch of Fuxi-MME, at its neutral setting, is the network without it (to 1e-6)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import ModelConfig
from model.experts import ExpertFFN, Experts, dense, gathered, margins
from model.fuxi import relations, rms
from model.mme import FuxiMME

SMALL = ModelConfig(
    dim=16, streams=2, heads=2, blocks=2, experts=3, max_events=32, dropout=0.0, input_dropout=0.0
)
ROWS = 90
B, N = 3, 9


def drawn(config: ModelConfig, seed: int = 0) -> FuxiMME:
    """A network whose every parameter matters."""
    torch.manual_seed(seed)
    model = FuxiMME(config, ROWS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("facets"):
                parameter.normal_(std=0.3)
        model.items[0].zero_()
    return model.eval()


def histories() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randint(1, ROWS, (B, N), generator=generator)
    times = torch.randint(0, 10**8, (B, N), generator=generator).cumsum(1) + 1_500_000_000_000
    return rows, times, torch.tensor([N, 4, 7])


def states(model: FuxiMME, asked: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return model.encode(*histories(), asked).states_BNMd


def test_one_stream_and_one_expert_is_fuxi_alpha() -> None:
    """The published block written out, head by head: the smallest Fuxi-MME is FuXi-alpha."""
    model = drawn(replace(SMALL, dim=8, streams=1, experts=1, blocks=1))
    block, (rows, times, _), width = model.blocks[0], histories(), 4
    with torch.no_grad():
        x = model.items[rows[0], 0] * 8**0.5 + model.streams_Md[0]
        q, k, v = F.silu(rms(x) @ block.qkv_dF).split(8, dim=1)
        u = F.silu(rms(x) @ block.experts.weight_EdF[0])
        o = torch.zeros(N, 24)
        for i in range(N):
            for j in range(i + 1):
                bucket = torch.bucketize(times[0, i] - times[0, j], model.edges_ms, right=True)
                o[i, :8] += block.position_n[i - j] * v[j]
                o[i, 8:16] += block.time_b[bucket] * v[j]
                for head in (slice(0, width), slice(width, 8)):
                    o[i, 16:][head] += F.silu(q[i, head] @ k[j, head]) / SMALL.max_events * v[j, head]
        y = (u * rms(o)) @ block.out_Fd + block.out_bias_d + x
        gated = F.silu(rms(y) @ block.ffn.gated_Edh[0]) * (rms(y) @ block.ffn.linear_Edh[0])
        expected = F.normalize(gated @ block.ffn.down_Ehd[0] + y, dim=-1)

    torch.testing.assert_close(states(model)[0, :, 0], expected, atol=1e-5, rtol=1e-5)


def test_equal_streams_are_one_stream() -> None:
    """Two copies of a table, read by the one decoder, score as the network of that table alone."""
    single = drawn(replace(SMALL, dim=8, streams=1))
    double = FuxiMME(SMALL, ROWS).eval()
    weights = single.state_dict()
    copied = {name: weights[name].repeat_interleave(2, dim=-2) for name in ("items", "streams_Md")}
    double.load_state_dict({**weights, **copied})

    one, two = (model.vectors(states(model)) @ model.item_index().T for model in (single, double))

    torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kept", [1, 2])
def test_equal_experts_at_w_u_are_one_map(kept: int) -> None:
    """Three copies of W_u, however many of them a token goes through."""
    mixture, plain = drawn(replace(SMALL, kept=kept)), drawn(replace(SMALL, experts=1))
    with torch.no_grad():
        for block in mixture.blocks:
            stack = block.experts.weight_EdF
            stack.copy_(stack[:1].expand_as(stack).clone())
    weights = {name: value for name, value in mixture.state_dict().items() if "router" not in name}
    first = {name: value[:1] if ".experts." in name else value for name, value in weights.items()}
    assert all("router" in name for name in plain.load_state_dict(first, strict=False).missing_keys)

    torch.testing.assert_close(states(plain), states(mixture), atol=1e-6, rtol=1e-5)


def test_a_silent_time_channel_has_no_formula() -> None:
    """Weights of zero by bucket, or a power bias with a = 0: the same states."""
    bucket, power = drawn(SMALL), drawn(replace(SMALL, time_bias="power"))
    with torch.no_grad():
        for block in bucket.blocks:
            block.time_b.zero_()
        for block in power.blocks:
            block.time_b[0] = 0
    others = {name: value for name, value in bucket.state_dict().items() if "time_b" not in name}
    power.load_state_dict(others, strict=False)

    torch.testing.assert_close(states(bucket), states(power), atol=1e-6, rtol=0)


def test_equal_experts_at_the_ffn_are_one_ffn() -> None:
    """Three copies of the same feed-forward map, whatever the router prefers."""
    mixture = drawn(replace(SMALL, experts_at=("ffn",)))
    plain = drawn(replace(SMALL, experts=1))
    weights = mixture.state_dict()
    with torch.no_grad():
        for block in mixture.blocks:
            for stack in (block.ffn.gated_Edh, block.ffn.linear_Edh, block.ffn.down_Ehd):
                stack.copy_(stack[:1].expand_as(stack).clone())
    shared = {name: weights[name][:1] if ".ffn." in name else weights[name] for name in plain.state_dict()}
    plain.load_state_dict(shared)

    torch.testing.assert_close(states(plain), states(mixture), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("places", [(), ("w_u",), ("ffn",), ("w_u", "ffn")])
def test_one_expert_is_no_mixture_wherever_it_stands(places: tuple[str, ...]) -> None:
    """With E = 1 the places of the mixture change nothing."""
    plain = drawn(replace(SMALL, experts=1))
    other = drawn(replace(SMALL, experts=1, experts_at=places))

    torch.testing.assert_close(states(plain), states(other), atol=0, rtol=0)


@pytest.mark.parametrize(("places", "layers"), [(("w_u",), 2), (("ffn",), 2), (("w_u", "ffn"), 4)])
def test_every_mixture_reports_its_routing(places: tuple[str, ...], layers: int) -> None:
    """One row of loads per block and place, each a distribution."""
    encoded = drawn(replace(SMALL, experts_at=places)).encode(*histories())

    assert encoded.load_LE.shape == (layers, 3)
    torch.testing.assert_close(encoded.load_LE.sum(1), torch.ones(layers))


@pytest.mark.parametrize("kept", [1, 2])
def test_the_dense_path_is_the_gathered_path(kept: int) -> None:
    """All experts on all tokens, or each token's own: the same numbers."""
    torch.manual_seed(0)
    experts = Experts(4, 6, 9, kept)
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_()
    x_Td = torch.randn(50, 6)
    for chosen_T in experts.router.choose(experts.eval().router(x_Td)).experts_KT:
        torch.testing.assert_close(
            dense(x_Td, chosen_T, 4, experts._through), gathered(x_Td, chosen_T, 4, experts._through)
        )


def test_two_kept_experts_are_mixed_by_their_softmax() -> None:
    """Shazeer's gate: the softmax over the two largest logits weighs the two maps."""
    torch.manual_seed(0)
    experts = Experts(4, 6, 9, kept=2).eval()
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_()
    x_Td = torch.randn(20, 6)

    mixed = experts(x_Td)

    best = mixed.logits_TE.topk(2, dim=1)
    every_TEF = torch.einsum("td,edf->tef", x_Td, experts.weight_EdF)
    expected = sum(
        best.values.softmax(1)[:, k, None] * every_TEF[torch.arange(20), best.indices[:, k]] for k in range(2)
    )
    torch.testing.assert_close(mixed.out_TF, expected)
    assert margins(mixed.logits_TE, 2).min() > 0


def test_the_router_of_the_ffn_learns() -> None:
    """With one kept expert its factor is one, and the gradient still arrives."""
    torch.manual_seed(0)
    ffn = ExpertFFN(3, 6, 8)
    with torch.no_grad():
        for parameter in ffn.parameters():
            parameter.normal_()
    ffn(torch.randn(30, 6)).out_TF.square().sum().backward()

    assert ffn.router is not None
    assert ffn.router.gate_dE.grad is not None
    assert ffn.router.gate_dE.grad.abs().min() > 0


def test_the_facet_gate_starts_at_the_plain_mean() -> None:
    """User vectors with the gate at its initial zeros are the published mean's."""
    plain, gated = drawn(SMALL), drawn(replace(SMALL, facet_gate=True))

    torch.testing.assert_close(plain.vectors(states(plain)), gated.vectors(states(gated)), atol=1e-6, rtol=0)


def test_the_facet_gate_weighs_streams_in_one_inner_product() -> None:
    """Score = sum over streams of weight times cosine, and the weights sum to one."""
    model = drawn(replace(SMALL, facet_gate=True))
    with torch.no_grad():
        model.facets_DM.normal_()
        model.facets_M.normal_()
        user_Md = states(model)[0, -1]
        weights_M = model.facets(user_Md)
        items_IMd = F.normalize(model.items[65:], dim=-1)
        by_hand_I = (weights_M * (items_IMd * user_Md).sum(-1)).sum(-1)

        torch.testing.assert_close(model.item_index() @ model.vectors(user_Md), by_hand_I)
    torch.testing.assert_close(weights_M.sum(), torch.tensor(1.0))
    assert weights_M.std() > 0.01


def test_the_power_bias_follows_its_formula() -> None:
    """A block whose time channel alone speaks: a (1 + seconds)^-b over the values."""
    model = drawn(replace(SMALL, time_bias="power", blocks=1))
    block = model.blocks[0]
    _, times, _ = histories()
    seen = relations(times, times, torch.arange(N)[None], model.edges_ms, with_lapse=True)
    _, by_time = block.maps(seen)
    alpha, beta = block.time_b.tolist()
    for i in range(N):
        for j in range(N):
            seconds = max(0, int(times[1, i] - times[1, j])) / 1000
            expected = alpha * (1 + seconds) ** -beta if j <= i else 0.0
            assert abs(by_time[1, i, j].item() - expected) < 1e-5


def test_without_the_semantic_channel_position_and_time_are_left() -> None:
    """The block written out: two channels of the values, gated, no queries and no keys."""
    model = drawn(replace(SMALL, semantic=False, blocks=1, experts=1))
    block = model.blocks[0]
    rows, times, _ = histories()

    with torch.no_grad():
        seen = relations(times, times, torch.arange(N)[None], model.edges_ms)
        x = model.embed(rows)
        v = F.silu(rms(x) @ block.qkv_dF)
        u = F.silu(rms(x) @ block.experts.weight_EdF[0])
        maps = block.maps(seen)
        o = torch.cat([torch.einsum("bpn,bnmd->bpmd", a_map, v) for a_map in maps], dim=-1)
        y = (u * rms(o)) @ block.out_Fd + block.out_bias_d + x
        z = rms(y)
        gated = F.silu(z @ block.ffn.gated_Edh[0]) * (z @ block.ffn.linear_Edh[0])
        expected = F.normalize(gated @ block.ffn.down_Ehd[0] + y, dim=-1)

    assert block.qkv_dF.shape == (8, 8)
    torch.testing.assert_close(states(model)[0], expected[0], atol=1e-5, rtol=1e-5)


def test_query_time_next_is_own_when_the_asked_times_are_the_events_own() -> None:
    """The two conventions differ in the times that rows are asked for, and in nothing else."""
    own, following = drawn(SMALL), drawn(replace(SMALL, query_time="next"))
    _, times, _ = histories()

    torch.testing.assert_close(states(own), states(following, times), atol=0, rtol=0)
    later = states(following, times + 3_600_000)
    assert (states(own) - later).abs().max() > 1e-3


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": "gru"},
        {"time_bias": "linear"},
        {"query_time": "now"},
        {"experts_at": ("w_q",)},
        {"kept": 4},
        {"kept": 0},
    ],
)
def test_a_setting_that_does_not_exist_is_refused(wrong: dict[str, object]) -> None:
    """With its name in the message."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(SMALL, **wrong)
