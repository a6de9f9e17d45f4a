"""Search by title."""

from __future__ import annotations

import random

import pytest

from ops.server import titles as titles_file
from ops.server.shelf import Shelf
from ops.server.titles import Titles
from stream.events import Item

WORDS = ["alien", "Straße", "night", "of", "the", "living", "dead"]


def weight(item: str) -> float:
    return -float(item)


def test_a_search_finds_what_a_look_at_every_title_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was put, changed and taken back, and however much of it the text knows already."""
    monkeypatch.setattr(titles_file, "MAX_CHANGED", 5)
    rng, made, truth = random.Random(0), Titles(), dict[str, str]()
    for step in range(2000):
        item = str(rng.randrange(60))
        title = " ".join(rng.choices(WORDS, k=rng.randrange(4)))
        made.put(item, title)
        truth[item] = title
        if step % 3 == 0:
            words = " ".join(rng.choices(WORDS, k=2))[: rng.randrange(1, 12)]
            wanted = " ".join(words.casefold().split())
            holding = [item for item, title in truth.items() if wanted in title.casefold()]
            expected = sorted(holding, key=weight, reverse=True)[:4] if wanted else []
            assert made.search(words, 4, weight) == expected


def test_another_versions_weights_are_another_order() -> None:
    """What was best known to the version before is not best known for ever."""
    made, words = Titles(), "tale"
    for number in range(2000):
        made.put(str(number), f"tale {number}")
    before = made.search(words, 3, weight, "1")
    after = made.search(words, 3, lambda item: -weight(item), "2")

    assert (before, after) == (["0", "1", "2"], ["1999", "1998", "1997"])


def test_a_record_that_leaves_the_title_as_it_is_costs_no_search_anything() -> None:
    """A price that changes every minute is no reason to look at the titles again."""
    shelf, asked = Shelf(3000), list[str]()

    def counted(item: str) -> float:
        asked.append(item)
        return 0.0

    def put_all(category: str) -> None:
        for number in range(2000):
            title = "target" if number == 7 else "other"
            shelf.put(Item(item=str(number), title=title, categories=(category,)))

    put_all("a")
    assert shelf.search("target", 5, counted) == ["7"]
    assert len(asked) >= 2000

    asked.clear()
    put_all("b")
    assert shelf.search("target", 5, counted) == ["7"]
    assert asked == ["7"]


def test_titles_that_come_and_go_unsearched_leave_nothing_behind() -> None:
    """A shelf that drops the oldest stays as large as it may be, though nobody searches."""
    made = Titles()
    for number in range(10_000):
        made.put(str(number), f"title {number}")
        made.put(str(number - 10), None)

    assert len(made._changed) == len(made._titles) == 10
    assert made.search("title 9999", 5, weight) == ["9999"]
