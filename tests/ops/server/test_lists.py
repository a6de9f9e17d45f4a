"""GET /recommend, POST /rank, GET /similar: which list counts, how it is labelled, what rules leave of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ops.server.rules import Rules
from ops.server.versions import Mapped, Versions
from tests.ops.server.hall import ITEMS, Hall, made_list, state, version


async def get(hall: Hall, path: str, status: int = 200, **query: Any) -> Any:
    async with hall.client() as client:
        answer = await client.get(path, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def names(answer: Any) -> list[str]:
    return [place["item"] for place in answer["items"]]


@pytest.fixture
def hall(tmp_path: Path) -> Hall:
    """Ann has a list and a state in which she saw i0; nobody else has anything."""
    made = Hall(tmp_path)
    made.put_list(made_list("ann", seen=["i0"]))
    made.put_state("ann", state(["i0"]))
    return made


async def test_a_list_is_served_as_the_scorer_made_it(hall: Hall) -> None:
    """The same items, scores, state and version, and no label."""
    made = made_list("ann", seen=["i0"])

    found = await get(hall, "/recommend/ann", n=5)

    assert found["items"] == [{"item": one.item, "score": one.score} for one in made.items[:5]]
    assert (found["list"], found["model"], found["epoch"]) == (made.id, made.model, made.epoch)
    assert found["state"] == msgspec.to_builtins(made.state)
    assert found["degraded"] is None


async def test_more_than_the_list_holds_comes_from_the_index(hall: Hall) -> None:
    """Every item but the seen one, the list's own first."""
    found = await get(hall, "/recommend/ann", n=100)

    assert names(found)[:10] == [one.item for one in made_list("ann", seen=["i0"]).items]
    assert sorted(names(found)) == sorted(set(ITEMS) - {"i0"})


async def test_an_unknown_user_gets_what_is_popular_and_is_told(hall: Hall) -> None:
    """No error for a stranger."""
    found = await get(hall, "/recommend/nobody", n=3)

    assert names(found) == ["i0", "i1", "i2"]
    assert (found["degraded"], found["list"], found["state"]) == ("popular", None, None)


async def test_before_the_first_version_an_answer_says_so(tmp_path: Path) -> None:
    """An empty list with its label."""
    hall = Hall(tmp_path)
    hall.answering.versions = Versions()

    found = await get(hall, "/recommend/nobody")

    assert (found["items"], found["degraded"]) == ([], "no model yet")


async def test_a_withdrawn_versions_list_is_hidden(hall: Hall) -> None:
    """Popularity stands in, without what the user has seen, and says which version went."""
    hall.answering.versions = Versions(
        epoch=3, current=Mapped(version("000001")), withdrawn=frozenset({"000002"})
    )

    found = await get(hall, "/recommend/ann", n=3)

    assert names(found) == ["i1", "i2", "i3"]
    assert found["degraded"] == "popular"
    assert "000002" in found["reason"]


async def test_a_list_of_a_version_that_is_not_mapped_is_served_as_stored(hall: Hall) -> None:
    """Its own items and no others, labelled."""
    hall.answering.versions = Versions(epoch=9, current=Mapped(version("000009")))

    found = await get(hall, "/recommend/ann", n=100)

    assert names(found) == [one.item for one in made_list("ann", seen=["i0"]).items]
    assert found["degraded"] == "as stored"


async def test_a_list_of_the_version_before_is_ranked_with_its_own_index(hall: Hall) -> None:
    """Two versions are mapped, and each list has its own."""
    hall.answering.versions = Versions(
        epoch=9, current=Mapped(version("000009", seed=5)), previous=Mapped(version("000002"))
    )

    found = await get(hall, "/recommend/ann", n=100)

    assert (len(found["items"]), found["degraded"]) == (len(ITEMS) - 1, None)


async def test_a_scorer_that_stays_behind_is_named(hall: Hall) -> None:
    """The last good list, labelled once the newest event has waited too long."""
    hall.put_state("ann", state(["i0", "i9"], offset=6))

    assert (await get(hall, "/recommend/ann"))["degraded"] is None
    hall.now_s += 3.0
    assert (await get(hall, "/recommend/ann"))["degraded"] == "behind"


async def test_a_dead_broker_is_named(hall: Hall) -> None:
    """The list is still the last good one."""
    hall.health.broker_away = True

    found = await get(hall, "/recommend/ann")

    assert (found["degraded"], found["list"]) == ("broker away", "list-ann-5")


@pytest.mark.parametrize("rules", [Rules(), Rules.parsed(["item:i3"], ["item:i4=2", "item:i5=-2"], 0)])
async def test_rank_equals_recommend_on_any_candidates(tmp_path: Path, rules: Rules) -> None:
    """The same items, scores and order, whichever candidates; and both are a part of the whole order."""
    hall = Hall(tmp_path, rules=rules)
    hall.put_list(made_list("ann", seen=["i0"]))
    hall.put_state("ann", state(["i0"], rejected=["i7"]))
    random = np.random.default_rng(0)
    whole = names(await get(hall, "/recommend/ann", n=100))
    for _ in range(10):
        candidates = random.permutation(ITEMS)[: random.integers(1, 20)].tolist()

        recommended = await get(hall, "/recommend/ann", n=100, include=candidates)
        async with hall.client() as client:
            ranked = (await client.post("/rank", json={"user": "ann", "items": candidates})).json()

        assert ranked == recommended
        assert names(ranked) == [item for item in whole if item in candidates]
        left_out = {one["item"] for one in ranked["left_out"]}
        assert left_out == set(candidates) - set(names(ranked))


async def test_rank_keeps_unknown_candidates_at_the_end(hall: Hall) -> None:
    """In the order in which they were given, with a score of null."""
    async with hall.client() as client:
        answer = await client.post("/rank", json={"user": "ann", "items": ["new", "i1", "newer"]})

    assert [(one["item"], one["score"] is None) for one in answer.json()["items"]] == [
        ("i1", False),
        ("new", True),
        ("newer", True),
    ]


async def test_seen_and_rejected_items_stay_out_of_what_is_ranked_anew(hall: Hall) -> None:
    """A filter that reaches beyond the list knows the user's state, and says which rule it was."""
    hall.put_state("ann", state(["i0", "i1"], rejected=["i2"]))

    found = await get(hall, "/recommend/ann", n=9, include=["i0", "i1", "i2", "i3"])

    listed = {one.item for one in made_list("ann", seen=["i0"]).items}
    rules = {one["item"]: one["rule"] for one in found["left_out"]}
    expected = {"i0": "seen", "i1": "seen", "i2": "rejected"}
    assert rules == {item: rule for item, rule in expected.items() if item not in listed}


async def test_a_category_is_found_beyond_the_list(hall: Hall) -> None:
    """Every fourth item is a comedy; the best of them come, whether the list named them or not."""
    for number, item in enumerate(ITEMS):
        hall.put_item(item, f"Title {number}", "Comedy" if number % 4 == 0 else "Drama")

    found = await get(hall, "/recommend/ann", n=5, category="Comedy")

    assert len(found["items"]) == 5
    assert all(int(item[1:]) % 4 == 0 for item in names(found))
    assert found["items"][0]["title"].startswith("Title")


async def test_rules_of_the_settings_are_counted_and_explained(tmp_path: Path) -> None:
    """Hidden, boosted and capped items, each in the explanation and in the metrics."""
    best = [one.item for one in made_list("ann").items]
    hall = Hall(tmp_path, rules=Rules.parsed([f"item:{best[0]}"], [f"item:{best[9]}=5"], 0))
    hall.put_list(made_list("ann"))

    found = await get(hall, "/recommend/ann", n=2, explain=True)

    assert names(found) == [best[9], best[1]]
    assert found["left_out"] == [{"item": best[0], "rule": "hide"}]
    assert found["items"][0]["why"]["boost"] == 5.0
    assert found["items"][0]["score"] == pytest.approx(found["items"][0]["why"]["cosine"] + 5, abs=1e-2)
    assert b'hopstream_rule_hits_total{rule="hide"} 1.0' in hall.telemetry.text()


async def test_min_offset_waits_for_the_list_that_knows_the_click(tmp_path: Path) -> None:
    """The answer comes with the list, not before it."""
    hall = Hall(tmp_path, wait_s=5.0)
    hall.put_list(made_list("ann", offset=5))
    asked = asyncio.create_task(get(hall, "/recommend/ann", min_offset=6))
    while not hall.view._waiters:
        await asyncio.sleep(0)
    hall.put_list(made_list("ann", offset=6))

    found = await asked

    assert (found["state"]["offset"], found["degraded"]) == (6, None)


async def test_min_offset_waits_no_longer_than_it_may(hall: Hall) -> None:
    """The list that is there, labelled."""
    found = await get(hall, "/recommend/ann", min_offset=99)

    assert (found["state"]["offset"], found["degraded"]) == (5, "behind")


async def test_an_erased_user_is_unknown_again(hall: Hall) -> None:
    """The empty list that the scorer sends turns into what a stranger gets."""
    erased = made_list("ann", offset=7)
    hall.put_list(msgspec.structs.replace(erased, items=[], vector=None))

    found = await get(hall, "/recommend/ann")

    assert (found["degraded"], found["list"]) == ("popular", None)


async def test_similar_items_are_the_nearest_rows(hall: Hall) -> None:
    """By cosine, without the item itself."""
    of = version()
    cosines_I = of.index @ of.index[4]
    nearest = [ITEMS[at] for at in np.argsort(-cosines_I, kind="stable") if at != 4]

    assert names(await get(hall, "/similar/i4", n=5)) == nearest[:5]


async def test_an_item_without_a_row_is_like_nothing(hall: Hall) -> None:
    """Known by title alone: an empty list that says why; unknown altogether: 404."""
    hall.put_item("new", "Brand New")

    assert (await get(hall, "/similar/new"))["degraded"] is not None
    assert (await get(hall, "/similar/nobody", 404))["status"] == 404
