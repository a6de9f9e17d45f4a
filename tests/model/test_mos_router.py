"""The router: one number for the trainer, the published table and the worker; the laws of its losses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.backbone import unit
from model.catalogue import Catalogue
from model.prototypes import NO_THEME, TOP2_MARGIN, choose, item_logits, probabilities, session_logits
from model.router import (
    NOISE_LAST,
    Router,
    balance,
    contrastive,
    gumbel,
    half_sums,
    halves,
    noise_scale,
    running_means,
    spread,
    straight_through,
)
from model.themes import Labels, ThemeTable, fit_themes, prototypes
from stream import themes as worker

D, K, NUM = 32, 5, 40


def learned(seed: int = 0) -> tuple[Router, np.ndarray]:
    """A router away from where it starts, and item lines of four streams (each of length 1)."""
    torch.manual_seed(seed)
    router = Router(torch.randn(K, D)).requires_grad_(False)
    router.w_r_DD.add_(0.2 * torch.randn(D, D))
    lines = unit(torch.randn(NUM, 4, D // 4)).flatten(1)
    return router, lines.numpy()


def table_of(router: Router, lines: np.ndarray) -> tuple[ThemeTable, Catalogue]:
    catalogue = Catalogue([f"i{place}" for place in range(NUM)])
    logits = item_logits(lines, router.w_r_DD.numpy(), router.c_KD.numpy())
    return ThemeTable(catalogue, logits, [f"theme {k}" for k in range(K)]), catalogue


def test_numpy_and_torch_give_the_same_logits() -> None:
    """Of items to 1e-5, though one sums in double precision."""
    router, lines = learned()

    of_torch = router(unit(torch.from_numpy(lines))).numpy()
    of_numpy = item_logits(lines, router.w_r_DD.numpy(), router.c_KD.numpy())

    assert of_numpy.dtype == np.float32
    assert np.abs(of_numpy - of_torch).max() < 1e-5


def test_any_session_has_one_theme_in_torch_in_numpy_and_in_the_worker() -> None:
    """Weights agree to 1e-5 and themes exactly, for every prefix of every session."""
    router, lines = learned()
    table, catalogue = table_of(router, lines)
    of_worker = worker.Router(table, "000001")
    random = np.random.default_rng(0)
    two = 0
    for length in [*random.integers(1, 33, 40)]:
        places = random.integers(0, NUM, length)
        logits, known = router(unit(torch.from_numpy(lines[places]))), torch.ones(length, dtype=torch.bool)
        means, counts = running_means(logits, known, torch.zeros(length, dtype=torch.int64))
        found = choose(means.softmax(dim=1).numpy(), counts.numpy() > 0)
        for end in range(1, length + 1):
            told = worker.choose(*of_worker.session_logits([catalogue.items[at] for at in places[:end]]))
            mean = session_logits(table.logits_IK, places[:end])
            assert mean is not None
            again = choose(probabilities(mean)[None], np.array([True]))
            pairs = [(theme, weight) for theme, weight in zip(*found_at(found, end - 1), strict=True)]
            assert [theme for theme, _ in told] == [theme for theme, _ in pairs]
            assert again.themes_T2[0].tolist() == found.themes_T2[end - 1].tolist()
            for (_, weight), (_, other) in zip(told, pairs, strict=True):
                assert weight == pytest.approx(other, abs=1e-5)
            assert np.abs(again.weights_T2[0] - found.weights_T2[end - 1]).max() < 1e-5
            two += len(told) == 2
    assert two > 10  # close sessions do occur, and name two


def found_at(found: tuple[np.ndarray, np.ndarray], at: int) -> tuple[list[int], list[float]]:
    """The themes of one moment without the empty places."""
    real = found[0][at] != NO_THEME
    return found[0][at][real].tolist(), found[1][at][real].tolist()


def test_the_margin_is_the_workers() -> None:
    """Trainer and worker name a second theme below the same difference."""
    assert TOP2_MARGIN == worker.TOP2_MARGIN


def test_it_starts_as_the_themes_of_a_version_without_mos() -> None:
    """With the identity and k-means prototypes the learned table is that of fit_themes."""
    _, lines = learned()
    catalogue = Catalogue([f"i{place}" for place in range(NUM)])
    unit_lines = lines / np.linalg.norm(lines, axis=1, keepdims=True)
    router = Router(torch.from_numpy(prototypes(unit_lines, K, seed=3))).requires_grad_(False)

    published = item_logits(lines, router.w_r_DD.numpy(), router.c_KD.numpy())

    plain = fit_themes(lines, catalogue, Labels(), K, seed=3)
    np.testing.assert_allclose(published, plain.logits_IK, atol=1e-5)


def test_a_running_mean_is_the_mean_of_the_vectors_logits() -> None:
    """The router is linear: logits of the mean vector are the mean of the logits (z is the plain mean)."""
    router, lines = learned()
    units = unit(torch.from_numpy(lines))

    means, _ = running_means(
        router(units), torch.ones(NUM, dtype=torch.bool), torch.zeros(NUM, dtype=torch.int64)
    )

    torch.testing.assert_close(means[11], router(units[:12].mean(0, keepdim=True))[0], atol=1e-5, rtol=1e-5)


def test_later_events_and_other_sessions_change_no_running_mean() -> None:
    """At a moment only the open session's events so far count, and of these only known ones."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(9, K, generator=random)
    known = torch.tensor([1, 1, 0, 1, 0, 0, 1, 1, 1], dtype=torch.bool)
    first = torch.tensor([0, 0, 0, 0, 4, 4, 4, 7, 7])
    other = logits.clone()
    other[[2, 3]] = 1e4  # unknown, and later than the moments before it
    one, counts = running_means(logits, known, first)
    two, _ = running_means(other, known, first)

    assert counts.tolist() == [1, 2, 2, 3, 0, 0, 1, 1, 2]
    torch.testing.assert_close(one[[0, 1, 2, 4, 5, 6, 7, 8]], two[[0, 1, 2, 4, 5, 6, 7, 8]])
    torch.testing.assert_close(one[2], logits[:2].mean(0))
    assert one[4].abs().max() == 0


def test_straight_through_is_one_and_teaches_p() -> None:
    """Exactly 1 forward; backward the gradient of log p."""
    p = torch.tensor([0.2, 0.9], requires_grad=True)

    made = straight_through(p)
    made.sum().backward()

    assert torch.equal(made, torch.ones(2))
    torch.testing.assert_close(p.grad, 1 / p.detach())


def test_noise_is_annealed_over_the_first_fifth() -> None:
    """From 1 in a straight line to 0.1, which stays."""
    assert [noise_scale(step, 100) for step in (0, 10, 20, 99)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert noise_scale(1, 1) == pytest.approx(NOISE_LAST)


def test_noise_is_gumbel_and_drawn_by_its_generator() -> None:
    """Mean .5772, variance 1.645; the largest of noisy logits is drawn by softmax."""
    one, again = (gumbel((200_000, 2), torch.Generator().manual_seed(1)) for _ in range(2))

    assert torch.equal(one, again)
    assert one.mean() == pytest.approx(0.5772, abs=0.01)
    assert one.var() == pytest.approx(1.645, abs=0.03)
    odds = (one + torch.tensor([np.log(3.0), 0.0])).argmax(1).float().mean()
    assert odds == pytest.approx(0.25, abs=0.005)


def test_balance_is_one_when_even_and_k_when_collapsed() -> None:
    """And its gradient takes probability from the crowded theme."""
    even = torch.eye(K).repeat(3, 1)
    crowded = torch.full((8, K), 0.1)
    crowded[:, 2] = 0.6
    crowded.requires_grad_(True)

    assert balance(even) == pytest.approx(1.0)
    assert balance(torch.eye(K)[[1] * 6]) == pytest.approx(K)
    balance(crowded).backward()
    assert (crowded.grad.argmax(dim=1) == 2).all()


def test_spread_is_nothing_for_orthogonal_prototypes_and_pushes_twins_apart() -> None:
    """Zero for unit axes, (K² - K) / K² when all are one."""
    alike = torch.eye(1, D).repeat(K, 1)

    assert spread(torch.eye(K, D)) == 0
    assert spread(alike) == pytest.approx((K**2 - K) / K**2)


def test_halves_are_halves_of_one_session() -> None:
    """Every known event of a session of two or more is in one half, the halves as equal as can be."""
    session = np.array([3, 3, 3, 3, 3, 5, 5, 5, 8, 8])
    known = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 1], bool)  # session 5 has one known event

    half, number = halves(session, known, np.random.default_rng(0))

    assert sorted(half[:5].tolist()) == [0, 0, 0, 1, 1]
    assert half[5:8].tolist() == number[5:8].tolist() == [-1, -1, -1]
    assert sorted(half[8:].tolist()) == [0, 1]
    assert number[:5].tolist() == [0] * 5
    assert number[8:].tolist() == [1, 1]
    one, other = half_sums(torch.ones(10, 2), half, number)
    assert one[:, 0].tolist() == [3, 1]
    assert other[:, 0].tolist() == [2, 1]


def test_contrastive_wants_the_own_other_half() -> None:
    """Near 0 when each half is nearest its other half, large when that is of another theme."""
    z = torch.eye(6, D)
    apart, alike = torch.arange(6), torch.zeros(6, dtype=torch.int64)

    assert contrastive(z, z, apart) < 0.01
    assert contrastive(z, z.roll(1, 0), apart) > 9
    assert contrastive(z, z.roll(1, 0), alike) == 0


def test_prototypes_stay_of_length_one() -> None:
    """However they were moved."""
    router, _ = learned()
    router.c_KD.mul_(3.0).add_(0.1)

    router.renormalise()

    torch.testing.assert_close(router.c_KD.norm(dim=1), torch.ones(K))
