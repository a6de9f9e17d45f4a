"""One order of all items per list: what it names first, the rest by the index, rules on top."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.blend import EPSILON
from ops.server.rules import Asked, Candidate, Rules, choose
from ops.server.scoring import Order, vector_of
from ops.server.versions import Mapped
from stream.errors import SettingsInvalid
from stream.records import RecommendationList, Scored
from tests.ops.server.hall import ITEMS, made_list, unit_vector, version

MAPPED = Mapped(version())


def blended(weight: float, memory: dict[str, float], rows: dict[str, float]) -> RecommendationList:
    """What a scorer makes of model, memory and rows: the ten best of the sum over everything."""
    vector_D = unit_vector(1)
    cosines = dict(zip(ITEMS, (MAPPED.index_ID @ vector_D).tolist(), strict=True)) | rows
    sums = {
        item: weight / MAPPED.temperature * cosine + (1 - weight) * np.log(memory.get(item, 0.0) + EPSILON)
        for item, cosine in cosines.items()
    }
    best = sorted(sums, key=lambda item: (-sums[item], -cosines[item]))[:10]
    return msgspec.structs.replace(
        made_list(),
        items=[Scored(item=item, score=round(float(sums[item]), 6)) for item in best],
        memory=memory,
        rows=[Scored(item=item, score=cosine) for item, cosine in rows.items()],
        weight=weight,
    )


def test_the_order_begins_with_the_list() -> None:
    """What the scorer put down stands as it stands, with its own scores."""
    made = made_list()

    first = list(Order(MAPPED, made).everything())[:10]

    assert [(one.item, one.score) for one in first] == [(one.item, one.score) for one in made.items]


def test_behind_the_list_the_index_goes_on() -> None:
    """Every item once, in the order of exact scores, though the vector has 16 bits."""
    whole = made_list(top_n=len(ITEMS))

    found = [one.item for one in Order(MAPPED, made_list()).everything()]

    assert sorted(found) == sorted(ITEMS)
    scores = {one.item: one.score for one in whole.items}
    falls = [scores[item] for item in found]
    assert all(later <= earlier + 2e-3 for earlier, later in itertools.pairwise(falls))


def test_a_seen_item_never_stands_above_the_list() -> None:
    """The list left it out; whoever asks for it all the same gets it behind."""
    best = made_list().items[0].item
    made = made_list(seen=[best])

    assert Order(MAPPED, made).score(best) == made.items[-1].score


@settings(deadline=None, max_examples=60)
@given(
    candidates=st.lists(st.sampled_from([*ITEMS, "x", "y", "nobody"]), unique=True, max_size=20),
    weight=st.sampled_from([None, 0.0, 0.1, 1.0]),
    boosted=st.dictionaries(st.sampled_from([*ITEMS, "x", "y"]), st.sampled_from([-0.5, 0.25]), max_size=3),
)
def test_candidates_stand_as_in_the_whole_order(
    candidates: list[str], weight: float | None, boosted: dict[str, float]
) -> None:
    """Any part of the items is ordered as the whole is, with the same scores; the unknown ones come last."""
    made = made_list() if weight is None else blended(weight, {"i3": 0.5, "x": 0.2}, {"x": 0.3, "y": 0.1})
    order = Order(MAPPED, made)
    boosts_I = np.array([boosted.get(item, 0.0) for item in ITEMS])

    everything = order.everything(boosts_I, lambda item: boosted.get(item, 0.0))
    whole = [one for one in everything if one.item in candidates]
    part = order.among(candidates, [boosted.get(item, 0.0) for item in candidates])

    assert part[: len(whole)] == whole
    assert all(one.score is None for one in part[len(whole) :])


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.3, 1.0])
def test_the_sum_is_ranked_as_the_scorer_ranks_it(weight: float) -> None:
    """Beyond the list, memory, rows and model add up as they did within it."""
    memory, rows = {"i3": 0.5, "i7": 0.02, "x": 0.2}, {"x": 0.3, "y": 0.1}
    made = blended(weight, memory, rows)
    everything = msgspec.structs.replace(made, items=[])

    found = list(Order(MAPPED, everything).everything())[:10]

    assert [one.item for one in found] == [one.item for one in made.items]
    assert [one.score for one in found] == pytest.approx([one.score for one in made.items], abs=2e-2)


def test_what_nothing_is_known_of_has_no_score() -> None:
    """It is no zero: it was not judged."""
    assert Order(MAPPED, made_list()).score("nobody") is None


def test_without_a_list_the_order_is_that_of_popularity() -> None:
    """The version's own counts, the first place first."""
    assert [one.item for one in Order(MAPPED, None).everything()] == ITEMS


@pytest.mark.parametrize("vector", ["", "AAA", "####", "AAAA", None])
def test_a_vector_that_cannot_be_read_is_none(vector: str | None) -> None:
    """The list is then served without one."""
    assert vector_of(msgspec.structs.replace(made_list(), vector=vector), 8) is None


def chosen(rules: Rules, asked: Asked, items: str = "abcdef") -> tuple[str, dict[str, str]]:
    """(what is shown, what is left out by which rule); a and b are red, c to f are blue."""
    found = choose(
        [Candidate(item, 1.0) for item in items],
        lambda item: ["red"] if item in "ab" else ["blue"],
        rules,
        asked,
    )
    return "".join(one.item for one in found.shown), dict(found.left_out)


def test_each_rule_keeps_out_what_it_names() -> None:
    """And says so."""
    rules = Rules.parsed(["item:a"], [], 0)

    assert chosen(rules, Asked(n=9, exclude={"b"}, seen={"c"}, rejected={"d"})) == (
        "ef",
        {"a": "hide", "b": "exclude", "c": "seen", "d": "rejected"},
    )


def test_a_cap_holds_per_category() -> None:
    """The first ones of each stay."""
    assert chosen(Rules.parsed([], [], 1), Asked(n=9)) == (
        "ac",
        {"b": "cap", "d": "cap", "e": "cap", "f": "cap"},
    )


def test_a_category_is_all_there_is() -> None:
    """Asked for or hidden."""
    assert chosen(Rules(), Asked(n=9, category="red"))[0] == "ab"
    assert chosen(Rules.parsed(["category:red"], [], 0), Asked(n=9))[0] == "cdef"


def test_nobody_looks_further_than_the_last_place() -> None:
    """Rules that had nothing to do with the answer are not counted."""
    assert chosen(Rules(), Asked(n=2, exclude={"f"})) == ("ab", {})


def test_nobody_looks_behind_the_last_of_a_category() -> None:
    """Where it is known how many there are, barred ones among them; of a category that nobody has, none."""
    assert chosen(Rules(), Asked(n=9, exclude={"b"}, category="red", num_in_category=2)) == (
        "a",
        {"b": "exclude"},
    )
    assert chosen(Rules(), Asked(n=9, category="green", num_in_category=0)) == ("", {})


def test_boosts_add_up() -> None:
    """The item's own and those of its categories."""
    rules = Rules.parsed([], ["item:a=0.5", "category:red=-0.2"], 0)

    assert rules.boost_of("a", ["red", "blue"]) == pytest.approx(0.3)
    assert rules.boost_of("b", ["blue"]) == 0.0


@pytest.mark.parametrize("hide", ["a", "shape:a", "item:"])
def test_a_rule_that_cannot_be_read_names_itself(hide: str) -> None:
    """A typing error in the settings does not pass in silence."""
    with pytest.raises(SettingsInvalid, match="rules"):
        Rules.parsed([hide], [], 0)
    with pytest.raises(SettingsInvalid, match="rules"):
        Rules.parsed([], [f"{hide}=1"], 0)
    with pytest.raises(SettingsInvalid, match="rules"):
        Rules.parsed([], ["item:a=much"], 0)
