"""Coverage and novelty."""

from __future__ import annotations

import math

import msgspec

from stream.exposure import Exposure


def test_coverage_is_the_share_of_taken_items_that_are_listed() -> None:
    """Two of four taken items are listed, one of them twice; an item nobody took covers nothing."""
    exposure = Exposure()
    for item in "abcd":
        exposure.took(item)
    for items in ("ab", "az"):
        exposure.show("served", exposure.codes(items))

    assert exposure.all_time()["served"]["coverage@10"] == 0.5


def test_novelty_is_how_many_bits_an_item_is_from_certain() -> None:
    """Items with 3 and 1 of 4 events: shares (3 + 1) / (4 + 2) and (1 + 1) / (4 + 2)."""
    exposure = Exposure()
    for item in "aaab":
        exposure.took(item)
    exposure.show("served", exposure.codes("ab"))

    expected = -(math.log2(4 / 6) + math.log2(2 / 6)) / 2
    assert exposure.all_time()["served"]["novelty"] == round(expected, 6)


def test_popular_lists_are_less_novel() -> None:
    """Whoever shows what everybody takes has the smaller number."""
    exposure = Exposure()
    for item in "aaaaaaaab":
        exposure.took(item)
    exposure.show("popular", exposure.codes("a"))
    exposure.show("rare", exposure.codes("b"))

    found = exposure.all_time()
    assert (found["popular"]["novelty"] or 0) < (found["rare"]["novelty"] or 0)


def test_without_events_there_is_no_figure() -> None:
    """None, not zero."""
    exposure = Exposure()
    exposure.show("served", exposure.codes("a"))

    assert exposure.all_time()["served"] == {"coverage@10": None, "novelty": None}


def test_items_beyond_the_bound_are_one_item() -> None:
    """Their events and places are counted together."""
    exposure = Exposure(max_items=2)
    for item in "abcd":
        exposure.took(item)
    exposure.show("served", exposure.codes("abcd"))

    assert exposure.all_time()["served"]["coverage@10"] == 1.0


def test_exposure_goes_on_from_its_state() -> None:
    """Stored and restored, the figures are the same, and go on being the same."""
    exposure = Exposure()
    for item in "aab":
        exposure.took(item)
    exposure.show("served", exposure.codes("ab"))
    restored = Exposure()
    restored.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(exposure.state())))
    for one in (exposure, restored):
        one.took("c")
        one.show("served", one.codes("ac"))

    assert restored.all_time() == exposure.all_time()
    assert restored.over({"served": [(0, 1)]}) == exposure.over({"served": [(0, 1)]})
