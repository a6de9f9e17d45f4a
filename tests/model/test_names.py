"""Ids and records as arrays and back."""

from __future__ import annotations

import pytest

from model.names import inside, pack_names, pack_record, under, unpack_names, unpack_record


@pytest.mark.parametrize("ids", [[], [""], ["a", "", "é", "x" * 300]])
def test_ids_come_back(ids: list[str]) -> None:
    """None at all, empty ones and long ones."""
    assert unpack_names("ids", pack_names("ids", ids)) == ids


def test_records_come_back() -> None:
    """Whole numbers longer than any array could hold too."""
    record = {"state": {"inc": 2**127 + 1, "list": [1, None, "ü"]}}

    assert unpack_record(pack_record(record)) == record


def test_arrays_behind_a_prefix_are_found_again() -> None:
    """And only those."""
    arrays = under("one", pack_names("ids", ["a"]))

    assert inside("one", {**arrays, **under("two", arrays)}).keys() == pack_names("ids", []).keys()
