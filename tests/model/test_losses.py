"""Softmax losses against their formulas, worked out by hand."""

import math

import pytest
import torch

from model.losses import LogQ, full_softmax, own_products, sampled_softmax

#: A state along the first axis; item 0 at cosine 1, item 1 at 0, item 2 at -1.
ITEMS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])


def one_loss(target: int, negatives: list[int], q: list[float] | None = None) -> float:
    """At temperature 0.5; q: the probability that a draw gives each of the three items."""
    rows, targets = torch.tensor(negatives), torch.tensor([target])
    log_q = None
    if q is not None:
        log = torch.tensor(q).log()
        log_q = LogQ(log[targets], log[rows])
    products = ITEMS[:1] @ ITEMS.T
    return float(sampled_softmax(products[:, target], products[:, rows], targets, rows, 0.5, log_q))


def test_the_loss_is_minus_log_softmax_of_the_target() -> None:
    """Cosines 1, 0 and -1 over temperature 0.5 give the value worked out by hand."""
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(0) + math.exp(-2)))

    assert one_loss(0, [1, 2]) == pytest.approx(expected, rel=1e-6)


def test_a_negative_that_is_the_target_does_not_count() -> None:
    """Drawing the target itself changes nothing."""
    assert one_loss(0, [1, 0, 2]) == pytest.approx(one_loss(0, [1, 2]), rel=1e-6)


def test_a_collision_sends_no_gradient() -> None:
    """The masked negative's line gets exactly zero gradient."""
    state = torch.tensor([[1.0, 0.0]])
    lines = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    sampled_softmax(
        state[:, 0], state @ lines.T, torch.tensor([7]), torch.tensor([7, 8]), temperature=0.05
    ).backward()

    assert lines.grad is not None
    assert lines.grad[0].abs().sum() == 0
    assert lines.grad[1].abs().sum() > 0


def test_positions_may_have_negatives_of_their_own() -> None:
    """Two positions with one negative each: the mean of the two losses worked out by hand."""
    products = torch.tensor([[1.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
    targets, rows = torch.tensor([0, 1]), torch.tensor([[1], [0]])
    loss = sampled_softmax(
        products[[0, 1], targets], products.gather(1, rows), targets, rows, temperature=0.5
    )

    assert float(loss) == pytest.approx((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2)


def test_full_softmax_is_sampled_softmax_with_all_items_as_negatives() -> None:
    """The same loss and the same gradient, since the target among the negatives does not count."""
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(6, 4, generator=generator)
    targets = torch.randint(9, (6,), generator=generator)
    grads, losses = [], []
    for full in (True, False):
        index = torch.randn(9, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
        products = states @ index.T
        loss = (
            full_softmax(states, index, targets, 0.5)
            if full
            else sampled_softmax(products[torch.arange(6), targets], products, targets, torch.arange(9), 0.5)
        )
        (grad,) = torch.autograd.grad(loss, index)
        grads.append(grad)
        losses.append(float(loss.detach()))

    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(grads[0], grads[1])


def test_log_q_is_taken_from_target_and_negatives() -> None:
    """With draws at 1/2, 1/4, 1/4 each exponential is divided by its probability."""
    weights = [math.exp(2) / 0.5, math.exp(0) / 0.25, math.exp(-2) / 0.25]

    assert one_loss(0, [1, 2], [0.5, 0.25, 0.25]) == pytest.approx(-math.log(weights[0] / sum(weights)))


def test_log_q_of_uniform_draws_changes_nothing() -> None:
    """A constant cancels in a softmax."""
    assert one_loss(0, [1, 2, 1], [1 / 3] * 3) == pytest.approx(one_loss(0, [1, 2, 1]))


def test_with_log_q_many_draws_by_popularity_push_as_all_items_do() -> None:
    """Items drawn exactly as often as their probability says: the gradient is that of the softmax over all
    other items; without the correction the popular one is pushed too much."""
    logits = torch.tensor([1.0, 0.3, -0.5, 0.2])
    q = torch.tensor([0.1, 0.6, 0.2, 0.1])
    rows = torch.repeat_interleave(torch.arange(4), (10_000 * q).long())
    pushes = {}
    for corrected in (True, False):
        scores = logits.clone().requires_grad_()
        log_q = LogQ(q.log()[:1], q.log()[rows]) if corrected else None
        sampled_softmax(scores[:1], scores[rows][None], torch.tensor([0]), rows, 1.0, log_q).backward()
        assert scores.grad is not None
        pushes[corrected] = scores.grad[1:]
    others = logits[1:].softmax(0)

    torch.testing.assert_close(pushes[True], others, atol=1e-3, rtol=0)
    assert pushes[False][0] > others[0] + 0.2


def test_own_products_are_products_with_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of two positions: the values and both gradients of gathering everything at once."""
    monkeypatch.setattr("model.losses.GATHERED", 2 * 3 * 4)
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(5, 4, generator=generator, requires_grad=True)
    lines = torch.randn(7, 4, generator=generator, requires_grad=True)
    places = torch.randint(7, (5, 3), generator=generator)
    weights = torch.randn(5, 3, generator=generator)
    found = own_products(states, lines, places)
    expected = (lines[places] * states[:, None]).sum(2)
    found_grads = torch.autograd.grad((found * weights).sum(), [states, lines])
    expected_grads = torch.autograd.grad((expected * weights).sum(), [states, lines])

    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_grads, expected_grads)
