"""Ids and records as arrays and back."""

from __future__ import annotations

import pytest

from model.names import inside, nameless, pack_names, pack_record, under, unpack_names, unpack_record


@pytest.mark.parametrize("ids", [[], [""], ["a", "", "é", "x" * 300]])
def test_ids_come_back(ids: list[str]) -> None:
    """None at all, empty ones and long ones."""
    assert unpack_names("ids", pack_names("ids", ids)) == ids


def test_an_erased_name_leaves_one_number_that_is_nobody_elses() -> None:
    """Who was one user still is, also when another is erased later."""
    names = ["ann", "bob", "ann", "cat"]
    once = nameless(names, ["ann"]).tolist()
    twice = nameless(once, ["bob", "dan"]).tolist()

    assert once[1::2] == ["bob", "cat"]
    assert once[0] == once[2] == twice[0] == twice[2]
    assert len(set(twice)) == 3
    assert not {"ann", "bob"} & {*twice}


def test_records_come_back() -> None:
    """Whole numbers longer than any array could hold too."""
    record = {"state": {"inc": 2**127 + 1, "list": [1, None, "ü"]}}

    assert unpack_record(pack_record(record)) == record


def test_arrays_behind_a_prefix_are_found_again() -> None:
    """And only those."""
    arrays = under("one", pack_names("ids", ["a"]))

    assert inside("one", {**arrays, **under("two", arrays)}).keys() == pack_names("ids", []).keys()
