"""Experts and themes: what is even, what has collapsed, what cannot be told."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from model.health import ENOUGH, Health, entropy, movement, router_health, theme_health


def chosen(experts: list[int], num: int, lead: float = 3.0) -> np.ndarray:
    """(T, E) logits that choose these experts, each by ``lead``."""
    logits = np.zeros((len(experts), num), np.float32)
    logits[np.arange(len(experts)), experts] = lead
    return logits


def everything(logits_TE: np.ndarray) -> Health:
    """One layer, all tokens valid."""
    return Health(layers=router_health(logits_TE[None], np.ones(len(logits_TE), bool)))


@pytest.mark.parametrize("num", [2, 4, 8, 64])
def test_an_even_load_has_the_entropy_of_its_size_and_no_alarm(num: int) -> None:
    """log E nats, whatever E: 64 experts with 1.6 % each are well too."""
    health = everything(chosen([token % num for token in range(10 * ENOUGH - 10 * ENOUGH % num)], num))

    assert health.layers[0].entropy == pytest.approx(math.log(num))
    assert health.layers[0].dead == ()
    assert (health.alarms, health.notes) == ([], [])


def test_a_collapsed_router_names_the_dead_and_the_one_that_has_all() -> None:
    """Entropy 0, three alarms below 2 %, one above 80 %."""
    health = everything(chosen([2] * 500, 4))

    assert health.layers[0].entropy == 0
    assert health.layers[0].dead == (0, 1, 3)
    assert health.alarms == [
        "layer 0, expert 0 has 0.0% of 500 tokens, below 2%",
        "layer 0, expert 1 has 0.0% of 500 tokens, below 2%",
        "layer 0, expert 2 has 100.0% of 500 tokens, above 80%",
        "layer 0, expert 3 has 0.0% of 500 tokens, below 2%",
    ]


@pytest.mark.parametrize(("rare", "alarmed"), [(20, 0), (19, 1)])
def test_the_lower_bound_itself_is_no_alarm(rare: int, alarmed: int) -> None:
    """20 of 1,000 tokens are 2 %, 19 are below; 80 % for the other stays allowed."""
    health = everything(chosen([0] * rare + [1] * (500 - rare) + [2] * 500, 3))

    assert len(health.alarms) == alarmed


def test_the_upper_bound_itself_is_no_alarm() -> None:
    """800 of 1,000 tokens are 80 %, 801 are above."""
    at, above = (everything(chosen([0] * num + [1] * (1000 - num), 2)) for num in (800, 801))

    assert at.alarms == []
    assert above.alarms == ["layer 0, expert 0 has 80.1% of 1,000 tokens, above 80%"]


def test_one_expert_never_alarms() -> None:
    """It has everything, as it must; there is no lead to speak of."""
    health = everything(chosen([0] * 500, 1))

    assert (health.alarms, health.notes) == ([], [])
    assert (health.layers[0].load, health.layers[0].margin, health.layers[0].dead) == ((1.0,), None, ())


def test_without_tokens_it_says_so() -> None:
    """No alarm and nobody dead: a quiet minute is no collapse."""
    health = Health(layers=router_health(np.zeros((2, 30, 4)), np.zeros(30, bool)))

    assert health.alarms == []
    assert health.layers[0].dead == ()
    assert health.notes == [
        "layer 0: there were no tokens, so nothing is judged",
        "layer 1: there were no tokens, so nothing is judged",
    ]


def test_a_few_tokens_judge_nobody() -> None:
    """One token less than enough is a note, enough are an alarm."""
    few, enough = (everything(chosen([0] * num, 4)) for num in (ENOUGH - 1, ENOUGH))

    assert few.alarms == []
    assert few.notes == [f"layer 0: {ENOUGH - 1} tokens are too few to judge, {ENOUGH} are needed"]
    assert (len(enough.alarms), enough.notes) == (4, [])


def test_the_order_of_tokens_and_padding_change_nothing() -> None:
    """Shuffled, and with invalid tokens in between, the report is the same."""
    random = np.random.default_rng(0)
    logits_LTE = random.normal(size=(2, 400, 4)).astype(np.float32)
    places = random.permutation(400)
    beside = np.concatenate([logits_LTE, 9 * np.ones((2, 50, 4), np.float32)], axis=1)
    mixed = random.permutation(450)

    expected = router_health(logits_LTE, np.ones(400, bool))

    assert router_health(logits_LTE[:, places], np.ones(400, bool)) == expected
    assert router_health(beside[:, mixed], mixed < 400) == expected


def test_the_margin_is_the_median_lead_and_near_ties_are_counted() -> None:
    """Half the tokens lead by 1 and 3, the other half by less than rounding."""
    logits = np.concatenate([chosen([1] * 4, 3, lead=5e-5), chosen([0] * 2, 3, 1), chosen([2] * 2, 3, 3)])
    layer = everything(logits).layers[0]

    assert layer.margin == pytest.approx((5e-5 + 1) / 2)
    assert layer.close == 0.5


def test_equal_shares_before_and_now_do_not_drift_and_swapped_ones_drift_fully() -> None:
    """Total variation: 0 for the same shares of other totals, 1 for disjoint ones, between otherwise."""

    def drift(before: list[int], now: list[int]) -> float | None:
        return theme_health(now, unit="events", before_K=before).drift

    assert drift([10, 30], [100, 300]) == pytest.approx(0)
    assert drift([10, 0], [0, 7]) == pytest.approx(1)
    assert drift([50, 50], [75, 25]) == pytest.approx(0.25)
    assert drift([0, 0], [1, 1]) is None


def test_a_theme_out_of_bounds_is_named_with_its_label() -> None:
    """The label stands in the alarm unless it is only the number."""
    themes = theme_health([900, 95, 5], unit="sessions", names=["Drama", "War", "theme 2"])
    health = Health(themes=themes)

    assert health.alarms == [
        "theme 0 (Drama) has 90.0% of 1,000 sessions, above 80%",
        "theme 2 has 0.5% of 1,000 sessions, below 2%",
    ]
    assert Health(themes=theme_health([0, 0], unit="sessions")).notes == [
        "themes: there were no sessions, so nothing is judged"
    ]


def test_movement_is_the_share_of_items_that_a_theme_lost() -> None:
    """A theme that kept all moved 0, one whose number changed moved 1, one without items moved nowhere."""
    before = np.eye(4)[[0, 0, 1, 1, 2]]
    now = np.eye(4)[[0, 0, 1, 2, 1]]

    assert movement(before, before) == [0.0, 0.0, 0.0, None]
    assert movement(before, now) == [0.0, 0.5, 1.0, None]


def test_what_does_not_fit_together_is_refused() -> None:
    """Another number of themes is a mistake of the caller."""
    with pytest.raises(ValueError, match="3 beside 2 themes"):
        theme_health([1, 1], unit="events", before_K=[1, 1, 1])
    with pytest.raises(ValueError, match="cannot be compared"):
        movement(np.zeros((3, 2)), np.zeros((3, 3)))


def test_the_report_is_plain_json_with_its_sentences() -> None:
    """Numbers, alarms and notes survive a round trip; one expert's lead is null, not infinite."""
    layers = router_health(chosen([0] * 200, 1)[None], np.ones(200, bool))
    health = Health(layers=layers, themes=theme_health([999, 1], unit="events", moved=[0.5, None]))

    told = json.loads(json.dumps(health.to_json(), allow_nan=False))

    assert told["layers"][0]["margin"] is None
    assert told["themes"]["moved"] == [0.5, None]
    assert told["alarms"] == health.alarms
    assert len(told["alarms"]) == 2


def test_nothing_has_no_entropy() -> None:
    """0 log 0 is 0, and no share at all is 0 too."""
    assert entropy([0.0, 0.0]) == 0
    assert entropy([1.0, 0.0]) == 0
    assert entropy([0.5, 0.5]) == pytest.approx(math.log(2))
